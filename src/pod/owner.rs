//! What a Pod belongs to: the object that made it and will make the next one.
//!
//! At admission nothing of an owner reference has been validated: names may be of any length, and
//! name what is not there.

use serde::Deserialize;

use super::{Pod, Text, from_object};

/// Something that a Pod belongs to, in the Pod's namespace.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct OwnerReference<'a> {
    /// Group and version of the owner.
    #[serde(borrow, default)]
    pub api_version: Option<Text<'a>>,
    /// Its kind.
    #[serde(borrow, default)]
    pub kind: Option<Text<'a>>,
    /// Its name.
    #[serde(borrow, default)]
    pub name: Option<Text<'a>>,
    /// Its uid.
    #[serde(borrow, default)]
    pub uid: Option<Text<'a>>,
    /// Whether it makes a Pod anew that is gone; of a Pod's owners at most one does.
    #[serde(default)]
    pub controller: Option<bool>,
}

from_object!(OwnerReference);

// === impl Pod ===

impl<'a> Pod<'a> {
    /// The owner that makes the Pod anew when it is gone, such as a ReplicaSet.
    pub fn controller(&self) -> Option<&OwnerReference<'a>> {
        let owners = self.metadata.as_ref()?.owner_references.as_deref().unwrap_or_default();
        owners.iter().find(|owner| owner.controller == Some(true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_controller_is_found_among_the_owners() {
        let name = |owners: &str| {
            let json = format!(r#"{{"metadata":{{"ownerReferences":{owners}}}}}"#);
            let pod = Pod::read(&json).unwrap();
            pod.controller().and_then(|owner| owner.name.as_deref()).map(str::to_owned)
        };
        assert_eq!(name(r#"[{"name":"a"},{"name":"b","controller":true}]"#).as_deref(), Some("b"));
        for none in ["null", "[]", r#"[{"name":"a","controller":false}]"#, r#"[{"name":"a"}]"#] {
            assert_eq!(name(none), None, "{none}");
        }
        assert!(Pod::read(r#"{"metadata":{"ownerReferences":[["a"]]}}"#).is_err());
    }
}
