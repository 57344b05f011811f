//! What a decision leaves behind besides the reply: counts, a line in the log, a span, an Event.
//!
//! Of a Pod, its name, namespace and account are told, no longer than a name may be; nothing else.
//! A dry run leaves no Event and counts as no Pod.

use super::Inner;
use crate::accounts::{Facts, Found};
use crate::admission::{DryRun, Endpoint, Review, refusal};
use crate::events::{Owner, Refused};
use crate::identity::Method;
use crate::plan::{Ask, Decision, Outcome, Reason};
use crate::pod::OwnerReference;
use crate::telemetry::Injection;
use crate::telemetry::traces::{CallSpan, Concluded};

/// The longest name of a Kubernetes object: a DNS subdomain (RFC 1123).
const MAX_NAME: usize = 253;

/// What was asked, and what was known.
pub(super) struct Call<'c, 'a> {
    pub(super) review: &'c Review<'a>,
    pub(super) endpoint: Endpoint,
    /// `None` if the Pod could not be read.
    pub(super) ask: Option<&'c Ask<'a>>,
    pub(super) facts: Option<&'c Facts>,
    pub(super) span: &'c CallSpan,
}

/// Counts and logs a decision, and tells the owner of a Pod that is refused.
pub(super) fn record(inner: &Inner, call: &Call<'_, '_>, decision: &Decision<'_>) {
    count(inner, call, decision);
    log(call, decision);
    tell(inner, call, decision);
}

fn count(inner: &Inner, call: &Call<'_, '_>, decision: &Decision<'_>) {
    let Decision { outcome, reason, identity, edits, warnings: _ } = decision;
    let method = identity.as_ref().map(|identity| &identity.method);
    let name = method.map_or("none", Method::name);
    inner.metrics.decided(outcome.name(), name, reason.code());
    if call.review.dry_run() == DryRun::Yes {
        return;
    }
    match method {
        Some(Method::WebIdentity { .. }) if !edits.is_empty() => {
            inner.metrics.injected(Injection::WebIdentity);
        }
        Some(Method::ContainerCredentials) if !edits.is_empty() => {
            inner.metrics.injected(Injection::ContainerCredentials);
        }
        _ => {}
    }
    let absent = call.facts.is_some_and(|facts| matches!(facts.account, Found::Absent));
    if *reason == Reason::LookupFailed || (*reason == Reason::NoIdentity && absent) {
        inner.metrics.missing_account();
    }
}

/// One line a decision, and the same to its span: what needs a person as a warning, what concerns an identity as information,
/// the rest for those who look closely.
fn log(call: &Call<'_, '_>, decision: &Decision<'_>) {
    let Decision { outcome, reason, identity, edits: _, warnings: _ } = decision;
    let (pod, account) = match call.ask {
        Some(Ask::Create(pod) | Ask::AddEphemeral { pod, .. }) => {
            (pod.name().unwrap_or_default(), pod.service_account_name().unwrap_or("default"))
        }
        Some(Ask::NotApplicable) | None => ("", ""),
    };
    let method = identity.as_ref().map_or("none", |identity| identity.method.name());
    let source = identity.as_ref().map_or("none", |identity| identity.source.name());
    let (uid, namespace) = (name(call.review.uid()), name(call.review.namespace()));
    let (pod, account) = (name(pod), name(account));
    let (result, reason) = (outcome.name(), reason.code());
    let concluded = Concluded { uid, namespace, account, outcome: result, reason, method, source };
    call.span.decided(&concluded);
    macro_rules! decided {
        ($log:ident) => {
            tracing::$log!(
                uid,
                namespace,
                account,
                pod,
                outcome = result,
                reason,
                method,
                source,
                "decided"
            )
        };
    }
    match outcome {
        Outcome::Skipped if identity.is_none() => decided!(debug),
        Outcome::Injected | Outcome::Unchanged | Outcome::Skipped => decided!(info),
        Outcome::Incomplete | Outcome::Denied | Outcome::Failed => decided!(warn),
    }
}

/// Whoever creates a Pod by hand reads the refusal; where a controller does, nobody would.
fn tell(inner: &Inner, call: &Call<'_, '_>, decision: &Decision<'_>) {
    let Some(Ask::Create(pod)) = call.ask else { return };
    if call.review.dry_run() == DryRun::Yes {
        return;
    }
    let Some(owner) = pod.controller() else { return };
    let Some(message) = refusal(decision, call.endpoint) else { return };
    let OwnerReference { api_version, kind, name, uid, controller: _ } = owner;
    inner.events.refused(Refused {
        namespace: call.review.namespace(),
        owner: Owner {
            api_version: api_version.as_deref().unwrap_or_default(),
            kind: kind.as_deref().unwrap_or_default(),
            name: name.as_deref().unwrap_or_default(),
            uid: uid.as_deref().unwrap_or_default(),
        },
        reason: decision.reason.code(),
        message: &message,
    });
}

/// As much of `text` as a name of Kubernetes may have: nothing here has been validated yet.
fn name(text: &str) -> &str {
    text.char_indices().nth(MAX_NAME).map_or(text, |(end, _)| &text[..end])
}
