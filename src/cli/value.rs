//! Single values of flags: text becomes a type, or one sentence that says what is allowed.
//!
//! Nothing here knows which flag it reads; [`Flag`] adds the name. An empty value is an unset one.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A flag with a value that cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("invalid value {value:?} for --{flag}: give {allowed}")]
pub struct FlagError {
    flag: &'static str,
    value: String,
    allowed: String,
}

/// A flag as it was typed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flag<'a> {
    name: &'static str,
    typed: Option<&'a str>,
}

/// What a value must be, as the end of a sentence that begins with "give".
pub(super) type Allowed = &'static str;

// === impl FlagError ===

impl FlagError {
    /// `allowed` ends a sentence that begins with "give".
    pub fn new(flag: &'static str, value: &str, allowed: impl Into<String>) -> Self {
        Self { flag, value: value.to_owned(), allowed: allowed.into() }
    }

    /// The flag, without its dashes.
    pub fn flag(&self) -> &'static str {
        self.flag
    }
}

// === impl Flag ===

impl<'a> Flag<'a> {
    /// The flag `name`; what is typed empty is not typed.
    pub(super) fn new(name: &'static str, typed: Option<&'a String>) -> Self {
        Self { name, typed: typed.map(String::as_str).filter(|value| !value.is_empty()) }
    }

    /// The value as `read` reads it, or `None` if the flag is unset.
    pub(super) fn optional<T>(
        self,
        read: impl FnOnce(&str) -> Result<T, Allowed>,
    ) -> Result<Option<T>, FlagError> {
        let Self { name, typed } = self;
        typed
            .map(|value| read(value).map_err(|allowed| FlagError::new(name, value, allowed)))
            .transpose()
    }

    /// The value as `read` reads it, or `base` if the flag is unset.
    pub(super) fn over<T: Clone>(
        self,
        base: &T,
        read: impl FnOnce(&str) -> Result<T, Allowed>,
    ) -> Result<T, FlagError> {
        Ok(self.optional(read)?.unwrap_or_else(|| base.clone()))
    }

    /// The value as `read` reads it, or that of `default`.
    pub(super) fn or<T>(
        self,
        default: &str,
        read: impl FnOnce(&str) -> Result<T, Allowed>,
    ) -> Result<T, FlagError> {
        let value = self.typed.unwrap_or(default);
        read(value).map_err(|allowed| FlagError::new(self.name, value, allowed))
    }
}

pub(super) fn port(value: &str) -> Result<u16, Allowed> {
    value.parse().map_err(|_| "a whole number from 0 to 65535 (0: any free port)")
}

pub(super) fn address(value: &str) -> Result<IpAddr, Allowed> {
    value.parse().map_err(|_| "an IP address such as 127.0.0.1 or ::")
}

pub(super) fn boolean(value: &str) -> Result<bool, Allowed> {
    crate::identity::boolean(value).map_err(|_| "true or false")
}

#[expect(clippy::unnecessary_wraps, reason = "read like every other value")]
pub(super) fn path(value: &str) -> Result<PathBuf, Allowed> {
    Ok(PathBuf::from(value))
}

pub(super) fn text(value: &str) -> Result<Box<str>, Allowed> {
    if value.trim().is_empty() || value.contains(char::is_control) {
        return Err("a text that is not blank, on one line");
    }
    Ok(value.into())
}

pub(super) fn url(value: &str) -> Result<http::Uri, Allowed> {
    const ALLOWED: Allowed = "a URL that begins with http:// or https://";
    let uri: http::Uri = value.parse().map_err(|_| ALLOWED)?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(_)) => Ok(uri),
        _ => Err(ALLOWED),
    }
}

/// A path in a container: a mount path that the API server accepts (`validateVolumeMounts`).
pub(super) fn mount_path(value: &str) -> Result<Box<str>, Allowed> {
    let fits = value.starts_with('/')
        && !value.trim_end_matches('/').is_empty()
        && !value.contains(':')
        && !value.contains(char::is_control);
    if fits {
        Ok(value.into())
    } else {
        Err("an absolute path that is not / and has no colon, such as /var/run/secrets/token")
    }
}

/// A path within a volume (`validateLocalDescendingPath` of the Kubernetes API).
pub(super) fn token_path(value: &str) -> Result<Box<str>, Allowed> {
    let fits = !value.starts_with('/')
        && !value.split('/').any(|part| part == "..")
        && !value.contains(char::is_control);
    if fits { Ok(value.into()) } else { Err("a relative path without .., such as token") }
}

/// An RFC 1123 label, such as a namespace, a Service or a volume must be named.
pub(super) fn label(value: &str) -> Result<Box<str>, Allowed> {
    if crate::identity::is_label(value) {
        Ok(value.into())
    } else {
        Err("a name of at most 63 lower-case letters, digits and dashes, no dash at either end")
    }
}

/// An RFC 1123 subdomain, such as a Secret or a webhook configuration must be named.
pub(super) fn object_name(value: &str) -> Result<Box<str>, Allowed> {
    if crate::identity::is_subdomain(value) {
        Ok(value.into())
    } else {
        Err("a name of at most 253 lower-case letters, digits, dashes and dots")
    }
}

/// The domain in front of an annotation's slash.
pub(super) fn domain(value: &str) -> Result<Box<str>, Allowed> {
    if value.len() <= 253 && value.split('.').all(crate::identity::is_label) {
        Ok(value.into())
    } else {
        Err("a domain in lower case without a slash, such as eks.amazonaws.com")
    }
}

pub(super) fn region(value: &str) -> Result<Box<str>, Allowed> {
    label(value).map_err(|_| "an AWS region such as eu-central-1")
}

pub(super) fn seconds(value: &str) -> Result<u64, Allowed> {
    crate::identity::expiration(value).map_err(|_| "a whole number of seconds such as 86400")
}

/// One of `choices`, by name.
pub(super) fn choice<T: Copy>(
    choices: &'static [(&'static str, T)],
    allowed: Allowed,
) -> impl Fn(&str) -> Result<T, Allowed> {
    move |value| {
        choices.iter().find(|(name, _)| *name == value).map(|(_, choice)| *choice).ok_or(allowed)
    }
}

pub(super) fn duration(value: &str) -> Result<Duration, Allowed> {
    crate::duration::parse(value).map_err(|_| "a duration such as 500ms, 10s or 1m30s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_flag_value_and_what_is_allowed() {
        let typed = Some("http".to_owned());
        let error = Flag::new("port", typed.as_ref()).or("443", port).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"invalid value "http" for --port: give a whole number from 0 to 65535 (0: any free port)"#
        );
    }

    #[test]
    fn a_flag_set_to_nothing_is_unset() {
        let typed = Some(String::new());
        assert_eq!(Flag::new("port", typed.as_ref()).or("443", port), Ok(443));
        assert_eq!(Flag::new("tls-cert", typed.as_ref()).optional(path), Ok(None));
    }
}
