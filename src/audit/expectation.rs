//! What Pods are held against: flags and documents, the installed webhook's or those given here.
//!
//! Nothing is guessed. What cannot be seen of the installed webhook is a note where a default is
//! likely right, and an error where whole sources of identities would be missing.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use kube::Client;

use crate::accounts::{AccountsError, Credentials, EntryError, Mappings};
use crate::cli::{Composition, ConfigMapSource, FlagError, Given, Overlay, Whose};
use crate::identity::RolePolicy;
use crate::installation::{self, Document, Entry, Installation, Origin, Unseen, mappings};
use crate::plan::Settings;
use crate::policy::{self, PolicyError};

/// What Pods are held against.
#[derive(Debug)]
pub struct Expectation {
    /// What the decision is made with.
    pub settings: Settings,
    /// The documents as they are now.
    pub documents: Documents,
    /// The namespace of the ConfigMap of mappings, if there is one to be watched.
    pub config_map: Option<Box<str>>,
    /// The container-credentials file, if it is at hand.
    pub credentials_file: Option<PathBuf>,
    /// The file of the role policy, if it is at hand.
    pub role_policy_file: Option<PathBuf>,
    /// The webhook's entries in its configuration; none if they were not looked at.
    pub entries: Vec<Entry>,
    /// Whether the flags are known.
    pub certainty: Certainty,
    /// What a reader has to know.
    pub notes: Vec<String>,
}

/// Whether flags are those of the webhook.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Certainty {
    /// They were read where it runs, or given.
    Known,
    /// They could not be seen, and are defaults.
    Assumed,
}

/// The documents that give identities besides accounts.
#[derive(Debug, Default)]
pub struct Documents {
    /// The mappings, if the webhook reads any.
    pub mappings: Option<Mappings>,
    /// The container-credentials file, if the webhook reads one.
    pub credentials: Option<Credentials>,
    /// The role policy, if the webhook has one.
    pub role_policy: Option<RolePolicy>,
}

/// Why nothing can be said about Pods.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// Something that everything depends on could not be looked at.
    #[error(transparent)]
    Unseen(#[from] Unseen),
    /// A flag that does not go with those of the webhook.
    #[error(transparent)]
    Flag(#[from] FlagError),
    /// A document of the webhook makes no sense.
    #[error("{0}: put it right first, or nobody knows which Pods have an identity")]
    Document(#[source] AccountsError),
    /// A document of the webhook cannot be had.
    #[error(
        "the webhook's container-credentials file is in no ConfigMap: give a copy of it with \
         --watch-container-credentials-config"
    )]
    OutOfSight,
    /// The role policy of the webhook cannot be had.
    #[error("the webhook's role policy is in no ConfigMap: give a copy of it with --role-policy")]
    PolicyOutOfSight,
    /// The file of `--role-policy`.
    #[error("--role-policy: {0}")]
    RolePolicy(#[source] PolicyError),
    /// The webhook asks the instance metadata service what it completes role names with.
    #[error(
        "the webhook completes role names with what its node tells: give --aws-account-id and \
         --aws-partition"
    )]
    Composes,
    /// The file of `--watch-container-credentials-config`.
    #[error("--watch-container-credentials-config: {} cannot be read", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// What the webhook reads from a mounted ConfigMap, a watch would only have read once.
    #[error(
        "the webhook's container-credentials file is a ConfigMap, which a watch does not follow: \
         mount it here as well, and give it with --watch-container-credentials-config"
    )]
    NotFollowed,
    /// Nobody's Pods are evicted on a guess.
    #[error(
        "the flags of the webhook cannot be seen, and nothing is evicted on a guess: give \
         --flags-from=given with its flags"
    )]
    Assumed,
}

// === impl Expectation ===

impl Expectation {
    /// Finds out what Pods are held against.
    ///
    /// # Errors
    ///
    /// What is missing for anything to be said.
    pub async fn settle(client: &Client, whose: &Whose) -> Result<Self, AuditError> {
        match whose {
            Whose::Given(given) => Self::given(client, given).await,
            Whose::Installed {
                configuration,
                injection,
                config_map,
                namespace,
                credentials_file,
            } => {
                let over = Over {
                    injection,
                    config_map: *config_map,
                    namespace: namespace.as_deref(),
                    credentials_file: credentials_file.as_deref(),
                };
                let installation = installation::find(client, configuration).await?;
                Self::installed(client, installation, over).await
            }
        }
    }

    /// Whether it can be kept up to date by a watch.
    ///
    /// # Errors
    ///
    /// If the container-credentials file is not at hand.
    pub fn is_followed(&self) -> Result<(), AuditError> {
        match (&self.documents.credentials, &self.credentials_file) {
            (Some(_), None) => Err(AuditError::NotFollowed),
            (None | Some(_), _) => Ok(()),
        }
    }

