//! What a node reports of a Pod, as kubelet words it.

use std::net::Ipv4Addr;

use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use serde_json::{Value, json};

use crate::apart;

/// The state of a Pod's container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) state: State,
    pub(super) readiness: Readiness,
    pub(super) restarts: u32,
}

/// Whether the container runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Not yet, because.
    Waiting { reason: &'static str, message: String },
    /// It does, since then.
    Running { since: Timestamp },
}

/// Whether it gets calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    Ready,
    NotReady,
}

// === impl Status ===

impl Status {
    /// A container that has not been started yet.
    pub(super) fn creating(message: String) -> Self {
        Self::waiting("ContainerCreating", message, 0)
    }

    /// One that cannot be started, or has ended.
    pub(super) fn waiting(reason: &'static str, message: String, restarts: u32) -> Self {
        let state = State::Waiting { reason, message };
        Self { state, readiness: Readiness::NotReady, restarts }
    }

    /// The status of the whole Pod, as a merge patch.
    pub(super) fn patch(&self, pod: &Pod, address: Ipv4Addr) -> Value {
        let Self { state, readiness, restarts } = self;
        let spec = pod.spec.clone().unwrap_or_default();
        let container = spec.containers.into_iter().next().unwrap_or_default();
        let ready = *readiness == Readiness::Ready;
        let (phase, running, state) = match state {
            State::Waiting { reason, message } => {
                ("Pending", false, json!({ "waiting": { "reason": reason, "message": message } }))
            }
            State::Running { since } => {
                ("Running", true, json!({ "running": { "startedAt": Time(*since) } }))
            }
        };
        let now = Time(Timestamp::now());
        let condition = |kind: &str, holds: bool| {
            let status = if holds { "True" } else { "False" };
            json!({ "type": kind, "status": status, "lastTransitionTime": now })
        };
        json!({ "status": {
            "phase": phase,
            "hostIP": apart::NODE,
            "podIP": address,
            "podIPs": [{ "ip": address }],
            "conditions": [
                condition("PodScheduled", true),
                condition("Initialized", true),
                condition("ContainersReady", ready),
                condition("Ready", ready),
            ],
            "containerStatuses": [{
                "name": container.name,
                "image": container.image.clone().unwrap_or_default(),
                "imageID": container.image.unwrap_or_default(),
                "ready": ready,
                "started": running,
                "restartCount": restarts,
                "state": state,
            }],
        } })
    }
}
