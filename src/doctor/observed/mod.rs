//! What was observed, once, before anything is judged.
//!
//! Values without judgement. What a check did not ask for is empty here, and nobody reads it; what
//! could not be looked at is [`Unseen`](crate::installation::Unseen) or says why in a text.

mod account;
mod pod;
mod token;

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

pub(super) use account::{Accounts, Path, Told};
#[cfg(test)]
pub(super) use pod::Seen;
pub(super) use pod::{Place, Pods, examine};
pub(super) use token::{Issuer, Keys, Published, Token};

use crate::certificate::Chain;
use crate::installation::{Documents, Installation, Labels, Look};

/// Everything that was observed.
#[derive(Debug)]
pub struct Observed {
    /// When.
    pub now: SystemTime,
    /// The one namespace that was asked about, if it was one.
    pub within: Option<Box<str>>,
    /// What is installed.
    pub installation: Look<Installation>,
    /// The documents that give identities.
    pub documents: Documents,
    /// Namespaces, each with its labels.
    pub namespaces: Look<BTreeMap<Box<str>, Labels>>,
    /// ServiceAccounts.
    pub accounts: Look<Accounts>,
    /// Pods that run.
    pub pods: Look<Pods>,
    /// What is served, at each place that is called.
    pub served: Vec<Served>,
    /// The rights that the webhook needs.
    pub rights: Vec<Right>,
    /// The rights that whoever asks needs for this.
    pub own_rights: Vec<Right>,
    /// How many calls the API server let fail open since it started, by entry.
    pub fail_open: Look<BTreeMap<String, u64>>,
    /// What became of the probe.
    pub probe: Probe,
    /// A token that the API server issued; nothing if there is no account to ask one for.
    pub token: Result<Option<Token>, String>,
    /// What the issuer publishes.
    pub issuer: Issuer,
    /// The Pod Identity agent.
    pub agent: Look<Agent>,
}

/// What is served at a place that an entry calls.
#[derive(Clone, Debug)]
pub struct Served {
    /// The entries that call there, as indexes of the installation's.
    pub entries: Vec<usize>,
    /// The place, for people: an address, or a Pod.
    pub target: String,
    /// What came of it.
    pub answer: Answer,
}

/// What came of a connection.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A handshake.
    Shook {
        /// What is served.
        chain: Chain,
        /// What `/readyz` says: the status and the text; nothing if it was not answered.
        ready: Option<(u16, String)>,
    },
    /// Nobody listens there, seen from where API servers see it as well.
    Refused(String),
    /// Somebody listens who does not speak TLS as they should.
    NoHandshake(String),
    /// It cannot be reached from here, which says nothing about API servers.
    OutOfReach(String),
}

/// A right, and whether somebody has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Right {
    /// Who, as RBAC calls them; nobody if it is whoever asks.
    pub who: Option<Box<str>>,
    /// The verb.
    pub verb: &'static str,
    /// The API group.
    pub group: &'static str,
    /// The resource, with its subresource.
    pub resource: &'static str,
    /// The namespace; `None` is all of them.
    pub namespace: Option<Box<str>>,
    /// The one object.
    pub name: Option<Box<str>>,
    /// Whether they have it.
    pub standing: Look<Standing>,
}

/// Whether somebody has a right.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// They have.
    Granted,
    /// They have not.
    Missing,
}

/// What became of a Pod that was created by dry run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Probe {
    /// There is no account whose Pod would have to come back injected, for this reason.
    NoAccount(&'static str),
    /// It could not be tried, or what became of it says nothing.
    NotTried(String),
    /// It came back.
    Back {
        /// The account, `namespace/name`.
        account: Box<str>,
        /// Whether with its identity.
        injection: Injection,
        /// The texts of the warnings that came with it.
        warnings: Vec<String>,
    },
    /// It was refused, by whomever.
    Refused {
        /// The account, `namespace/name`.
        account: Box<str>,
        /// What the API server says.
        message: String,
    },
}

/// Whether a Pod has its identity.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Injection {
    /// It has all of it.
    Complete,
    /// It lacks something.
    Lacking,
}

/// The Pod Identity agent.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Agent {
    /// Its `DaemonSets`, `namespace/name`.
    pub daemon_sets: Vec<String>,
    /// The nodes on which it is ready, or that bring it along themselves.
    pub nodes: BTreeSet<Box<str>>,
}

// === impl Right ===

impl Right {
    /// The objects that it is about, for messages.
    pub fn objects(&self) -> String {
        let Self { resource, namespace, name, .. } = self;
        let name = name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
        let place = namespace.as_ref().map(|namespace| format!(" in {namespace}"));
        format!("{resource}{name}{}", place.unwrap_or_default())
    }
}
