//! A ServiceAccount as it is held: when it was made, and what its annotations say.
//!
//! What the API server sends is reduced to this at the edge: no label, no managed field and no
//! annotation that is not ours is ever stored. Its name is where it is held by it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::core::{ObjectMeta, PartialObjectMeta};

use crate::identity::{Annotations, Key, switch};

/// A ServiceAccount: its age and what its annotations say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Account {
    /// Seconds since 1970; those of the years after 2105 are taken for the last of these.
    created: u32,
    annotations: Annotations,
}

/// A ServiceAccount's metadata, as far as it is an account's.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Read {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) account: Account,
}

/// The method that an account's own annotations name.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Named {
    WebIdentity,
    ContainerCredentials,
    Nothing,
}

// === impl Account ===

impl Account {
    /// What the annotations say.
    pub fn annotations(&self) -> &Annotations {
        &self.annotations
    }

    /// How long ago the account was made, by this machine's clock; nothing for one from the future.
    pub(super) fn age(&self) -> Duration {
        let created = UNIX_EPOCH + Duration::from_secs(self.created.into());
        SystemTime::now().duration_since(created).unwrap_or_default()
    }

    pub(super) fn named(&self) -> Named {
        if !self.annotations.names_an_identity() {
            return Named::Nothing;
        }
        match self.annotations.value(Key::PodIdentity).map(switch) {
            Some(Ok(true)) => Named::ContainerCredentials,
            _ => Named::WebIdentity,
        }
    }
}

// === impl Read ===

impl Read {
    /// Keeps of `object` what counts; `None` for one without a namespace or a name.
    pub(super) fn of(prefix: &str, object: PartialObjectMeta<ServiceAccount>) -> Option<Self> {
        let ObjectMeta { namespace, name, annotations, creation_timestamp, .. } = object.metadata;
        let annotations = annotations.unwrap_or_default();
        let pairs = annotations.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let seconds = creation_timestamp.map_or(0, |time| time.0.as_second());
        Some(Self {
            namespace: namespace?,
            name: name?,
            account: Account {
                created: seconds.clamp(0, u32::MAX.into()).try_into().unwrap_or_default(),
                annotations: Annotations::read(prefix, pairs),
            },
        })
    }
}

// === impl Named ===

impl Named {
    pub(super) const ALL: [Self; 3] =
        [Self::WebIdentity, Self::ContainerCredentials, Self::Nothing];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::WebIdentity => "sts_web_identity",
            Self::ContainerCredentials => "container_credentials",
            Self::Nothing => "none",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// F12: name, namespace, age and our annotations are all that is held.
    #[test]
    fn an_account_is_reduced_at_the_edge() {
        let object = serde_json::from_value(json!({"metadata": {
            "namespace": "ns", "name": "app", "labels": {"secret": "x"},
            "annotations": {"eks.amazonaws.com/role-arn": "arn", "other": "secret"},
            "creationTimestamp": "2026-01-02T03:04:05Z",
        }}));
        let read = Read::of("eks.amazonaws.com", object.unwrap()).unwrap();
        assert_eq!((read.namespace.as_str(), read.name.as_str()), ("ns", "app"));
        assert_eq!(read.account.created, 1_767_323_045);
        assert_eq!(read.account.annotations().value(Key::RoleArn), Some("arn"));
        assert!(!format!("{read:?}").contains("secret"));
        assert_eq!(Read::of("eks.amazonaws.com", PartialObjectMeta::default()), None);
    }

    #[test]
    fn a_time_that_cannot_be_is_the_nearest_that_can() {
        for (time, created) in [("1912-06-23T00:00:00Z", 0), ("2999-01-01T00:00:00Z", u32::MAX)] {
            let object = serde_json::from_value(json!({"metadata": {
                "namespace": "ns", "name": "app", "creationTimestamp": time,
            }}));
            assert_eq!(Read::of("x", object.unwrap()).unwrap().account.created, created);
        }
    }
}
