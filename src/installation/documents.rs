//! The documents that the installed webhook takes identities from and judges roles by, as they are
//! now.
//!
//! The ConfigMap of `--watch-config-map` is read where the webhook reads it; the files of
//! `--watch-container-credentials-config` and `--role-policy` only if they are keys of a ConfigMap.

use std::path::Path;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};

use super::unseen::{Look, Unseen, What};
use super::{Installation, Mounted, Replica};
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
        let credentials = credentials(client, installation).await;
        let role_policy = role_policy(client, installation).await;
        Self { mappings, credentials, role_policy }
    }
}

/// The mappings of a webhook in `namespace`.
pub async fn mappings(client: &Client, namespace: &str) -> Document<Mappings> {
    let parse = |text: &str| Mappings::parse(text);
    read(client, namespace, CONFIG_MAP, CONFIG_KEY, parse).await
}

/// The container-credentials file of the installed webhook.
pub async fn credentials(client: &Client, installation: &Installation) -> Document<Credentials> {
    let file = installation.flags().settings.credentials_file.as_deref();
    let mounted = |replica: &Replica| replica.credentials.clone();
    mounted_file(client, installation, file, mounted, |_, text| Credentials::parse(text.as_bytes()))
        .await
}

/// The role policy of the installed webhook.
pub async fn role_policy(client: &Client, installation: &Installation) -> Document<RolePolicy> {
    let file = installation.flags().settings.injection.role_policy.as_deref();
    let mounted = |replica: &Replica| replica.role_policy.clone();
    mounted_file(client, installation, file, mounted, |place, text| {
        Ok((policy::parse(place, text)?, Vec::new()))
    })
    .await
}

/// What a file of the webhook says, if it is the key of a ConfigMap; `parse` gets its place and its
/// text.
async fn mounted_file<T>(
    client: &Client,
    installation: &Installation,
    file: Option<&Path>,
    mounted: impl Fn(&Replica) -> Option<Mounted>,
    parse: impl Fn(&str, &str) -> Result<(T, Vec<EntryError>), AccountsError>,
) -> Document<T> {
    let mounted = installation
        .replica()
        .and_then(|(namespace, replica)| mounted(replica).map(|mounted| (namespace, mounted)));
    match (file, mounted) {
        (None, _) => Document::Unused,
        (Some(_), Some((namespace, Mounted::ConfigMap { name, key }))) => {
            let place = format!("the key {key} of the ConfigMap {namespace}/{name}");
            read(client, namespace, &name, &key, |text| parse(&place, text)).await
        }
        (Some(_), Some((_, Mounted::Elsewhere)) | None) => Document::OutOfSight,
    }
}

impl<T> Document<T> {
    /// What keeps the entries of `document`, as it is called, from being seen, if anything does.
    pub fn unseen(&self, document: &str) -> Option<String> {
        match self {
            Self::Unused | Self::Missing { .. } | Self::Read { .. } => None,
            // The webhook keeps the last good one.
            Self::Bad { error, .. } => Some(format!("{document}: {error}")),
            Self::Unseen(unseen) => Some(format!("{document}: {unseen}")),
            Self::OutOfSight => Some(format!("{document}: it is no key of a ConfigMap")),
        }
    }

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
