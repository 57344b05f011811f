//! What the kernel says of a process: how long it ran, and the memory that it has and had.

use std::fs;

use anyhow::{Context, Result};

/// CPU time of all threads that live, in nanoseconds: the first field of each thread's `schedstat`
/// (<https://docs.kernel.org/scheduler/sched-stats.html>), which counts finer than `stat`'s ticks.
pub(crate) fn cpu_nanos(pid: u32) -> Result<u64> {
    let mut total = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let path = thread?.path().join("schedstat");
        let Ok(text) = fs::read_to_string(path) else { continue };
        let first = text.split_whitespace().next().context("an empty schedstat")?;
        total += first.parse::<u64>()?;
    }
    Ok(total)
}

/// Memory of a process, in KiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// What it has in memory now.
    pub(crate) resident: u64,
    /// The most that it ever had.
    pub(crate) peak: u64,
}

impl Memory {
    /// Of `/proc/<pid>/status`.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let field = |name: &str| -> Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let line = line.with_context(|| format!("no {name} in status"))?;
            Ok(line.trim_end_matches("kB").trim().parse()?)
        };
        Ok(Self { resident: field("VmRSS:")?, peak: field("VmHWM:")? })
    }
}
