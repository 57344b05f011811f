//! Any object, as far as its metadata is read: a view that is borrowed from a page.

use std::time::UNIX_EPOCH;

use serde::Deserialize;

use crate::pod::{Text, Texts, from_object};

/// An object of any kind.
#[derive(Debug, Default, Deserialize)]
#[serde(remote = "Self")]
pub(super) struct Object<'a> {
    #[serde(borrow, default)]
    metadata: Option<Metadata<'a>>,
}

/// The part of its metadata that is read.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub(super) struct Metadata<'a> {
    #[serde(borrow, default)]
    pub(super) namespace: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) labels: Option<Texts<'a>>,
    #[serde(borrow, default)]
    pub(super) annotations: Option<Texts<'a>>,
    #[serde(borrow, default)]
    pub(super) creation_timestamp: Option<Text<'a>>,
}

from_object!(Object, Metadata);

impl<'a> Metadata<'a> {
    /// The metadata of the object in `json`; nothing of one that is none.
    pub(super) fn read(json: &'a str) -> Self {
        let object: Object<'_> = serde_json::from_str(json).unwrap_or_default();
        object.metadata.unwrap_or_default()
    }

    /// When it was created, in seconds since 1970.
    pub(super) fn created(&self) -> Option<u64> {
        let created = humantime::parse_rfc3339(self.creation_timestamp.as_deref()?).ok()?;
        Some(created.duration_since(UNIX_EPOCH).ok()?.as_secs())
    }
}
