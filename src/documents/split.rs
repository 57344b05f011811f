//! Cuts a stream into chunks at the markers that YAML defines: a line that begins with `---` or
//! `...` in column 0, whatever stands around it (the specification forbids such a line inside any
//! scalar, block scalars included, and kubectl cuts there as well). The chunks, put together, are
//! the text, byte for byte: a future edit must keep that.

/// A part of the text that holds one document, or none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Chunk<'a> {
    /// The chunk's own text.
    pub(super) text: &'a str,
    /// The number of its first line, from 1.
    pub(super) line: usize,
    /// The directives (`%YAML`, `%TAG`) that stand before it, and apply to it.
    pub(super) directives: &'a str,
    /// How much of the text stands before the content: the marker's line, blank lines, comments.
    /// Equal to the length of the text if there is no content.
    pub(super) header: usize,
    /// Where the content ends: at the line with `...`, or at the end of the text.
    pub(super) end: usize,
}

impl Chunk<'_> {
    /// Whether there is something to read.
    pub(super) fn has_content(&self) -> bool {
        self.header < self.end
    }
}

/// Cuts the text.
pub(super) fn chunks(text: &str) -> Vec<Chunk<'_>> {
    let mut chunks = Vec::new();
    let mut directives = "";
    let mut rest = text;
    let mut line = 1;
    while !rest.is_empty() {
        let found = Extent::of(rest);
        let (own, remaining) = rest.split_at_checked(found.length).unwrap_or((rest, ""));
        let chunk = Chunk { text: own, line, directives, header: found.header, end: found.end };
        directives = if chunk.has_content() || found.explicit { "" } else { found.directives(own) };
        line += found.lines;
        rest = remaining;
        chunks.push(chunk);
    }
    chunks
}

/// The lines of a text, each with its line end, which may be `\n`, `\r\n` or `\r`.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = match rest.find(['\n', '\r']) {
            None => rest.len(),
            Some(at) if rest.get(at..).is_some_and(|tail| tail.starts_with("\r\n")) => at + 2,
            Some(at) => at + 1,
        };
        let (line, remaining) = rest.split_at_checked(end)?;
        rest = remaining;
        Some(line)
    })
}

/// The length in bytes of a byte order mark at the start, if there is one.
pub(super) fn byte_order_mark(text: &str) -> usize {
    if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 }
}

/// What was found out about the chunk at the start of a text.
struct Extent {
    length: usize,
    lines: usize,
    header: usize,
    end: usize,
    explicit: bool,
    directives: Option<usize>,
}

impl Extent {
    fn of(text: &str) -> Self {
        let mark = byte_order_mark(text);
        let mut extent = Self {
            length: mark,
            lines: 0,
            header: mark,
            end: 0,
            explicit: false,
            directives: None,
        };
        let mut content = false;
        for line in lines(text.get(mark..).unwrap_or_default()) {
            if extent.lines > 0 && is_marker(line, "---") {
                break;
            }
            let start = extent.length;
            extent.length += line.len();
            extent.lines += 1;
            if is_marker(line, "...") {
                extent.end = start;
                if !content {
                    extent.header = start;
                }
                return extent;
            }
            if is_marker(line, "---") {
                extent.explicit = true;
                if line.get(3..).is_some_and(is_blank_or_comment) {
                    extent.header = extent.length;
                } else {
                    content = true;
                }
            } else if !content && is_blank_or_comment(line) {
                extent.header = extent.length;
            } else if !content && !extent.explicit && line.starts_with('%') {
                extent.directives.get_or_insert(start);
                extent.header = extent.length;
            } else {
                content = true;
            }
        }
        extent.end = extent.length;
        extent
    }

    fn directives<'a>(&self, text: &'a str) -> &'a str {
        self.directives.and_then(|start| text.get(start..)).unwrap_or_default()
    }
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

fn is_blank_or_comment(line: &str) -> bool {
    let content = line.trim_start_matches([' ', '\t', '\r', '\n']);
    content.is_empty() || content.starts_with('#')
}
