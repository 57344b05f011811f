//! JSON text to a `serde_json::Value` and back. Reading refuses a key that stands twice, which
//! `serde_json` itself would drop in silence; writing keeps the indentation that the text had.

use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor,
};
use serde::ser::Serialize as _;
use serde_json::error::Category;
use serde_json::ser::PrettyFormatter;
use serde_json::{Map, Value};

use super::problem::{Fault, Problem};

/// How a text was laid out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Layout<'a> {
    /// On one line.
    Compact,
    /// A line for every member, with this indentation.
    Indented(&'a str),
}

impl<'a> Layout<'a> {
    /// The layout of a text: its first indented line decides.
    pub(super) fn of(text: &'a str) -> Self {
        let Some((_, rest)) = text.split_once('\n') else {
            return Self::Compact;
        };
        let content = rest.trim_start_matches([' ', '\t']);
        Self::Indented(rest.strip_suffix(content).unwrap_or_default())
    }
}

/// A value, and where its text lies: byte offsets.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) value: Value,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Reads the values of a text, one after the other.
pub(super) fn read(text: &str) -> Result<Vec<Read>, Fault> {
    let mut found = Vec::new();
    let mut end = 0;
    while let Some(rest) = text.get(end..) {
        let content = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        if content.is_empty() {
            break;
        }
        let start = text.len() - content.len();
        let mut values = serde_json::Deserializer::from_str(content).into_iter::<Strict>();
        let Some(value) = values.next() else { break };
        let Strict(value) = value.map_err(|error| fault(text, start, &error))?;
        end = start + values.byte_offset();
        found.push(Read { value, start, end });
    }
    Ok(found)
}

/// Writes a value; no line end behind it.
pub(super) fn write(value: &Value, layout: Layout<'_>) -> Option<String> {
    let Layout::Indented(indent) = layout else {
        return serde_json::to_string(value).ok();
    };
    let mut bytes = Vec::new();
    let formatter = PrettyFormatter::with_indent(indent.as_bytes());
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter)).ok()?;
    String::from_utf8(bytes).ok()
}

/// `serde_json`'s own sentence may quote the text, so its class is told instead.
fn fault(text: &str, start: usize, error: &serde_json::Error) -> Fault {
    let problem = match error.classify() {
        Category::Data => Problem::DuplicateKey,
        Category::Eof => Problem::Json("the text ends too early"),
        Category::Syntax | Category::Io => Problem::Json("a syntax error"),
    };
    let before = text.get(..start).unwrap_or_default();
    let lines = before.matches('\n').count();
    let column = if error.line() == 1 {
        before.rsplit('\n').next().unwrap_or_default().len() + error.column()
    } else {
        error.column()
    };
    // At the end of a text serde_json has not begun the next column.
    Fault { line: lines + error.line(), column: column.max(1), problem }
}

/// A value without a key that stands twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

impl<'de> DeserializeSeed<'de> for StrictVisitor {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(flag.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(Self)? {
            items.push(item);
        }
        Ok(items.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            // Before the value is read, so that the error has the line of the key.
            if fields.contains_key(&key) {
                return Err(A::Error::custom("duplicate key"));
            }
            fields.insert(key, access.next_value_seed(Self)?);
        }
        Ok(fields.into())
    }
}
