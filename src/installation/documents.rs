//! The documents that the installed webhook takes identities from and judges roles by, as they are
//! now.
//!
//! The ConfigMap of `--watch-config-map` is read where the webhook reads it; the files of
//! `--watch-container-credentials-config` and `--role-policy` only if they are keys of a ConfigMap.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};

use super::unseen::{Look, Unseen, What};
use super::{Installation, Mounted};
use crate::accounts::{AccountsError, CONFIG_KEY, CONFIG_MAP, Credentials, EntryError, Mappings};
use crate::cli::ConfigMapSource;
use crate::identity::RolePolicy;
use crate::policy;

/// The documents.
#[derive(Debug)]
pub struct Documents {
    /// The mappings.
    pub mappings: Document<Mappings>,
    /// The container-credentials file.
    pub credentials: Document<Credentials>,
    /// The role policy.
    pub role_policy: Document<RolePolicy>,
}

/// A document.
#[derive(Debug)]
pub enum Document<T> {
    /// The webhook does not read one.
    Unused,
    /// There is none: it has no entries.
    Missing {
        /// Where it should be.
        place: What,
    },
    /// This.
    Read {
        /// Where it stands.
        place: What,
        /// The entries that count.
        entries: T,
        /// Entries that do not.
        dropped: Vec<EntryError>,
    },
    /// It makes no sense; a webhook that runs keeps the last good one.
    Bad {
        /// Where it stands.
        place: What,
        /// What is wrong.
        error: AccountsError,
    },
    /// It cannot be looked at.
    Unseen(Unseen),
    /// It is a file that nothing in the cluster shows.
    OutOfSight,
}

impl Documents {
    /// A webhook that reads none.
    pub const NONE: Self = Self {
        mappings: Document::Unused,
        credentials: Document::Unused,
        role_policy: Document::Unused,
    };

    /// Reads all.
    pub async fn read(client: &Client, installation: &Installation) -> Self {
        let settings = &installation.flags().settings;
        let mappings = match settings.config_map {
            ConfigMapSource::Ignored => Document::Unused,
            ConfigMapSource::Watched => mappings(client, &settings.namespace).await,
        };
        let credentials = match (installation.replica(), &settings.credentials_file) {
            (_, None) => Document::Unused,
            (Some((namespace, replica)), Some(_)) => match &replica.credentials {
                Some(Mounted::ConfigMap { name, key }) => {
                    let parse = |text: &str| Credentials::parse(text.as_bytes());
                    read(client, namespace, name, key, parse).await
                }
                Some(Mounted::Elsewhere) | None => Document::OutOfSight,
            },
            (None, Some(_)) => Document::OutOfSight,
        };
        let role_policy = match (installation.replica(), &settings.injection.role_policy) {
            (_, None) => Document::Unused,
            (Some((namespace, replica)), Some(_)) => match &replica.role_policy {
                Some(Mounted::ConfigMap { name, key }) => {
                    let place = format!("the key {key} of the ConfigMap {namespace}/{name}");
                    let parse = |text: &str| Ok((policy::parse(&place, text)?, Vec::new()));
                    read(client, namespace, name, key, parse).await
                }
                Some(Mounted::Elsewhere) | None => Document::OutOfSight,
            },
            (None, Some(_)) => Document::OutOfSight,
        };
        Self { mappings, credentials, role_policy }
    }
}

/// The mappings of a webhook in `namespace`.
pub async fn mappings(client: &Client, namespace: &str) -> Document<Mappings> {
    let parse = |text: &str| Mappings::parse(text);
    read(client, namespace, CONFIG_MAP, CONFIG_KEY, parse).await
}

impl<T> Document<T> {
    /// The entries that count, as far as they can be seen.
    pub fn entries(&self) -> Option<&T> {
        match self {
            Self::Read { entries, .. } => Some(entries),
            Self::Unused
            | Self::Missing { .. }
            | Self::Bad { .. }
            | Self::Unseen(_)
            | Self::OutOfSight => None,
        }
    }
}

async fn read<T>(
    client: &Client,
    namespace: &str,
    name: &str,
    key: &str,
    parse: impl Fn(&str) -> Result<(T, Vec<EntryError>), AccountsError>,
) -> Document<T> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let place = What::within("configmaps", namespace).named(name);
    let found: Look<_> = place.clone().ask("get", api.get_opt(name)).await;
    let text = match found {
        Err(unseen) => return Document::Unseen(unseen),
        Ok(found) => found.and_then(|map| map.data).and_then(|mut data| data.remove(key)),
    };
    match text.as_deref().map(parse) {
        None => Document::Missing { place },
        Some(Ok((entries, dropped))) => Document::Read { place, entries, dropped },
        Some(Err(error)) => Document::Bad { place, error },
    }
}
