//! Whether an annotation of the account was changed after the Pod was created.
//!
//! `managedFields` has one time for all fields of a manager, the last at which any of them changed
//! (`ManagedFieldsEntry` of the Kubernetes API). So an annotation is surely old if one of its managers has
//! changed nothing since, surely new if its only managers have nothing but annotations of ours, and
//! else it cannot be told. An annotation that is gone left no trace.

use jiff::Timestamp;

use crate::identity::Key;

use super::explanation::{Change, Changed};
use super::facts::{Content, Fields, Record, Writer};

/// When each annotation of ours was last changed, as seen from a Pod that was created at `pod`.
pub(super) fn changes(account: &Record, pod: Timestamp, prefix: &str) -> Vec<Change> {
    let is_ours = |name: &str| Key::of(prefix, name).is_some();
    account
        .annotations
        .iter()
        .filter(|(name, content)| *content == Content::Filled && is_ours(name))
        .map(|(name, _)| change(account, name, pod, &is_ours))
        .collect()
}

fn change(
    account: &Record,
    annotation: &str,
    pod: Timestamp,
    is_ours: &dyn Fn(&str) -> bool,
) -> Change {
    let told = |changed, manager: Option<&str>, at: Option<Timestamp>| Change {
        annotation: annotation.to_owned(),
        changed,
        manager: manager.filter(|manager| !manager.is_empty()).map(str::to_owned),
        at: at.map(|at| at.to_string()),
        seconds_after_the_pod: at
            .and_then(|at| u64::try_from(at.duration_since(pod).as_secs()).ok())
            .filter(|_| changed != Changed::Before),
    };
    if let Some(created) = account.created.filter(|created| *created > pod) {
        return told(Changed::After, None, Some(created));
    }
    let writers = account
        .writers
        .iter()
        .filter(|writer| writer.annotations.iter().any(|name| **name == *annotation));
    // Whoever changes a value takes it from all others: the first of them knows since when it stands.
    let Some((writer, at)) =
        writers.filter_map(|writer| Some((writer, writer.at?))).min_by_key(|(_, at)| *at)
    else {
        return told(Changed::CannotTell, None, None);
    };
    let wrote_more = |writer: &Writer| {
        writer.others == Fields::Some || writer.annotations.iter().any(|name| !is_ours(name))
    };
    let changed = if at < pod {
        Changed::Before
    } else if at == pod {
        // Times have no fractions of a second.
        Changed::CannotTell
    } else if wrote_more(writer) {
        Changed::PerhapsAfter
    } else {
        Changed::After
    };
    told(changed, Some(&writer.manager), Some(at))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const POD: &str = "2026-01-01T12:00:00Z";

    fn changed(created: &str, managed: &Value) -> Changed {
        let account = Record::read(&json!({ "metadata": {
            "creationTimestamp": created,
            "annotations": { "eks.amazonaws.com/role-arn": "a", "other": "b" },
            "managedFields": managed,
        }}));
        let changes = changes(&account, POD.parse().unwrap(), "eks.amazonaws.com");
        assert_eq!(changes.len(), 1);
        changes[0].changed
    }

    fn writer(at: &str, more: &[&str]) -> Value {
        let names = ["f:eks.amazonaws.com/role-arn", "."].iter().chain(more);
        let fields: serde_json::Map<_, _> =
            names.map(|name| ((*name).to_owned(), json!({}))).collect();
        json!({ "manager": "m", "time": at, "fieldsV1": { "f:metadata": { "f:annotations": fields } } })
    }

    #[test]
    fn managed_fields_tell_before_from_after() {
        let (before, after) = ("2026-01-01T11:00:00Z", "2026-01-01T12:00:05Z");
        for (managed, wanted) in [
            (json!([writer(before, &[])]), Changed::Before),
            (json!([writer(after, &[])]), Changed::After),
            (json!([writer(after, &["f:other"])]), Changed::PerhapsAfter),
            (json!([writer(before, &["f:other"]), writer(after, &[])]), Changed::Before),
            (json!([writer(POD, &[])]), Changed::CannotTell),
            (json!([]), Changed::CannotTell),
            (
                json!([{ "fieldsV1": { "f:metadata": { "f:annotations": { "f:other": {} } } } }]),
                Changed::CannotTell,
            ),
        ] {
            assert_eq!(changed(before, &managed), wanted, "{managed}");
        }
        assert_eq!(changed(after, &json!([writer(after, &["f:other"])])), Changed::After);
    }

    #[test]
    fn a_change_tells_who_and_how_long_after() {
        let account = Record::read(&json!({ "metadata": {
            "creationTimestamp": "2026-01-01T11:00:00Z",
            "annotations": { "eks.amazonaws.com/role-arn": "a" },
            "managedFields": [writer("2026-01-01T12:03:20Z", &[])],
        }}));
        let changes = changes(&account, POD.parse().unwrap(), "eks.amazonaws.com");
        assert_eq!(changes[0].seconds_after_the_pod, Some(200));
        assert_eq!(changes[0].manager.as_deref(), Some("m"));
        assert_eq!(changes[0].at.as_deref(), Some("2026-01-01T12:03:20Z"));
    }
}
