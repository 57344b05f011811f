//! YAML text to a `serde_json::Value`, with the meaning that kubectl gives to it.
//! serde-saphyr's own reader keeps another reading of YAML (keys such as `on`, `0x10` and `1.10`
//! stay text, `yES` is a boolean), so its parser's events are read here with the table in
//! `scalar`. Nothing that a document says is put in an error.
//! Work is bounded: nesting by `MAX_DEPTH`, what aliases copy by `ALIAS_BYTES`.

use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use serde_json::{Map, Value};
use serde_saphyr::granit_parser::{
    ErrorKind, Event, Options, Parser, ScalarStyle, ScanError, Span, StrInput, Tag,
};

use super::problem::{Fault, Problem};
use super::scalar::{self, Scalar};

/// The deepest nesting that is read; `serde_json` has the same limit for JSON.
pub(super) const MAX_DEPTH: usize = 127;

/// What aliases may copy, with four times the length of the text added.
const ALIAS_BYTES: usize = 16 << 20;

/// What a value costs when it is copied, apart from its strings.
const NODE_BYTES: usize = 64;

const CORE: &str = "tag:yaml.org,2002:";

/// A document as it was read.
#[derive(Debug)]
pub(super) struct Read {
    /// What it says; `None` for a document without a node.
    pub(super) value: Option<Value>,
    /// The line of its first node, from 1, counted from the start of the text.
    pub(super) line: usize,
    /// Whether there is a comment at or behind the offset that was given.
    pub(super) comments: bool,
}

/// Reads the one document of a text. Comments before `header`, a byte offset, do not count.
pub(super) fn read(text: &str, header: usize) -> Result<Read, Fault> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    let mut reader = Reader {
        text,
        parser: Parser::new_from_str_with_options(text, options),
        gap: header,
        comments: false,
        first_line: None,
        depth: 0,
        anchors: HashMap::new(),
        alias_bytes: ALIAS_BYTES.saturating_add(text.len().saturating_mul(4)),
    };
    let value = reader.document()?;
    let Reader { comments, first_line, .. } = reader;
    Ok(Read { value, line: first_line.unwrap_or(1), comments })
}

// === impl Reader ===

