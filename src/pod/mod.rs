//! A Pod, as far as the decision reads it: a narrow view, borrowed from the request's bytes.
//!
//! Fields that are not read are not here, so a Pod keeps every field of every Kubernetes version:
//! nothing is decoded that would have to be encoded again. Values of environment variables are
//! not kept, but for the four that say which identity a container has (`env.rs`). `null` counts as absent wherever Kubernetes reads it so; a list keeps whether it
//! stood there at all, since a patch must know.

mod env;
mod object;
mod owner;
mod platform;
mod text;

use serde::Deserialize;

pub use env::{AUTHORIZATION_TOKEN_FILE, EnvVar, FULL_URI, ROLE_ARN, WEB_IDENTITY_TOKEN_FILE};
pub(crate) use object::from_object;
pub use owner::OwnerReference;
pub use platform::Platform;
pub use text::{Text, Texts};

/// The label with which a Pod keeps the webhook away (AWS's manifests select on it).
pub const SKIP_LABEL: &str = "eks.amazonaws.com/skip-pod-identity-webhook";

/// The annotation by which a mirror Pod is known: the kubelet's copy of a static Pod.
pub const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";

/// The most objects that a Pod may hold, by the braces in its JSON. `{}` has two bytes and costs some
/// fifty times as much to read: a body of 20 MiB was over a gigabyte. What an API server takes as a
/// request (3 MiB) has some ten thousands.
pub const MAX_OBJECTS: usize = 512 * 1024;

/// A Pod.
#[derive(Debug, Default, Deserialize)]
#[serde(remote = "Self")]
pub struct Pod<'a> {
    /// Its metadata; a Pod without any is legal JSON, and must not trip a patch.
    #[serde(borrow, default)]
    pub metadata: Option<Metadata<'a>>,
    /// Its specification.
    #[serde(borrow, default)]
    pub spec: Option<Spec<'a>>,
}

/// The part of a Pod's metadata that is read.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Metadata<'a> {
    /// The name; absent at CREATE when the name is to be generated.
    #[serde(borrow, default)]
    pub name: Option<Text<'a>>,
    /// Labels.
    #[serde(borrow, default)]
    pub labels: Option<Texts<'a>>,
    /// Annotations.
    #[serde(borrow, default)]
    pub annotations: Option<Texts<'a>>,
    /// What the Pod belongs to.
    #[serde(borrow, default)]
    pub owner_references: Option<Vec<OwnerReference<'a>>>,
}

/// The part of a Pod's specification that is read.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Spec<'a> {
    /// The ServiceAccount's name; empty or absent means `default`.
    #[serde(borrow, default)]
    pub service_account_name: Option<Text<'a>>,
    /// The scheduler's name.
    #[serde(borrow, default)]
    pub scheduler_name: Option<Text<'a>>,
    /// `nodeSelector`.
    #[serde(borrow, default)]
    pub node_selector: Option<Texts<'a>>,
    /// `os`.
    #[serde(borrow, default)]
    pub os: Option<platform::Os<'a>>,
    /// `affinity`.
    #[serde(borrow, default)]
    pub affinity: Option<platform::Affinity<'a>>,
    /// Volumes.
    #[serde(borrow, default)]
    pub volumes: Option<Vec<Volume<'a>>>,
    /// Init containers, sidecars among them.
    #[serde(borrow, default)]
    pub init_containers: Option<Vec<Container<'a>>>,
    /// Containers.
    #[serde(borrow, default)]
    pub containers: Option<Vec<Container<'a>>>,
    /// Ephemeral containers.
    #[serde(borrow, default)]
    pub ephemeral_containers: Option<Vec<Container<'a>>>,
}

/// A container of any kind.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Container<'a> {
    /// The name, unique among the Pod's containers.
    #[serde(borrow, default)]
    pub name: Option<Text<'a>>,
    /// The environment.
    #[serde(borrow, default)]
    pub env: Option<Vec<EnvVar<'a>>>,
    /// Whether variables come from elsewhere besides; what they are called cannot be known here.
    #[serde(default)]
    pub env_from: Option<Vec<serde::de::IgnoredAny>>,
    /// Mounts.
    #[serde(borrow, default)]
    pub volume_mounts: Option<Vec<VolumeMount<'a>>>,
    /// Raw block devices.
    #[serde(borrow, default)]
    pub volume_devices: Option<Vec<VolumeDevice<'a>>>,
}

/// A mount of a volume in a container.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct VolumeMount<'a> {
    /// The volume's name.
    #[serde(borrow, default)]
    pub name: Option<Text<'a>>,
    /// Where it is mounted.
    #[serde(borrow, default)]
    pub mount_path: Option<Text<'a>>,
    /// The part of the volume that is mounted; empty means the whole.
    #[serde(borrow, default)]
    pub sub_path: Option<Text<'a>>,
    /// The same, with variables in it.
    #[serde(borrow, default)]
    pub sub_path_expr: Option<Text<'a>>,
}

