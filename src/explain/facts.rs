//! What is known about what was asked: the Pod, its account, the documents, the flags, who calls.
//!
//! Whoever asks a cluster or reads files fills this in; nothing here is looked up, and what could
//! not be looked up says so. The Pod is what the decision reads, so no value of a variable is here.

use jiff::Timestamp;
use serde_json::Value;

use crate::identity::{Annotations, Guard, Key, Listed, Mapping, Names};
use crate::plan::{Ask, Settings};
use crate::pod::{Pod, Unreadable};

/// Everything that is known.
#[derive(Debug)]
pub struct Facts<'a> {
    /// What was asked about.
    pub subject: Subject<'a>,
    /// The creation of the Pod, or of one like those of the account.
    pub ask: &'a Ask<'a>,
    /// The addition of the ephemeral containers that the Pod has, if it has any.
    pub ephemeral: Option<&'a Ask<'a>>,
    /// The account.
    pub account: Account<'a>,
    /// Whether the container-credentials file lists the account.
    pub credentials_file: Document<Listed>,
    /// What the mappings say of the account.
    pub mapping: Document<Mapped<'a>>,
    /// The role policy, for the namespace.
    pub guard: Document<Guard<'a>>,
    /// What the decision is made with.
    pub flags: Flags<'a>,
    /// Whether a webhook is called for the Pod.
    pub calls: Calls,
    /// Who issues the cluster's tokens.
    pub issuer: Issuer,
}

/// What was asked about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The kind, as documents write it.
    pub kind: &'a str,
    /// The namespace.
    pub namespace: &'a str,
    /// The name; of one that is yet to be generated, what it begins with and a `*`.
    pub name: &'a str,
    /// What there is of it.
    pub state: State<'a>,
}

/// What there is of what was asked about.
#[derive(Clone, Copy, Debug)]
pub enum State<'a> {
    /// A Pod that was created.
    Created(&'a Record),
    /// A Pod that is to be created, or a template of Pods.
    Planned,
    /// An account, and no Pod of it.
    Account,
}

/// The account.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a> {
    /// Its name.
    pub name: &'a str,
    /// What is known of it.
    pub found: Found<'a>,
}

/// What is known of the account.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a> {
    /// It exists.
    Known {
        /// What its annotations say.
        annotations: &'a Annotations,
        /// What else is stored of it, if that can be seen.
        record: Option<&'a Record>,
    },
    /// It does not exist.
    Absent,
    /// It is not among the documents; a constant sentence that says so.
    NotGiven(&'static str),
}

/// What a document outside of the account says of it.
#[derive(Clone, Debug)]
pub enum Document<T> {
    /// The webhook reads none.
    Unused,
    /// This, from the place that the text names.
    Says(T, Box<str>),
    /// The webhook reads it, and it could not be read, for this reason.
    Unseen(Box<str>),
    /// It is not known whether the webhook reads one.
    Unknown,
}

/// What the mappings say of the account.
#[derive(Clone, Debug)]
pub struct Mapped<'a> {
    /// The entry that fits best, with its key.
    pub entry: Option<(Box<str>, &'a Mapping)>,
    /// Why the account's own entry does not count, if it does not.
    pub dropped: Option<&'static str>,
}

/// The flags that the decision is made with.
#[derive(Clone, Copy, Debug)]
pub struct Flags<'a> {
    /// As they are used.
    pub settings: &'a Settings,
    /// Those that were given by hand, without dashes.
    pub given: &'a [&'static str],
    /// Whose the others are.
    pub others: Others<'a>,
}

/// Whose flags count where none was given by hand.
#[derive(Clone, Copy, Debug)]
pub enum Others<'a> {
    /// Nobody's: the defaults count.
    Defaults,
    /// Those of the webhook's Pod.
    OfPod {
        /// The Pod, `namespace/name`.
        pod: &'a str,
        /// Flags and variables that could not be read: their defaults count.
        unread: &'a [Box<str>],
    },
}

/// Whether a webhook is called when such a Pod is created.
#[derive(Clone, Debug)]
pub enum Calls {
    /// Nobody was asked.
    NotAsked,
    /// It could not be seen, for this reason.
    Unseen(Box<str>),
    /// None is, for this reason.
    Nobody(Box<str>),
    /// This entry of this configuration is.
    Entry {
        /// The configuration.
        configuration: Box<str>,
        /// The entry.
        name: Box<str>,
    },
}

