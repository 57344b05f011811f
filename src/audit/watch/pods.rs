//! A Pod of a watch: its text, held no longer than its event, and what a watcher has to know of it.
//!
//! kube's watcher wants an object that it can decode and that has metadata. This one decodes
//! whatever there is, so no decoding fails, since what cannot be decoded would be logged; and it
//! shows none of its text.

use std::borrow::Cow;
use std::fmt;

use k8s_openapi::api::core::v1::Pod;
use kube::Resource;
use kube::api::ObjectMeta;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::pod::{Text, from_object};

/// See the module.
#[derive(Clone)]
pub(super) struct Watched {
    metadata: ObjectMeta,
    json: Box<RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(remote = "Self")]
struct Head<'a> {
    #[serde(borrow, default)]
    metadata: Option<Metadata<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
struct Metadata<'a> {
    #[serde(borrow, default)]
    uid: Option<Text<'a>>,
    #[serde(borrow, default)]
    resource_version: Option<Text<'a>>,
}

from_object!(Head, Metadata);

// === impl Watched ===

impl Watched {
    /// The Pod as the API server sent it.
    pub(super) fn json(&self) -> &str {
        self.json.get()
    }

    /// Its uid.
    pub(super) fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for Watched {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        let head: Head<'_> = serde_json::from_str(json.get()).unwrap_or_default();
        let Metadata { uid, resource_version } = head.metadata.unwrap_or_default();
        let owned = |text: Option<Text<'_>>| text.map(|text| text.as_ref().to_owned());
        let metadata = ObjectMeta {
            uid: owned(uid),
            resource_version: owned(resource_version),
            ..ObjectMeta::default()
        };
        Ok(Self { metadata, json })
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("uid", &self.metadata.uid).finish_non_exhaustive()
    }
}

/// The type is asked for its names alone.
impl Resource for Watched {
    type DynamicType = ();
    type Scope = <Pod as Resource>::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        Pod::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        Pod::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        Pod::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        Pod::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use kube::api::WatchEvent;

    use super::*;

    #[test]
    fn a_pod_of_a_watch_is_whatever_the_api_server_sent() {
        let line = r#"{"type":"ADDED","object":{"kind":"Pod","metadata":{"uid":"u","resourceVersion":"7"},
            "spec":{"containers":[{"env":[{"name":"A","value":"marker"}]}]}}}"#;
        let WatchEvent::Added(pod) = serde_json::from_str::<WatchEvent<Watched>>(line).unwrap()
        else {
            panic!("it was added")
        };
        assert_eq!(pod.uid(), "u");
        assert_eq!(pod.meta().resource_version.as_deref(), Some("7"));
        assert!(pod.json().contains("marker") && pod.json().starts_with('{'));
        assert!(!format!("{pod:?}").contains("marker"));
        assert!(serde_json::from_str::<Watched>(r#"{"metadata":[1]}"#).is_ok());
    }
}
