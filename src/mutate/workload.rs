//! A Pod, or an object that makes Pods from a template: which kinds there are, where the template
//! stands, what the object is called. Kinds of other API groups, whatever their name, are none.

use std::fmt;

use serde_json::Value;

use crate::documents::Object;

use super::shown;

/// A workload among the documents.
#[derive(Debug)]
pub(super) struct Workload<'a> {
    /// Where it stands in its document.
    pub(super) pointer: String,
    /// Where the Pod or its template stands in the workload.
    pub(super) root: &'static str,
    /// What it is called.
    pub(super) subject: Subject,
    value: &'a Value,
}

/// What a workload is called.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Subject {
    pub(super) api_version: Option<Box<str>>,
    pub(super) kind: Box<str>,
    pub(super) namespace: Box<str>,
    pub(super) name: Name,
}

/// A name, or what a name is generated from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Name {
    Fixed(Box<str>),
    Generated(Box<str>),
}

/// The namespace of an object, `default_namespace` if it names none.
pub(super) fn namespace<'a>(object: &Object<'a>, default_namespace: &'a str) -> &'a str {
    metadata(object, "namespace").unwrap_or(default_namespace)
}

/// The name of an object.
pub(super) fn name<'a>(object: &Object<'a>) -> Option<&'a str> {
    metadata(object, "name")
}

fn metadata<'a>(object: &Object<'a>, field: &str) -> Option<&'a str> {
    let value: &'a Value = object.value;
    value.get("metadata")?.get(field)?.as_str().filter(|text| !text.is_empty())
}

// === impl Workload ===

impl<'a> Workload<'a> {
    /// The object as a workload, if it is one.
    pub(super) fn of(object: &Object<'a>, default_namespace: &'a str) -> Option<Self> {
        let kind = object.kind?;
        let root = root(kind, object.api_version)?;
        let name = match (name(object), metadata(object, "generateName")) {
            (Some(name), _) => Name::Fixed(name.into()),
            (None, prefix) => Name::Generated(prefix.unwrap_or_default().into()),
        };
        let subject = Subject {
            api_version: object.api_version.map(Into::into),
            kind: kind.into(),
            namespace: namespace(object, default_namespace).into(),
            name,
        };
        Some(Self { pointer: object.pointer.clone(), root, subject, value: object.value })
    }

    /// The Pod, or the template of Pods.
    pub(super) fn template(&self) -> Option<&'a Value> {
        self.value.pointer(self.root).filter(|value| !value.is_null())
    }

    /// Whether Pods are made from it, under names of their own.
    pub(super) fn is_template(&self) -> bool {
        !self.root.is_empty()
    }
}

/// Where the Pod stands in an object of `kind`, as a pointer.
fn root(kind: &str, api_version: Option<&str>) -> Option<&'static str> {
    let (groups, root): (&[&str], _) = match kind {
        "Pod" => (&[""], ""),
        "PodTemplate" => (&[""], "/template"),
        "ReplicationController" => (&[""], "/spec/template"),
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" => {
            (&["apps", "extensions"], "/spec/template")
        }
        "Job" => (&["batch"], "/spec/template"),
        "CronJob" => (&["batch"], "/spec/jobTemplate/spec/template"),
        _ => return None,
    };
    let group = |version: &str| groups.contains(&version.split_once('/').map_or("", |(g, _)| g));
    api_version.is_none_or(group).then_some(root)
}

// === impl Subject ===

impl Subject {
    /// As `kind/namespace/name`, which stands in headers.
    pub(super) fn path(&self) -> String {
        self.to_string().replacen(' ', "/", 1)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { api_version: _, kind, namespace, name } = self;
        write!(f, "{} {}/{name}", shown(&kind.to_lowercase()), shown(namespace))
    }
}

// === impl Name ===

impl Name {
    /// The name, or what it begins with.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Fixed(text) | Self::Generated(text) => text,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(name) => f.write_str(&shown(name)),
            Self::Generated(prefix) => write!(f, "{}*", shown(prefix)),
        }
    }
}
