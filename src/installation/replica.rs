//! A Pod of the webhook: which container serves, what software that is, and with which flags.
//!
//! Software is told by the image's name, which is all that a Pod says of it; a name that says
//! nothing is `Unknown`, not a guess.

use std::path::Path;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};

use super::backend::Readiness;
use super::flags::Flags;

/// A Pod behind the webhook's Service.
#[derive(Clone, Debug)]
pub struct Replica {
    /// Its name.
    pub pod: Box<str>,
    /// Whether it gets connections.
    pub readiness: Readiness,
    /// The ServiceAccount that it asks the API server with.
    pub account: Box<str>,
    /// The container that serves.
    pub container: Box<str>,
    /// Its image.
    pub image: Box<str>,
    /// What software that is.
    pub software: Software,
    /// The flags that it runs with.
    pub flags: Flags,
    /// What the file of `--watch-container-credentials-config` is, if there is that flag.
    pub credentials: Option<Mounted>,
    /// What the file of `--role-policy` is, if there is that flag.
    pub role_policy: Option<Mounted>,
}

/// What software a replica runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Software {
    /// This webhook.
    Ours,
    /// aws/amazon-eks-pod-identity-webhook.
    Go,
    /// The image's name does not say.
    Unknown,
}

/// Where a file in a container comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Mounted {
    /// A key of a ConfigMap in the Pod's namespace.
    ConfigMap {
        /// The ConfigMap.
        name: Box<str>,
        /// The key.
        key: Box<str>,
    },
    /// Something else, which cannot be read from here.
    Elsewhere,
}

// === impl Replica ===

impl Replica {
    /// What a Pod says of itself.
    pub fn read(pod: Pod) -> Self {
        let Pod { metadata, spec, status } = pod;
        let spec = spec.unwrap_or_default();
        let name = metadata.name.unwrap_or_default();
        let conditions = status.and_then(|status| status.conditions).unwrap_or_default();
        let is_ready = conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True");
        let account = spec.service_account_name.clone().filter(|account| !account.is_empty());
        let account = account.unwrap_or_else(|| "default".to_owned());
        let container = serving(&spec).cloned().unwrap_or_default();
        let about = super::flags::About {
            pod: &name,
            namespace: metadata.namespace.as_deref().unwrap_or_default(),
            account: &account,
        };
        let flags = Flags::read(&container, &about);
        let mounted = |path: Option<&Path>| {
            Some(Mounted::find(path.and_then(Path::to_str)?, &container, &spec))
        };
        let credentials = mounted(flags.settings.credentials_file.as_deref());
        let role_policy = mounted(flags.settings.injection.role_policy.as_deref());
        let image = container.image.unwrap_or_default();
        Self {
            readiness: if is_ready { Readiness::Ready } else { Readiness::NotReady },
            software: Software::of(&image),
            pod: name.into(),
            account: account.into(),
            container: container.name.into(),
            image: image.into(),
            flags,
            credentials,
            role_policy,
        }
    }
}

/// The container that serves: one that is known by its image, else the first.
fn serving(spec: &PodSpec) -> Option<&Container> {
    let image = |container: &&Container| {
        Software::of(container.image.as_deref().unwrap_or_default()) != Software::Unknown
    };
    spec.containers.iter().find(image).or_else(|| spec.containers.first())
}

// === impl Software ===

impl Software {
    /// What the name of an image says, without its tag and digest.
    fn of(image: &str) -> Self {
        let name = image.split('@').next().unwrap_or_default();
        let (path, last) = name.rsplit_once('/').unwrap_or(("", name));
        let last = last.split(':').next().unwrap_or_default();
        match last {
            // EKS's own build of the Go webhook is called as ours is.
            "pod-identity-webhook" if path.ends_with("/eks") => Self::Go,
            "pod-identity-webhook" => Self::Ours,
            last if last.ends_with("pod-identity-webhook") => Self::Go,
            _ => Self::Unknown,
        }
    }
}

// === impl Mounted ===

impl Mounted {
    /// What is mounted at `path`.
    fn find(path: &str, container: &Container, spec: &PodSpec) -> Self {
        let found = container.volume_mounts.iter().flatten().find_map(|mount| {
            let below = path.strip_prefix(mount.mount_path.trim_end_matches('/'))?;
            let sub_path = mount.sub_path.as_deref().filter(|sub_path| !sub_path.is_empty());
            let file = match (below, sub_path) {
                ("", Some(sub_path)) => sub_path,
                (below, None) => below.strip_prefix('/')?,
                (_, Some(_)) => return None,
            };
            let volume = spec.volumes.iter().flatten().find(|volume| volume.name == mount.name)?;
            let config_map = volume.config_map.as_ref()?;
            let key = match &config_map.items {
                None => file,
                Some(items) => &items.iter().find(|item| item.path == file)?.key,
            };
            Some(Self::ConfigMap { name: config_map.name.as_str().into(), key: key.into() })
        });
        found.unwrap_or(Self::Elsewhere)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn software_is_told_by_the_image_s_name() {
        for (image, software) in [
            ("amazon/amazon-eks-pod-identity-webhook:v0.6.17", Software::Go),
            ("public.ecr.aws/eks/amazon-eks-pod-identity-webhook@sha256:0", Software::Go),
            ("registry.example/eks/pod-identity-webhook:v1", Software::Go),
            ("quay.example/openshift/ose-aws-pod-identity-webhook", Software::Go),
            ("registry.example:5000/pod-identity-webhook:0.1.0", Software::Ours),
            ("pod-identity-webhook", Software::Ours),
            ("registry.example/mirror/0123abcd", Software::Unknown),
            ("", Software::Unknown),
        ] {
            assert_eq!(Software::of(image), software, "{image}");
        }
    }

    #[test]
    fn the_credentials_file_is_followed_to_its_config_map() {
        let read = |mount: serde_json::Value, volume: serde_json::Value| {
            let pod = json!({ "metadata": { "name": "p" }, "spec": {
                "containers": [{
                    "name": "webhook", "volumeMounts": [mount],
                    "args": ["--watch-container-credentials-config=/etc/webhook/ids.json"],
                }],
                "volumes": [volume],
            }});
            Replica::read(serde_json::from_value(pod).unwrap()).credentials.unwrap()
        };
        let map = json!({ "name": "v", "configMap": { "name": "ids" } });
        let wanted = |key: &str| Mounted::ConfigMap { name: "ids".into(), key: key.into() };
        assert_eq!(
            read(json!({ "name": "v", "mountPath": "/etc/webhook/" }), map.clone()),
            wanted("ids.json")
        );
        let sub_path = json!({ "name": "v", "mountPath": "/etc/webhook/ids.json", "subPath": "k" });
        assert_eq!(read(sub_path, map.clone()), wanted("k"));
        let items = json!({ "name": "v", "configMap": { "name": "ids", "items": [{ "key": "k", "path": "ids.json" }] } });
        assert_eq!(read(json!({ "name": "v", "mountPath": "/etc/webhook" }), items), wanted("k"));
        let secret = json!({ "name": "v", "secret": { "secretName": "s" } });
        assert_eq!(
            read(json!({ "name": "v", "mountPath": "/etc/webhook" }), secret),
            Mounted::Elsewhere
        );
        assert_eq!(read(json!({ "name": "v", "mountPath": "/other" }), map), Mounted::Elsewhere);
    }
}
