//! What could not be looked at, and why: never the same as something that is not there.
//!
//! Each names verb and resource, so that a missing right can be granted from the sentence. What the
//! API server says is repeated by its reason code alone.

use std::fmt;
use std::time::Duration;

use crate::sentence::root_cause;
use tokio::time::timeout;

/// How long one request may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// Something that was looked at, or why it was not.
pub type Look<T> = Result<T, Unseen>;

/// Something that could not be looked at.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("cannot {verb} {what}: {why}")]
pub struct Unseen {
    /// What was tried, as RBAC calls it.
    pub verb: &'static str,
    /// With what.
    pub what: What,
    /// Why it came to nothing.
    pub why: Why,
}

/// Objects of one kind, or one of them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct What {
    /// The resource, as RBAC names it: `pods`, `serviceaccounts/token`.
    pub resource: &'static str,
    /// The namespace; `None` is all of them, or that there is none.
    pub namespace: Option<Box<str>>,
    /// The name, if it is one object.
    pub name: Option<Box<str>>,
}

/// Why a request came to nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// A right is missing.
    #[error("the API server refuses it, grant it to whoever asks")]
    Forbidden,
    /// The API server said something else.
    #[error("the API server answers {code}{}{reason}", if reason.is_empty() { "" } else { " " })]
    Answered {
        /// The HTTP status.
        code: u16,
        /// Its reason code, which may be empty.
        reason: Box<str>,
    },
    /// The answer makes no sense.
    #[error("the API server's answer cannot be read")]
    Unreadable,
    /// There was no answer in time.
    #[error("no answer in time")]
    NoAnswer,
    /// There was no answer, or it broke off.
    #[error("the API server cannot be reached: {0}")]
    Unreachable(Box<str>),
}

// === impl What ===

impl What {
    /// All objects of a kind in all namespaces, or of a kind that has none.
    pub fn all(resource: &'static str) -> Self {
        Self { resource, namespace: None, name: None }
    }

    /// All objects of a kind in a namespace.
    pub fn within(resource: &'static str, namespace: &str) -> Self {
        Self { resource, namespace: Some(namespace.into()), name: None }
    }

    /// The one of that name.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// The answer to a request about this, bounded in time.
    ///
    /// # Errors
    ///
    /// What was not seen, and why.
    pub async fn ask<T>(
        self,
        verb: &'static str,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Look<T> {
        let why = match timeout(ANSWER_WITHIN, request).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => Why::of(&error),
            Err(_) => Why::NoAnswer,
        };
        Err(Unseen { verb, what: self, why })
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resource, namespace, name } = self;
        f.write_str(resource)?;
        match (namespace, name) {
            (None, None) => Ok(()),
            (None, Some(name)) => write!(f, " {name}"),
            (Some(namespace), None) => write!(f, " in {namespace}"),
            (Some(namespace), Some(name)) => write!(f, " {namespace}/{name}"),
        }
    }
}

// === impl Why ===

impl Why {
    /// Why a request failed.
    pub fn of(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.code == 403 => Self::Forbidden,
            kube::Error::Api(status) => {
                let reason: String = status.reason.chars().take(64).collect();
                Self::Answered { code: status.code, reason: reason.into() }
            }
            kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => Self::Unreadable,
            error => Self::Unreachable(root_cause(error)),
        }
    }
}
