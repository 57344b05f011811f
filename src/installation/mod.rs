//! What is installed in a cluster: who calls a webhook of this kind, what answers, with which flags.
//!
//! ```text
//! MutatingWebhookConfigurations --> Entry --> Service --> EndpointSlices
//!                                                |
//!                                                +--> Pods --> Replica: software, flags, documents
//! ```
//!
//! Observes and never judges or writes. What could not be looked at is [`Unseen`], which is not the
//! same as something that is not there. `explain`, `doctor` and `audit` begin here.

mod backend;
mod documents;
mod entry;
mod flags;
mod replica;
mod unseen;

use std::collections::BTreeSet;

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::api::ListParams;
use kube::{Api, Client};

pub use backend::{Backend, Endpoint, Port, Readiness, Service};
pub use documents::{Document, Documents, credentials, mappings, role_policy};
pub use entry::{CalledFor, EKS_ENTRY, Entry, FailurePolicy, Labels, Place, Reach, Reinvocation};
pub use flags::{Flags, Origin};
pub use replica::{Mounted, Replica, Software};
pub use unseen::{Look, Unseen, What, Why};

const CONFIGURATIONS: &str = "mutatingwebhookconfigurations";

/// What is installed.
#[derive(Clone, Debug)]
pub struct Installation {
    /// The name that was looked for.
    pub configuration: Box<str>,
    /// How the entries were found.
    pub found: Found,
    /// The entries that call a webhook of this kind for Pods: those of the configuration that was
    /// looked for, or if there is none of that name, all that look like it.
    pub entries: Vec<Entry>,
    /// Entries of other configurations that look as if they call a webhook of this kind, too.
    pub similar: Vec<Entry>,
    /// All other entries that are called for Pods.
    pub others: Vec<Entry>,
    /// What stands behind the Services of `entries`.
    pub backends: Vec<Backend>,
    flags: Flags,
}

/// How entries were found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Found {
    /// There is a configuration of that name, and all configurations could be listed.
    ByName,
    /// There is a configuration of that name; no others could be listed.
    ByNameAlone,
    /// There is none of that name: by what entries look like.
    ByLook,
}

/// Looks for the configuration `name`, and at what stands behind it.
///
/// # Errors
///
/// If the configurations cannot be read; everything else that cannot be looked at is part of the
/// answer.
pub async fn find(client: &Client, name: &str) -> Look<Installation> {
    let (found, configurations) = configurations(client, name).await?;
    let installation = Installation::new(name, found, configurations);
    let services: BTreeSet<_> =
        installation.entries.iter().filter_map(|entry| entry.place.service()).collect();
    let look = services.iter().map(|(namespace, name)| Backend::look(client, namespace, name));
    let backends = futures::future::join_all(look).await;
    Ok(installation.with(backends))
}

/// All configurations, or if that is not allowed the one of that name.
async fn configurations(
    client: &Client,
    name: &str,
) -> Look<(Found, Vec<MutatingWebhookConfiguration>)> {
    let api: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let all = What::all(CONFIGURATIONS).ask("list", api.list(&ListParams::default())).await;
    match all {
        Ok(list) => Ok((Found::ByName, list.items)),
        Err(unseen @ Unseen { why: Why::Forbidden, .. }) => {
            let found = What::all(CONFIGURATIONS).named(name).ask("get", api.get_opt(name)).await?;
            // Without it, one of another name may be there, which nobody may look for.
            let found = found.ok_or(unseen)?;
            Ok((Found::ByNameAlone, vec![found]))
        }
        Err(unseen) => Err(unseen),
    }
}

/// The replica that speaks for all: the first that is ready, else the first.
fn replica(backends: &[Backend]) -> Option<(&str, &Replica)> {
    replicas(backends)
        .find(|(_, replica)| replica.readiness == Readiness::Ready)
        .or_else(|| replicas(backends).next())
}

fn replicas(backends: &[Backend]) -> impl Iterator<Item = (&str, &Replica)> {
    backends.iter().flat_map(|backend| {
        let replicas = backend.replicas.as_deref().unwrap_or_default();
        replicas.iter().map(|replica| (&*backend.namespace, replica))
    })
}

// === impl Installation ===

