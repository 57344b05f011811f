//! The webhook configuration: which of its entries are ours, and their `caBundle`.
//!
//! An entry is ours if its `clientConfig` names our Service, or the URL of `--webhook-url`. No
//! other entry and no other field is ever written.

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhook, MutatingWebhookConfiguration, WebhookClientConfig,
};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use super::FIELD_MANAGER;
use super::error::KeeperError;
use super::object::Object;
use crate::authority::{Bundle, Configuration};

/// Which entries of which configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    /// The name of the `MutatingWebhookConfiguration`.
    pub configuration: Box<str>,
    /// The name of our Service.
    pub service: Box<str>,
    /// Its namespace.
    pub namespace: Box<str>,
    /// A URL of ours.
    pub url: Option<Box<str>>,
}

/// An entry of ours.
#[derive(Clone, Debug)]
pub struct Entry {
    index: usize,
    /// Its name.
    pub name: String,
    /// For which name API servers want its certificate.
    pub host: String,
    /// Its `caBundle`.
    pub bundle: Bundle,
}

/// A configuration that was read.
#[derive(Clone, Debug)]
pub struct Entries {
    /// The entries that are ours.
    pub entries: Vec<Entry>,
    /// What guards a write.
    pub resource_version: String,
}

// === impl Target ===

impl Target {
    /// The object, for messages.
    pub fn object(&self) -> Object {
        Object {
            kind: "MutatingWebhookConfiguration",
            resource: "mutatingwebhookconfigurations",
            namespace: None,
            name: self.configuration.clone(),
        }
    }

    /// Reads it from storage.
    pub async fn read(&self, client: &Client) -> Result<Option<Entries>, KeeperError> {
        let api = Self::api(client);
        let found = self.object().ask("get", api.get_opt(&self.configuration)).await?;
        Ok(found.as_ref().map(|found| self.entries(found)))
    }

    /// Sets the `caBundle` of our entries, if the configuration is still what was read.
    pub(super) async fn publish(
        &self,
        client: &Client,
        entries: &[Entry],
        bundle: &Bundle,
        resource_version: &str,
    ) -> Result<(), KeeperError> {
        let guard = json!({
            "op": "replace", "path": "/metadata/resourceVersion", "value": resource_version,
        });
        let ca_bundle = k8s_openapi::ByteString(bundle.bytes().to_vec());
        let operations = entries.iter().map(|entry| {
            let path = format!("/webhooks/{}/clientConfig/caBundle", entry.index);
            json!({ "op": "add", "path": path, "value": ca_bundle })
        });
        let patch: Result<json_patch::Patch, _> =
            serde_json::from_value([guard].into_iter().chain(operations).collect());
        let object = self.object();
        let patch = patch.map_err(|error| {
            KeeperError::of("patch", object.clone(), &kube::Error::SerdeError(error))
        })?;
        let params =
            PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let api = Self::api(client);
        let patch = Patch::<()>::Json(patch);
        self.object().ask("patch", api.patch(&self.configuration, &params, &patch)).await?;
        Ok(())
    }

    pub(super) fn entries(&self, found: &MutatingWebhookConfiguration) -> Entries {
        let webhooks = found.webhooks.as_deref().unwrap_or_default();
        let ours = |(_, webhook): &(usize, &MutatingWebhook)| self.is_ours(&webhook.client_config);
        let entry = |(index, webhook): (usize, &MutatingWebhook)| {
            let bundle = webhook.client_config.ca_bundle.as_ref();
            Entry {
                index,
                name: webhook.name.clone(),
                host: self.host(&webhook.client_config),
                bundle: Bundle::read(bundle.map_or(&[], |bundle| &bundle.0)),
            }
        };
        Entries {
            entries: webhooks.iter().enumerate().filter(ours).map(entry).collect(),
            resource_version: found.metadata.resource_version.clone().unwrap_or_default(),
        }
    }

    pub(super) fn api(client: &Client) -> Api<MutatingWebhookConfiguration> {
        Api::all(client.clone())
    }

    fn host(&self, client_config: &WebhookClientConfig) -> String {
        let url = client_config.url.as_ref().and_then(|url| url.parse::<http::Uri>().ok());
        let host = url.as_ref().and_then(http::Uri::host);
        host.map_or_else(
            || format!("{}.{}.svc", self.service, self.namespace),
            |host| host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        )
    }

    fn is_ours(&self, client_config: &WebhookClientConfig) -> bool {
        let by_service = client_config.service.as_ref().is_some_and(|service| {
            *service.name == *self.service && *service.namespace == *self.namespace
        });
        by_service || (self.url.is_some() && client_config.url.as_deref() == self.url.as_deref())
    }
}

// === impl Entries ===

impl Entries {
    /// As the pure part takes it.
    pub(super) fn configuration(&self) -> Configuration {
        Configuration::Present {
            bundles: self.entries.iter().map(|entry| entry.bundle.clone()).collect(),
            resource_version: self.resource_version.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Target {
        Target {
            configuration: "pod-identity-webhook".into(),
            service: "pod-identity-webhook".into(),
            namespace: "eks".into(),
            url: Some("https://webhook.example/mutate".into()),
        }
    }

    #[test]
    fn an_entry_is_ours_by_service_and_namespace_or_by_url_and_no_other_is() {
        let service = |name: &str, namespace: &str| json!({ "service": { "name": name, "namespace": namespace } });
        let webhooks: Vec<_> = [
            service("pod-identity-webhook", "eks"),
            service("pod-identity-webhook", "other"),
            service("other", "eks"),
            json!({ "url": "https://webhook.example/mutate" }),
            json!({ "url": "https://webhook.example/mutate/" }),
        ]
        .into_iter()
        .map(|config| {
            json!({
                "name": "w", "clientConfig": config,
                "sideEffects": "None", "admissionReviewVersions": [],
            })
        })
        .collect();
        let found = serde_json::from_value(json!({ "webhooks": webhooks })).unwrap();
        let indexes = |target: &Target| {
            target.entries(&found).entries.iter().map(|entry| entry.index).collect::<Vec<_>>()
        };
        assert_eq!(indexes(&target()), [0, 3]);
        assert_eq!(indexes(&Target { url: None, ..target() }), [0]);
    }
}
