//! A Pod, or an object that makes Pods from a template: which kinds there are, where the template
//! stands, what the object is called. Kinds of other API groups, whatever their name, are none.

use std::fmt;

use serde_json::{Value, json};

use crate::documents::Object;
use crate::pod::Pod;

use super::{OfflineError, Place};
use crate::sentence::escaped;

/// A workload among the documents.
#[derive(Debug)]
pub struct Workload<'a> {
    /// Where it stands in its document.
    pub pointer: String,
    /// Where the Pod or its template stands in the workload.
    pub root: &'static str,
    /// What it is called.
    pub subject: Subject,
    value: &'a Value,
}

/// What a workload is called.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Subject {
    /// The `apiVersion`, if it stands there.
    pub api_version: Option<Box<str>>,
    /// The kind.
    pub kind: Box<str>,
    /// The namespace, its own or the default one.
    pub namespace: Box<str>,
    /// The name.
    pub name: Name,
}

/// A name, or what a name is generated from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Name {
    /// The name.
    Fixed(Box<str>),
    /// What the name is generated from, `generateName`; it may be empty.
    Generated(Box<str>),
}

/// The namespace of an object, `default_namespace` if it names none.
pub fn namespace<'a>(object: &Object<'a>, default_namespace: &'a str) -> &'a str {
    metadata(object, "namespace").unwrap_or(default_namespace)
}

/// The name of an object.
pub fn name<'a>(object: &Object<'a>) -> Option<&'a str> {
    metadata(object, "name")
}

fn metadata<'a>(object: &Object<'a>, field: &str) -> Option<&'a str> {
    let value: &'a Value = object.value;
    value.get("metadata")?.get(field)?.as_str().filter(|text| !text.is_empty())
}

// === impl Workload ===

impl<'a> Workload<'a> {
    /// The object as a workload, if it is one.
    pub fn of(object: &Object<'a>, default_namespace: &'a str) -> Option<Self> {
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
    pub fn template(&self) -> Option<&'a Value> {
        self.value.pointer(self.root).filter(|value| !value.is_null())
    }

    /// The Pod in `text`, which is the [template](Self::template) as JSON. Pods of a template have
    /// names of their own, whatever its metadata says.
    ///
    /// # Errors
    ///
    /// The field that keeps it from being read.
    pub fn pod<'t>(&self, text: &'t str, place: &Place) -> Result<Pod<'t>, OfflineError> {
        // A list would be read as the fields in their order.
        let read = Pod::read(text).ok().filter(|_| text.starts_with('{'));
        let Some(mut pod) = read else {
            return Err(OfflineError::Unreadable {
                place: place.clone(),
                workload: self.subject.to_string().into(),
                field: field(self.root, self.template().unwrap_or(&Value::Null)).into(),
            });
        };
        if let Some(metadata) = pod.metadata.as_mut().filter(|_| self.is_template()) {
            metadata.name = None;
        }
        Ok(pod)
    }

    /// Whether Pods are made from it, under names of their own.
    pub fn is_template(&self) -> bool {
        !self.root.is_empty()
    }
}

/// The path of the field of a Pod that keeps it from being read; the field's value is not told.
fn field(root: &str, template: &Value) -> String {
    let path = unreadable(template, &|value| value).unwrap_or_default();
    let path = format!("{}{path}", root.replace('/', "."));
    match path.strip_prefix('.') {
        Some(path) => path.to_owned(),
        None => "the whole".to_owned(),
    }
}

/// The path from `value` to what cannot be read in it, if anything. A part is read alone, with
/// nothing but its parents around it, to see whether it is to blame.
fn unreadable(value: &Value, around: &dyn Fn(Value) -> Value) -> Option<String> {
    let text = around(value.clone()).to_string();
    if Pod::read(&text).is_ok() {
        return None;
    }
    let within = match value {
        Value::Object(fields) => fields.iter().find_map(|(name, part)| {
            unreadable(part, &|part| around(json!({ name: part })))
                .map(|path| format!(".{}{path}", escaped(name)))
        }),
        Value::Array(parts) => parts.iter().enumerate().find_map(|(at, part)| {
            unreadable(part, &|part| around(json!([part]))).map(|path| format!("[{at}]{path}"))
        }),
        _ => None,
    };
    Some(within.unwrap_or_default())
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
    pub fn path(&self) -> String {
        self.to_string().replacen(' ', "/", 1)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { api_version: _, kind, namespace, name } = self;
        write!(f, "{} {}/{name}", escaped(&kind.to_lowercase()), escaped(namespace))
    }
}

// === impl Name ===

impl Name {
    /// The name, or what it begins with.
    pub fn text(&self) -> &str {
        match self {
            Self::Fixed(text) | Self::Generated(text) => text,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(name) => f.write_str(&escaped(name)),
            Self::Generated(prefix) => write!(f, "{}*", escaped(prefix)),
        }
    }
}
