//! The documents that give identities from outside an account: what in them names nothing.

use super::behind::Replicas;
use super::{count, or_passed};
use crate::accounts::{Entry, EntryError};
use crate::cli::ENV_PREFIX;
use crate::doctor::line::Line;
use crate::doctor::observed::{Accounts, Observed};
use crate::installation::{Document, Origin, Replica, What};

pub(in crate::doctor) fn mappings(observed: &Observed) -> Vec<Line> {
    let document = &observed.documents.mappings;
    document_lines(observed, document, "watch-config-map", |accounts, mappings, place| {
        let mut lines = Vec::new();
        let mut all = 0_usize;
        for entry in mappings.iter() {
            all += usize::from(is_within(observed, entry.namespace));
            if entry.mapping.role_arn.is_none() {
                lines.push(Line::finding(
                    format!("the mapping {} has no RoleARN: it gives no identity", name(&entry)),
                    edit(place),
                ));
                continue;
            }
            lines.extend(names_nothing(observed, accounts, &entry, place));
        }
        or_passed(lines, format!("{}, each names an account", count(all, "mapping")))
    })
}

pub(in crate::doctor) fn credentials(observed: &Observed) -> Vec<Line> {
    let document = &observed.documents.credentials;
    let flag = "watch-container-credentials-config";
    document_lines(observed, document, flag, |accounts, credentials, place| {
        let mut lines = Vec::new();
        let exists = |(namespace, name): &(&str, &str)| {
            accounts.names().any(|account| account == (*namespace, *name))
        };
        let within = |(namespace, _): &(&str, &str)| is_within(observed, namespace);
        for (namespace, name) in credentials.iter().filter(within).filter(|entry| !exists(entry)) {
            lines.push(Line::finding(
                format!("the container-credentials file lists {namespace}/{name}, and there is no such ServiceAccount"),
                format!("create it, or remove it there: {}", edit(place)),
            ));
        }
        let all = credentials.iter().filter(within).count();
        or_passed(lines, format!("{}, each is there", count(all, "account")))
    })
}

/// What is to be said of a document that the webhook does not read, as far as its flags can be seen.
pub(super) fn unused(observed: &Observed, flag: &str) -> Vec<Line> {
    match unknown(observed, flag) {
        Err(lines) => lines,
        Ok(Some(why)) => vec![Line::not_looked_at(format!("whether --{flag} is set: {why}"))],
        Ok(None) => vec![Line::nothing(format!("--{flag} is off"))],
    }
}

/// What is to be said of a document, and of its entries by `judge`.
fn document_lines<T>(
    observed: &Observed,
    document: &Document<T>,
    flag: &str,
    judge: impl FnOnce(&Accounts, &T, &What) -> Vec<Line>,
) -> Vec<Line> {
    match document {
        Document::Unused => unused(observed, flag),
        Document::Missing { place } => vec![Line::note(
            format!("{} is not there: it gives nobody an identity", object(place)),
            "create it, or run the webhook without that flag",
        )],
        Document::OutOfSight => {
            vec![Line::not_looked_at("the container-credentials file: it is no key of a ConfigMap")]
        }
        Document::Unseen(unseen) => vec![Line::not_looked_at(unseen.to_string())],
        Document::Bad { place, error } => vec![Line::finding(
            format!("{error}: a webhook that runs keeps the last good one"),
            edit(place),
        )],
        Document::Read { place, entries, dropped } => {
            let mut lines: Vec<_> = dropped
                .iter()
                .map(|error: &EntryError| Line::finding(error.to_string(), edit(place)))
                .collect();
            lines.extend(match &observed.accounts {
                Ok(accounts) => judge(accounts, entries, place),
                Err(unseen) => vec![Line::not_looked_at(unseen.to_string())],
            });
            lines
        }
    }
}

/// Why nobody can tell whether the webhook has `flag`, if so.
fn unknown(observed: &Observed, flag: &str) -> Result<Option<String>, Vec<Line>> {
    let Replicas { seen, unseen } = Replicas::of(observed)?;
    let replica = observed.installation.as_ref().ok().and_then(|found| found.replica());
    let Some((_, Replica { pod, flags, .. })) = replica.filter(|_| !seen.is_empty()) else {
        let nobody = || "no Pod of the webhook is there".to_owned();
        return Ok(Some(unseen.into_iter().next().unwrap_or_else(nobody)));
    };
    let variable = format!("{ENV_PREFIX}{}", flag.to_uppercase().replace('-', "_"));
    let is_unread = flags.origin == Origin::Defaults
        || flags.unread.iter().any(|unread| unread.contains(flag))
        || flags.unknown.iter().any(|name| **name == *variable || **name == *"envFrom");
    Ok(is_unread.then(|| format!("it cannot be read from Pod {pod}")))
}

/// A mapping that no account fits.
fn names_nothing(
    observed: &Observed,
    accounts: &Accounts,
    entry: &Entry<'_>,
    place: &What,
) -> Option<Line> {
    let fits = |(namespace, name): (&str, &str)| entry.fits(namespace, name);
    if !is_within(observed, entry.namespace) || accounts.names().any(fits) {
        return None;
    }
    let name = name(entry);
    let why = match &observed.namespaces {
        _ if entry.namespace.contains('*') || entry.name.contains('*') => {
            "no ServiceAccount fits it".to_owned()
        }
        Ok(namespaces) if !namespaces.contains_key(entry.namespace) => {
            format!("there is no namespace {}", entry.namespace)
        }
        Ok(_) | Err(_) => "there is no such ServiceAccount".to_owned(),
    };
    Some(Line::finding(
        format!("the mapping {name} names nothing: {why}"),
        format!("correct it: {}", edit(place)),
    ))
}

/// Whether a namespace was asked about; patterns reach beyond one.
fn is_within(observed: &Observed, namespace: &str) -> bool {
    observed.within.as_deref().is_none_or(|within| within == namespace)
}

fn name(entry: &Entry<'_>) -> String {
    format!("{}/{}", entry.namespace, entry.name)
}

fn object(place: &What) -> String {
    let namespace = place.namespace.as_deref().unwrap_or_default();
    format!("ConfigMap {namespace}/{}", place.name.as_deref().unwrap_or_default())
}

/// How an object is put right.
pub(super) fn edit(place: &What) -> String {
    let namespace = place.namespace.as_deref().unwrap_or_default();
    format!("kubectl -n {namespace} edit configmap {}", place.name.as_deref().unwrap_or_default())
}
