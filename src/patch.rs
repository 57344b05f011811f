//! Edits become a JSON Patch (RFC 6902): the operations, the pointers, the missing arrays.
//!
//! Every operation is an `add`. A list that does not stand in the Pod is added with what belongs
//! in it; to one that does, elements are appended (`/-`), and the volume is inserted first. Edits
//! carry what stands there, so the Pod is never read again. Pointers are relative to the Pod; a
//! Pod's template has another root.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use crate::plan::{
    ContainerList, Edit, LabelMap, Position, Standing, TokenMount, TokenVolume, Variable,
    VariableValue,
};

/// The JSON Patch of some edits; serializes to the array of operations.
#[derive(Clone, Copy, Debug)]
pub struct Patch<'p, 'a> {
    root: &'p str,
    edits: &'p [Edit<'a>],
}

// === impl Patch ===

impl<'p, 'a> Patch<'p, 'a> {
    /// The patch of a Pod.
    pub fn of_pod(edits: &'p [Edit<'a>]) -> Self {
        Self { root: "", edits }
    }

    /// The patch of an object in which the Pod, or its template, stands at the pointer `root`.
    pub fn at(root: &'p str, edits: &'p [Edit<'a>]) -> Self {
        Self { root, edits }
    }
}

impl Serialize for Patch<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { root, edits } = self;
        let mut operations = serializer.serialize_seq(None)?;
        for edit in *edits {
            match edit {
                Edit::Volume { list: Standing::Absent, volume } => {
                    let path = format!("{root}/spec/volumes");
                    operations.serialize_element(&add(&path, &[VolumeJson(volume)]))?;
                }
                Edit::Volume { list: Standing::Present, volume } => {
                    let path = format!("{root}/spec/volumes/0");
                    operations.serialize_element(&add(&path, &VolumeJson(volume)))?;
                }
                Edit::Env { container, list: Standing::Absent, variables } => {
                    let path = format!("{root}{}/env", pointer(*container));
                    operations.serialize_element(&add(&path, &VariablesJson(variables)))?;
                }
                Edit::Env { container, list: Standing::Present, variables } => {
                    let path = format!("{root}{}/env/-", pointer(*container));
                    for variable in variables {
                        operations.serialize_element(&add(&path, &VariableJson(variable)))?;
                    }
                }
                Edit::Mount { container, list: Standing::Absent, mount } => {
                    let path = format!("{root}{}/volumeMounts", pointer(*container));
                    operations.serialize_element(&add(&path, &[MountJson(mount)]))?;
                }
                Edit::Mount { container, list: Standing::Present, mount } => {
                    let path = format!("{root}{}/volumeMounts/-", pointer(*container));
                    operations.serialize_element(&add(&path, &MountJson(mount)))?;
                }
                Edit::Label { map: LabelMap::Labels, name, value } => {
                    let path = format!("{root}/metadata/labels/{}", escape(name));
                    operations.serialize_element(&add(&path, value))?;
                }
                Edit::Label { map: LabelMap::Metadata, name, value } => {
                    let path = format!("{root}/metadata/labels");
                    operations.serialize_element(&add(&path, &Entry(name, value)))?;
                }
                Edit::Label { map: LabelMap::Nothing, name, value } => {
                    let path = format!("{root}/metadata");
                    let labels = Entry("labels", &Entry(name, value));
                    operations.serialize_element(&add(&path, &labels))?;
                }
            }
        }
        operations.end()
    }
}

/// An `add` operation.
struct Add<'a, T: ?Sized> {
    path: &'a str,
    value: &'a T,
}

fn add<'a, T: Serialize + ?Sized>(path: &'a str, value: &'a T) -> Add<'a, T> {
    Add { path, value }
}

impl<T: Serialize + ?Sized> Serialize for Add<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("op", "add")?;
        map.serialize_entry("path", self.path)?;
        map.serialize_entry("value", self.value)?;
        map.end()
    }
}

/// An object with one member.
struct Entry<'a, T: ?Sized>(&'a str, &'a T);

impl<T: Serialize + ?Sized> Serialize for Entry<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.0, self.1)?;
        map.end()
    }
}

struct VolumeJson<'a>(&'a TokenVolume<'a>);

