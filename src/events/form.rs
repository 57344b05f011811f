//! The form of an Event, whoever writes it: what the API server takes of names and notes, and how it
//! refuses one in a namespace that ends.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::core::Status;

/// The longest name of an object: a subdomain (RFC 1123).
const MAX_NAME: usize = 253;

/// The longest note, in bytes (`NoteLengthLimit` of Kubernetes' validation).
const MAX_NOTE: usize = 1_024;

/// What every Event of ours says: a warning about an object of a namespace.
#[derive(Clone, Debug)]
pub struct Form<'a> {
    /// Its name: see [`name`].
    pub name: String,
    /// What it is about.
    pub regarding: ObjectReference,
    /// The reason code.
    pub reason: &'a str,
    /// What was done or found.
    pub action: &'a str,
    /// What a person reads: see [`note`].
    pub note: String,
    /// When it was first seen.
    pub at: Timestamp,
    /// Who reports: `reportingController`.
    pub reporter: &'a str,
    /// Which of several: `reportingInstance`.
    pub instance: &'a str,
}

/// The name of an Event about an object of this name: as much of that as there is room for, and
/// `suffix`.
pub fn name(object: &str, suffix: &str) -> String {
    let room = MAX_NAME.saturating_sub(suffix.len());
    let stem: String = object.chars().take(room).collect();
    format!("{}{suffix}", stem.trim_end_matches(['.', '-']))
}

/// As much of `text` as an Event may hold.
pub fn note(text: &str) -> String {
    text.get(..text.floor_char_boundary(MAX_NOTE)).unwrap_or_default().to_owned()
}

/// Whether the API server refuses because the namespace is being deleted, which it does with the
/// code by which it says that a right is missing.
pub fn is_namespace_ending(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
}

// === impl Form ===

impl Form<'_> {
    /// The Event, in the namespace of what it is about.
    pub fn event(self) -> Event {
        let Self { name, regarding, reason, action, note, at, reporter, instance } = self;
        let text = |text: &str| Some(text.to_owned());
        Event {
            metadata: ObjectMeta {
                name: Some(name),
                namespace: regarding.namespace.clone(),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(at)),
            type_: text("Warning"),
            reason: text(reason),
            action: text(action),
            note: Some(note),
            regarding: Some(regarding),
            reporting_controller: text(reporter),
            reporting_instance: text(instance),
            ..Event::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::is_subdomain;

    #[test]
    fn a_name_keeps_its_suffix_within_the_bounds_of_a_name() {
        assert_eq!(name("app", ".1234abcd"), "app.1234abcd");
        let long = format!("{}.{}", "a".repeat(230), "b".repeat(22));
        let name = name(&long, ".ffffffffffffffff");
        assert!(is_subdomain(&name) && name.len() <= MAX_NAME, "{name}");
    }

    #[test]
    fn a_note_is_cut_between_characters() {
        assert_eq!(note("short"), "short");
        let long = format!("a{}", "é".repeat(MAX_NOTE));
        assert_eq!(note(&long).len(), MAX_NOTE - 1);
    }
}
