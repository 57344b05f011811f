//! `explain`: what the webhook would do to a Pod, or did, and why.
//!
//! ```text
//! Facts --> plan::resolution (who won, who chose) --+
//!     \---> plan::decide (edits, warnings) ---------+--> Explanation --> JSON
//!      \--> drift::compare (what a Pod has) --------+               \--> text
//! ```
//!
//! Pure: facts in, a value out. The precedence of sources is `identity`'s, the decision is `plan`'s,
//! what a Pod that runs has is judged by `drift`; here is only what they say to a person. Variables
//! are named, and no value of one is in reach.

mod containers;
mod explanation;
mod facts;
mod findings;
mod history;
mod page;
mod policy;
mod settings;
mod shadows;
mod sources;
mod step;
mod text;
mod trust;

pub use explanation::{
    Account, Called, Certainty, Change, Changed, ChosenBy, Container, ContainerState, Existence,
    Explanation, Finding, Identity, Policy, PolicyStanding, Refused, Setting, Shadow, Source,
    Standing, State, Subject, Token, Trust, Uses, Verdict, Webhook, Weight,
};
pub use facts::{Facts, Record, asks, like_those_of};
pub use page::{Colour, Marks, Page};

/// What is known before anything is explained.
pub mod given {
    pub use super::facts::{
        Account, Calls, Content, Document, Fields, Flags, Found, Issuer, Mapped, Others, Owner,
        State, Subject, Writer,
    };
}

use crate::drift::{self, Drift};
use crate::identity::{self, Knowledge, Listed, Method, Resolution, Role, Sources};
use crate::plan::{self, Decision, Settings, Spread};
use crate::pod::Pod;

use facts::{Calls, Document, Found, Others};

/// Explains what the facts come to.
pub fn explain(facts: &Facts<'_>) -> Explanation {
    let empty = Pod::default();
    let pod = facts.ask.pod().unwrap_or(&empty);
    let settings = facts.flags.settings;
    let sources = facts.sources();
    let spread = Spread::by_names(&[facts.subject.namespace, facts.subject.name]);
    let decision = plan::decide(facts.ask, &sources, spread, settings);
    let ephemeral = facts.ephemeral.map(|ask| plan::decide(ask, &sources, spread, settings));
    let case = Case {
        facts,
        pod,
        settings,
        drift: drift::compare(pod, &decision, settings),
        resolution: plan::resolution(pod, &sources, settings),
        decision,
        ephemeral,
    };
    case.explain()
}

/// What is asked, and what the pure core says of it.
struct Case<'c> {
    facts: &'c Facts<'c>,
    pod: &'c Pod<'c>,
    settings: &'c Settings,
    resolution: Resolution<'c>,
    decision: Decision<'c>,
    ephemeral: Option<Decision<'c>>,
    drift: Drift<'c>,
}

// === impl Facts ===

impl<'a> Facts<'a> {
    /// As the decision takes them. A document that could not be read counts as one that says
    /// nothing, and is a finding where that matters.
    fn sources(&self) -> Sources<'a> {
        Sources {
            credentials_file: match self.credentials_file {
                Document::Says(listed, _) => listed,
                Document::Unused | Document::Unseen(_) | Document::Unknown => Listed::No,
            },
            account: match self.account.found {
                Found::Known { annotations, .. } => Knowledge::Known(annotations),
                Found::Absent => Knowledge::Absent,
                Found::NotGiven(why) => Knowledge::Unknown(why),
            },
            mapping: match &self.mapping {
                Document::Says(mapped, _) => mapped.entry.as_ref().map(|(_, mapping)| *mapping),
                Document::Unused | Document::Unseen(_) | Document::Unknown => None,
            },
            guard: match &self.guard {
                Document::Says(guard, _) => Some(*guard),
                Document::Unused | Document::Unseen(_) | Document::Unknown => None,
            },
        }
    }

    fn prefix(&self) -> &'a str {
        &self.flags.settings.defaults.annotation_prefix
    }
}

// === impl Case ===

impl Case<'_> {
    fn explain(&self) -> Explanation {
        let account = self.account();
        let containers = self.containers();
        let findings = self.findings(&account, &containers);
        let verdict = self.verdict(&findings);
        let trust = self.trust();
        Explanation {
            subject: self.subject(),
            verdict,
            reason: self.reason(),
            next: self.next(verdict, &findings),
            identity: self.decision.identity.as_ref().map(Identity::of),
            sources: self.sources(),
            role_policy: self.role_policy(),
            settings: self.settings(),
            containers,
            account,
            webhook: self.webhook(),
            trust,
            findings,
        }
    }

    fn subject(&self) -> Subject {
        let facts::Subject { kind, namespace, name, state } = self.facts.subject;
        let record = match state {
            facts::State::Created(record) => Some(record),
            facts::State::Planned | facts::State::Account => None,
        };
        Subject {
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            state: match state {
                facts::State::Created(_) => State::Created,
                facts::State::Planned => State::Planned,
                facts::State::Account => State::Account,
            },
            created: record.and_then(|record| record.created).map(|at| at.to_string()),
            owner: record
                .and_then(|record| record.owner.as_ref())
                .map(|owner| format!("{}/{}", owner.kind, owner.name)),
        }
    }

    fn webhook(&self) -> Webhook {
        let (called, by) = match &self.facts.calls {
            Calls::NotAsked => (Called::CannotTell, None),
            Calls::Unseen(why) => (Called::CannotTell, Some(why.to_string())),
            Calls::Nobody(why) => (Called::No, Some(why.to_string())),
            Calls::Entry { configuration, name } => {
                (Called::Yes, Some(format!("{configuration}, {name}")))
            }
        };
        Webhook {
            called,
            by,
            flags_of: match self.facts.flags.others {
                Others::Defaults => None,
                Others::OfPod { pod, .. } => Some(pod.to_owned()),
            },
            unread: match self.facts.flags.others {
                Others::Defaults => Vec::new(),
                Others::OfPod { unread, .. } => unread.iter().map(ToString::to_string).collect(),
            },
            given: self.facts.flags.given.to_vec(),
        }
    }
}

// === impl Identity ===

impl Identity {
    fn of(identity: &identity::Identity<'_>) -> Self {
        Self {
            method: identity.method.name(),
            source: identity.source.name(),
            role: match &identity.method {
                Method::WebIdentity { role: Role::Valid(arn) | Role::Invalid(arn), .. } => {
                    Some(arn.clone().into_owned())
                }
                Method::ContainerCredentials => None,
            },
        }
    }
}
