//! Whether the webhook is called, as seen from the outside: the API server's count, and a Pod.

use std::fmt;

use super::{entries, or_passed};
use crate::doctor::line::Line;
use crate::doctor::observed::{Injection, Observed, Probe};
use crate::installation::Entry;

pub(in crate::doctor) fn fail_open(observed: &Observed) -> Vec<Line> {
    let entries = match entries(observed) {
        Ok(entries) => entries,
        Err(lines) => return lines,
    };
    let counts = match &observed.fail_open {
        Ok(counts) => counts,
        Err(unseen) => return vec![Line::not_looked_at(unseen.to_string())],
    };
    let mut lines = Vec::new();
    for entry in entries {
        let times = counts.get(&*entry.name).copied().unwrap_or_default();
        if times > 0 {
            lines.push(Line::note(
                format!(
                    "the API server let {times} requests pass without an answer of {} since it \
                     started",
                    entry.name
                ),
                "find the Pods that missed their identity: pod-identity-webhook audit pods -A",
            ));
        }
    }
    or_passed(lines, "the API server has had an answer to every call")
}

/// Who refuses a Pod, as far as the API server says so.
#[derive(Debug, Eq, PartialEq)]
enum Refuser<'a> {
    /// An admission webhook, or that it does not answer; its name.
    Webhook(&'a str),
    /// A `ValidatingAdmissionPolicy`; its name.
    Policy(&'a str),
    /// A `ResourceQuota`; its name.
    Quota(&'a str),
    /// The Pod security standard of the namespace.
    PodSecurity,
    /// Nobody is named.
    Unnamed,
}

/// What stands before a name or says enough, and what stands behind the name, in messages of the API
/// server (`k8s.io/apiserver`, `plugin/webhook/errors` and `plugin/policy/validating`; the plugins
/// `ResourceQuota` and `PodSecurity`).
const WEBHOOKS: [&str; 2] = ["failed calling webhook \"", "admission webhook \""];
const POLICY: &str = "ValidatingAdmissionPolicy '";
const QUOTAS: [&str; 3] = ["exceeded quota: ", "failed quota: ", "status unknown for quota: "];
const POD_SECURITY: &str = "violates PodSecurity ";

// === impl Refuser ===

impl<'a> Refuser<'a> {
    /// The one who is named first: what somebody says of others comes behind the name.
    fn of(message: &'a str) -> Self {
        let found = |mark: &str, end: &[char], of: fn(&'a str) -> Self| {
            let (before, after) = message.split_once(mark)?;
            Some((before.len(), of(after.split(end).next().unwrap_or(after))))
        };
        let webhooks = WEBHOOKS.iter().map(|mark| found(mark, &['"'], Self::Webhook));
        let quotas = QUOTAS.iter().map(|mark| found(mark, &[',', ':'], Self::Quota));
        let others =
            [found(POLICY, &['\''], Self::Policy), found(POD_SECURITY, &[], |_| Self::PodSecurity)];
        let all = webhooks.chain(quotas).chain(others).flatten();
        all.min_by_key(|(at, _)| *at).map_or(Self::Unnamed, |(_, refuser)| refuser)
    }
}

impl fmt::Display for Refuser<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Webhook(name) => write!(f, "the admission webhook {name}"),
            Self::Policy(name) => write!(f, "the ValidatingAdmissionPolicy {name}"),
            Self::Quota(name) => write!(f, "the ResourceQuota {name}"),
            Self::PodSecurity => f.write_str("the namespace's Pod security standard"),
            Self::Unnamed => f.write_str("the API server"),
        }
    }
}

pub(in crate::doctor) fn probe(observed: &Observed) -> Vec<Line> {
    let entries = match entries(observed) {
        Ok(entries) => entries,
        Err(lines) => return lines,
    };
    vec![match &observed.probe {
        Probe::NoAccount(why) => Line::nothing(*why),
        Probe::NotTried(why) => Line::not_looked_at(why),
        Probe::Back { account, injection: Injection::Complete, .. } => {
            Line::passed(format!("a Pod of {account} comes back with its identity (dry run)"))
        }
        Probe::Back { account, injection: Injection::Lacking, warnings } => {
            // An account was chosen without knowing whether anybody is called for it.
            if let Err(unseen) = &observed.namespaces {
                return vec![Line::not_looked_at(format!(
                    "whether the webhook is called for a Pod of {account}, which comes back \
                     without its identity (dry run): {unseen}"
                ))];
            }
            let said = match warnings.first() {
                Some(warning) => format!("; the webhook says {warning:?}"),
                None => "; nobody said why".to_owned(),
            };
            Line::finding(
                format!("a Pod of {account} comes back without its identity (dry run){said}"),
                "look for \"failed calling webhook\" in the API server's log, and for the account \
                 in the webhook's",
            )
        }
        Probe::Refused { account, message } => refused(entries, account, message),
    }]
}

/// What a refusal says: something of this webhook, or that the probe could not come through.
fn refused(entries: &[Entry], account: &str, message: &str) -> Line {
    let refuser = Refuser::of(message);
    let is_ours = match refuser {
        Refuser::Webhook(name) => entries.iter().any(|entry| *entry.name == *name),
        Refuser::Policy(_) | Refuser::Quota(_) | Refuser::PodSecurity | Refuser::Unnamed => false,
    };
    match refuser {
        Refuser::Unnamed => Line::not_looked_at(format!(
            "the API server refuses a Pod of {account} (dry run) and does not say for whom: \
             {message}"
        )),
        // Then it is not called at all.
        _ if is_ours && message.contains("does not support dry run") => {
            Line::not_looked_at(format!("a Pod of {account}: {message}"))
        }
        _ if is_ours => Line::finding(
            format!("a Pod of {account} is refused (dry run): {message}"),
            "put right what the message names",
        ),
        _ => Line::not_looked_at(format!(
            "a Pod of {account} does not come through (dry run): {refuser} refuses it, which is \
             not this webhook: {message}"
        )),
    }
}
