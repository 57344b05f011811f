//! The Events that a watch writes: their names, by which it knows them again, and their texts.
//!
//! ```text
//! <Pod>.<hash of uid and reason>                     the Pod lacks its identity
//! <controller>.<hash of uid and reason>              so do Pods of this controller
//! <controller>.<hash of uid and reason>.<seconds>    its Pods are evicted, from then on
//! ```
//!
//! A name is made of what the Event is about, so that a second Event of the same is refused by the
//! API server and what was done can be read from names alone.

use std::hash::Hasher as _;

use fnv::FnvHasher;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::jiff::Timestamp;

use super::subject::{Controller, Missed, Subject};
use crate::audit::finding::Cause;
use crate::audit::sight::Uid;
use crate::drift::Remedy;
use crate::events::form::{self, Form};

/// Who writes: `reportingController`.
pub(super) const REPORTER: &str = "pod-identity-webhook-audit";

/// What tells one Event's name from another's.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Name(u64);

/// An Event of ours, by its name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Known {
    /// Somebody was told.
    Told(Name),
    /// Pods of a controller are evicted.
    Evicting(Name),
}

// === impl Name ===

impl Name {
    /// Of the Event about a Pod.
    pub(super) fn of_pod(uid: Uid, cause: Cause) -> Self {
        Self::of("pod", uid, cause)
    }

    /// Of the Event about the Pods of a controller.
    pub(super) fn of_controller(uid: Uid, cause: Cause) -> Self {
        Self::of("controller", uid, cause)
    }

    /// Of the Events about the eviction of the Pods of a controller.
    pub(super) fn of_evictions(uid: Uid, cause: Cause) -> Self {
        Self::of("evictions", uid, cause)
    }

    fn of(what: &str, uid: Uid, cause: Cause) -> Self {
        let mut hasher = FnvHasher::default();
        for part in [what.as_bytes(), &uid.to_be_bytes(), cause.code().as_bytes()] {
            hasher.write(part);
            hasher.write_u8(0);
        }
        Self(hasher.finish())
    }

    fn text(self, object: &str, behind: &str) -> String {
        let Self(hash) = self;
        form::name(object, &format!(".{hash:016x}{behind}"))
    }
}

// === impl Known ===

impl Known {
    /// What an Event of this reporter is about.
    pub(super) fn read(name: &str) -> Option<Self> {
        let hash = |text: &str| {
            let hash = u64::from_str_radix(text, 16).ok().map(Name);
            hash.filter(|_| text.len() == 16)
        };
        let (start, last) = name.rsplit_once('.')?;
        if let Some(name) = hash(last) {
            return Some(Self::Told(name));
        }
        let (_, last) = start.rsplit_once('.')?;
        hash(last).map(Self::Evicting)
    }
}

/// The Event about a Pod.
pub(super) fn of_pod(uid: Uid, missed: &Missed) -> Event {
    let Missed { name, subject, controller, cause, created: _ } = missed;
    let Subject { namespace, account, identity } = &**subject;
    let remedy = match (cause.remedy(), controller) {
        (Remedy::Recreate, Some(controller)) => format!(
            "{} {} makes another if it is deleted or evicted",
            controller.kind, controller.name
        ),
        (Remedy::Recreate, None) => {
            "delete it and create it again, it has no controller that would".to_owned()
        }
        (Remedy::Repair | Remedy::None, _) => {
            "see `pod-identity-webhook explain pod` for what to put right".to_owned()
        }
    };
    let note = format!(
        "ServiceAccount {account} gives {identity}, but the Pod {}: {remedy}",
        cause.meaning()
    );
    Event {
        related: controller.as_deref().map(|controller| controller.reference(namespace)),
        ..event(
            Name::of_pod(uid, *cause).text(name, ""),
            pod_reference(uid, name, namespace),
            *cause,
            "Audit",
            &note,
        )
    }
}

/// The Event about the Pods of a controller, of which this one was found first.
pub(super) fn of_controller(uid: Uid, missed: &Missed, controller: &Controller) -> Event {
    let Missed { name, subject, controller: _, cause, created: _ } = missed;
    let Subject { namespace, account, identity } = &**subject;
    let note = format!(
        "ServiceAccount {account} gives {identity}, but Pod {name} {}, and others may: see \
         `pod-identity-webhook audit pods -n {namespace}`",
        cause.meaning()
    );
    Event {
        related: Some(pod_reference(uid, name, namespace)),
        ..event(
            Name::of_controller(controller.uid, *cause).text(&controller.name, ""),
            controller.reference(namespace),
            *cause,
            "Audit",
            &note,
        )
    }
}

