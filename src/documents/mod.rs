//! Kubernetes documents as files hold them: YAML with several documents, JSON, JSON values one
//! behind the other, Lists. A stream is read, some documents are replaced, and all are written
//! back in order. It knows nothing of Pods, AWS or identities.
//!
//! Kept by every edit: what was not replaced is written byte for byte; what was replaced has the
//! meaning for kubectl (YAML 1.1 as go-yaml v2 reads it) that its value has; no error quotes a
//! scalar, since it may be a secret; and every cost is bounded (nesting, aliases).

mod json;
mod objects;
mod problem;
mod scalar;
mod split;
mod tree;
mod yaml;

use std::borrow::Cow;
use std::io::{self, Write};
use std::ops::Range;

use serde_json::Value;

pub use objects::{Object, objects};
pub use problem::Problem;

use json::Layout;
use problem::Fault;
use split::Chunk;
use tree::Lists;
use yaml::MAX_DEPTH;

/// A whole input: documents, and all that stands between them.
#[derive(Debug, Clone)]
pub struct Stream {
    segments: Vec<Segment>,
}

/// One document of a stream.
#[derive(Debug, Clone)]
pub struct Document {
    name: String,
    line: usize,
    text: String,
    form: Form,
    value: Value,
    replaced: Option<String>,
}

/// The language of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// YAML, and JSON that only a YAML reader understands.
    Yaml,
    /// JSON.
    Json,
}

/// Why documents could not be read or written. None of these quotes a document.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentsError {
    /// A document could not be read; line and column count from 1.
    #[error("{name}:{line}:{column}: {problem}")]
    Unreadable {
        /// The name that the stream was given.
        name: String,
        /// The line in the stream.
        line: usize,
        /// The column in characters.
        column: usize,
        /// What is wrong there.
        problem: Problem,
    },
    /// A changed document would not be read again as what it is.
    #[error("{name}:{line}: the changed document cannot be written; give it as JSON instead")]
    Unwritable {
        /// The name that the stream was given.
        name: String,
        /// The line of the document in the stream.
        line: usize,
    },
    /// A value cannot be written as YAML or JSON, for instance for its nesting.
    #[error("the value cannot be written: it is nested too deep")]
    Inexpressible,
    /// The output refused what was written.
    #[error("cannot write the documents")]
    Write(#[source] io::Error),
}

/// Writes a value as a YAML document, with a line end and without `---`.
pub fn to_yaml(value: &Value) -> Result<String, DocumentsError> {
    checked_yaml(value, Lists::AtKey).ok_or(DocumentsError::Inexpressible)
}

/// Writes a value as JSON with two spaces of indentation, with a line end.
pub fn to_json(value: &Value) -> Result<String, DocumentsError> {
    let text = checked_json(value, Layout::Indented("  "));
    text.map(|text| text + "\n").ok_or(DocumentsError::Inexpressible)
}

// === impl Stream ===

#[derive(Debug, Clone)]
enum Segment {
    /// Separators, comments, directives and documents that say nothing.
    Verbatim(String),
    Document(Document),
}

impl Stream {
    /// Reads a stream. `name` is for messages: the file's name, or `-`.
    pub fn parse(name: &str, text: &str) -> Result<Self, DocumentsError> {
        let mut segments = Vec::new();
        for chunk in split::chunks(text) {
            if !chunk.has_content() {
                segments.push(Segment::Verbatim(chunk.text.to_owned()));
                continue;
            }
            let read = json_segments(name, &chunk)
                .unwrap_or_else(|json| yaml_segment(name, &chunk, json).map(|found| vec![found]));
            segments.extend(read?);
        }
        Ok(Self { segments })
    }

    /// The documents in order.
    pub fn documents(&self) -> impl Iterator<Item = &Document> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Document(document) => Some(document),
            Segment::Verbatim(_) => None,
        })
    }

    /// The documents in order, to be replaced.
    pub fn documents_mut(&mut self) -> impl Iterator<Item = &mut Document> {
        self.segments.iter_mut().filter_map(|segment| match segment {
            Segment::Document(document) => Some(document),
            Segment::Verbatim(_) => None,
        })
    }

    /// Writes the stream: the bytes that were read, apart from the documents that were replaced.
    pub fn write(&self, out: &mut impl Write) -> Result<(), DocumentsError> {
        for segment in &self.segments {
            let text = match segment {
                Segment::Verbatim(text) => text,
                Segment::Document(document) => document.render(),
            };
            out.write_all(text.as_bytes()).map_err(DocumentsError::Write)?;
        }
        Ok(())
    }
}

/// The JSON values of a chunk, or why it is not JSON: `None` if it does not even look like it.
fn json_segments(
    name: &str,
    chunk: &Chunk<'_>,
) -> Result<Result<Vec<Segment>, DocumentsError>, Option<Fault>> {
    let body = chunk.text.get(chunk.header..chunk.end).unwrap_or_default();
    let content = body.trim_start();
    if !content.starts_with(['{', '[']) {
        return Err(None);
    }
    let values = match json::read(body) {
        Ok(values) => values,
        Err(fault) if fault.problem == Problem::DuplicateKey => {
            let line = chunk.line + line_feeds(chunk.text, 0..chunk.header);
            return Ok(Err(unreadable(name, line, fault)));
        }
        Err(fault) => {
            let members = content.trim_start_matches(['{', '[', ' ', '\t', '\r', '\n']);
            return Err(members.starts_with('"').then_some(fault));
        }
    };
    let mut segments = Vec::new();
    let mut end = 0;
    let mut line = chunk.line;
    let verbatim = |text: Option<&str>| {
        text.filter(|text| !text.is_empty()).map(|text| Segment::Verbatim(text.to_owned()))
    };
    for json::Read { value, start, end: stop } in values {
        let start = chunk.header + start;
        segments.extend(verbatim(chunk.text.get(end..start)));
        line += line_feeds(chunk.text, end..start);
        end = chunk.header + stop;
        segments.push(Segment::Document(Document {
            name: name.to_owned(),
            line,
            text: chunk.text.get(start..end).unwrap_or_default().to_owned(),
            form: Form::Json,
            value,
            replaced: None,
        }));
        line += line_feeds(chunk.text, start..end);
    }
    segments.extend(verbatim(chunk.text.get(end..)));
    Ok(Ok(segments))
}

