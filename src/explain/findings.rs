//! What is wrong, in the order in which it is to be put right.
//!
//! A decision's warnings come as they are, word for word. What else is here cannot be seen when a
//! Pod is created: that nobody is called, that a Pod that runs has less or something else, that a
//! document could not be read. What is only possible is a hint, and never makes a verdict.

use crate::drift::Remedy;
use crate::identity::Key;
use crate::plan::{Reason, Warning};

use super::Case;
use super::explanation::{
    Account, Certainty, Change, Changed, Container, Existence, Finding, Weight,
};
use super::facts::{Calls, Document, Found, Mapped, State};
use super::history::changes;
use super::shadows::Path;

/// The account does not exist.
const ACCOUNT_ABSENT: &str = "service-account-absent";
/// No webhook is called.
pub(super) const NOT_CALLED: &str = "not-called";
/// The mapping that fits gives no identity.
const MAPPING_WITHOUT_ROLE: &str = "mapping-without-role";
/// The account's own mapping does not count.
const MAPPING_DROPPED: &str = "mapping-dropped";
/// A document that may name an identity, or keep one away, could not be read.
const NOT_READ: &str = "not-read";
/// SDKs may prefer something else.
const MAYBE_SHADOWED: &str = "maybe-shadowed";

// === impl Case ===

impl Case<'_> {
    pub(super) fn account(&self) -> Account {
        let account = self.facts.account;
        let record = match account.found {
            Found::Known { record, .. } => record,
            Found::Absent | Found::NotGiven(_) => None,
        };
        let pod = match self.facts.subject.state {
            State::Created(pod) => pod.created,
            State::Planned | State::Account => None,
        };
        let annotations = match (record.filter(|record| record.is_stored()), pod) {
            (Some(record), Some(pod)) => changes(record, pod, self.facts.prefix()),
            _ => Vec::new(),
        };
        Account {
            name: account.name.to_owned(),
            found: match account.found {
                Found::Known { .. } => Existence::Known,
                Found::Absent => Existence::Absent,
                Found::NotGiven(_) => Existence::NotGiven,
            },
            created: record.and_then(|record| record.created).map(|at| at.to_string()),
            annotations,
        }
    }

    pub(super) fn findings(&self, account: &Account, containers: &[Container]) -> Vec<Finding> {
        let mut findings = Vec::new();
        findings.extend(self.account_finding());
        findings.extend(self.call_finding());
        findings.extend(self.document_findings());
        findings.extend(self.drift_finding(account));
        let ephemeral = self.ephemeral.iter().flat_map(|decision| decision.warnings.iter());
        let warnings = self
            .decision
            .warnings
            .iter()
            // Said by `account_finding`, for what it is.
            .filter(|warning| warning.reason != Reason::LookupFailed)
            .filter(|warning| !self.is_about_what_it_replaces(warning))
            .chain(ephemeral.filter(|warning| warning.container.is_some()));
        findings.extend(warnings.map(|warning| self.of_warning(warning)));
        for container in containers {
            let shadows = container.shadows.iter();
            findings.extend(shadows.filter(|shadow| shadow.certainty == Certainty::Possible).map(
                |shadow| Finding {
                    container: Some(container.name.clone()),
                    ..Finding::hint(MAYBE_SHADOWED, &shadow.says)
                },
            ));
        }
        findings.sort_by_key(|finding| (finding.weight, rank(finding.code)));
        findings
    }

    /// Whether a warning is about what a webhook once gave a container that now would get something
    /// else: to the decision that stands in the way, and with the Pod it goes.
    fn is_about_what_it_replaces(&self, warning: &Warning) -> bool {
        let State::Created(_) = self.facts.subject.state else { return false };
        warning
            .container
            .and_then(|position| self.drift_of(position))
            .is_some_and(|drift| matches!(drift.state, crate::drift::State::HasAnother(_)))
    }

    fn of_warning(&self, warning: &Warning) -> Finding {
        use crate::plan::ContainerList;

        let name = warning.container.and_then(|position| {
            let list = match position.list {
                ContainerList::Init => self.pod.init_containers(),
                ContainerList::Regular => self.pod.containers(),
                ContainerList::Ephemeral => self.pod.ephemeral_containers(),
            };
            list.get(position.index).map(|container| container.name().to_owned())
        });
        Finding {
            code: warning.reason.code(),
            weight: Weight::Problem,
            container: name,
            text: warning.text.clone(),
        }
    }

    fn account_finding(&self) -> Option<Finding> {
        let (namespace, name) = (self.facts.subject.namespace, self.facts.account.name);
        let not_given = Reason::ServiceAccountNotGiven.code();
        match self.facts.account.found {
            Found::Known { .. } => None,
            Found::Absent => Some(Finding::problem(
                ACCOUNT_ABSENT,
                &format!(
                    "there is no ServiceAccount {namespace}/{name}; create it, or name another one"
                ),
            )),
            Found::NotGiven(_) if self.decision.reason != Reason::LookupFailed => {
                self.decision.identity.as_ref().map(|_| {
                    let text =
                        "annotations of the ServiceAccount may change this; give its document";
                    Finding::hint(not_given, text)
                })
            }
            Found::NotGiven(_) => {
                let text = match &self.facts.mapping {
                    Document::Says(Mapped { entry: Some((_, mapping)), .. }, _)
                        if mapping.role_arn.is_some() =>
                    {
                        "a mapping fits, but counts only if the account has no role; give its document"
                    }
                    _ => "the ServiceAccount is not among the documents; give its document",
                };
                Some(Finding::problem(not_given, text))
            }
        }
    }

    fn call_finding(&self) -> Option<Finding> {
        let Calls::Nobody(why) = &self.facts.calls else { return None };
        self.decision.identity.as_ref()?;
        let text = format!("{why}: no webhook is called; run `pod-identity-webhook doctor`");
        Some(match (self.facts.subject.state, self.drift.verdict.remedy()) {
            (State::Created(_), Remedy::None) => Finding::hint(NOT_CALLED, &text),
            _ => Finding::problem(NOT_CALLED, &text),
        })
    }

    fn document_findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let lacks_identity =
            self.decision.identity.is_none() && self.decision.reason == Reason::NoIdentity;
        let unread = |what: &str, why: &str| {
            let text = format!("{what} may name an identity: {why}");
            if lacks_identity {
                Finding::problem(NOT_READ, &text)
            } else {
                Finding::hint(NOT_READ, &text)
            }
        };
        if let (Document::Unseen(why), Some(Path::WebIdentity)) = (&self.facts.guard, self.path()) {
            let text = format!("the role policy may not allow the role: {why}");
            findings.push(Finding::hint(NOT_READ, &text));
        }
        if let Document::Unseen(why) = &self.facts.credentials_file {
            findings.push(unread("the container-credentials file", why));
        }
        match &self.facts.mapping {
            // The account's own annotations come first.
            Document::Unseen(why) if lacks_identity => {
                findings.push(unread("the mappings ConfigMap", why));
            }
            Document::Says(Mapped { dropped: Some(why), .. }, place) => {
                let text =
                    format!("the account's entry in {place} does not count: {why}; correct it");
                findings.push(Finding::problem(MAPPING_DROPPED, &text));
            }
            Document::Says(Mapped { entry: Some((key, mapping)), .. }, place)
                if mapping.role_arn.is_none() && lacks_identity =>
            {
                let text = format!("{key} in {place} names no role; give it a RoleARN");
                findings.push(Finding::problem(MAPPING_WITHOUT_ROLE, &text));
            }
            Document::Unseen(_) | Document::Says(..) | Document::Unused | Document::Unknown => {}
        }
        findings
    }

    /// What a Pod that was created has less or else than it would get now.
    fn drift_finding(&self, account: &Account) -> Option<Finding> {
        use crate::drift::Verdict;

        let State::Created(_) = self.facts.subject.state else { return None };
        if self.drift.verdict.remedy() != Remedy::Recreate {
            return None;
        }
        let what = match self.drift.verdict {
            Verdict::Missing => "the Pod runs without the identity that it would get now",
            Verdict::Partial => "the Pod runs without all of the identity that it would get now",
            _ => "the Pod runs with another identity than it would get now",
        };
        let of_identity =
            || account.annotations.iter().filter(|change| is_identity(change, self.facts.prefix()));
        let late = of_identity()
            .find(|change| matches!(change.changed, Changed::After | Changed::PerhapsAfter));
        let is_old = of_identity().count() > 0
            && of_identity().all(|change| change.changed == Changed::Before);
        let since = match late {
            Some(change) => {
                let seconds = change.seconds_after_the_pod.unwrap_or_default();
                let name = change.annotation.rsplit('/').next().unwrap_or_default();
                let how = match change.changed {
                    Changed::After => "was written",
                    _ => "may have been written",
                };
                format!(", since {name} {how} {} later", duration(seconds))
            }
            None if is_old && self.drift.verdict == Verdict::Missing => {
                ", though its account was ready: no webhook was called, or it did not answer"
                    .to_owned()
            }
            None => String::new(),
        };
        let code = self.drift.verdict.code();
        Some(Finding::problem(code, &format!("{what}{since}; recreate it")))
    }
}

