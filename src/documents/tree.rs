//! A value as YAML, in the style of kubectl, by serde-saphyr's serializer. That one quotes by rules
//! of its own; whatever the table in `scalar` would misread is put in quotes here besides, so that
//! reading and writing cannot drift apart.

use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};
use serde_json::Value;
use serde_saphyr::{DoubleQuoted, SerializerOptions};

use super::scalar::{self, Scalar};

/// Writes a value as kubectl does: two spaces, lists at the indent of their key.
pub(super) fn write(value: &Value) -> Option<String> {
    let mut options = SerializerOptions::default();
    options.folded_wrap_chars = usize::MAX;
    serde_saphyr::to_string_with_options(&Tree(value), options).ok()
}

/// Whether a value is nested no deeper than that.
pub(super) fn is_within(value: &Value, depth: usize) -> bool {
    let Some(rest) = depth.checked_sub(1) else {
        return !(value.is_array() || value.is_object());
    };
    match value {
        Value::Array(items) => items.iter().all(|item| is_within(item, rest)),
        Value::Object(fields) => fields.values().all(|field| is_within(field, rest)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

/// A value as it is to be written.
struct Tree<'a>(&'a Value);

/// A string as it is to be written: in quotes wherever kubectl would read something else.
struct Text<'a>(&'a str);

impl Serialize for Tree<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(flag) => serializer.serialize_bool(*flag),
            Value::Number(number) => number.serialize(serializer),
            Value::String(text) => Text(text).serialize(serializer),
            Value::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&Tree(item))?;
                }
                list.end()
            }
            Value::Object(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (key, value) in fields {
                    map.serialize_entry(&Text(key), &Tree(value))?;
                }
                map.end()
            }
        }
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // go-yaml refuses a block scalar whose first line begins with a tab.
        let tab_first = self.0.trim_start_matches('\n').starts_with('\t');
        if scalar::resolve(self.0) == Scalar::Text && !tab_first {
            serializer.serialize_str(self.0)
        } else {
            DoubleQuoted(self.0).serialize(serializer)
        }
    }
}
