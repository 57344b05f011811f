//! What can go wrong between the webhook and the API server, in sentences for people.
//!
//! Each names the object, and a missing right by verb and resource. What the API server says is
//! repeated by its reason code alone, never by its message: one of the objects holds private keys.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use super::object::Object;
use crate::authority::{LeafError, MakeError};
use crate::sentence::root_cause;
use crate::tls;

/// Why something could not be kept.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeeperError {
    /// A right is missing.
    #[error("the API server refuses to {verb} {object}: grant {verb} on {}/{}", object.resource, object.name)]
    Forbidden {
        /// What was tried.
        verb: &'static str,
        /// With what.
        object: Object,
    },
    /// Anything else that a request can come to.
    #[error("cannot {verb} {object}: {why}")]
    Request {
        /// What was tried.
        verb: &'static str,
        /// With what.
        object: Object,
        /// Why not.
        why: Why,
    },
    /// The object changed, or came or went, since it was read: look again.
    #[error("{object} was changed by somebody else at the same time")]
    Conflict {
        /// Which one.
        object: Object,
    },
    /// No CA could be made.
    #[error("a CA cannot be made")]
    Ca(#[source] Arc<MakeError>),
    /// No leaf could be made.
    #[error("a certificate cannot be made")]
    Leaf(#[source] Arc<LeafError>),
    /// What was made cannot be served.
    #[error("the certificate that was made cannot be served")]
    Pair(#[source] Arc<tls::Error>),
    /// The file of `--ca-bundle-from`.
    #[error("cannot read {}: mount the CA's certificate there, or name another file with --ca-bundle-from", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// The file of `--ca-bundle-from` has no CA in it.
    #[error("{} holds no certificate of a CA: the caBundle stays as it is", path.display())]
    NoCa {
        /// The file.
        path: PathBuf,
    },
    /// All who wake a keeper are gone, which they never are by themselves.
    #[error("the watches ended")]
    Unwatched,
}

/// Why a request came to nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// The API server said no.
    #[error("the API server answers {code} {reason}")]
    Answered {
        /// The HTTP status.
        code: u16,
        /// Its reason code.
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

// === impl KeeperError ===

impl KeeperError {
    /// What came of a request.
    pub(super) fn of(verb: &'static str, object: Object, error: &kube::Error) -> Self {
        let why = match error {
            kube::Error::Api(status) if status.code == 403 => {
                return Self::Forbidden { verb, object };
            }
            // What a guarded write meets where the object came, changed or went.
            kube::Error::Api(status)
                if status.code == 409 || (status.code == 404 && verb == "patch") =>
            {
                return Self::Conflict { object };
            }
            kube::Error::Api(status) => {
                let reason: String = status.reason.chars().take(64).collect();
                Why::Answered { code: status.code, reason: reason.into() }
            }
            kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => Why::Unreadable,
            error => Why::Unreachable(root_cause(error)),
        };
        Self::Request { verb, object, why }
    }

    /// The sentence with its causes.
    pub(super) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(source) = cause {
            text = format!("{text}: {source}");
            cause = source.source();
        }
        text
    }
}
