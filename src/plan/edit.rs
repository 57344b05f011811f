//! Edits: what is added to a Pod, and whether the list or map that takes it stands there already.
//!
//! There are additions only. That no edit can replace, move or remove anything is a matter of
//! these types, not of care.

use std::borrow::Cow;

/// One addition to a Pod.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Edit<'a> {
    /// The token's volume, first in the list.
    Volume {
        /// Whether `spec.volumes` stands there.
        list: Standing,
        /// The volume.
        volume: TokenVolume<'a>,
    },
    /// Variables, appended to a container's `env`.
    Env {
        /// The container.
        container: Position,
        /// Whether its `env` stands there.
        list: Standing,
        /// The variables, in order; never empty.
        variables: Vec<Variable<'a>>,
    },
    /// A mount, appended to a container's `volumeMounts`.
    Mount {
        /// The container.
        container: Position,
        /// Whether its `volumeMounts` stands there.
        list: Standing,
        /// The mount.
        mount: TokenMount<'a>,
    },
    /// A label on the Pod.
    Label {
        /// What stands there to take it.
        map: LabelMap,
        /// The label's name.
        name: &'static str,
        /// The label's value.
        value: &'static str,
    },
}

/// Whether a list stands in the Pod, empty or not; `null` does not count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It does.
    Present,
    /// It does not.
    Absent,
}

/// What stands in the Pod to take a label.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LabelMap {
    /// `metadata.labels`.
    Labels,
    /// `metadata` without labels.
    Metadata,
    /// Nothing.
    Nothing,
}

/// One of a Pod's three lists of containers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ContainerList {
    /// `initContainers`.
    Init,
    /// `containers`.
    Regular,
    /// `ephemeralContainers`.
    Ephemeral,
}

/// A container's place in the Pod.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Position {
    /// The list.
    pub list: ContainerList,
    /// The index in it.
    pub index: usize,
}

/// An environment variable.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Variable<'a> {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: VariableValue<'a>,
}

/// What an environment variable is set to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum VariableValue<'a> {
    /// This text.
    Literal(Cow<'a, str>),
    /// The Pod's name, by `fieldRef`.
    PodName,
}

/// A projected volume of one ServiceAccount token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TokenVolume<'a> {
    /// The volume's name.
    pub name: Cow<'a, str>,
    /// The token's audience.
    pub audience: &'a str,
    /// The token's lifetime in seconds.
    pub expiration_seconds: u64,
    /// The token's file within the volume.
    pub path: &'a str,
}

/// A read-only mount of the token's volume.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TokenMount<'a> {
    /// The volume's name.
    pub name: Cow<'a, str>,
    /// Where it is mounted.
    pub mount_path: &'a str,
}

// === impl Standing ===

impl Standing {
    /// Whether `list` stands there.
    pub(super) fn of<T>(list: Option<&T>) -> Self {
        if list.is_some() { Self::Present } else { Self::Absent }
    }
}
