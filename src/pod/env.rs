//! An environment variable: its name, and its value only where that names an identity.
//!
//! Four variables say which identity a container has: a role, two files and an address. Their text
//! is kept, so that a Pod that runs can be compared with what it should be; every other value is
//! skipped over and may be a secret. `Debug` shows none. A value that is no text counts as none: at
//! admission nothing about it is asked.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Text;

/// The role that web identity assumes.
pub const ROLE_ARN: &str = "AWS_ROLE_ARN";

/// The file of web identity's token.
pub const WEB_IDENTITY_TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";

/// The address from which container credentials come.
pub const FULL_URI: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";

/// The file of the token that is shown there.
pub const AUTHORIZATION_TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";

const KEPT: [&str; 4] = [ROLE_ARN, WEB_IDENTITY_TOKEN_FILE, FULL_URI, AUTHORIZATION_TOKEN_FILE];

/// An environment variable.
#[derive(Default)]
pub struct EnvVar<'a> {
    /// The name.
    pub name: Option<Text<'a>>,
    credential: Option<Text<'a>>,
}

// === impl EnvVar ===

impl EnvVar<'_> {
    pub(super) fn credential(&self) -> Option<&str> {
        self.credential.as_deref()
    }
}

impl fmt::Debug for EnvVar<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, credential: _ } = self;
        f.debug_struct("EnvVar").field("name", name).finish_non_exhaustive()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for EnvVar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EnvVarVisitor)
    }
}

struct EnvVarVisitor;

impl<'de> Visitor<'de> for EnvVarVisitor {
    type Value = EnvVar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut name, mut value) = (None::<Option<Text<'de>>>, None::<&'de RawValue>);
        let is_kept = |name: Option<&Text<'_>>| name.is_some_and(|n| KEPT.contains(&n.as_ref()));
        while let Some(key) = map.next_key::<Text<'de>>()? {
            match key.as_ref() {
                "name" if name.is_some() => return Err(A::Error::duplicate_field("name")),
                "name" => name = Some(map.next_value()?),
                // The name comes first almost always, and most variables are none of ours.
                "value" if name.as_ref().is_none_or(|name| is_kept(name.as_ref())) => {
                    value = Some(map.next_value()?);
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let name = name.flatten();
        let credential = value
            .filter(|_| is_kept(name.as_ref()))
            .and_then(|raw| serde_json::from_str(raw.get()).ok());
        Ok(EnvVar { name, credential })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Container;

    fn container(env: &str) -> Container<'_> {
        serde_json::from_str(env).unwrap()
    }

    #[test]
    fn four_values_are_kept_and_no_other_one_is() {
        let container = container(
            r#"{"env":[{"name":"SECRET","value":"marker"},{"value":"marker","name":"OTHER"},
                {"value":"arn:a","name":"AWS_ROLE_ARN"},
                {"name":"AWS_WEB_IDENTITY_TOKEN_FILE","value":"/a\u002fb"},
                {"name":"AWS_CONTAINER_CREDENTIALS_FULL_URI","valueFrom":{"x":1},"value":null},
                {"name":"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE","value":7}]}"#,
        );
        assert_eq!(container.credential("AWS_ROLE_ARN"), Some("arn:a"));
        assert_eq!(container.credential("AWS_WEB_IDENTITY_TOKEN_FILE"), Some("/a/b"));
        for none in [
            "SECRET",
            "OTHER",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            "ABSENT",
        ] {
            assert_eq!(container.credential(none), None, "{none}");
        }
        let shown = format!("{container:?}");
        assert!(!shown.contains("marker") && !shown.contains("arn:a"), "{shown}");
    }

    #[test]
    fn of_several_of_one_name_the_last_counts() {
        let container = container(
            r#"{"env":[{"name":"AWS_ROLE_ARN","value":"a"},{"name":"AWS_ROLE_ARN","value":"b"}]}"#,
        );
        assert_eq!(container.credential("AWS_ROLE_ARN"), Some("b"));
    }

    #[test]
    fn a_variable_is_an_object_with_one_name() {
        for env in [r#"[["a"]]"#, r#"["a"]"#, "[null]", r#"[{"name":"a","name":"b"}]"#] {
            let json = format!(r#"{{"env":{env}}}"#);
            assert!(serde_json::from_str::<Container<'_>>(&json).is_err(), "{env}");
        }
    }
}
