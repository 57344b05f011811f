//! JSON objects as Go's `encoding/json` reads them: keys in any case, the last of several counts.
//!
//! Values stay raw until somebody asks for one by its type, so that a value of a wrong type spoils
//! its own entry and not the document.

use std::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of a JSON object in their order; none for `null`.
pub(super) struct Pairs<'a>(Vec<(String, &'a RawValue)>);

// === impl Pairs ===

impl<'a> Pairs<'a> {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(key, value)| (key.as_str(), *value))
    }

    /// The value of the last member named `key`, whatever its case; `None` for none and for
    /// `null`, and an error if it is not a `T`.
    pub(super) fn value<T: DeserializeOwned>(&self, key: &str) -> serde_json::Result<Option<T>> {
        let mut last = None;
        for (found, value) in self.iter() {
            if found.eq_ignore_ascii_case(key) {
                last = serde_json::from_str::<Option<T>>(value.get())?.or(last);
            }
        }
        Ok(last)
    }

    /// The raw value of the last member named `key`, whatever its case.
    pub(super) fn raw(&self, key: &str) -> Option<&'a RawValue> {
        self.iter()
            .filter(|(found, _)| found.eq_ignore_ascii_case(key))
            .last()
            .map(|(_, value)| value)
    }
}

impl<'de> Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Pairs(Vec::new()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Pairs(members))
            }
        }

        deserializer.deserialize_any(Members)
    }
}