/// The Event that remembers from when on Pods of a controller are evicted, of which this one is the
/// first; `seconds` since 1970 tell it from earlier ones.
pub(super) fn of_evictions(
    uid: Uid,
    missed: &Missed,
    controller: &Controller,
    seconds: u64,
) -> Event {
    let Missed { name, subject, controller: _, cause, created: _ } = missed;
    let Subject { namespace, account, identity } = &**subject;
    let note = format!(
        "Pod {name} {} though ServiceAccount {account} gives {identity}: it is evicted, and others \
         like it once another is ready in its place; what comes instead is not evicted for this \
         reason within an hour",
        cause.meaning()
    );
    Event {
        related: Some(pod_reference(uid, name, namespace)),
        ..event(
            Name::of_evictions(controller.uid, *cause)
                .text(&controller.name, &format!(".{seconds:08x}")),
            controller.reference(namespace),
            *cause,
            "Evict",
            &note,
        )
    }
}

fn event(
    name: String,
    regarding: ObjectReference,
    cause: Cause,
    action: &str,
    note: &str,
) -> Event {
    let form = Form {
        name,
        regarding,
        reason: cause.code(),
        action,
        note: form::note(note),
        at: Timestamp::now(),
        reporter: REPORTER,
        instance: REPORTER,
    };
    form.event()
}

fn pod_reference(uid: Uid, name: &str, namespace: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()),
        uid: Some(dashed(uid)),
        ..ObjectReference::default()
    }
}

impl Controller {
    fn reference(&self, namespace: &str) -> ObjectReference {
        let Self { api_version, kind, name, uid } = self;
        ObjectReference {
            api_version: Some(api_version.to_string()),
            kind: Some(kind.to_string()),
            name: Some(name.to_string()),
            namespace: Some(namespace.to_owned()),
            uid: Some(dashed(*uid)),
            ..ObjectReference::default()
        }
    }
}

/// A uid as Kubernetes writes it: a UUID.
pub(super) fn dashed(uid: Uid) -> String {
    let digits = format!("{uid:032x}");
    let mut text = String::with_capacity(36);
    for (at, digit) in digits.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::drift::Verdict;

    const CAUSE: Cause = Cause::Drift(Verdict::Missing);
    const UID: Uid = 0x705a_b4f5_6393_11e8_b7cc_4201_0a80_0002;

    fn missed(name: &str, controller: Option<Controller>) -> Missed {
        Missed {
            name: name.into(),
            subject: Arc::new(Subject {
                namespace: "shop".into(),
                account: "app".into(),
                identity: "IRSA arn:aws:iam::111122223333:role/app".into(),
            }),
            controller: controller.map(Arc::new),
            cause: CAUSE,
            created: 0,
        }
    }

    fn controller() -> Controller {
        Controller {
            api_version: "apps/v1".into(),
            kind: "ReplicaSet".into(),
            name: "web-5d9".into(),
            uid: 7,
        }
    }

    fn name(event: &Event) -> &str {
        event.metadata.name.as_deref().unwrap()
    }

    #[test]
    fn an_event_is_known_again_by_its_name() {
        let missed = missed("web-5d9-x", Some(controller()));
        let event = of_pod(UID, &missed);
        assert_eq!(Known::read(name(&event)), Some(Known::Told(Name::of_pod(UID, CAUSE))));
        let event = of_controller(UID, &missed, &controller());
        let told = Known::Told(Name::of_controller(7, CAUSE));
        assert_eq!(Known::read(name(&event)), Some(told));
        let event = of_evictions(UID, &missed, &controller(), 1_700_000_000);
        let evicting = Known::Evicting(Name::of_evictions(7, CAUSE));
        assert_eq!(Known::read(name(&event)), Some(evicting));
        for stranger in ["", "web", "web.17a", "web.0123456789abcdeg", "a.b.c"] {
            assert_eq!(Known::read(stranger), None, "{stranger}");
        }
    }

    /// The names are those of every version: a new one must not tell again what an old one told.
    #[test]
    fn the_hash_is_that_of_every_version() {
        let event = of_pod(UID, &missed("web-5d9-x", None));
        assert_eq!(name(&event), "web-5d9-x.64847e0ace0d244f");
    }

    #[test]
    fn an_event_says_what_is_missing_and_what_to_do() {
        let note = |controller| of_pod(UID, &missed("web-5d9-x", controller)).note.unwrap();
        assert_eq!(
            note(None),
            "ServiceAccount app gives IRSA arn:aws:iam::111122223333:role/app, but the Pod runs \
             without it: delete it and create it again, it has no controller that would"
        );
        assert!(note(Some(controller())).ends_with(
            "runs without it: ReplicaSet web-5d9 makes another if it is deleted or evicted"
        ));
        let event = of_pod(UID, &missed("web-5d9-x", None));
        assert_eq!(event.reason.as_deref(), Some("missing-identity"));
        let regarding = event.regarding.unwrap();
        assert_eq!(regarding.uid.as_deref(), Some("705ab4f5-6393-11e8-b7cc-42010a800002"));
    }
}
