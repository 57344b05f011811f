//! One workload: its Pod is put to the decision function, and what comes back is kept without
//! borrowing, so that the documents can be changed afterwards.
//!
//! A Pod template is a Pod whose name is yet to be generated, whatever its metadata says. Nothing
//! here decides; only the reason for an account that was not given is put into words.

use serde_json::Value;

use crate::identity::{Identity, Knowledge, Listed, Method, Source, Sources};
use crate::offline::{Given, Place, Presence, Subject, Workload};
use crate::patch::Patch;
use crate::plan::{
    Ask, ContainerList, Decision, Edit, Outcome, Position, Reason, Settings, Spread, decide,
};
use crate::pod::Container;
use crate::sentence::escaped;

use super::MutateError;
use super::error::PatchError;

/// What becomes of a workload.
#[derive(Debug)]
pub(super) struct Judgement {
    /// What it is called.
    pub(super) subject: Subject,
    /// Whether it gets what its identity needs.
    pub(super) standing: Standing,
    /// Whether its account was given.
    pub(super) presence: Presence,
    /// What becomes of it, for a person.
    pub(super) words: String,
    /// What needs a person, a line each.
    pub(super) warnings: Vec<String>,
    /// What is added; pointers begin at the workload.
    pub(super) patch: json_patch::Patch,
    place: Place,
    pointer: String,
}

/// Whether a workload gets what its identity needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Standing {
    /// It does, or needs nothing.
    Whole,
    /// It has an identity and does not get all of it.
    Lacking,
}

/// Judges a workload.
pub(super) fn judge(
    workload: &Workload<'_>,
    place: &Place,
    given: &Given,
    settings: &Settings,
) -> Result<Judgement, MutateError> {
    let subject = &workload.subject;
    let Some(template) = workload.template() else {
        return Ok(Judgement {
            words: format!("nothing: {} (it has no Pod template)", Reason::NotApplicable),
            ..Judgement::of(workload, place, json_patch::Patch::default())
        });
    };
    let failed = |error: serde_json::Error| patch_failed(place, subject, error.into());
    let text = template.to_string();
    let pod = workload.pod(&text, place)?;
    let ask = Ask::Create(pod);
    let account = ask.account().ok();
    let (sources, presence) = match account {
        Some(name) => given.sources(&subject.namespace, name),
        None => (nobody(), Presence::Given),
    };
    let names = [subject.namespace.as_ref(), subject.kind.as_ref(), subject.name.text()];
    let decision = decide(&ask, &sources, Spread::by_names(&names), settings);
    let patch = serde_json::to_value(Patch::at(workload.root, &decision.edits))
        .and_then(serde_json::from_value)
        .map_err(failed)?;
    let standing = match decision.outcome {
        Outcome::Incomplete | Outcome::Denied => Standing::Lacking,
        Outcome::Injected | Outcome::Unchanged | Outcome::Skipped | Outcome::Failed => {
            Standing::Whole
        }
    };
    Ok(Judgement {
        standing,
        presence,
        words: words(&ask, account, &decision),
        warnings: warnings(&decision, &sources, presence),
        ..Judgement::of(workload, place, patch)
    })
}

/// Where nobody is to be looked up.
fn nobody() -> Sources<'static> {
    Sources { credentials_file: Listed::No, account: Knowledge::Absent, mapping: None, guard: None }
}

// === impl Judgement ===

impl Judgement {
    fn of(workload: &Workload<'_>, place: &Place, patch: json_patch::Patch) -> Self {
        Self {
            subject: workload.subject.clone(),
            standing: Standing::Whole,
            presence: Presence::Given,
            words: String::new(),
            warnings: Vec::new(),
            patch,
            place: place.clone(),
            pointer: workload.pointer.clone(),
        }
    }

    /// Applies the patch to the workload in its document.
    pub(super) fn apply(&self, document: &mut Value) -> Result<(), MutateError> {
        document
            .pointer_mut(&self.pointer)
            .ok_or(PatchError::Nowhere)
            .and_then(|workload| Ok(json_patch::patch(workload, &self.patch)?))
            .map_err(|source| self.patch_failed(source))
    }

