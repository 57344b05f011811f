//! The documents that the installed webhook takes identities from, as it has them now.
//!
//! The ConfigMap of `--watch-config-map` is read where the webhook reads it; the file of
//! `--watch-container-credentials-config` only if it is a key of a ConfigMap.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};

use super::unseen::{Look, Unseen, What};
use super::{Installation, Mounted};
use crate::accounts::{AccountsError, CONFIG_KEY, CONFIG_MAP, Credentials, EntryError, Mappings};
use crate::cli::ConfigMapSource;

/// The two documents.
#[derive(Debug)]
pub struct Documents {
    /// The mappings.
    pub mappings: Document<Mappings>,
    /// The container-credentials file.
    pub credentials: Document<Credentials>,
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
    /// Reads both.
    pub async fn read(client: &Client, installation: &Installation) -> Self {
        let settings = &installation.flags().settings;
        let mappings = match settings.config_map {
            ConfigMapSource::Ignored => Document::Unused,
            ConfigMapSource::Watched => mappings(client, &settings.namespace).await,
        };
        let credentials = credentials(client, installation).await;
        Self { mappings, credentials }
    }
}

/// The mappings of a webhook in `namespace`.
pub async fn mappings(client: &Client, namespace: &str) -> Document<Mappings> {
    let parse = |text: &str| Mappings::parse(text);
    read(client, namespace, CONFIG_MAP, CONFIG_KEY, parse).await
}

/// The container-credentials file of the installed webhook.
pub async fn credentials(client: &Client, installation: &Installation) -> Document<Credentials> {
    let settings = &installation.flags().settings;
    match (installation.replica(), &settings.credentials_file) {
        (_, None) => Document::Unused,
        (Some((namespace, replica)), Some(_)) => match &replica.credentials {
            Some(Mounted::ConfigMap { name, key }) => {
                let parse = |text: &str| Credentials::parse(text.as_bytes());
                read(client, namespace, name, key, parse).await
            }
            Some(Mounted::Elsewhere) | None => Document::OutOfSight,
        },
        (None, Some(_)) => Document::OutOfSight,
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