impl Serialize for VolumeJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let TokenVolume { name, audience, expiration_seconds, path } = self.0;
        let token = TokenJson { audience, expiration_seconds: *expiration_seconds, path };
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("name", name)?;
        let sources = [Entry("serviceAccountToken", &token)];
        map.serialize_entry("projected", &Entry("sources", &sources))?;
        map.end()
    }
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenJson<'a> {
    audience: &'a str,
    expiration_seconds: u64,
    path: &'a str,
}

struct MountJson<'a>(&'a TokenMount<'a>);

impl Serialize for MountJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let TokenMount { name, mount_path } = self.0;
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("name", name)?;
        map.serialize_entry("readOnly", &true)?;
        map.serialize_entry("mountPath", mount_path)?;
        map.end()
    }
}

struct VariablesJson<'a>(&'a [Variable<'a>]);

impl Serialize for VariablesJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(VariableJson))
    }
}

struct VariableJson<'a>(&'a Variable<'a>);

impl Serialize for VariableJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Variable { name, value } = self.0;
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("name", name)?;
        match value {
            VariableValue::Literal(text) => map.serialize_entry("value", text)?,
            VariableValue::PodName => {
                let field = Entry("fieldPath", "metadata.name");
                map.serialize_entry("valueFrom", &Entry("fieldRef", &field))?;
            }
        }
        map.end()
    }
}

fn pointer(container: Position) -> String {
    let Position { list, index } = container;
    let list = match list {
        ContainerList::Init => "initContainers",
        ContainerList::Regular => "containers",
        ContainerList::Ephemeral => "ephemeralContainers",
    };
    format!("/spec/{list}/{index}")
}

/// A name as a JSON Pointer's token (RFC 6901, section 3).
fn escape(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(edits: &[Edit<'_>]) -> String {
        serde_json::to_string(&Patch::of_pod(edits)).unwrap()
    }

    #[test]
    fn a_list_that_stands_there_is_appended_to() {
        let container = Position { list: ContainerList::Init, index: 3 };
        let variables = vec![
            Variable { name: "A", value: VariableValue::Literal("x\"y".into()) },
            Variable { name: "B", value: VariableValue::PodName },
        ];
        assert_eq!(
            json(&[Edit::Env { container, list: Standing::Present, variables }]),
            concat!(
                r#"[{"op":"add","path":"/spec/initContainers/3/env/-","value":{"name":"A","value":"x\"y"}},"#,
                r#"{"op":"add","path":"/spec/initContainers/3/env/-","value":{"name":"B","#,
                r#""valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}}]"#
            )
        );
    }

    /// F1: a list that does not stand there is added whole.
    #[test]
    fn a_list_that_is_missing_is_added_whole() {
        let container = Position { list: ContainerList::Regular, index: 0 };
        let mount = TokenMount { name: "v".into(), mount_path: "/p" };
        assert_eq!(
            json(&[Edit::Mount { container, list: Standing::Absent, mount }]),
            r#"[{"op":"add","path":"/spec/containers/0/volumeMounts","value":[{"name":"v","readOnly":true,"mountPath":"/p"}]}]"#
        );
    }

    #[test]
    fn a_label_is_escaped_as_a_pointer_wants_it() {
        let (name, value) = ("eks.amazonaws.com/pod-identity", "enabled");
        assert_eq!(
            json(&[Edit::Label { map: LabelMap::Labels, name, value }]),
            r#"[{"op":"add","path":"/metadata/labels/eks.amazonaws.com~1pod-identity","value":"enabled"}]"#
        );
        assert_eq!(
            json(&[Edit::Label { map: LabelMap::Nothing, name, value }]),
            r#"[{"op":"add","path":"/metadata","value":{"labels":{"eks.amazonaws.com/pod-identity":"enabled"}}}]"#
        );
    }

    #[test]
    fn a_template_has_its_own_root() {
        let edits = [Edit::Label { map: LabelMap::Metadata, name: "n", value: "v" }];
        assert_eq!(
            serde_json::to_string(&Patch::at("/spec/template", &edits)).unwrap(),
            r#"[{"op":"add","path":"/spec/template/metadata/labels","value":{"n":"v"}}]"#
        );
    }
}