    /// The error of a patch that cannot be used.
    pub(super) fn patch_failed(&self, source: PatchError) -> MutateError {
        patch_failed(&self.place, &self.subject, source)
    }
}

fn patch_failed(place: &Place, subject: &Subject, source: PatchError) -> MutateError {
    MutateError::Patch { place: place.clone(), workload: subject.to_string().into(), source }
}

// === what is said ===

fn words(ask: &Ask<'_>, account: Option<&str>, decision: &Decision<'_>) -> String {
    let reason = reason(decision);
    let containers = match containers(ask, &decision.edits).as_slice() {
        [] => None,
        [one] => Some(format!("container {one}")),
        several => Some(format!("containers {}", several.join(", "))),
    };
    let origin = decision.identity.as_ref().map(origin);
    match (decision.outcome, origin) {
        (Outcome::Injected, Some(origin)) => {
            let containers = containers.map(|names| format!(" ({names})")).unwrap_or_default();
            format!("injected by {origin}{containers}")
        }
        (Outcome::Incomplete | Outcome::Denied, Some(origin)) => {
            let containers = containers.unwrap_or_else(|| "nothing injected".to_owned());
            format!("{}: {reason} ({origin}; {containers})", decision.outcome.name())
        }
        (_, Some(origin)) => format!("nothing: {reason} ({origin})"),
        (_, None) => match account {
            Some(name) => format!("nothing: {reason} (ServiceAccount {})", escaped(name)),
            None => format!("nothing: {reason}"),
        },
    }
}

/// Nothing but an account that was not given can keep an offline decision from being made.
fn reason(decision: &Decision<'_>) -> Reason {
    match decision.reason {
        Reason::LookupFailed => Reason::ServiceAccountNotGiven,
        reason => reason,
    }
}

/// The path and the source of an identity.
fn origin(identity: &Identity<'_>) -> String {
    let path = match identity.method {
        Method::WebIdentity { .. } => "IRSA",
        Method::ContainerCredentials => "Pod Identity",
    };
    let source = match identity.source {
        Source::CredentialsFile => "the container-credentials file",
        Source::PodIdentityAnnotation => "the ServiceAccount's pod-identity",
        Source::RoleAnnotation => "the ServiceAccount's role-arn",
        Source::ConfigMap => "the mappings ConfigMap",
    };
    format!("{path}, from {source}")
}

/// The names of the containers that edits touch, in the Pod's order.
fn containers(ask: &Ask<'_>, edits: &[Edit<'_>]) -> Vec<String> {
    let (Ask::Create(pod) | Ask::AddEphemeral { pod, .. }) = ask else {
        return Vec::new();
    };
    let mut names = Vec::new();
    for edit in edits {
        let (Edit::Env { container, .. } | Edit::Mount { container, .. }) = edit else {
            continue;
        };
        let Position { list, index } = *container;
        let list = match list {
            ContainerList::Init => pod.init_containers(),
            ContainerList::Regular => pod.containers(),
            ContainerList::Ephemeral => pod.ephemeral_containers(),
        };
        let name = escaped(list.get(index).map_or("", Container::name)).into_owned();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The warnings as an API server would show them, without its limits.
fn warnings(decision: &Decision<'_>, sources: &Sources<'_>, presence: Presence) -> Vec<String> {
    let said = decision.warnings.iter().filter(|warning| warning.reason != Reason::LookupFailed);
    let mut lines: Vec<_> = said.map(|warning| escaped(&warning.text).into_owned()).collect();
    let more = decision.warnings.count().saturating_sub(decision.warnings.iter().count());
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    let code = Reason::ServiceAccountNotGiven;
    if presence == Presence::NotGiven {
        if decision.identity.is_some() {
            lines.push(format!(
                "{code}: annotations of the ServiceAccount may change this; give its document"
            ));
        } else if sources.mapping.is_some_and(|mapping| mapping.role_arn.is_some()) {
            lines.push(format!(
                "{code}: a mapping fits, but counts only if the account has no role; \
                 give its document"
            ));
        }
    }
    lines
}
