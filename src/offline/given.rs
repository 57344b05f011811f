//! What the inputs say about identities: ServiceAccounts, the mappings ConfigMap, the
//! container-credentials file. The counterpart of `accounts` in a cluster.
//!
//! An account that was not given is not known, so a mapping does not count for it: it may carry a
//! role of its own. `default` is the exception; it exists everywhere and is rarely written down.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::accounts::{
    AccountsError, CONFIG_KEY, CONFIG_MAP, Credentials, Document as Source, EntryError, Mappings,
};
use crate::documents::{Object, Stream};
use crate::identity::{Annotations, Guard, Knowledge, RolePolicy, Sources};
use crate::policy;

use super::{OfflineError, Place, workload};
use crate::sentence::escaped;

/// The account that Kubernetes makes in every namespace.
const DEFAULT_ACCOUNT: &str = "default";

/// Why an account that was not given is not known.
const NOT_GIVEN: &str = "the ServiceAccount is not among the documents";

/// Everything that was given about accounts.
#[derive(Debug, Default)]
pub struct Given {
    /// By namespace, then by name.
    accounts: HashMap<Box<str>, HashMap<Box<str>, Annotations>>,
    of_default: Annotations,
    mappings: Mappings,
    mapped_by: Option<Place>,
    unmapped: Vec<EntryError>,
    credentials: Credentials,
    listed_by: Option<Box<str>>,
    role_policy: Option<(RolePolicy, Box<str>)>,
    notes: Vec<String>,
}

/// Whether an account was given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Presence {
    /// It is among the documents, or is one that always exists.
    Given,
    /// It is not.
    NotGiven,
}

// === impl Given ===

impl Given {
    /// Collects what all `streams` and the container-credentials file say: of annotations, those
    /// with `prefix`; of documents that name no namespace, as if they named `default_namespace`. The
    /// role policy is read as well.
    ///
    /// # Errors
    ///
    /// The first document that cannot be used.
    pub fn collect(
        streams: &[Stream],
        prefix: &str,
        default_namespace: &str,
        credentials_file: Option<&Path>,
        role_policy: Option<&Path>,
    ) -> Result<Self, OfflineError> {
        let mut given = Self::default();
        for document in streams.iter().flat_map(Stream::documents) {
            for object in document.objects() {
                let namespace = workload::namespace(&object, default_namespace);
                let name = workload::name(&object).unwrap_or_default();
                match (object.kind, object.api_version) {
                    (Some("ServiceAccount"), Some("v1") | None) if !name.is_empty() => {
                        let place = Place::of(document);
                        let annotations = annotations(&object, prefix, &place, namespace, name)?;
                        given.account(&place, namespace, name, annotations);
                    }
                    (Some("ConfigMap"), Some("v1") | None) if name == CONFIG_MAP => {
                        let place = Place::of(document);
                        let Some(config) = config(&object, &place)? else { continue };
                        if let Some(first) = given.mapped_by {
                            return Err(OfflineError::SeveralMappings { first, second: place });
                        }
                        given.map(&place, config)?;
                        given.mapped_by = Some(place);
                    }
                    _ => {}
                }
            }
        }
        if let Some(path) = credentials_file {
            given.list(path)?;
        }
        if let Some(path) = role_policy {
            let policy = policy::read(path).map_err(OfflineError::RolePolicy)?;
            given.role_policy = Some((policy, path.to_string_lossy().into()));
        }
        Ok(given)
    }