/// Who issues the cluster's tokens.
#[derive(Clone, Debug)]
pub enum Issuer {
    /// `--issuer`.
    Given(Box<str>),
    /// What the API server says of itself.
    Discovered(Box<str>),
    /// Nobody could tell, for this reason.
    Unknown(Box<str>),
}

/// What is stored of an object besides what the decision reads.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// When it was created.
    pub created: Option<Timestamp>,
    /// What recreates it, if anything does.
    pub owner: Option<Owner>,
    /// Its annotations' names, each with whether it says anything.
    pub annotations: Vec<(Box<str>, Content)>,
    /// Who wrote its annotations, and when.
    pub writers: Vec<Writer>,
}

/// Whether an annotation says anything.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Content {
    /// It does.
    Filled,
    /// It has nothing but spaces.
    Blank,
}

/// The controller that an object belongs to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Owner {
    /// Its kind.
    pub kind: Box<str>,
    /// Its name.
    pub name: Box<str>,
}

/// An entry of `metadata.managedFields`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Writer {
    /// The field manager.
    pub manager: Box<str>,
    /// When it last changed any of its fields.
    pub at: Option<Timestamp>,
    /// The annotations among its fields.
    pub annotations: Vec<Box<str>>,
    /// Whether it has fields besides annotations.
    pub others: Fields,
}

/// Whether a writer has other fields than annotations.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fields {
    /// It has none.
    None,
    /// It has some.
    Some,
}

/// The label by which a Deployment's ReplicaSets and Pods are told apart.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// What is asked about a Pod as it stands in `json`: its creation, and if it has ephemeral
/// containers, their addition.
///
/// # Errors
///
/// If it is not readable as a Pod.
pub fn asks(json: &str) -> Result<(Ask<'_>, Option<Ask<'_>>), Unreadable> {
    let pod = Pod::read(json)?;
    let ephemeral = if pod.ephemeral_containers().is_empty() {
        None
    } else {
        let mut before = Pod::read(json)?;
        if let Some(spec) = &mut before.spec {
            spec.ephemeral_containers = None;
        }
        Some(Ask::AddEphemeral { pod: Pod::read(json)?, before })
    };
    Ok((Ask::Create(pod), ephemeral))
}

/// A Pod such as those of the account `name`, as JSON: with one container, which the annotations do
/// not leave out.
pub fn like_those_of(name: &str, annotations: Option<&Annotations>) -> String {
    let list = |key| annotations.and_then(|a| a.value(key)).map(Names::read);
    let (skip, include) = (list(Key::SkipContainers), list(Key::IncludeContainers));
    let is_free = |name: &&str| skip.as_ref().is_none_or(|skip| !skip.contains(name));
    let container = match &include {
        Some(include) => include.iter().find(is_free).unwrap_or_default(),
        // No list can hold a name with a comma.
        None => ",",
    };
    serde_json::json!({ "spec": {
        "serviceAccountName": name, "containers": [{ "name": container }],
    }})
    .to_string()
}

// === impl Record ===

impl Record {
    /// Reads the metadata of `object`; what is not there or makes no sense counts as absent.
    pub fn read(object: &Value) -> Self {
        let metadata = object.get("metadata").unwrap_or(&Value::Null);
        let annotations = metadata.get("annotations").and_then(Value::as_object);
        let writers = metadata.get("managedFields").and_then(Value::as_array);
        Self {
            created: time(metadata, "creationTimestamp"),
            owner: Owner::read(metadata),
            annotations: annotations
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.as_str().into(), Content::of(value)))
                .collect(),
            writers: writers.into_iter().flatten().map(Writer::read).collect(),
        }
    }

    /// Whether the object was stored by an API server, which sets when.
    pub fn is_stored(&self) -> bool {
        self.created.is_some()
    }

    /// What stands under an annotation's name, if anything does.
    pub fn annotation(&self, name: &str) -> Option<Content> {
        self.annotations.iter().find(|(found, _)| **found == *name).map(|(_, content)| *content)
    }
}

fn time(object: &Value, field: &str) -> Option<Timestamp> {
    object.get(field)?.as_str()?.parse().ok()
}

fn text<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    object.get(field)?.as_str()
}

