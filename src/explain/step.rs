//! How it stands as a whole, and the one next step: the remedy of what is most urgent.

use crate::drift::{self, Remedy};
use crate::identity::Key;
use crate::plan::{Outcome, Reason};
use crate::pod::SKIP_LABEL;

use super::Case;
use super::explanation::{Finding, Verdict, Weight};
use super::facts::{Owner, State};
use super::findings::NOT_CALLED;
use super::shadows::Path;

// === impl Case ===

impl Case<'_> {
    pub(super) fn verdict(&self, findings: &[Finding]) -> Verdict {
        if findings.iter().any(|finding| finding.weight == Weight::Problem) {
            return Verdict::Wrong;
        }
        match self.decision.outcome {
            Outcome::Injected | Outcome::Unchanged => Verdict::Complete,
            Outcome::Skipped => Verdict::NotMeant,
            // Each of these has a warning.
            Outcome::Incomplete | Outcome::Denied | Outcome::Failed => Verdict::Wrong,
        }
    }

    /// The code of what becomes of it: of a Pod that has less or else, that.
    pub(super) fn reason(&self) -> &'static str {
        let created = matches!(self.facts.subject.state, State::Created(_));
        match self.decision.reason {
            _ if created && self.drift.verdict.remedy() == Remedy::Recreate => {
                self.drift.verdict.code()
            }
            _ if self.drift.verdict == drift::Verdict::AuthorsOwn => self.drift.verdict.code(),
            Reason::LookupFailed => Reason::ServiceAccountNotGiven.code(),
            reason => reason.code(),
        }
    }

    pub(super) fn next(&self, verdict: Verdict, findings: &[Finding]) -> String {
        let first = findings.iter().find(|finding| finding.weight == Weight::Problem);
        let created = match self.facts.subject.state {
            State::Created(record) => Some(record),
            State::Planned | State::Account => None,
        };
        if let Some(first) = first {
            let says = match first.says().strip_suffix("; it was ignored") {
                Some(says) => format!("{says}; correct it"),
                None => first.says().to_owned(),
            };
            return match created {
                Some(pod)
                    if self.drift.verdict.remedy() == Remedy::Recreate
                        && first.code == self.drift.verdict.code() =>
                {
                    self.recreate(pod.owner.as_ref())
                }
                // Who changes a container changes its template, and that makes new Pods.
                Some(pod) if first.container.is_none() && first.code != NOT_CALLED => {
                    format!("{says}; then {}", self.recreate(pod.owner.as_ref()))
                }
                _ => says,
            };
        }
        let (namespace, account) = (self.facts.subject.namespace, self.facts.account.name);
        match (verdict, self.decision.reason) {
            _ if self.drift.verdict == drift::Verdict::AuthorsOwn => {
                "nothing; to have the identity, take the credentials out of the Pod".to_owned()
            }
            (Verdict::Complete, _) => match self.path() {
                Some(Path::ContainerCredentials) => {
                    "nothing; if there are no credentials, see that EKS has the association and \
                     the agent runs on the node"
                        .to_owned()
                }
                _ => "nothing; if STS refuses the token, give the role the trust policy".to_owned(),
            },
            (_, Reason::NoIdentity) => format!(
                "nothing, unless it is to have one: annotate ServiceAccount {namespace}/{account} \
                 with {}/{}",
                self.facts.prefix(),
                Key::RoleArn.name()
            ),
            (_, Reason::SkipLabel) => {
                format!("nothing; the label {SKIP_LABEL} keeps the webhook away")
            }
            (_, Reason::MirrorPod) => {
                "nothing; it is the kubelet's copy of a static Pod, which has no account".to_owned()
            }
            (_, Reason::ContainersSkipped) => {
                "nothing; skip-containers and include-containers leave no container".to_owned()
            }
            _ => "nothing".to_owned(),
        }
    }

    /// How a Pod of this owner is made anew.
    fn recreate(&self, owner: Option<&Owner>) -> String {
        let (namespace, name) = (self.facts.subject.namespace, self.facts.subject.name);
        match owner {
            Some(Owner { kind, name: owner })
                if matches!(&**kind, "Deployment" | "StatefulSet" | "DaemonSet") =>
            {
                let kind = kind.to_lowercase();
                format!("recreate it: kubectl -n {namespace} rollout restart {kind}/{owner}")
            }
            Some(Owner { kind, name: owner }) => format!(
                "recreate it: kubectl -n {namespace} delete pod {name}, and {kind} {owner} makes \
                 another one"
            ),
            None => "delete the Pod and create it again: no controller would".to_owned(),
        }
    }
}
