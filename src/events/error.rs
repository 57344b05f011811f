//! Why an Event was not written, in sentences for people.
//!
//! What the API server says is repeated by its reason code, never by its message.

use super::form::is_namespace_ending;
use crate::sentence::root_cause;

/// Why an Event was not written.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum WriteError {
    /// A right is missing.
    #[error("the API server refuses to {verb} Events: grant {verb} on events of events.k8s.io")]
    Forbidden { verb: &'static str },
    /// The API server said no.
    #[error("the API server answers {code} {reason}")]
    Answered { code: u16, reason: Box<str> },
    /// There was no answer in time.
    #[error("no answer in time")]
    NoAnswer,
    /// The answer makes no sense.
    #[error("the API server's answer cannot be read")]
    Unreadable,
    /// There was no answer, or it broke off.
    #[error("the API server cannot be reached: {0}")]
    Unreachable(Box<str>),
}

// === impl WriteError ===

impl WriteError {
    pub(super) fn of(verb: &'static str, error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => {
                if status.code == 403 && !is_namespace_ending(status) {
                    return Self::Forbidden { verb };
                }
                let reason: String = status.reason.chars().take(64).collect();
                Self::Answered { code: status.code, reason: reason.into() }
            }
            kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => Self::Unreadable,
            error => Self::Unreachable(root_cause(error)),
        }
    }

    /// Whether another Event may well be taken: only this one is not to the API server's liking.
    pub(super) fn concerns_one_event(&self) -> bool {
        matches!(self, Self::Answered { code: 400 | 403..=428 | 430..=499, .. })
    }
}
