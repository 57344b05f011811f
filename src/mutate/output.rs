//! What is written to stdout: documents in their order, or patches, or differences.
//!
//! What was not changed is written byte for byte unless another language was asked for. Put
//! together, the documents of several files stay the documents that they were: a separator or a
//! line end is added between two files where one is missing, and nowhere else.

use std::borrow::Cow;

use serde::Serialize;

use crate::cli::Output;
use crate::documents::{Document, DocumentsError, Format, Stream, to_json, to_yaml};
use crate::offline::{Name, Place};

use super::error::PatchError;
use super::{Judged, MutateError, diff};

/// The text for stdout.
pub(super) fn text(
    output: Output,
    streams: &[Stream],
    judged: &[Judged],
) -> Result<String, MutateError> {
    match output {
        Output::AsGiven => Ok(joined(as_given(streams)?)),
        Output::Yaml => Ok(joined(yaml(streams)?)),
        Output::Json => Ok(json(streams)?),
        Output::Patch => patches(judged),
        Output::Diff => Ok(diffs(streams, judged)),
    }
}

/// A text, and the languages in which it begins and ends if it holds documents.
struct Piece<'a> {
    text: Cow<'a, str>,
    ends: Option<(Format, Format)>,
}

fn as_given(streams: &[Stream]) -> Result<Vec<Piece<'static>>, DocumentsError> {
    streams.iter().map(whole).collect()
}

fn whole(stream: &Stream) -> Result<Piece<'static>, DocumentsError> {
    let mut bytes = Vec::new();
    stream.write(&mut bytes)?;
    let first = stream.documents().next().map(Document::format);
    let last = stream.documents().last().map(Document::format);
    // A stream is made of strings.
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Piece { text: text.into(), ends: first.zip(last) })
}

/// Streams with JSON among them come document by document.
fn yaml(streams: &[Stream]) -> Result<Vec<Piece<'_>>, DocumentsError> {
    let mut pieces = Vec::new();
    for stream in streams {
        if !stream.documents().any(|document| document.format() == Format::Json) {
            pieces.push(whole(stream)?);
            continue;
        }
        for document in stream.documents() {
            let text = match document.format() {
                Format::Yaml if stands_alone(document) => Cow::Borrowed(document.render()),
                Format::Yaml | Format::Json => Cow::Owned(to_yaml(document.value())?),
            };
            pieces.push(Piece { text, ends: Some((Format::Yaml, Format::Yaml)) });
        }
    }
    Ok(pieces)
}

/// Whether a document means the same without what stood before it, such as a `%TAG`.
fn stands_alone(document: &Document) -> bool {
    Stream::parse(document.name(), document.render())
        .is_ok_and(|alone| alone.documents().map(Document::value).eq([document.value()]))
}

fn json(streams: &[Stream]) -> Result<String, DocumentsError> {
    let mut text = String::new();
    for document in streams.iter().flat_map(Stream::documents) {
        match document.format() {
            Format::Json => text.push_str(document.render()),
            Format::Yaml => text.push_str(&to_json(document.value())?),
        }
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    Ok(text)
}

/// Puts texts one behind the other without making one document of two.
fn joined(pieces: Vec<Piece<'_>>) -> String {
    let mut whole = String::new();
    let mut last = None;
    for Piece { text, ends } in pieces {
        // A byte order mark is one at the start of a file only.
        let mark = if whole.is_empty() { "" } else { "\u{feff}" };
        let own = text.strip_prefix(mark).unwrap_or(&text);
        if !whole.is_empty() && !own.is_empty() && !whole.ends_with('\n') {
            whole.push('\n');
        }
        if let (Some(before), Some((after, _))) = (last, ends) {
            whole.push_str(separator(&whole, before, own, after));
        }
        whole.push_str(own);
        last = ends.map(|(_, last)| last).or(last);
    }
    whole
}

/// What has to stand between two texts that hold documents.
fn separator(before: &str, ends: Format, after: &str, begins: Format) -> &'static str {
    let last = before.lines().next_back().unwrap_or_default();
    let first = after
        .lines()
        .find(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .unwrap_or_default();
    let marks = |line: &str, marker: &str| {
        line.strip_prefix(marker)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
    };
    match (ends, begins) {
        // `jq` reads JSON values one behind the other, and no separators.
        (Format::Json, Format::Json) => "",
        _ if marks(first, "---") || marks(last, "...") => "",
        // A directive is one only behind the end of a document.
        _ if first.starts_with('%') => "...\n",
        _ if last.trim_end() == "---" => "",
        _ => "---\n",
    }
}

/// A changed workload and its patch: a line of `--output patch`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<&'a str>,
    kind: &'a str,
    namespace: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generate_name: Option<&'a str>,
    patch: &'a json_patch::Patch,
}

fn patches(judged: &[Judged]) -> Result<String, MutateError> {
    let mut text = String::new();
    for Judged { judgement, .. } in judged {
        if judgement.patch.is_empty() {
            continue;
        }
        let subject = &judgement.subject;
        let (name, generate_name) = match &subject.name {
            Name::Fixed(name) => (Some(name.as_ref()), None),
            Name::Generated(prefix) => (None, Some(prefix.as_ref())),
        };
        let line = Line {
            api_version: subject.api_version.as_deref(),
            kind: &subject.kind,
            namespace: &subject.namespace,
            name,
            generate_name,
            patch: &judgement.patch,
        };
        let line = serde_json::to_string(&line)
            .map_err(|error| judgement.patch_failed(PatchError::Json(error)))?;
        text.extend([line.as_str(), "\n"]);
    }
    Ok(text)
}

fn diffs(streams: &[Stream], judged: &[Judged]) -> String {
    let mut text = String::new();
    for (stream, documents) in streams.iter().enumerate() {
        for (document, changed) in documents.documents().enumerate() {
            if !changed.is_changed() {
                continue;
            }
            let here = |judged: &&Judged| judged.stream == stream && judged.document == document;
            let mut workloads = judged.iter().filter(here);
            let subject = match (workloads.next(), workloads.next()) {
                (Some(Judged { judgement, .. }), None) => judgement.subject.path(),
                _ => "list".to_owned(),
            };
            let header = format!("{} {subject}", Place::of(changed));
            text.push_str(&diff::unified(&header, changed.text(), changed.render()));
        }
    }
    text
}