/// A raw block device in a container.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct VolumeDevice<'a> {
    /// Where it appears.
    #[serde(borrow, default)]
    pub device_path: Option<Text<'a>>,
}

/// A volume.
#[derive(Debug, Default, Deserialize)]
#[serde(remote = "Self")]
pub struct Volume<'a> {
    /// The name.
    #[serde(borrow, default)]
    pub name: Option<Text<'a>>,
    /// Set if it is a projected volume.
    #[serde(borrow, default)]
    pub projected: Option<Projected<'a>>,
}

/// A projected volume.
#[derive(Debug, Default, Deserialize)]
#[serde(remote = "Self")]
pub struct Projected<'a> {
    /// What it is made of.
    #[serde(borrow, default)]
    pub sources: Option<Vec<Projection<'a>>>,
}

/// One source of a projected volume.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Projection<'a> {
    /// Set if it is a ServiceAccount's token.
    #[serde(borrow, default)]
    pub service_account_token: Option<TokenProjection<'a>>,
}

/// A projected ServiceAccount token.
#[derive(Debug, Default, Deserialize)]
#[serde(remote = "Self")]
pub struct TokenProjection<'a> {
    /// For whom the token is; empty or absent means the API server.
    #[serde(borrow, default)]
    pub audience: Option<Text<'a>>,
    /// The file's name within the volume.
    #[serde(borrow, default)]
    pub path: Option<Text<'a>>,
}

from_object!(
    Pod,
    Metadata,
    Spec,
    Container,
    VolumeMount,
    VolumeDevice,
    Volume,
    Projected,
    Projection,
    TokenProjection
);

/// Why a Pod could not be read. It says where and never what: a Pod may hold secrets.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the Pod is not readable at line {line}, column {column}")]
pub struct Unreadable {
    line: usize,
    column: usize,
}

// === impl Pod ===

impl<'a> Pod<'a> {
    /// Reads a Pod from JSON.
    ///
    /// # Errors
    ///
    /// If `json` is not the JSON of a Pod, a field that is read has another type, or there are more
    /// than [`MAX_OBJECTS`].
    pub fn read(json: &'a str) -> Result<Self, Unreadable> {
        // An object takes two bytes at least.
        if json.len() > 2 * MAX_OBJECTS
            && let Some((at, _)) = json.match_indices('{').nth(MAX_OBJECTS)
        {
            let before = json.get(..at).unwrap_or_default();
            let line_start = before.rfind('\n').map_or(0, |end| end + 1);
            let line = before.matches('\n').count() + 1;
            return Err(Unreadable { line, column: at - line_start + 1 });
        }
        serde_json::from_str(json).map_err(|e| Unreadable { line: e.line(), column: e.column() })
    }

    /// The Pod's name, if it has one by now.
    pub fn name(&self) -> Option<&str> {
        self.metadata.as_ref().and_then(|m| given(m.name.as_ref()))
    }

    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.metadata.as_ref()?.labels.as_ref()?.value(name)
    }

    /// The value of an annotation.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.metadata.as_ref()?.annotations.as_ref()?.value(name)
    }

    /// The value of the annotation `prefix/name`; a blank one counts as absent.
    pub fn annotation_of(&self, prefix: &str, name: &str) -> Option<&str> {
        let annotations = self.metadata.as_ref()?.annotations.as_ref()?;
        annotations
            .iter()
            .find(|(key, _)| {
                key.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/')) == Some(name)
            })
            .map(|(_, value)| value)
            .filter(|value| !value.trim().is_empty())
    }

    /// The ServiceAccount that the Pod names.
    pub fn service_account_name(&self) -> Option<&str> {
        given(self.spec.as_ref()?.service_account_name.as_ref())
    }

    /// The Pod's volumes, if the list stands there.
    pub fn volumes(&self) -> Option<&[Volume<'a>]> {
        self.spec.as_ref()?.volumes.as_deref()
    }

    /// The Pod's init containers.
    pub fn init_containers(&self) -> &[Container<'a>] {
        self.spec.as_ref().and_then(|s| s.init_containers.as_deref()).unwrap_or_default()
    }

    /// The Pod's containers.
    pub fn containers(&self) -> &[Container<'a>] {
        self.spec.as_ref().and_then(|s| s.containers.as_deref()).unwrap_or_default()
    }

    /// The Pod's ephemeral containers.
    pub fn ephemeral_containers(&self) -> &[Container<'a>] {
        self.spec.as_ref().and_then(|s| s.ephemeral_containers.as_deref()).unwrap_or_default()
    }

    /// Where the Pod asks to run.
    pub fn platform(&self) -> Platform {
        self.spec.as_ref().map_or(Platform::Linux, platform::of)
    }
}

