//! The Secret: read whole, written by our keys alone.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Map, Value, json};
use zeroize::Zeroize;

use super::FIELD_MANAGER;
use super::error::KeeperError;
use super::object::Object;
use crate::authority::{KEYS, Ledger, Secret};

/// Which Secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SecretRef {
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
}

// === impl SecretRef ===

impl SecretRef {
    /// The object, for messages.
    pub fn object(&self) -> Object {
        Object {
            kind: "Secret",
            resource: "secrets",
            namespace: Some(self.namespace.clone()),
            name: self.name.clone(),
        }
    }

    /// Reads it from storage.
    pub async fn read(&self, client: &Client) -> Result<Secret, KeeperError> {
        let api = self.api(client);
        let found = self.object().ask("get", api.get_opt(&self.name)).await?;
        let Some(found) = found else { return Ok(Secret::Missing) };
        let resource_version = found.metadata.resource_version.unwrap_or_default();
        let mut data: BTreeMap<String, Vec<u8>> =
            found.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect();
        let secret = Secret::read(&data, resource_version);
        data.values_mut().for_each(Zeroize::zeroize);
        Ok(secret)
    }

    /// Creates it.
    pub(super) async fn create(&self, client: &Client, ledger: &Ledger) -> Result<(), KeeperError> {
        let data = ledger.write(&BTreeMap::new());
        let secret = KubeSecret {
            metadata: ObjectMeta {
                name: Some(self.name.clone().into()),
                namespace: Some(self.namespace.clone().into()),
                ..ObjectMeta::default()
            },
            data: Some(data.into_iter().map(|(key, value)| (key, ByteString(value))).collect()),
            type_: Some("Opaque".to_owned()),
            ..KubeSecret::default()
        };
        let params =
            PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let api = self.api(client);
        self.object().ask("create", api.create(&params, &secret)).await?;
        Ok(())
    }

    /// Replaces our keys, if it is still what was read; all else stays.
    pub(super) async fn write(
        &self,
        client: &Client,
        ledger: &Ledger,
        resource_version: &str,
    ) -> Result<(), KeeperError> {
        let mut written = ledger.write(&BTreeMap::new());
        let data: Map<String, Value> = KEYS
            .iter()
            .map(|key| {
                // A merge patch removes a key by null.
                let value = written.remove(*key).map_or(Value::Null, |value| {
                    serde_json::to_value(ByteString(value)).unwrap_or(Value::Null)
                });
                ((*key).to_owned(), value)
            })
            .collect();
        let patch = json!({ "metadata": { "resourceVersion": resource_version }, "data": data });
        let params =
            PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let api = self.api(client);
        self.object().ask("patch", api.patch(&self.name, &params, &Patch::Merge(patch))).await?;
        Ok(())
    }

    pub(super) fn api(&self, client: &Client) -> Api<KubeSecret> {
        Api::namespaced(client.clone(), &self.namespace)
    }
}
