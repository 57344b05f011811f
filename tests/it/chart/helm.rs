//! helm, kustomize and helm-docs, and what they print.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The release's name where it is of no interest: that of the README.
pub(super) const RELEASE: &str = "pod-identity-webhook";
/// The namespace where it is of no interest: that of the README.
pub(super) const NAMESPACE: &str = "eks";

/// A set of values in `values/`: what it is for stands in its first line.
#[derive(Clone, Debug)]
pub(super) struct Set {
    pub(super) name: String,
    pub(super) path: PathBuf,
}

/// Kind, namespace and name of an object.
pub(super) type Key = (String, String, String);

// === impl Set ===

impl Set {
    /// All of them, by name.
    pub(super) fn all() -> Vec<Self> {
        let folder = path("tests/it/chart/values");
        let mut sets: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| Self { name: path.file_stem().unwrap().to_str().unwrap().to_owned(), path })
            .collect();
        sets.sort_by(|one, other| one.name.cmp(&other.name));
        assert!(sets.len() >= 12, "{sets:?}");
        sets
    }

    /// The one of this name.
    pub(super) fn named(name: &str) -> Self {
        Self::all().into_iter().find(|set| set.name == name).unwrap()
    }

    /// The arguments of helm that give it.
    pub(super) fn args(&self) -> [&str; 2] {
        ["--values", self.path.to_str().unwrap()]
    }

    /// What the chart makes of it in a namespace.
    pub(super) fn render(&self, namespace: &str) -> Vec<Value> {
        documents(&template(namespace, &self.args()).unwrap())
    }
}

/// A path in the repository.
pub(super) fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// What `make chart-tools` has made.
pub(crate) fn tool(name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| path("target"), PathBuf::from);
    let tool = path("").join(target).join("tools").join(name);
    assert!(tool.exists(), "{} is missing: run `make chart-tools`", tool.display());
    tool
}

/// What a tool prints, or what it says is wrong.
pub(super) fn run(name: &str, args: &[&str]) -> Result<String, String> {
    let output = Command::new(tool(name)).args(args).current_dir(path("")).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// What the chart makes of these values, or why it refuses them.
pub(super) fn template(namespace: &str, values: &[&str]) -> Result<String, String> {
    let mut args = vec!["template", RELEASE, "manifests/chart", "--namespace", namespace];
    args.extend(values);
    run("helm", &args)
}

/// The documents of a text, but for empty ones.
pub(super) fn documents(text: &str) -> Vec<Value> {
    let all: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    all.into_iter().filter(|document| !document.is_null()).collect()
}

/// Objects by kind, namespace and name.
pub(super) fn by_key(objects: Vec<Value>) -> BTreeMap<Key, Value> {
    let count = objects.len();
    let keyed: BTreeMap<_, _> = objects.into_iter().map(|object| (key(&object), object)).collect();
    assert_eq!(keyed.len(), count, "two objects of one name");
    keyed
}

/// Kind, namespace and name of an object.
pub(super) fn key(object: &Value) -> Key {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &object["metadata"];
    (text(&object["kind"]), text(&metadata["namespace"]), text(&metadata["name"]))
}

/// The part of the release that an object is of.
pub(super) fn component(object: &Value) -> &str {
    object["metadata"]["labels"]["app.kubernetes.io/component"].as_str().unwrap()
}

/// The webhook's only object of a kind.
pub(super) fn only<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    only_of(objects, "webhook", kind)
}

/// The only object of a kind that is of a component.
pub(super) fn only_of<'a>(objects: &'a [Value], of: &str, kind: &str) -> &'a Value {
    let mut found =
        objects.iter().filter(|object| object["kind"] == kind && component(object) == of);
    let first = found.next().unwrap_or_else(|| panic!("no {kind} of {of}"));
    assert!(found.next().is_none(), "more than one {kind} of {of}");
    first
}

/// The container of the Deployment.
pub(super) fn container(objects: &[Value]) -> &Value {
    container_of(only(objects, "Deployment"))
}

/// The container of a Deployment.
pub(super) fn container_of(deployment: &Value) -> &Value {
    &deployment["spec"]["template"]["spec"]["containers"][0]
}

/// The container's arguments.
pub(super) fn args(objects: &[Value]) -> Vec<String> {
    args_of(only(objects, "Deployment"))
}

/// The arguments of a Deployment's container.
pub(super) fn args_of(deployment: &Value) -> Vec<String> {
    let args = container_of(deployment)["args"].as_array().unwrap();
    args.iter().map(|arg| arg.as_str().unwrap().to_owned()).collect()
}
