//! Borrowed strings and maps of them.
//!
//! `Cow<str>` inside an `Option` or a map is always copied by serde; these are not, unless the
//! JSON writes a string with escapes.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// A string, borrowed where the JSON allows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Text<'a>(Cow<'a, str>);

/// A map from strings to strings, in the order of the document; a `null` value is an empty one.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Texts<'a>(Vec<(Text<'a>, Text<'a>)>);

// === impl Text ===

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl AsRef<str> for Text<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor).map(Text)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(v))
    }

    fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(v.to_owned()))
    }

    fn visit_string<E>(self, v: String) -> Result<Self::Value, E> {
        Ok(Cow::Owned(v))
    }
}

// === impl Texts ===

impl Texts<'_> {
    /// The value of `key`; of several, the last, as Go reads a map.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find(|(k, _)| k.as_ref() == key).map(|(_, v)| v.as_ref())
    }

    /// Every pair.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (k.as_ref(), v.as_ref()))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Texts<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TextsVisitor)
    }
}

struct TextsVisitor;

impl<'de> Visitor<'de> for TextsVisitor {
    type Value = Texts<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut texts = Vec::with_capacity(map.size_hint().unwrap_or_default());
        while let Some((key, value)) = map.next_entry::<Text<'de>, Option<Text<'de>>>()? {
            texts.push((key, value.unwrap_or(Text(Cow::Borrowed("")))));
        }
        Ok(Texts(texts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_without_escapes_is_borrowed_and_one_with_is_not() {
        let texts: Texts<'_> = serde_json::from_str(r#"{"a":"b","c\n":"d\"","e":null}"#).unwrap();
        assert!(matches!(texts.0[0].1.0, Cow::Borrowed("b")));
        assert_eq!(texts.value("c\n"), Some("d\""));
        assert_eq!(texts.value("e"), Some(""));
        let text: Option<Text<'_>> = serde_json::from_str(r#""x""#).unwrap();
        assert!(matches!(text.unwrap().0, Cow::Borrowed("x")));
    }
}
