//! What the annotations of ServiceAccounts say, as the webhook would read them.

use super::{count, or_passed};
use crate::doctor::line::Line;
use crate::doctor::observed::Observed;
use crate::plan::Reason;

pub(in crate::doctor) fn role_arns(observed: &Observed) -> Vec<Line> {
    told(observed, &[Reason::InvalidRoleArn], "with an identity, each role has the form of an ARN")
}

pub(in crate::doctor) fn annotations(observed: &Observed) -> Vec<Line> {
    let reasons = [Reason::NearMiss, Reason::InvalidAnnotation];
    told(observed, &reasons, "with an identity, no annotation misses its name or type")
}

fn told(observed: &Observed, reasons: &[Reason], passed: &str) -> Vec<Line> {
    let accounts = match &observed.accounts {
        Ok(accounts) => accounts,
        Err(unseen) => return vec![Line::not_looked_at(unseen.to_string())],
    };
    let mut lines = Vec::new();
    let mut identities = 0_usize;
    for told in accounts.told() {
        identities += usize::from(told.has_identity());
        for (reason, text) in told.warnings.iter().filter(|(reason, _)| reasons.contains(reason)) {
            let (what, remedy) = match text.rsplit_once("; ") {
                Some((what, remedy)) => (what, remedy),
                None => (text.as_str(), "correct it"),
            };
            let account = told.account();
            lines.push(Line::finding(
                format!("ServiceAccount {account}: {what} ({reason})"),
                format!(
                    "{remedy}: kubectl -n {} edit serviceaccount {}",
                    told.namespace, told.name
                ),
            ));
        }
    }
    or_passed(lines, format!("{} {passed}", count(identities, "ServiceAccount")))
}
