//! Whether the webhook is called, as seen from the outside: the API server's count, and a Pod.

use super::{entries, or_passed};
use crate::doctor::line::Line;
use crate::doctor::observed::{Injection, Observed, Probe};

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

pub(in crate::doctor) fn probe(observed: &Observed) -> Vec<Line> {
    if let Err(lines) = entries(observed) {
        return lines;
    }
    vec![match &observed.probe {
        Probe::NoAccount(why) => Line::nothing(*why),
        Probe::NotTried(why) => Line::not_looked_at(why),
        Probe::Back { account, injection: Injection::Complete, .. } => {
            Line::passed(format!("a Pod of {account} comes back with its identity (dry run)"))
        }
        Probe::Back { account, injection: Injection::Lacking, warnings } => {
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
        Probe::Refused { account, message } => Line::finding(
            format!("a Pod of {account} is refused (dry run): {message}"),
            "put right what the message names",
        ),
    }]
}
