//! Tells of Pods that lack their identity: an Event on each, and one on its controller.
//!
//! Nobody is told while accounts are not current: what was found may be history. An Event that is
//! there already was written by an earlier run.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use k8s_openapi::api::events::v1::Event;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::time::sleep;

use super::LOOK;
use super::event::{Known, REPORTER, of_controller, of_pod};
use super::eye::Shared;
use super::state::{Due, Telling};
use super::trouble::Troubles;
use crate::audit::Scope;
use crate::audit::lists::List;
use crate::audit::object::Metadata;
use crate::events::form::is_namespace_ending;
use crate::installation::{Look, Unseen, What};
use crate::telemetry::audit::{Attempt, AuditMetrics};

/// What troubles concern.
const EVENTS: &str = "events";

/// Events that are written at the same time.
const AT_ONCE: usize = 16;

/// Pods that are taken from the state at a time.
const BATCH: usize = 128;

/// The pause after an Event could not be written.
const PAUSE: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Teller {
    pub(super) client: Client,
    pub(super) scope: Scope,
    pub(super) eye: Shared,
    pub(super) troubles: Arc<Troubles>,
    pub(super) metrics: AuditMetrics,
}

// === impl Teller ===

impl Teller {
    /// Reads the Events of an earlier run, until they could be read.
    pub(super) async fn recall(&self) {
        while let Err(unseen) = self.try_to_recall().await {
            self.troubles.note(EVENTS, unseen);
            sleep(PAUSE).await;
        }
        self.troubles.over(EVENTS);
    }

    async fn try_to_recall(&self) -> Look<()> {
        let url = match &self.scope {
            Scope::All => "/apis/events.k8s.io/v1/events".to_owned(),
            Scope::Namespace(namespace) => {
                format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events")
            }
        };
        let ours = format!("reportingController={REPORTER}");
        let list = List::new(self.scope.what("events.events.k8s.io"), url).fields(&ours).metadata();
        list.each(&self.client, |page| {
            page.objects().for_each(|object| self.remember(&Metadata::read(object)));
        })
        .await
    }

    fn remember(&self, event: &Metadata<'_>) {
        match event.name.as_deref().and_then(Known::read) {
            Some(Known::Told(name)) => self.eye.state().recall(name),
            Some(Known::Evicting(name)) => {
                if let (Some(mut rules), Some(began)) = (self.eye.rules(), event.created()) {
                    rules.recall(name, began);
                }
            }
            None => {}
        }
    }

    /// Tells for ever.
    pub(super) async fn run(&self) {
        loop {
            let due = if self.eye.accounts().is_current() {
                self.eye.state().due(self.eye.clock.moment(), BATCH)
            } else {
                Vec::new()
            };
            if due.is_empty() {
                sleep(LOOK).await;
                continue;
            }
            let told = stream::iter(due).map(|due| self.tell(due)).buffer_unordered(AT_ONCE);
            let failed = told.filter_map(|told| ready(told.err())).collect::<Vec<_>>().await;
            match failed.into_iter().next() {
                None => self.troubles.over(EVENTS),
                Some(unseen) => {
                    self.troubles.note(EVENTS, unseen);
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn tell(&self, due: Due) -> Look<()> {
        match self.try_to_tell(&due).await {
            Ok(()) => {
                let subject = &due.missed.subject;
                tracing::warn!(
                    namespace = &*subject.namespace,
                    pod = &*due.missed.name,
                    account = &*subject.account,
                    reason = due.missed.cause.code(),
                    "a Pod runs without the identity of its account"
                );
                self.eye.state().was_told(due.uid);
                Ok(())
            }
            Err(unseen) => {
                let at = self.eye.clock.moment() + PAUSE;
                self.eye.state().was_not_told(&due, at);
                Err(unseen)
            }
        }
    }

    async fn try_to_tell(&self, due: &Due) -> Look<()> {
        let Due { uid, missed, pod, controller } = due;
        if *pod == Telling::New {
            self.write(of_pod(*uid, missed)).await?;
        }
        match missed.controller.as_deref() {
            Some(owner) if *controller == Telling::New => {
                self.write(of_controller(*uid, missed, owner)).await
            }
            _ => Ok(()),
        }
    }

    async fn write(&self, event: Event) -> Look<()> {
        let written = write(&self.client, &event).await.map(|_| ());
        let attempt = if written.is_ok() { Attempt::Done } else { Attempt::Failed };
        self.metrics.event(attempt);
        written
    }
}

/// Writes an Event, and gives it back as it is stored; `None` if it was there before, or if its
/// namespace is on its way out.
pub(super) async fn write(client: &Client, event: &Event) -> Look<Option<Event>> {
    let namespace = event.metadata.namespace.as_deref().unwrap_or_default();
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let params = PostParams::default();
    let mut is_settled = false;
    let request = async {
        let answer = api.create(&params, event).await;
        if let Err(kube::Error::Api(status)) = &answer {
            is_settled = status.is_already_exists() || is_namespace_ending(status);
        }
        answer
    };
    // In all namespaces, since that is how the right is granted.
    let answer = What::all("events.events.k8s.io").ask("create", request).await;
    match answer {
        Ok(event) => Ok(Some(event)),
        Err(_) if is_settled => Ok(None),
        Err(unseen) => Err::<_, Unseen>(unseen),
    }
}