/// The YAML document of a chunk. What looked like JSON is reported as JSON if it is no YAML either.
fn yaml_segment(
    name: &str,
    chunk: &Chunk<'_>,
    json: Option<Fault>,
) -> Result<Segment, DocumentsError> {
    let mark = split::byte_order_mark(chunk.text);
    let own = chunk.text.get(mark..chunk.end).unwrap_or_default();
    let text = match chunk.directives {
        "" => Cow::Borrowed(own),
        directives => Cow::Owned(format!("{directives}{own}")),
    };
    let before = chunk.line - split::lines(chunk.directives).count();
    let header = text.len() - own.len() + (chunk.header - mark);
    let read = yaml::read(&text, header).map_err(|fault| match json {
        Some(json) => unreadable(name, chunk.line + line_feeds(chunk.text, 0..chunk.header), json),
        None => unreadable(name, before, fault),
    })?;
    let text = chunk.text.to_owned();
    Ok(match read.value {
        None | Some(Value::Null) => Segment::Verbatim(text),
        Some(value) => Segment::Document(Document {
            name: name.to_owned(),
            line: before + read.line - 1,
            text,
            form: Form::Yaml { header: chunk.header, end: chunk.end, comments: read.comments },
            value,
            replaced: None,
        }),
    })
}

fn unreadable(name: &str, first_line: usize, fault: Fault) -> DocumentsError {
    let Fault { line, column, problem } = fault;
    let line = first_line + line.saturating_sub(1);
    DocumentsError::Unreadable { name: name.to_owned(), line, column, problem }
}

fn line_feeds(text: &str, range: Range<usize>) -> usize {
    text.get(range).unwrap_or_default().matches('\n').count()
}

fn checked_json(value: &Value, layout: Layout<'_>) -> Option<String> {
    if !tree::is_within(value, MAX_DEPTH) {
        return None;
    }
    json::write(value, layout)
}

fn checked_yaml(value: &Value, lists: Lists) -> Option<String> {
    if !tree::is_within(value, MAX_DEPTH) {
        return None;
    }
    let text = tree::write(value, lists)?;
    let read = yaml::read(&text, 0).ok()?;
    (read.value.unwrap_or_default() == *value).then_some(text)
}

// === impl Document ===

#[derive(Debug, Clone, Copy)]
enum Form {
    Json,
    Yaml { header: usize, end: usize, comments: bool },
}

impl Document {
    /// What the document says.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Replaces what the document says; it is left as it stood if that is the same value.
    ///
    /// The new text is made here, and read again to see that it says what it should. The marker
    /// (`---`, `...`) and the comments above the first field stay.
    pub fn replace(&mut self, value: Value) -> Result<(), DocumentsError> {
        if value == self.value {
            return Ok(());
        }
        let unwritable = || DocumentsError::Unwritable { name: self.name.clone(), line: self.line };
        let text = self.written(&value).ok_or_else(unwritable)?;
        self.replaced = Some(text);
        self.value = value;
        Ok(())
    }

    /// Whether the document was replaced by another value.
    pub fn is_changed(&self) -> bool {
        self.replaced.is_some()
    }

    /// Whether the change loses comments.
    pub fn lost_comments(&self) -> bool {
        self.is_changed() && matches!(self.form, Form::Yaml { comments: true, .. })
    }

    /// The line in the stream at which the content begins, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The name of the stream.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The language of the document.
    pub fn format(&self) -> Format {
        match self.form {
            Form::Json => Format::Json,
            Form::Yaml { .. } => Format::Yaml,
        }
    }

    /// The text that was read: of YAML with its markers and comments.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text that is written.
    pub fn render(&self) -> &str {
        self.replaced.as_deref().unwrap_or(&self.text)
    }

    /// The Kubernetes objects in the document, in order: itself, or the items of its List, with
    /// nested Lists flattened.
    pub fn objects(&self) -> impl Iterator<Item = Object<'_>> {
        objects(&self.value)
    }

    fn written(&self, value: &Value) -> Option<String> {
        let text = match self.form {
            Form::Json => checked_json(value, Layout::of(&self.text))?,
            Form::Yaml { header, end, .. } => {
                let head = self.text.get(..header)?;
                // `--- text`: the document began on the marker's line.
                let own = self.text.get(header..)?;
                let marker = if own.starts_with("---") { "---\n" } else { "" };
                let body = checked_yaml(value, Lists::of(&self.text))?;
                return Some(format!(
                    "{head}{}{}",
                    self.with_line_ends(format!("{marker}{body}")),
                    self.text.get(end..)?
                ));
            }
        };
        Some(self.with_line_ends(text))
    }

    fn with_line_ends(&self, text: String) -> String {
        if self.text.contains("\r\n") { text.replace('\n', "\r\n") } else { text }
    }
}

#[cfg(test)]
mod tests;