    /// What is known about an account, and whether that is because it was given.
    pub fn sources<'a>(&'a self, namespace: &'a str, name: &str) -> (Sources<'a>, Presence) {
        let given = self.accounts.get(namespace).and_then(|names| names.get(name));
        let (account, presence) = match given {
            Some(annotations) => (Knowledge::Known(annotations), Presence::Given),
            None if name == DEFAULT_ACCOUNT => {
                (Knowledge::Known(&self.of_default), Presence::Given)
            }
            None => (Knowledge::Unknown(NOT_GIVEN), Presence::NotGiven),
        };
        let sources = Sources {
            credentials_file: self.credentials.listed(namespace, name),
            account,
            mapping: self.mappings.find(namespace, name).map(AsRef::as_ref),
            guard: self.guard(namespace).map(|(guard, _)| guard),
        };
        (sources, presence)
    }

    /// The mappings and where they stand, if there are any.
    pub fn mappings(&self) -> Option<(&Mappings, &Place)> {
        self.mapped_by.as_ref().map(|place| (&self.mappings, place))
    }

    /// Why the mapping under exactly this key was dropped, if it was.
    pub fn unmapped(&self, key: &str) -> Option<&'static str> {
        self.unmapped.iter().find(|entry| entry.entry() == key).map(EntryError::reason)
    }

    /// The file that lists accounts, if there is one.
    pub fn credentials_file(&self) -> Option<&str> {
        self.listed_by.as_deref()
    }

    /// The role policy for a namespace and the file that it stands in, if there is one.
    pub fn guard<'a>(&'a self, namespace: &'a str) -> Option<(Guard<'a>, &'a str)> {
        let (policy, file) = self.role_policy.as_ref()?;
        Some((Guard { policy, namespace }, file))
    }

    /// What a person should know about the inputs themselves.
    pub fn notes(&self) -> impl Iterator<Item = &str> {
        self.notes.iter().map(String::as_str)
    }

    fn account(&mut self, place: &Place, namespace: &str, name: &str, read: Annotations) {
        match self.accounts.entry(namespace.into()).or_default().entry(name.into()) {
            Entry::Vacant(entry) => {
                entry.insert(read);
            }
            Entry::Occupied(mut entry) => {
                if *entry.get() != read {
                    // As it would be after `kubectl apply`.
                    self.notes.push(format!(
                        "{place}: serviceaccount {}/{} is given again with other annotations; the last one counts",
                        escaped(namespace),
                        escaped(name)
                    ));
                }
                entry.insert(read);
            }
        }
    }

    fn map(&mut self, place: &Place, config: &str) -> Result<(), OfflineError> {
        let (mappings, dropped) = Mappings::parse(config)
            .map_err(|source| OfflineError::Mappings { place: place.clone(), source })?;
        self.mappings = mappings;
        self.note_dropped(place, &dropped);
        self.unmapped = dropped;
        Ok(())
    }

    fn list(&mut self, path: &Path) -> Result<(), OfflineError> {
        let name = path.to_string_lossy();
        let bytes = fs::read(path)
            .map_err(|source| OfflineError::Read { name: name.as_ref().into(), source })?;
        let (credentials, dropped) = Credentials::parse(&bytes)
            .map_err(|source| OfflineError::Credentials { path: path.into(), source })?;
        self.credentials = credentials;
        self.listed_by = Some(name.as_ref().into());
        self.note_dropped(&name, &dropped);
        Ok(())
    }

    fn note_dropped(&mut self, whence: &impl std::fmt::Display, dropped: &[EntryError]) {
        self.notes.extend(dropped.iter().map(|entry| format!("{whence}: {entry}")));
    }
}

/// What the annotations of a ServiceAccount say.
fn annotations(
    object: &Object<'_>,
    prefix: &str,
    place: &Place,
    namespace: &str,
    name: &str,
) -> Result<Annotations, OfflineError> {
    let found = object.value.pointer("/metadata/annotations").and_then(Value::as_object);
    let mut pairs = Vec::new();
    for (annotation, value) in found.into_iter().flatten() {
        match value {
            Value::String(value) => pairs.push((annotation.as_str(), value.as_str())),
            Value::Null => {}
            _ => {
                return Err(OfflineError::Annotation {
                    place: place.clone(),
                    account: format!("serviceaccount {}/{}", escaped(namespace), escaped(name))
                        .into(),
                    annotation: escaped(annotation).into(),
                });
            }
        }
    }
    Ok(Annotations::read(prefix, pairs))
}

/// The mappings' text, if the ConfigMap has any.
fn config<'a>(object: &Object<'a>, place: &Place) -> Result<Option<&'a str>, OfflineError> {
    let wrong = |expected| {
        let source = AccountsError::Shape { document: Source::Mappings, expected };
        Err(OfflineError::Mappings { place: place.clone(), source })
    };
    let value: &'a Value = object.value;
    let under = |field| value.get(field).and_then(|data: &Value| data.get(CONFIG_KEY));
    match (under("data"), under("binaryData")) {
        (Some(Value::String(text)), _) => Ok(Some(text)),
        (Some(Value::Null) | None, None) => Ok(None),
        (Some(Value::Null) | None, Some(_)) => wrong("of text, under data and not binaryData"),
        (Some(_), _) => wrong("of text: write `config: |` above it"),
    }
}
