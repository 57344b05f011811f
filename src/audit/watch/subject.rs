//! What a watch keeps about a Pod that was found, as small as it goes: what many Pods have in common
//! is kept once.

use std::sync::Arc;

use crate::audit::finding::{Cause, Expected};
use crate::audit::sight::{self, Uid};

/// A Pod that lacks its identity. Found again it is the same, whatever else became of it.
#[derive(Clone, Debug)]
pub(super) struct Missed {
    pub(super) name: Box<str>,
    pub(super) subject: Arc<Subject>,
    pub(super) controller: Option<Arc<Controller>>,
    pub(super) cause: Cause,
    /// In seconds since 1970.
    pub(super) created: u32,
}

/// What all Pods of an account have in common.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Subject {
    pub(super) namespace: Box<str>,
    pub(super) account: Box<str>,
    /// The identity that the account gives, for people.
    pub(super) identity: Box<str>,
}

/// What all Pods of a controller have in common.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Controller {
    pub(super) api_version: Box<str>,
    pub(super) kind: Box<str>,
    pub(super) name: Box<str>,
    pub(super) uid: Uid,
}

/// The longest text of an identity that is kept and told.
const LONGEST: usize = 256;

// === impl Subject ===

impl Subject {
    pub(super) fn new(namespace: &str, account: &str, expected: &Expected) -> Self {
        let identity: String = expected.text().chars().take(LONGEST).collect();
        Self { namespace: namespace.into(), account: account.into(), identity: identity.into() }
    }
}

// === impl Controller ===

impl Controller {
    pub(super) fn new(controller: &sight::Controller<'_>) -> Self {
        let sight::Controller { api_version, kind, name, uid } = *controller;
        Self {
            api_version: api_version.into(),
            kind: kind.into(),
            name: name.into(),
            uid: sight::uid(uid),
        }
    }

    /// Whether it makes a Pod anew that was evicted, and nothing is lost by it.
    pub(super) fn makes_anew(&self) -> bool {
        // A Job counts its Pod as failed and begins the work again; a mirror Pod's node makes
        // nothing that went by admission.
        !matches!(&*self.kind, "Job" | "Node")
    }
}
