//! The log files of the processes that this crate runs: whole, in lines, or their end.
//!
//! A file that is not there yet reads as an empty one: a process that has said nothing.

use std::path::Path;

/// How many lines an error shows.
const TAIL: usize = 20;

/// All complete lines of a log. A line that is still being written is left for the next call.
pub(crate) fn lines(path: &Path) -> Vec<String> {
    let bytes = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let complete = text.rsplit_once('\n').map_or("", |(complete, _)| complete);
    complete.lines().map(str::to_owned).collect()
}

/// The last lines of a log, or a remark that it is empty.
pub(crate) fn tail(path: &Path) -> String {
    let lines = lines(path);
    if lines.is_empty() {
        return "(it has logged nothing)".to_owned();
    }
    let skipped = lines.len().saturating_sub(TAIL);
    lines.into_iter().skip(skipped).collect::<Vec<_>>().join("\n")
}
