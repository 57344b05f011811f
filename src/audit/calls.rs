//! For which Pods the webhook is called, as far as its configuration tells.
//!
//! A Pod for which it is not called lacks its identity however often it is made anew. Where the
//! configuration or the labels of namespaces cannot be seen, every Pod counts as one that it is
//! called for.

use std::collections::HashMap;

use kube::Client;

use super::Scope;
use super::finding::Missed;
use super::lists::List;
use super::object::Metadata;
use crate::installation::{Entry, Labels, Look, Reach, What};
use crate::pod::{Pod, Texts};

/// The entries of the webhook, and the labels that they select by.
#[derive(Debug, Default)]
pub(super) struct Calls {
    entries: Vec<Entry>,
    namespaces: HashMap<Box<str>, Labels>,
}

// === impl Calls ===

impl Calls {
    /// Looks at the labels of the namespaces of `scope`.
    pub(super) async fn look(client: &Client, scope: &Scope, entries: Vec<Entry>) -> Look<Self> {
        let mut calls = Self { entries, namespaces: HashMap::new() };
        if calls.entries.is_empty() {
            return Ok(calls);
        }
        let list = List::new(What::all("namespaces"), "/api/v1/namespaces".to_owned()).metadata();
        let list = match scope {
            Scope::All => list,
            Scope::Namespace(name) => list.fields(&format!("metadata.name={name}")),
        };
        list.each(client, |page| {
            for object in page.objects() {
                let Metadata { name: Some(name), labels, .. } = Metadata::read(object) else {
                    continue;
                };
                let labels = labels.unwrap_or_default();
                calls.namespaces.insert(name.as_ref().into(), owned(labels.iter()));
            }
        })
        .await?;
        Ok(calls)
    }

    /// What leaves `pod` out, if every entry does.
    pub(super) fn miss(&self, namespace: &str, pod: &Pod<'_>) -> Option<Missed> {
        let namespace = self.namespaces.get(namespace)?;
        let labels = pod.metadata.as_ref().and_then(|metadata| metadata.labels.as_ref());
        let labels = owned(labels.into_iter().flat_map(Texts::iter));
        let reach = self.entries.iter().map(|entry| match entry.reach(namespace, &labels) {
            Reach::Called => None,
            Reach::NotByLabels => Some(Missed::Labels),
            Reach::NotByNamespace => Some(Missed::Namespace),
            Reach::NotByRules => Some(Missed::Rules),
        });
        // Called by one is called; else the entry that came nearest tells.
        reach.min_by_key(|missed| match missed {
            None => 0,
            Some(Missed::Labels) => 1,
            Some(Missed::Namespace) => 2,
            Some(Missed::Rules) => 3,
        })?
    }
}

fn owned<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> Labels {
    labels.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}