    async fn given(client: &Client, given: &Given) -> Result<Self, AuditError> {
        let Given { injection, config_map, namespace, credentials_file } = given;
        let mut notes = Vec::new();
        let config_map = (*config_map == ConfigMapSource::Watched).then(|| namespace.clone());
        let mappings = match &config_map {
            Some(namespace) => taken(mappings(client, namespace).await, &mut notes)?,
            None => None,
        };
        let credentials = match credentials_file {
            Some(path) => Some(credentials(path, &mut notes)?),
            None => None,
        };
        let role_policy = match &injection.role_policy {
            Some(path) => Some(policy::read(path).map_err(AuditError::RolePolicy)?),
            None => None,
        };
        Ok(Self {
            settings: injection.settings.clone(),
            documents: Documents { mappings, credentials, role_policy },
            config_map,
            credentials_file: credentials_file.clone(),
            role_policy_file: injection.role_policy.clone(),
            entries: Vec::new(),
            certainty: Certainty::Known,
            notes,
        })
    }

    async fn installed(
        client: &Client,
        installation: Installation,
        over: Over<'_>,
    ) -> Result<Self, AuditError> {
        let mut notes = Vec::new();
        let flags = installation.flags();
        let certainty = match flags.origin {
            Origin::Container => Certainty::Known,
            Origin::Defaults => Certainty::Assumed,
        };
        if installation.entries.is_empty() {
            let name = &installation.configuration;
            notes.push(format!(
                "no webhook configuration {name}, nor one that looks like it: nobody injects; see doctor"
            ));
        }
        if certainty == Certainty::Assumed {
            notes.push(
                "the flags of the webhook cannot be seen, their defaults count: give \
                 --flags-from=given with its flags"
                    .to_owned(),
            );
        }
        let unsettled: Vec<_> =
            flags.unread.iter().chain(&flags.unknown).map(AsRef::as_ref).collect();
        if !unsettled.is_empty() {
            let unsettled = unsettled.join(", ");
            notes.push(format!("of the webhook's flags could not be read: {unsettled}"));
        }
        let settings = &flags.settings;
        let injection = over.injection.over(&settings.injection)?;
        if let Composition::Asks(_) = injection.composition {
            return Err(AuditError::Composes);
        }
        let config_map = (over.config_map.unwrap_or(settings.config_map)
            == ConfigMapSource::Watched)
            .then(|| Box::<str>::from(over.namespace.unwrap_or(&settings.namespace)));
        let mappings = match &config_map {
            Some(namespace) => taken(mappings(client, namespace).await, &mut notes)?,
            None => None,
        };
        let credentials = match over.credentials_file {
            Some(path) => Some(credentials(path, &mut notes)?),
            None => taken(installation::credentials(client, &installation).await, &mut notes)?,
        };
        let is_given = injection.role_policy != settings.injection.role_policy;
        let role_policy_file = injection.role_policy.filter(|_| is_given);
        let role_policy = match &role_policy_file {
            Some(path) => Some(policy::read(path).map_err(AuditError::RolePolicy)?),
            None => policy_of(installation::role_policy(client, &installation).await)?,
        };
        Ok(Self {
            settings: injection.settings,
            documents: Documents { mappings, credentials, role_policy },
            config_map,
            credentials_file: over.credentials_file.map(Path::to_owned),
            role_policy_file,
            certainty,
            notes,
            entries: installation.entries,
        })
    }
}

/// Flags that count before those of the installed webhook.
#[derive(Clone, Copy)]
struct Over<'a> {
    injection: &'a Overlay,
    config_map: Option<ConfigMapSource>,
    namespace: Option<&'a str>,
    credentials_file: Option<&'a Path>,
}

/// The role policy of the installed webhook.
fn policy_of(document: Document<RolePolicy>) -> Result<Option<RolePolicy>, AuditError> {
    match document {
        Document::Unused => Ok(None),
        Document::Read { place: _, entries, dropped: _ } => Ok(Some(entries)),
        Document::Bad { place: _, error } => Err(AuditError::Document(error)),
        Document::Unseen(unseen) => Err(unseen.into()),
        Document::Missing { .. } | Document::OutOfSight => Err(AuditError::PolicyOutOfSight),
    }
}

/// A document of the installed webhook.
fn taken<T>(document: Document<T>, notes: &mut Vec<String>) -> Result<Option<T>, AuditError> {
    match document {
        Document::Unused => Ok(None),
        Document::Missing { place } => {
            notes.push(format!("there is no {place}: it gives nobody an identity"));
            Ok(None)
        }
        Document::Read { place: _, entries, dropped } => {
            notes.extend(dropped.iter().map(EntryError::to_string));
            Ok(Some(entries))
        }
        Document::Bad { place: _, error } => Err(AuditError::Document(error)),
        Document::Unseen(unseen) => Err(unseen.into()),
        Document::OutOfSight => Err(AuditError::OutOfSight),
    }
}

fn credentials(path: &Path, notes: &mut Vec<String>) -> Result<Credentials, AuditError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        // As it is to the webhook.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            notes.push(format!("there is no {}: it gives nobody an identity", path.display()));
            Vec::new()
        }
        Err(source) => return Err(AuditError::File { path: path.to_owned(), source }),
    };
    let (credentials, dropped) = Credentials::parse(&bytes).map_err(AuditError::Document)?;
    notes.extend(dropped.iter().map(EntryError::to_string));
    Ok(credentials)
}