impl Content {
    fn of(value: &Value) -> Self {
        let blank = value.as_str().is_none_or(|text| text.trim().is_empty());
        if blank { Self::Blank } else { Self::Filled }
    }
}

impl Owner {
    fn read(metadata: &Value) -> Option<Self> {
        let owners = metadata.get("ownerReferences")?.as_array()?;
        let owner = owners
            .iter()
            .find(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true))?;
        let (kind, name) = (text(owner, "kind")?, text(owner, "name")?);
        let hash = metadata.get("labels").and_then(|labels| text(labels, TEMPLATE_HASH));
        let deployment = hash
            .filter(|_| kind == "ReplicaSet")
            .and_then(|hash| name.strip_suffix(hash)?.strip_suffix('-'));
        Some(match deployment {
            Some(name) => Self { kind: "Deployment".into(), name: name.into() },
            None => Self { kind: kind.into(), name: name.into() },
        })
    }
}

impl Writer {
    fn read(entry: &Value) -> Self {
        let fields = entry.get("fieldsV1").and_then(Value::as_object);
        let metadata =
            fields.and_then(|fields| fields.get("f:metadata")).and_then(Value::as_object);
        let annotations = metadata.and_then(|m| m.get("f:annotations")).and_then(Value::as_object);
        let names = annotations.into_iter().flatten().filter_map(|(key, _)| key.strip_prefix("f:"));
        let more = |map: Option<&serde_json::Map<String, Value>>, but: &str| {
            map.into_iter().flatten().any(|(key, _)| key != but && key != ".")
        };
        let others = more(fields, "f:metadata") || more(metadata, "f:annotations");
        Self {
            manager: text(entry, "manager").unwrap_or_default().into(),
            at: time(entry, "time"),
            annotations: names.map(Into::into).collect(),
            others: if others { Fields::Some } else { Fields::None },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_is_what_an_api_server_stores() {
        let record = Record::read(&json!({ "metadata": {
            "creationTimestamp": "2026-01-02T03:04:05Z",
            "labels": { "pod-template-hash": "7d9c5" },
            "ownerReferences": [
                { "kind": "Other", "name": "o" },
                { "kind": "ReplicaSet", "name": "web-7d9c5", "controller": true },
            ],
            "annotations": { "a": "x", "b": "  " },
            "managedFields": [
                { "manager": "kubectl-annotate", "time": "2026-01-02T03:05:05Z",
                  "fieldsV1": { "f:metadata": { "f:annotations": { ".": {}, "f:a": {} } } } },
                { "manager": "m", "fieldsV1": { "f:secrets": {}, "f:metadata": { "f:annotations": { "f:b": {} } } } },
            ],
        }}));
        assert!(record.is_stored());
        assert_eq!(record.owner, Some(Owner { kind: "Deployment".into(), name: "web".into() }));
        assert_eq!(record.annotation("a"), Some(Content::Filled));
        assert_eq!(record.annotation("b"), Some(Content::Blank));
        assert_eq!(record.annotation("c"), None);
        let [first, second] = record.writers.as_slice() else { panic!("{record:?}") };
        assert_eq!((&*first.annotations, first.others), (&["a".into()][..], Fields::None));
        assert_eq!((second.at, second.others), (None, Fields::Some));
    }

    #[test]
    fn metadata_that_makes_no_sense_counts_as_absent() {
        for object in [
            json!(null),
            json!({ "metadata": [] }),
            json!({ "metadata": {
                "creationTimestamp": 7, "ownerReferences": {}, "annotations": ["a"],
                "managedFields": [null, { "fieldsV1": [] }],
            }}),
        ] {
            let record = Record::read(&object);
            assert!(!record.is_stored() && record.owner.is_none(), "{record:?}");
        }
    }

    #[test]
    fn ephemeral_containers_are_asked_about_as_if_they_joined_now() {
        let (_, none) = asks(r#"{"spec":{"containers":[{"name":"a"}]}}"#).unwrap();
        assert!(none.is_none());
        let json = r#"{"spec":{"ephemeralContainers":[{"name":"debug"}]}}"#;
        let (_, Some(Ask::AddEphemeral { pod, before })) = asks(json).unwrap() else { panic!() };
        assert_eq!(pod.ephemeral_containers().len(), 1);
        assert!(before.ephemeral_containers().is_empty());
    }
}