// === impl Container ===

impl Container<'_> {
    /// The container's name; a container without one is refused by the API server.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// Whether the author set the variable `name` in `env`, to whatever.
    pub fn sets(&self, name: &str) -> bool {
        self.env.iter().flatten().any(|var| var.name.as_deref() == Some(name))
    }

    /// The text of the variable `name`, if it is one of the four whose value is kept and is
    /// written out in `env`; of several of that name, the last, as the kubelet takes it.
    pub fn credential(&self, name: &str) -> Option<&str> {
        let mut named =
            self.env.iter().flatten().rev().filter(|var| var.name.as_deref() == Some(name));
        named.next()?.credential()
    }

    /// Whether variables come from ConfigMaps or Secrets besides.
    pub fn has_env_from(&self) -> bool {
        self.env_from.as_ref().is_some_and(|sources| !sources.is_empty())
    }
}

// === impl VolumeMount ===

impl VolumeMount<'_> {
    /// Whether the whole volume is mounted, not a part of it.
    pub fn is_whole(&self) -> bool {
        given(self.sub_path.as_ref()).is_none() && given(self.sub_path_expr.as_ref()).is_none()
    }
}

// === impl Volume ===

impl<'a> Volume<'a> {
    /// The token, if the volume is a projected one of a ServiceAccount's token and nothing else.
    pub fn sole_token(&self) -> Option<&TokenProjection<'a>> {
        match self.projected.as_ref()?.sources.as_deref()? {
            [only] => only.service_account_token.as_ref(),
            _ => None,
        }
    }
}

/// A text that is there and not empty.
fn given<'a>(text: Option<&'a Text<'_>>) -> Option<&'a str> {
    text.map(AsRef::as_ref).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_with_fields_of_tomorrow_is_read() {
        let pod = Pod::read(
            r#"{"apiVersion":"v1","metadata":{"name":"a","labels":{"x":"y"},"new":[1]},
                "spec":{"tomorrow":{"a":1},"serviceAccountName":"sa","containers":[
                {"name":"c","env":[{"name":"A","value":"secret","valueFrom":null}],"volumeMounts":null}]}}"#,
        )
        .unwrap();
        assert_eq!(pod.name(), Some("a"));
        assert_eq!(pod.label("x"), Some("y"));
        assert_eq!(pod.service_account_name(), Some("sa"));
        assert!(pod.containers()[0].sets("A"));
        assert!(pod.containers()[0].volume_mounts.is_none());
    }

    /// serde reads a struct from an array too; no patch would apply to such a Pod.
    #[test]
    fn an_array_is_no_object() {
        for pod in [
            "[{},{}]",
            r#"{"metadata":["a"]}"#,
            r#"{"spec":["sa"]}"#,
            r#"{"spec":{"containers":[["c",[]]]}}"#,
            r#"{"spec":{"containers":[{"volumeMounts":[["v","/p"]]}]}}"#,
            r#"{"spec":{"volumes":[["v"]]}}"#,
            r#"{"spec":{"os":["windows"]}}"#,
            r#"{"spec":{"affinity":{"nodeAffinity":[]}}}"#,
        ] {
            assert!(Pod::read(pod).is_err(), "{pod}");
        }
    }

    #[test]
    fn an_error_says_where_and_never_what() {
        let error = Pod::read(r#"{"spec":{"containers":"AKIA-marker"}}"#).unwrap_err();
        assert_eq!(error.to_string(), "the Pod is not readable at line 1, column 35");
        let error = Pod::read(r#"{"spec":{"containers":[{"env":[{"name":{"marker":1}}]}]}}"#);
        assert!(!error.unwrap_err().to_string().contains("marker"));
    }

    #[test]
    fn a_volume_is_a_sole_token_only_if_it_is_nothing_else() {
        let sole = |sources: &str| {
            let json = format!(r#"{{"name":"v","projected":{{"sources":{sources}}}}}"#);
            serde_json::from_str::<Volume<'_>>(&json).unwrap().sole_token().is_some()
        };
        assert!(sole(r#"[{"serviceAccountToken":{"audience":"a","path":"token"}}]"#));
        assert!(!sole(r#"[{"serviceAccountToken":{"path":"token"}},{"downwardAPI":{}}]"#));
        assert!(!sole(r#"[{"secret":{"name":"s"}}]"#));
        assert!(!sole("[]"));
        assert!(!sole("null"));
    }
}