fn is_identity(change: &Change, prefix: &str) -> bool {
    matches!(
        Key::of(prefix, &change.annotation),
        Some(Key::RoleArn | Key::PodIdentity | Key::Audience)
    )
}

/// Seconds as a person says them, the two largest units.
pub(super) fn duration(seconds: u64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (size, unit) in units {
        let count = rest / size;
        rest %= size;
        if count > 0 {
            parts.push(format!("{count}{unit}"));
        }
    }
    parts.truncate(2);
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

/// What comes first: what makes everything behind it moot.
fn rank(code: &str) -> u8 {
    let of = |reasons: &[Reason]| reasons.iter().any(|reason| reason.code() == code);
    if code == ACCOUNT_ABSENT || of(&[Reason::ServiceAccountNotGiven, Reason::UnreadablePod]) {
        0
    } else if code == NOT_CALLED || code == MAPPING_DROPPED || code == MAPPING_WITHOUT_ROLE {
        1
    } else if of(&[
        Reason::NearMiss,
        Reason::InvalidRoleArn,
        Reason::RoleNotAllowed,
        Reason::PodIdentityUnsupported,
    ]) {
        2
    } else if of(&[Reason::TooLarge, Reason::MountPathTaken, Reason::EnvConflict]) {
        3
    } else if of(&Reason::ALL) {
        5
    } else {
        // What a Pod that runs lacks, and what could not be read.
        4
    }
}

// === impl Finding ===

impl Finding {
    fn problem(code: &'static str, text: &str) -> Self {
        Self { code, weight: Weight::Problem, container: None, text: format!("{code}: {text}") }
    }

    fn hint(code: &'static str, text: &str) -> Self {
        Self { weight: Weight::Hint, ..Self::problem(code, text) }
    }

    /// The text without its code.
    pub(super) fn says(&self) -> &str {
        self.text
            .strip_prefix(self.code)
            .and_then(|rest| rest.strip_prefix(": "))
            .unwrap_or(&self.text)
    }
}
