//! Events on the owners of refused Pods: there people look when a Deployment does not come up.
//!
//! ```text
//! http --Refused--> Waiting (bounded; one entry an owner and reason) --> Writer --> events.k8s.io
//! ```
//!
//! To tell never waits and never fails: what is told is kept in memory, and dropped and counted
//! where too much is. A ReplicaSet that tries again and again is one Event with a count, not a
//! flood. Decisions and readiness do not depend on any of it; a missing right is logged once.

mod error;
pub mod form;
mod subject;
mod waiting;
mod writer;

use std::convert::Infallible;
use std::sync::Arc;

use kube::Client;

use crate::telemetry::events::{EventMetrics, Written};
use subject::Subject;
use waiting::Waiting;
use writer::Writer;

/// A Pod that was refused, not on a dry run.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    /// The Pod's namespace, which is its owner's.
    pub namespace: &'a str,
    /// The owner that will try again.
    pub owner: Owner<'a>,
    /// The reason code.
    pub reason: &'static str,
    /// What was said to whoever asked for the Pod.
    pub message: &'a str,
}

/// The controller of a Pod as its owner reference names it; nothing of it has been validated.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// Group and version.
    pub api_version: &'a str,
    /// Kind.
    pub kind: &'a str,
    /// Name.
    pub name: &'a str,
    /// Uid.
    pub uid: &'a str,
}

/// Where refusals are told. Clones share everything.
#[derive(Clone, Debug)]
pub struct Events {
    waiting: Arc<Waiting>,
    metrics: EventMetrics,
}

/// The work that writes what was told.
pub struct Task(Writer);

/// Readies Events; nothing is asked of the API server before something is told and the task runs.
pub fn bind(client: &Client, metrics: &EventMetrics) -> (Events, Task) {
    let waiting = Arc::<Waiting>::default();
    let events = Events { waiting: Arc::clone(&waiting), metrics: metrics.clone() };
    (events, Task(Writer::new(client.clone(), waiting, metrics.clone())))
}

// === impl Events ===

impl Events {
    /// A Pod was refused. Returns at once, whatever comes of it.
    pub fn refused(&self, refused: Refused<'_>) {
        // No object can have such a name: there is nobody to tell.
        let Some(subject) = Subject::read(&refused) else { return };
        if self.waiting.tell(subject, refused.message).is_err() {
            self.metrics.wrote(Written::Dropped);
        }
    }
}

// === impl Task ===

impl Task {
    /// Writes for ever; nothing that the API server does ends it.
    pub async fn run(self) -> Infallible {
        self.0.run().await
    }
}
