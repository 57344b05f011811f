//! A Pod that runs, as far as an audit reads it: the decision's own view, and who it is.
//!
//! Both views are borrowed from the text that the API server sent, and nothing of either outlives
//! the judgement but names. A value of a variable is in neither, but for the four of
//! [`crate::pod`]'s.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use crate::plan::Ask;
use crate::pod::{Pod, Text, Unreadable, from_object};

/// A Pod as the API server has it.
#[derive(Debug)]
pub(super) struct Sight<'a> {
    head: Head<'a>,
    ask: Ask<'a>,
}

/// Whether a Pod is one that an audit judges.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Life {
    /// It runs, or will.
    Runs,
    /// It has ended, or is being deleted: whatever it lacks, nothing comes of it any more.
    Over,
}

/// A Pod's uid, as a number: a fifth of its text.
pub(super) type Uid = u128;

/// The object that makes a Pod anew where it goes away.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Controller<'a> {
    pub(super) api_version: &'a str,
    pub(super) kind: &'a str,
    pub(super) name: &'a str,
    pub(super) uid: &'a str,
}

#[derive(Debug, Default, Deserialize)]
#[serde(remote = "Self")]
struct Head<'a> {
    #[serde(borrow, default)]
    metadata: Option<Metadata<'a>>,
    #[serde(borrow, default)]
    status: Option<Status<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
struct Metadata<'a> {
    #[serde(borrow, default)]
    namespace: Option<Text<'a>>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    uid: Option<Text<'a>>,
    #[serde(borrow, default)]
    creation_timestamp: Option<Text<'a>>,
    #[serde(borrow, default)]
    deletion_timestamp: Option<Text<'a>>,
    #[serde(borrow, default)]
    owner_references: Option<Vec<OwnerReference<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
struct OwnerReference<'a> {
    #[serde(borrow, default)]
    api_version: Option<Text<'a>>,
    #[serde(borrow, default)]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    uid: Option<Text<'a>>,
    #[serde(default)]
    controller: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(remote = "Self")]
struct Status<'a> {
    #[serde(borrow, default)]
    phase: Option<Text<'a>>,
    #[serde(borrow, default)]
    conditions: Option<Vec<Condition<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(remote = "Self")]
struct Condition<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    status: Option<Text<'a>>,
}

from_object!(Head, Metadata, OwnerReference, Status, Condition);

/// The number in a uid: its hexadecimal digits, of which there are 32.
pub(super) fn uid(text: &str) -> Uid {
    let digits = text.chars().filter_map(|c| c.to_digit(16));
    digits.fold(0, |number, digit| (number << 4) | Uid::from(digit))
}

// === impl Sight ===

impl<'a> Sight<'a> {
    /// Reads a Pod from JSON.
    ///
    /// # Errors
    ///
    /// If it is none; never with anything that stands in it.
    pub(super) fn read(json: &'a str) -> Result<Self, Unreadable> {
        let pod = Pod::read(json)?;
        // What a Pod is to the decision it is here, but for a head that nobody else reads.
        let head = serde_json::from_str(json).unwrap_or_default();
        Ok(Self { head, ask: Ask::Create(pod) })
    }

    /// What the decision is asked: the creation of this very Pod.
    pub(super) fn ask(&self) -> &Ask<'a> {
        &self.ask
    }

    pub(super) fn namespace(&self) -> &str {
        self.of_metadata(|metadata| metadata.namespace.as_ref())
    }

    pub(super) fn name(&self) -> &str {
        self.of_metadata(|metadata| metadata.name.as_ref())
    }

    /// The uid as it stands.
    pub(super) fn uid(&self) -> &str {
        self.of_metadata(|metadata| metadata.uid.as_ref())
    }

    /// When it was created, in seconds since 1970.
    pub(super) fn created(&self) -> u64 {
        let text = self.of_metadata(|metadata| metadata.creation_timestamp.as_ref());
        let created = humantime::parse_rfc3339(text).unwrap_or(SystemTime::UNIX_EPOCH);
        created.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
    }

    pub(super) fn life(&self) -> Life {
        let phase = self.head.status.as_ref().and_then(|status| status.phase.as_deref());
        let is_over = matches!(phase, Some("Succeeded" | "Failed"))
            || !self.of_metadata(|metadata| metadata.deletion_timestamp.as_ref()).is_empty();
        if is_over { Life::Over } else { Life::Runs }
    }

    /// Whether it is ready.
    pub(super) fn is_ready(&self) -> bool {
        let status = self.head.status.as_ref();
        let mut conditions =
            status.and_then(|s| s.conditions.as_deref()).unwrap_or_default().iter();
        conditions.any(|Condition { kind, status }| {
            kind.as_deref() == Some("Ready") && status.as_deref() == Some("True")
        })
    }

    /// The owner that is its controller.
    pub(super) fn controller(&self) -> Option<Controller<'_>> {
        let owners = self.head.metadata.as_ref()?.owner_references.as_deref()?;
        let owner = owners.iter().find(|owner| owner.controller == Some(true))?;
        Some(Controller {
            api_version: owner.api_version.as_deref()?,
            kind: owner.kind.as_deref()?,
            name: owner.name.as_deref()?,
            uid: owner.uid.as_deref()?,
        })
    }

    /// The Deployment behind its `ReplicaSet`, which is named after it and the hash of its template
    /// (`DeploymentControllerUniqueLabelKey` of Kubernetes).
    pub(super) fn deployment(&self) -> Option<&str> {
        let controller = self.controller().filter(|owner| owner.kind == "ReplicaSet")?;
        let hash = self.ask.pod()?.label("pod-template-hash")?;
        controller.name.strip_suffix(hash)?.strip_suffix('-')
    }

    fn of_metadata<'s>(
        &'s self,
        field: impl FnOnce(&'s Metadata<'a>) -> Option<&'s Text<'a>>,
    ) -> &'s str {
        self.head.metadata.as_ref().and_then(field).map_or("", AsRef::as_ref)
    }
}
