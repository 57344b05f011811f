//! What is wrong with one Pod, and what to do about it, in words that name objects and roles.
//!
//! The judgement is [`plan::decide`](crate::plan::decide)'s and [`drift`](crate::drift)'s; here it
//! gets names. The roles that are told are account data; a variable's value is not, unless it has
//! the form of a role's ARN.

use crate::drift::{self, Difference, Drift, Part, Remedy, State, Verdict};
use crate::identity::{Identity, Method, Sources};
use crate::plan::{Decision, Reason, Settings, Spread, decide};

use super::sight::{Controller, Life, Sight};

/// A Pod that lacks the identity of its account, or has another one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its name.
    pub pod: Box<str>,
    /// Who makes it anew where it goes away; nobody, for a bare Pod.
    pub owner: Option<Owner>,
    /// Its ServiceAccount.
    pub account: Box<str>,
    /// What the account gives now.
    pub expected: Expected,
    /// What is wrong.
    pub cause: Cause,
    /// What to do about it, a sentence.
    pub advice: String,
    /// Its containers that are not as they would be.
    pub containers: Vec<Lacking>,
}

/// Who makes a Pod anew: the workload that a person knows, where its name can be told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Owner {
    /// The kind, such as `Deployment`.
    pub kind: Box<str>,
    /// The name.
    pub name: Box<str>,
}

/// The identity that an account gives.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Expected {
    /// The Go webhook's name of the method.
    pub method: &'static str,
    /// The role, where the method has one.
    pub role: Option<Box<str>>,
    /// What names the identity.
    pub source: &'static str,
}

/// What is wrong with a Pod.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Cause {
    /// The Pod is not as it would be.
    Drift(Verdict),
    /// It is not, and the webhook is not called for such a Pod.
    NotCalled(Missed),
}

/// Which part of the webhook configuration leaves a Pod out.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Missed {
    /// The `namespaceSelector`.
    Namespace,
    /// The `objectSelector`.
    Labels,
    /// The rules.
    Rules,
}

/// A container that is not as it would be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lacking {
    /// Its name.
    pub name: Box<str>,
    /// What is the matter.
    pub what: Vec<Box<str>>,
}

/// What is thought of a Pod: the verdict, and the decision that it follows from.
pub(super) struct Judgement<'s, 'a> {
    pub(super) sight: &'s Sight<'a>,
    pub(super) decision: Decision<'s>,
    pub(super) drift: Drift<'s>,
}

/// Judges a Pod by what is known of its account; `None` for one that nobody judges any more.
pub(super) fn judge<'s, 'a>(
    sight: &'s Sight<'a>,
    sources: &Sources<'s>,
    settings: &'s Settings,
) -> Option<Judgement<'s, 'a>>
where
    'a: 's,
{
    let pod = sight.ask().pod().filter(|_| sight.life() == Life::Runs)?;
    let spread = Spread::by_names(&[sight.namespace(), sight.name()]);
    let decision = decide(sight.ask(), sources, spread, settings);
    let drift = drift::compare(pod, &decision, settings);
    Some(Judgement { sight, decision, drift })
}

// === impl Judgement ===

impl Judgement<'_, '_> {
    /// What is wrong, if anything is.
    pub(super) fn cause(&self) -> Option<Cause> {
        match self.drift.verdict.remedy() {
            Remedy::None => None,
            Remedy::Recreate | Remedy::Repair => Some(Cause::Drift(self.drift.verdict)),
        }
    }

    /// What the account gives.
    pub(super) fn expected(&self) -> Option<Expected> {
        self.decision.identity.as_ref().map(Expected::of)
    }

    /// The finding about `cause`; `None` without an identity.
    pub(super) fn finding(&self, cause: Cause, account: &str) -> Option<Finding> {
        let Self { sight, .. } = self;
        let owner = sight.controller().map(|controller| match sight.deployment() {
            Some(name) => Owner { kind: "Deployment".into(), name: name.into() },
            None => Owner::of(&controller),
        });
        let advice = match self.drift.containers.iter().find_map(another) {
            Some(has) if cause.remedy() == Remedy::Recreate => {
                format!("it has {has}: {}", self.advice(cause, owner.as_ref()))
            }
            Some(_) | None => self.advice(cause, owner.as_ref()),
        };
        Some(Finding {
            namespace: sight.namespace().into(),
            pod: sight.name().into(),
            account: account.into(),
            expected: self.expected()?,
            cause,
            advice,
            owner,
            containers: self.drift.containers.iter().filter_map(Lacking::of).collect(),
        })
    }

    fn advice(&self, cause: Cause, owner: Option<&Owner>) -> String {
        let Self { sight, .. } = self;
        match cause {
            Cause::NotCalled(Missed::Namespace) => format!(
                "no Pod of {} is shown to the webhook: see namespaceSelector of its configuration",
                sight.namespace()
            ),
            Cause::NotCalled(Missed::Labels) => {
                "such a Pod is not shown to the webhook: see objectSelector of its configuration"
                    .to_owned()
            }
            Cause::NotCalled(Missed::Rules) => {
                "the webhook is called for no Pods: see the rules of its configuration".to_owned()
            }
            Cause::Drift(Verdict::Withheld(reason)) => self.warning(reason),
            Cause::Drift(_) => recreation(sight.namespace(), sight.name(), owner),
        }
    }

