//! What is known about the accounts of a cluster, listed once: what the decision takes, and no more.
//!
//! An account whose annotations say nothing to the webhook is not kept: to the decision it is the
//! same as one that is not there.

use std::collections::HashMap;

use kube::Client;

use super::lists::List;
use super::object::Metadata;
use super::{Documents, Scope};
use crate::identity::{Annotations, Guard, Knowledge, Listed, Sources};
use crate::installation::Look;

/// The accounts, and the documents that give identities besides.
#[derive(Debug)]
pub(super) struct Known {
    /// By namespace, then by name.
    accounts: HashMap<Box<str>, HashMap<Box<str>, Annotations>>,
    documents: Documents,
}

// === impl Known ===

impl Known {
    /// Lists the accounts of `scope`.
    pub(super) async fn list(
        client: &Client,
        scope: &Scope,
        prefix: &str,
        documents: Documents,
    ) -> Look<Self> {
        let mut known = Self { accounts: HashMap::new(), documents };
        let list = List::new(scope.what("serviceaccounts"), scope.url("serviceaccounts"));
        list.metadata()
            .each(client, |page| {
                page.objects().for_each(|object| known.take(prefix, Metadata::read(object)));
            })
            .await?;
        Ok(known)
    }

    fn take(&mut self, prefix: &str, object: Metadata<'_>) {
        let Metadata { namespace: Some(namespace), name: Some(name), annotations, .. } = object
        else {
            return;
        };
        let annotations = annotations.unwrap_or_default();
        let annotations = Annotations::read(prefix, annotations.iter());
        if annotations != Annotations::default() {
            let of_namespace = self.accounts.entry(namespace.as_ref().into()).or_default();
            of_namespace.insert(name.as_ref().into(), annotations);
        }
    }

    /// What the decision takes.
    pub(super) fn sources<'a>(&'a self, namespace: &'a str, name: &str) -> Sources<'a> {
        let Documents { mappings, credentials, role_policy } = &self.documents;
        let account = self.accounts.get(namespace).and_then(|names| names.get(name));
        Sources {
            credentials_file: credentials
                .as_ref()
                .map_or(Listed::No, |credentials| credentials.listed(namespace, name)),
            account: account.map_or(Knowledge::Absent, Knowledge::Known),
            mapping: mappings
                .as_ref()
                .and_then(|mappings| mappings.find(namespace, name))
                .map(AsRef::as_ref),
            guard: role_policy.as_ref().map(|policy| Guard { policy, namespace }),
        }
    }
}
