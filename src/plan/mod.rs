//! The decision: what a Pod gets, or the reason for none.
//!
//! ```text
//! Ask (what was asked) --account()--> who to look up
//! Ask + Sources + Spread + Settings --decide--> Decision { outcome, reason, edits, warnings }
//! ```
//!
//! [`decide`] is the one decision function: the server and every command call it. It is pure: the
//! same input gives the same answer on every replica. It knows no JSON, no clock, no randomness.
//! Applying a decision's edits and deciding again gives no edits.

mod container;
mod decide;
mod edit;
mod hash;
mod reason;
mod settings;
mod warning;

pub use container::{is_selected, pair};
pub use decide::{Token, decide, resolution};
pub use edit::{
    ContainerList, Edit, LabelMap, Position, Standing, TokenMount, TokenVolume, Variable,
    VariableValue,
};
pub use hash::{SPREAD_FROM_SECONDS, Spread};
pub use reason::{Reason, Severity};
pub use settings::{
    CONTAINER_CREDENTIALS_AUDIENCE, CONTAINER_CREDENTIALS_FULL_URI,
    CONTAINER_CREDENTIALS_MOUNT_PATH, CONTAINER_CREDENTIALS_TOKEN, ContainerCredentials,
    POD_IDENTITY_LABEL, POD_IDENTITY_LABEL_VALUE, RegionWithEnvFrom, Settings, UnfitRole,
    WEB_IDENTITY_MOUNT_PATH, WEB_IDENTITY_TOKEN_PATH, WEB_IDENTITY_VOLUME_NAME,
};
pub use warning::{Warning, Warnings};

use crate::identity::Identity;
use crate::pod::{MIRROR_ANNOTATION, Pod, SKIP_LABEL};

/// The account of a Pod that names none.
const DEFAULT_ACCOUNT: &str = "default";

/// What was asked.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one a call, on the stack")]
pub enum Ask<'a> {
    /// A Pod is created.
    Create(Pod<'a>),
    /// Ephemeral containers join a Pod.
    AddEphemeral {
        /// The Pod as it would be.
        pod: Pod<'a>,
        /// The Pod as it is.
        before: Pod<'a>,
    },
    /// Something that is none of our business.
    NotApplicable,
}

/// What becomes of a Pod, as metrics count it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Outcome {
    /// It got everything that its identity needs.
    Injected,
    /// It had everything already.
    Unchanged,
    /// It has an identity and did not get all of it.
    Incomplete,
    /// There was nothing to inject.
    Skipped,
    /// It must not be created like this.
    Denied,
    /// Nobody could tell.
    Failed,
}

/// The answer to an [`Ask`].
#[derive(Debug)]
pub struct Decision<'a> {
    /// What becomes of the Pod.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// The identity, if the Pod has one.
    pub identity: Option<Identity<'a>>,
    /// What is added, in the order of application.
    pub edits: Vec<Edit<'a>>,
    /// What needs a person.
    pub warnings: Warnings,
}

// === impl Ask ===

impl Ask<'_> {
    /// The Pod that was asked about, as it would be.
    pub fn pod(&self) -> Option<&Pod<'_>> {
        match self {
            Self::Create(pod) | Self::AddEphemeral { pod, .. } => Some(pod),
            Self::NotApplicable => None,
        }
    }

    /// The name of the account to look up, or why nobody has to be.
    ///
    /// # Errors
    ///
    /// The reason for which nothing is injected, whatever the account.
    pub fn account(&self) -> Result<&str, Reason> {
        let pod = match self {
            Self::NotApplicable => return Err(Reason::NotApplicable),
            Self::Create(pod) | Self::AddEphemeral { pod, .. } => pod,
        };
        if pod.label(SKIP_LABEL).is_some() {
            return Err(Reason::SkipLabel);
        }
        let adds_ephemeral = matches!(self, Self::AddEphemeral { .. });
        if adds_ephemeral
            && !pod.volumes().unwrap_or_default().iter().any(|v| v.sole_token().is_some())
        {
            return Err(Reason::NoTokenVolume);
        }
        match pod.service_account_name() {
            Some(name) => Ok(name),
            None if pod.annotation(MIRROR_ANNOTATION).is_some() => Err(Reason::MirrorPod),
            None => Ok(DEFAULT_ACCOUNT),
        }
    }
}

// === impl Decision ===

impl Decision<'_> {
    /// Nothing to inject, for `reason`.
    pub fn skipped(reason: Reason) -> Self {
        Self {
            outcome: Outcome::Skipped,
            reason,
            identity: None,
            edits: Vec::new(),
            warnings: Warnings::default(),
        }
    }

    /// The Pod in the review could not be read.
    pub fn unreadable(error: &crate::pod::Unreadable) -> Self {
        Self {
            outcome: Outcome::Failed,
            warnings: [Warning::unreadable(error)].into_iter().collect(),
            ..Self::skipped(Reason::UnreadablePod)
        }
    }
}

// === impl Outcome ===

impl Outcome {
    /// The name under which metrics and logs show the outcome.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Injected => "injected",
            Self::Unchanged => "unchanged",
            Self::Incomplete => "incomplete",
            Self::Skipped => "skipped",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }
}