impl Installation {
    /// What these configurations say, looked at for the one called `name`; nothing is known of
    /// what stands behind them.
    pub fn new(
        name: &str,
        found: Found,
        configurations: Vec<MutatingWebhookConfiguration>,
    ) -> Self {
        let named = |configuration: &MutatingWebhookConfiguration| {
            configuration.metadata.name.as_deref() == Some(name)
        };
        let found = if configurations.iter().any(named) { found } else { Found::ByLook };
        let (mut entries, mut similar, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for configuration in configurations {
            let of = configuration.metadata.name.unwrap_or_default();
            for webhook in configuration.webhooks.unwrap_or_default() {
                let entry = Entry::read(&of, webhook);
                let is_named = of == name && entry.called_for != CalledFor::NoPods;
                match (is_named, entry.looks_like_ours(), found) {
                    (true, _, _) | (false, true, Found::ByLook) => entries.push(entry),
                    (false, true, _) => similar.push(entry),
                    (false, false, _) if entry.called_for == CalledFor::NoPods => {}
                    (false, false, _) => others.push(entry),
                }
            }
        }
        Installation {
            configuration: name.into(),
            found,
            entries,
            similar,
            others,
            backends: Vec::new(),
            flags: Flags::defaults(),
        }
    }

    /// The same with what stands behind its Services.
    #[must_use]
    pub fn with(self, backends: Vec<Backend>) -> Self {
        let flags = replica(&backends).map(|(_, replica)| replica.flags.clone());
        Self { flags: flags.unwrap_or_else(Flags::defaults), backends, ..self }
    }

    /// What stands behind the Service of an entry; `None` for a URL.
    pub fn backend(&self, entry: &Entry) -> Option<&Backend> {
        let (namespace, name) = entry.place.service()?;
        self.backends
            .iter()
            .find(|backend| *backend.namespace == *namespace && *backend.name == *name)
    }

    /// All replicas that could be seen, each with its namespace.
    pub fn replicas(&self) -> impl Iterator<Item = (&str, &Replica)> {
        replicas(&self.backends)
    }

    /// The replica that speaks for all, with its namespace: the first that is ready, else the first.
    pub fn replica(&self) -> Option<(&str, &Replica)> {
        replica(&self.backends)
    }

    /// The flags of that replica; all are defaults if none can be seen.
    pub fn flags(&self) -> &Flags {
        &self.flags
    }

    /// The entries that are called for a Pod with the labels `pod` in a namespace with the labels
    /// `namespace`.
    pub fn calling(&self, namespace: &Labels, pod: &Labels) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.reach(namespace, pod) == Reach::Called)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn configuration(name: &str, entries: &[(&str, &str)]) -> MutatingWebhookConfiguration {
        let entry = |(name, resource): &(&str, &str)| -> Value {
            json!({
                "name": name, "sideEffects": "None", "admissionReviewVersions": ["v1"],
                "clientConfig": { "url": "https://127.0.0.1/mutate" },
                "rules": [{ "apiGroups": [""], "apiVersions": ["v1"],
                            "operations": ["CREATE"], "resources": [resource] }],
            })
        };
        let webhooks: Vec<_> = entries.iter().map(entry).collect();
        serde_json::from_value(json!({ "metadata": { "name": name }, "webhooks": webhooks }))
            .unwrap()
    }

    fn names(entries: &[Entry]) -> Vec<&str> {
        entries.iter().map(|entry| &*entry.name).collect()
    }

    #[test]
    fn the_configuration_of_that_name_counts_and_without_it_what_looks_like_it() {
        let all = || {
            vec![
                configuration("ours", &[("a.example", "pods"), ("b.example", "services")]),
                configuration("go", &[("pod-identity-webhook.amazonaws.com", "pods")]),
                configuration("mesh", &[("injector.example", "pods"), ("x.example", "jobs")]),
            ]
        };
        let named = Installation::new("ours", Found::ByName, all());
        assert_eq!((named.found, names(&named.entries)), (Found::ByName, vec!["a.example"]));
        assert_eq!(names(&named.similar), ["pod-identity-webhook.amazonaws.com"]);
        assert_eq!(names(&named.others), ["injector.example"]);

        let nowhere = Installation::new("nowhere", Found::ByName, all());
        assert_eq!(nowhere.found, Found::ByLook);
        assert_eq!(names(&nowhere.entries), ["pod-identity-webhook.amazonaws.com"]);
        assert_eq!(names(&nowhere.others), ["a.example", "injector.example"]);
        assert!(nowhere.similar.is_empty());
    }
}
