//! A value as YAML, in the style of kubectl, by serde-saphyr's serializer. That one quotes by rules
//! of its own; whatever the table in `scalar` would misread is put in quotes here besides, so that
//! reading and writing cannot drift apart.

use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};
use serde_json::Value;
use serde_saphyr::{DoubleQuoted, SerializerOptions};

use super::scalar::{self, Scalar};

/// Where the items of a list stand.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Lists {
    /// At the indent of their key, as kubectl writes them.
    #[default]
    AtKey,
    /// Deeper than their key, as many people write them.
    Deeper,
}

/// Writes a value with two spaces of indentation.
pub(super) fn write(value: &Value, lists: Lists) -> Option<String> {
    let mut options = SerializerOptions::default();
    options.compact_list_indent = lists == Lists::AtKey;
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

// === impl Lists ===

impl Lists {
    /// The style of a text: its first list below a key decides.
    pub(super) fn of(text: &str) -> Self {
        let mut key = None;
        for line in text.lines() {
            let content = line.trim_start();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            let indent = line.len() - content.len();
            let is_item = content == "-" || content.starts_with("- ");
            if let (Some(key), true) = (key, is_item) {
                return if indent > key { Self::Deeper } else { Self::AtKey };
            }
            let is_key = content.trim_end().ends_with(':');
            let dash = content.len() - content.trim_start_matches("- ").len();
            key = is_key.then_some(indent + dash);
        }
        Self::default()
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
