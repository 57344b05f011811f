//! Evicts Pods that lack their identity, one at a time, as the rules allow.
//!
//! The Event that remembers a round is stored before anything is evicted in it. Evictions go by the
//! Eviction API, which keeps `PodDisruptionBudgets`, and name the Pod's uid, so that no other Pod of
//! that name is ever meant.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::core::Request;
use kube::{Client, Resource as _};
use serde_json::json;
use tokio::time::sleep;

use super::LOOK;
use super::event::{Name, dashed, of_evictions};
use super::eye::Shared;
use super::rules::Step;
use super::state::Gone;
use super::subject::{Controller, Missed};
use super::teller::write;
use super::trouble::Troubles;
use crate::audit::sight::Uid;
use crate::drift::Remedy;
use crate::installation::{Look, Unseen, What, Why};
use crate::telemetry::audit::{Attempt, AuditMetrics};

/// What troubles concern.
const EVICTIONS: &str = "evictions";

/// The pause after something failed that is not the Pod's fault.
const PAUSE: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Evictor {
    pub(super) client: Client,
    pub(super) eye: Shared,
    pub(super) troubles: Arc<Troubles>,
    pub(super) metrics: AuditMetrics,
}

/// A Pod that may be evicted.
struct Candidate {
    uid: Uid,
    missed: Missed,
    controller: Arc<Controller>,
    round: Name,
    step: Step,
}

/// What became of an eviction.
enum Outcome {
    Evicted,
    /// Not now.
    Blocked,
    /// There is no such Pod any more.
    Gone,
}

// === impl Evictor ===

impl Evictor {
    /// Evicts for ever.
    pub(super) async fn run(self) {
        loop {
            let Some(candidate) = self.candidate() else {
                sleep(LOOK).await;
                continue;
            };
            match self.evict(&candidate).await {
                Ok(()) => self.troubles.over(EVICTIONS),
                Err(unseen) => {
                    self.metrics.eviction(Attempt::Failed);
                    self.troubles.note(EVICTIONS, unseen);
                    sleep(PAUSE).await;
                }
            }
        }
    }

    fn candidate(&self) -> Option<Candidate> {
        let now = self.eye.clock.now();
        let rules = self.eye.rules().filter(|rules| rules.is_time(now))?;
        let state = self.eye.accounts().is_current().then(|| self.eye.state())?;
        state.settled().find_map(|(uid, missed)| {
            let controller = missed.controller.as_ref().filter(|owner| owner.makes_anew())?;
            let is_healed = missed.cause.remedy() == Remedy::Recreate;
            let round = Name::of_evictions(controller.uid, missed.cause);
            let step = rules.step(round, missed.created.into(), now).filter(|_| is_healed)?;
            let (missed, controller) = (missed.clone(), Arc::clone(controller));
            Some(Candidate { uid, missed, controller, round, step })
        })
    }

    async fn evict(&self, candidate: &Candidate) -> Look<()> {
        let Candidate { uid, missed, controller, round, step } = candidate;
        if *step == Step::Begin {
            let now = self.eye.clock.now();
            let event = of_evictions(*uid, missed, controller, now.seconds);
            let stored = write(&self.client, &event).await?;
            let created = stored.and_then(|event| event.metadata.creation_timestamp);
            // Its time is the API server's, as the times of Pods are.
            let began = created.and_then(|time| u64::try_from(time.0.as_second()).ok());
            let Some(mut rules) = self.eye.rules() else { return Ok(()) };
            rules.began(*round, began.unwrap_or(now.seconds), now);
        }
        let outcome = self.ask(*uid, missed).await?;
        let now = self.eye.clock.now();
        let (namespace, pod) = (&*missed.subject.namespace, &*missed.name);
        let reason = missed.cause.code();
        match outcome {
            Outcome::Evicted => {
                tracing::info!(namespace, pod, reason, "evicted a Pod without its identity");
                self.metrics.eviction(Attempt::Done);
                self.eye.rules().iter_mut().for_each(|rules| rules.evicted(*round, now));
                self.eye.state().gone(*uid, Gone::Away);
            }
            Outcome::Blocked => {
                tracing::info!(
                    namespace,
                    pod,
                    reason,
                    "a Pod may not be evicted now: trying later"
                );
                self.metrics.eviction(Attempt::Blocked);
                self.eye.rules().iter_mut().for_each(|rules| rules.blocked(*round, now));
            }
            Outcome::Gone => self.eye.state().gone(*uid, Gone::Away),
        }
        Ok(())
    }

    async fn ask(&self, uid: Uid, missed: &Missed) -> Look<Outcome> {
        let namespace = &*missed.subject.namespace;
        // kube's own request sends its options under a name that the API server does not know.
        let eviction = json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": { "name": &*missed.name, "namespace": namespace },
            "deleteOptions": { "preconditions": { "uid": dashed(uid) } },
        });
        let request = Request::new(Pod::url_path(&(), Some(namespace)));
        let body = eviction.to_string().into_bytes();
        let params = PostParams::default();
        // In all namespaces, since that is how the right is granted.
        let what = What::all("pods/eviction");
        let unseen = |why| Unseen { verb: "create", what: what.clone(), why };
        let request = request
            .create_subresource("eviction", &missed.name, &params, body)
            .map_err(|_| unseen(Why::Unreadable))?;
        match what.clone().ask("create", self.client.request_text(request)).await {
            Ok(_) => Ok(Outcome::Evicted),
            // 500: several budgets for one Pod are an error of the cluster's.
            Err(Unseen { why: Why::Answered { code: 429 | 500, .. }, .. }) => Ok(Outcome::Blocked),
            Err(Unseen { why: Why::Answered { code: 404 | 409, .. }, .. }) => Ok(Outcome::Gone),
            Err(unseen) => Err(unseen),
        }
    }
}
