//! Whom an Event is about, and why: what makes two refusals one series.
//!
//! Owner references come from whoever creates the Pod, unvalidated. What is no name of Kubernetes
//! is not taken, so that every field here is short and goes into an object as it is.

use k8s_openapi::api::core::v1::ObjectReference;

use super::{Owner, Refused, form};
use crate::identity::{is_label, is_subdomain};

/// The longest kind: a `CustomResourceDefinition`'s is a label (RFC 1123).
const MAX_KIND: usize = 63;

/// The longest apiVersion: a subdomain, a slash and a label.
const MAX_API_VERSION: usize = 253 + 1 + 63;

/// The longest uid that is taken; API servers make UUIDs of 36 characters.
const MAX_UID: usize = 64;

/// An owner and the reason for which its Pods are refused.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Subject {
    namespace: Box<str>,
    api_version: Box<str>,
    kind: Box<str>,
    name: Box<str>,
    uid: Box<str>,
    reason: &'static str,
}

// === impl Subject ===

impl Subject {
    /// The subject of a refusal, unless no object can be called so.
    pub(super) fn read(refused: &Refused<'_>) -> Option<Self> {
        let Refused { namespace, owner, reason, message: _ } = *refused;
        let Owner { api_version, kind, name, uid } = owner;
        let is_kind = |kind: &str| kind.bytes().all(|b| b.is_ascii_alphanumeric());
        let is_version = |version: &str| {
            version.bytes().all(|b| b.is_ascii_alphanumeric() || b"./-".contains(&b))
        };
        let is_uid = |uid: &str| uid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let fits = is_label(namespace)
            && is_subdomain(name)
            && (1..=MAX_KIND).contains(&kind.len())
            && is_kind(kind)
            && (1..=MAX_API_VERSION).contains(&api_version.len())
            && is_version(api_version)
            && (1..=MAX_UID).contains(&uid.len())
            && is_uid(uid);
        fits.then(|| Self {
            namespace: namespace.into(),
            api_version: api_version.into(),
            kind: kind.into(),
            name: name.into(),
            uid: uid.into(),
            reason,
        })
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(super) fn reason(&self) -> &'static str {
        self.reason
    }

    /// The name of an Event that begins at `nanosecond`, as client-go makes it.
    pub(super) fn event_name(&self, nanosecond: i128) -> String {
        form::name(&self.name, &format!(".{nanosecond:x}"))
    }

    /// The owner as an Event refers to it.
    pub(super) fn regarding(&self) -> ObjectReference {
        let Self { namespace, api_version, kind, name, uid, reason: _ } = self;
        let text = |text: &str| Some(text.to_owned());
        ObjectReference {
            namespace: text(namespace),
            api_version: text(api_version),
            kind: text(kind),
            name: text(name),
            uid: text(uid),
            ..ObjectReference::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(namespace: &str, [api_version, kind, name, uid]: [&str; 4]) -> Option<Subject> {
        let owner = Owner { api_version, kind, name, uid };
        Subject::read(&Refused { namespace, owner, reason: "env-conflict", message: "" })
    }

    const OWNER: [&str; 4] = ["apps/v1", "ReplicaSet", "app-5d9f", "0b1c-2d"];

    #[test]
    fn what_no_object_can_be_called_is_not_taken() {
        assert!(of("ns", OWNER).is_some());
        assert!(of("", OWNER).is_none() && of("a.b", OWNER).is_none());
        let huge = "x".repeat(1 << 20);
        for field in 0..4 {
            for odd in ["", "a b", "a\n", "é", huge.as_str()] {
                let mut owner = OWNER;
                owner[field] = odd;
                assert!(of("ns", owner).is_none(), "{owner:.40?}");
            }
        }
    }

    #[test]
    fn an_event_is_named_after_its_owner() {
        let subject = |name| of("ns", ["apps/v1", "ReplicaSet", name, "1"]).unwrap();
        assert_eq!(subject("app").event_name(0x1234_abcd), "app.1234abcd");
    }
}
