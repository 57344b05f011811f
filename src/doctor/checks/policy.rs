//! The role policy: rules that are for nobody, and accounts whose role it does not allow.

use super::mappings::{edit, unused};
use super::{count, or_passed};
use crate::doctor::line::Line;
use crate::doctor::observed::{Accounts, Observed};
use crate::identity::{RolePolicy, Rule};
use crate::installation::{Document, What};
use crate::plan::Reason;

pub(in crate::doctor) fn role_policy(observed: &Observed) -> Vec<Line> {
    match &observed.documents.role_policy {
        Document::Unused => unused(observed, "role-policy"),
        Document::OutOfSight => {
            vec![Line::not_looked_at("the role policy: it is no key of a ConfigMap")]
        }
        Document::Unseen(unseen) => vec![Line::not_looked_at(unseen.to_string())],
        Document::Missing { place } => vec![Line::finding(
            format!("{place} is not there: no webhook starts without its role policy"),
            "create it, or run the webhook without --role-policy",
        )],
        Document::Bad { place, error } => vec![Line::finding(
            format!("{error}: a webhook that runs keeps the last good one, and none starts"),
            edit(place),
        )],
        Document::Read { place, entries, dropped: _ } => {
            let mut lines = for_nobody(observed, entries, place);
            match &observed.accounts {
                Ok(accounts) => lines.extend(not_allowed(accounts)),
                Err(unseen) => lines.push(Line::not_looked_at(unseen.to_string())),
            }
            let rules = count(entries.rules.len(), "rule");
            or_passed(lines, format!("{rules}, each for a namespace; every role is allowed"))
        }
    }
}

/// Rules that no namespace fits.
fn for_nobody(observed: &Observed, policy: &RolePolicy, place: &What) -> Vec<Line> {
    let namespaces = match &observed.namespaces {
        Ok(namespaces) => namespaces,
        Err(unseen) => return vec![Line::not_looked_at(unseen.to_string())],
    };
    let is_for_nobody =
        |(_, rule): &(usize, &Rule)| !namespaces.keys().any(|name| rule.is_for(name));
    let rules = policy.rules.iter().enumerate().filter(is_for_nobody);
    rules
        .map(|(at, _)| {
            Line::finding(
                format!("rules[{at}] of the role policy is for no namespace that there is"),
                format!("correct it: {}", edit(place)),
            )
        })
        .collect()
}

/// Accounts whose role the policy does not allow.
fn not_allowed(accounts: &Accounts) -> Vec<Line> {
    let is_not_allowed = |(reason, _): &(Reason, String)| *reason == Reason::RoleNotAllowed;
    let told = accounts.told().filter(|told| told.warnings.iter().any(is_not_allowed));
    told.map(|told| {
        let (account, namespace, name) = (told.account(), &told.namespace, &told.name);
        let reason = Reason::RoleNotAllowed;
        Line::finding(
            format!("ServiceAccount {account}: the role policy does not allow its role ({reason})"),
            format!(
                "see which rule is missing: pod-identity-webhook explain sa {name} -n {namespace}"
            ),
        )
    })
    .collect()
}