    /// What the decision says about `reason`, without the code in front.
    fn warning(&self, reason: Reason) -> String {
        let mut warnings = self.decision.warnings.iter();
        let warning = warnings.find(|warning| warning.reason == reason);
        let code = format!("{reason}: ");
        warning
            .map_or("a new Pod would lack it too: see `explain`", |warning| {
                warning.text.strip_prefix(&code).unwrap_or(&warning.text)
            })
            .to_owned()
    }
}

/// How a Pod is made anew.
fn recreation(namespace: &str, pod: &str, owner: Option<&Owner>) -> String {
    let Some(Owner { kind, name }) = owner else {
        return "delete it and create it again: it has no controller that would".to_owned();
    };
    match &**kind {
        "Deployment" | "StatefulSet" | "DaemonSet" => {
            let kind = kind.to_lowercase();
            format!("kubectl -n {namespace} rollout restart {kind}/{name}")
        }
        "Job" => {
            format!("kubectl -n {namespace} delete pod {pod}: the work of its Job begins anew")
        }
        _ => format!("kubectl -n {namespace} delete pod {pod}: {kind}/{name} makes another"),
    }
}

// === impl Owner ===

impl Owner {
    pub(super) fn of(controller: &Controller<'_>) -> Self {
        Self { kind: controller.kind.into(), name: controller.name.into() }
    }
}

// === impl Expected ===

impl Expected {
    fn of(identity: &Identity<'_>) -> Self {
        let role = match &identity.method {
            Method::WebIdentity { role, .. } => Some(role.as_str().into()),
            Method::ContainerCredentials => None,
        };
        Self { method: identity.method.name(), role, source: identity.source.name() }
    }

    /// For people: the method as AWS calls it, and the role.
    pub(super) fn text(&self) -> String {
        match &self.role {
            Some(role) => format!("IRSA {role}"),
            None => "Pod Identity".to_owned(),
        }
    }
}

// === impl Cause ===

impl Cause {
    /// The code: stable, kebab-case.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Drift(verdict) => verdict.code(),
            Self::NotCalled(_) => "webhook-not-called",
        }
    }

    /// Whether a new Pod would be better.
    pub(super) const fn remedy(self) -> Remedy {
        match self {
            Self::Drift(verdict) => verdict.remedy(),
            Self::NotCalled(_) => Remedy::Repair,
        }
    }

    /// What it means, after "the Pod".
    pub(super) const fn meaning(self) -> &'static str {
        match self {
            Self::Drift(Verdict::Missing) => "runs without it",
            Self::Drift(Verdict::Partial) => "has only a part of it",
            Self::Drift(Verdict::OtherMethod) => "runs with the other method's",
            Self::Drift(Verdict::OtherRole) => "runs with another role",
            Self::Drift(Verdict::OtherAudience) => "has a token for another audience",
            Self::Drift(Verdict::OtherTokenPath) => "has its token in another place",
            Self::Drift(Verdict::OtherEndpoint) => "gets credentials from another address",
            Self::Drift(_) => "runs without it, and so would a new one",
            Self::NotCalled(_) => "runs without it, and the webhook is not called for it",
        }
    }
}

// === impl Lacking ===

impl Lacking {
    fn of(container: &drift::ContainerDrift<'_>) -> Option<Self> {
        let what: Vec<Box<str>> = match &container.state {
            State::Has | State::AuthorsOwn | State::Skipped => return None,
            State::Lacks(parts) => parts.iter().map(|part| missing(*part).into()).collect(),
            State::HasAnother(differences) => differences.iter().map(differing).collect(),
            State::Withheld(reason) => vec![reason.code().into()],
        };
        Some(Self { name: container.name.into(), what })
    }
}

/// In what the identity of a container is another one, if it is.
fn another(container: &drift::ContainerDrift<'_>) -> Option<String> {
    match &container.state {
        State::HasAnother(differences) => {
            Some(differences.iter().map(differing).collect::<Vec<_>>().join(", "))
        }
        _ => None,
    }
}

fn missing(part: Part) -> &'static str {
    match part {
        Part::Variables => "no variables",
        Part::Mount => "no mount",
        Part::Volume => "no token volume",
    }
}

fn differing(difference: &Difference<'_>) -> Box<str> {
    match difference {
        Difference::Method => "the other method's identity".into(),
        Difference::Role { has: Some(role) } => format!("role {role}").into(),
        Difference::Role { has: None } => "another role".into(),
        Difference::Audience { has: Some(audience) } => format!("audience {audience}").into(),
        Difference::Audience { has: None } => "the API server's audience".into(),
        Difference::TokenPath => "another token path".into(),
        Difference::Endpoint => "another endpoint".into(),
    }
}
