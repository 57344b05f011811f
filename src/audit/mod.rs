//! `audit pods`: finds the Pods that run without the identity that their account gives.
//!
//! ```text
//! flags, installed webhook --> expectation --+
//! ServiceAccounts, mappings, file --> known -+--> plan::decide, drift --> finding --> report
//! Pods, in pages or watched --> sight -------+                                  \---> Events, Evictions
//! ```
//!
//! Looks, tells and, only where it is asked to, evicts; decides nothing about identities. A Pod is
//! never held longer than its judgement takes, and no value of a variable is ever told. Not judged
//! are Pods that have ended or are being deleted, mirror Pods, and ephemeral containers.

mod calls;
mod expectation;
mod finding;
mod known;
mod lists;
mod object;
mod once;
mod report;
mod sight;
mod watch;

use std::fmt;

pub use expectation::{AuditError, Certainty, Documents, Expectation};
pub use finding::{Cause, Expected, Finding, Lacking, Missed, Owner};
pub use once::once;
pub use report::{Ended, Report};
pub use watch::{Ended as WatchEnded, Settings as WatchSettings, Task, Watch, bind};

use crate::installation::What;

/// The Pods that are judged: the API server leaves out those that have ended.
const JUDGED: &str = "status.phase!=Succeeded,status.phase!=Failed";

/// Where Pods are looked at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Scope {
    /// In all namespaces.
    All,
    /// In this one.
    Namespace(Box<str>),
}

// === impl Scope ===

impl Scope {
    /// The objects of `resource`, for messages.
    fn what(&self, resource: &'static str) -> What {
        match self {
            Self::All => What::all(resource),
            Self::Namespace(namespace) => What::within(resource, namespace),
        }
    }

    /// Whether a namespace is in it.
    fn has(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::Namespace(only) => **only == *namespace,
        }
    }

    /// Where objects of `resource`, one of the core API, are listed.
    fn url(&self, resource: &str) -> String {
        match self {
            Self::All => format!("/api/v1/{resource}"),
            Self::Namespace(namespace) => format!("/api/v1/namespaces/{namespace}/{resource}"),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all namespaces"),
            Self::Namespace(namespace) => write!(f, "namespace {namespace}"),
        }
    }
}