struct Reader<'a> {
    text: &'a str,
    parser: Parser<'a, StrInput<'a>>,
    /// The end of the last scalar: comments can stand from here to the next one.
    gap: usize,
    comments: bool,
    first_line: Option<usize>,
    depth: usize,
    anchors: HashMap<usize, (Value, usize)>,
    alias_bytes: usize,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<Option<Value>, Fault> {
        let mut value = None;
        let mut documents = 0;
        while let Some((event, span)) = self.next()? {
            match event {
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(..) => {
                    documents += 1;
                    if documents > 1 {
                        return Err(fault(&span, Problem::SecondDocument));
                    }
                }
                event => {
                    self.first_line = Some(span.start.line());
                    value = Some(self.node(event, &span)?);
                }
            }
        }
        self.look_for_comment(self.text.len());
        Ok(value)
    }

    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Fault> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok(found)) => Ok(Some(found)),
            Some(Err(error)) => Err(not_yaml(&error)),
        }
    }

    /// The next event inside a collection.
    fn inner(&mut self, outer: &Span) -> Result<(Event<'a>, Span), Fault> {
        self.next()?
            .ok_or_else(|| fault(outer, Problem::Yaml("the text ends too early".to_owned())))
    }

    fn node(&mut self, event: Event<'a>, span: &Span) -> Result<Value, Fault> {
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.pass_scalar(span, style);
                let text = self.without_invented_end(&text, style, span);
                (scalar_value(text, style, tag.as_deref(), span)?, anchor)
            }
            Event::SequenceStart(_, anchor, _) => (self.nested(span, Self::sequence)?, anchor),
            Event::MappingStart(_, anchor, _) => (self.nested(span, Self::mapping)?, anchor),
            Event::Alias(anchor) => return self.alias(anchor, span),
            _ => return Err(fault(span, Problem::Yaml("a node is missing".to_owned()))),
        };
        if anchor != 0 {
            let bytes = cost(&value);
            self.charge(bytes, span)?;
            self.anchors.insert(anchor, (value.clone(), bytes));
        }
        Ok(value)
    }

    fn alias(&mut self, anchor: usize, span: &Span) -> Result<Value, Fault> {
        let Some((_, bytes)) = self.anchors.get(&anchor) else {
            return Err(fault(span, Problem::RecursiveAlias));
        };
        self.charge(*bytes, span)?;
        Ok(self.anchors.get(&anchor).map(|(value, _)| value.clone()).unwrap_or_default())
    }

    fn charge(&mut self, bytes: usize, span: &Span) -> Result<(), Fault> {
        self.alias_bytes = self
            .alias_bytes
            .checked_sub(bytes)
            .ok_or_else(|| fault(span, Problem::TooManyAliases))?;
        Ok(())
    }

    fn nested(
        &mut self,
        span: &Span,
        read: impl FnOnce(&mut Self, &Span) -> Result<Value, Fault>,
    ) -> Result<Value, Fault> {
        if self.depth >= MAX_DEPTH {
            return Err(fault(span, Problem::TooDeep));
        }
        self.depth += 1;
        let value = read(self, span);
        self.depth -= 1;
        value
    }

    fn sequence(&mut self, outer: &Span) -> Result<Value, Fault> {
        let mut items = Vec::new();
        loop {
            match self.inner(outer)? {
                (Event::SequenceEnd, _) => return Ok(Value::Array(items)),
                (event, span) => items.push(self.node(event, &span)?),
            }
        }
    }

    fn mapping(&mut self, outer: &Span) -> Result<Value, Fault> {
        let mut fields = Map::new();
        let mut own = HashSet::new();
        loop {
            let (event, span) = self.inner(outer)?;
            if event == Event::MappingEnd {
                return Ok(Value::Object(fields));
            }
            let merges = is_merge(&event);
            let key = self.node(event, &span)?;
            let (event, value_span) = self.inner(outer)?;
            let value = self.node(event, &value_span)?;
            if merges {
                merge(&mut fields, &own, value).map_err(|problem| fault(&value_span, problem))?;
                continue;
            }
            let key = scalar::key(key).ok_or_else(|| fault(&span, Problem::Key))?;
            if !own.insert(key.clone()) {
                return Err(fault(&span, Problem::DuplicateKey));
            }
            fields.insert(key, value);
        }
    }

    fn pass_scalar(&mut self, span: &Span, style: ScalarStyle) {
        let (Some(start), Some(end)) = (span.start.byte_offset(), span.end.byte_offset()) else {
            return;
        };
        self.look_for_comment(start);
        if matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
            // The line with `|` or `>` may carry a comment.
            let body = self.text.get(start..end).unwrap_or_default();
            let line = super::split::lines(body).next().unwrap_or_default();
            if line.starts_with(['|', '>']) {
                self.gap = start;
                self.look_for_comment(start + line.len());
            }
        }
        self.gap = self.gap.max(end);
    }

    /// The parser ends a block scalar with a line feed even if the text ends without one.
    fn without_invented_end<'t>(&self, text: &'t str, style: ScalarStyle, span: &Span) -> &'t str {
        let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
        let Some(shorter) = text.strip_suffix('\n').filter(|_| block) else {
            return text;
        };
        let last = self.text.rsplit(['\n', '\r']).next().unwrap_or_default();
        if last.is_empty() {
            return text;
        }
        let start = self.text.len() - last.len();
        let written = if last.trim_matches(' ').is_empty() {
            // Only spaces: content if there are more of them than the indentation has.
            let end = shorter.rsplit('\n').next().unwrap_or_default();
            !end.is_empty() && end.len() < last.len() && end.trim_matches(' ').is_empty()
        } else {
            span.end.byte_offset() > Some(start)
        };
        if written { shorter } else { text }
    }

    /// Looks at what stands between the last scalar and `end`. A comment's `#` stands behind
    /// white space; anchors, aliases and tags may have one inside.
    fn look_for_comment(&mut self, end: usize) {
        if self.comments || end <= self.gap {
            return;
        }
        let gap = self.text.get(self.gap..end).unwrap_or_default();
        self.comments = gap.match_indices('#').any(|(at, _)| {
            let before = self.text.get(..self.gap + at).unwrap_or_default();
            before.is_empty() || before.ends_with([' ', '\t', '\r', '\n', '\u{feff}'])
        });
    }
}

fn scalar_value(
    text: &str,
    style: ScalarStyle,
    tag: Option<&Tag>,
    span: &Span,
) -> Result<Value, Fault> {
    let verbatim = || Ok(Value::String(text.to_owned()));
    let Some(tag) = tag else {
        return if style == ScalarStyle::Plain {
            plain_value(scalar::resolve(text), text, span)
        } else {
            verbatim()
        };
    };
    let Some(name) = tag.suffix_in_namespace(CORE) else {
        return verbatim();
    };
    let resolved = match (name.as_ref(), scalar::resolve(text)) {
        ("null", found @ Scalar::Null)
        | ("bool", found @ Scalar::Bool(_))
        | ("int", found @ (Scalar::Signed(_) | Scalar::Unsigned(_)))
        | ("float", found @ (Scalar::Float(_) | Scalar::Signed(_) | Scalar::Unsigned(_))) => found,
        ("null" | "bool" | "int" | "float", _) => return Err(fault(span, Problem::Tag)),
        ("binary", _) => return binary(text).ok_or_else(|| fault(span, Problem::Tag)),
        _ => return verbatim(),
    };
    plain_value(resolved, text, span)
}

fn plain_value(resolved: Scalar, text: &str, span: &Span) -> Result<Value, Fault> {
    Ok(match resolved {
        Scalar::Null => Value::Null,
        Scalar::Bool(flag) => flag.into(),
        Scalar::Signed(number) => number.into(),
        Scalar::Unsigned(number) => number.into(),
        Scalar::Float(number) => {
            scalar::number(number).ok_or_else(|| fault(span, Problem::NotFinite))?
        }
        Scalar::Text => text.into(),
    })
}

/// kubectl sends what the base64 says; it must be text.
fn binary(text: &str) -> Option<Value> {
    let packed: String = text.chars().filter(|letter| !letter.is_ascii_whitespace()).collect();
    let bytes = base64::engine::general_purpose::STANDARD.decode(packed).ok()?;
    String::from_utf8(bytes).ok().map(Value::String)
}

fn is_merge(event: &Event<'_>) -> bool {
    match event {
        Event::Scalar(text, style, _, tag) if text == "<<" => match tag {
            None => *style == ScalarStyle::Plain,
            Some(tag) => tag.suffix_in_namespace(CORE).is_some_and(|name| name == "merge"),
        },
        _ => false,
    }
}

fn merge(
    fields: &mut Map<String, Value>,
    own: &HashSet<String>,
    source: Value,
) -> Result<(), Problem> {
    let sources = match source {
        Value::Array(sources) => sources,
        source => vec![source],
    };
    let mut merged = Map::new();
    for source in sources {
        let Value::Object(source) = source else {
            return Err(Problem::Merge);
        };
        for (key, value) in source {
            // The first of several sources wins.
            merged.entry(key).or_insert(value);
        }
    }
    for (key, value) in merged {
        if own.contains(&key) && fields.get(&key) != Some(&value) {
            return Err(Problem::MergeOrder);
        }
        fields.insert(key, value);
    }
    Ok(())
}

fn cost(value: &Value) -> usize {
    NODE_BYTES
        + match value {
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(cost).sum(),
            Value::Object(fields) => {
                fields.iter().map(|(key, value)| NODE_BYTES + key.len() + cost(value)).sum()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        }
}

fn fault(span: &Span, problem: Problem) -> Fault {
    Fault { line: span.start.line(), column: span.start.col() + 1, problem }
}

fn not_yaml(error: &ScanError) -> Fault {
    let problem = match error.kind() {
        ErrorKind::RecursionLimitExceeded => Problem::TooDeep,
        ErrorKind::UnexpectedCharacter { .. } => Problem::Yaml("unexpected character".to_owned()),
        ErrorKind::Custom(_) | ErrorKind::InputIo { .. } | ErrorKind::InputDecoding { .. } => {
            Problem::Yaml("unreadable text".to_owned())
        }
        kind => Problem::Yaml(kind.to_string()),
    };
    Fault { line: error.marker().line(), column: error.marker().col() + 1, problem }
}
