//! One Pod at a time, seen and judged: what it comes to goes to the state and to the rules.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::runtime::watcher::Event;
use tokio::time::sleep;

use super::event::Name;
use super::pods::Watched;
use super::rules::{Health, Learned, Rules, Seen};
use super::state::{Found, Gone, State};
use super::subject::{Controller, Subject};
use super::{Clock, LOOK};
use crate::accounts::{Accounts, ListState, Readiness};
use crate::audit::finding::{Cause, Judgement, judge};
use crate::audit::sight::{self, Sight, Uid};
use crate::drift::Verdict;
use crate::plan::Settings;
use crate::telemetry::audit::AuditMetrics;

/// Every cause for which Pods are evicted.
const HEALED: [Cause; 7] = [
    Cause::Drift(Verdict::Missing),
    Cause::Drift(Verdict::Partial),
    Cause::Drift(Verdict::OtherMethod),
    Cause::Drift(Verdict::OtherRole),
    Cause::Drift(Verdict::OtherAudience),
    Cause::Drift(Verdict::OtherTokenPath),
    Cause::Drift(Verdict::OtherEndpoint),
];

/// See the module.
pub(super) struct Eye {
    accounts: Accounts,
    settings: Settings,
    pub(super) clock: Clock,
    state: Mutex<State>,
    /// None if nothing is evicted.
    rules: Option<Mutex<Rules>>,
}

// === impl Eye ===

impl Eye {
    /// `interval` is the time between two evictions, if there are to be any.
    pub(super) fn new(
        accounts: Accounts,
        settings: Settings,
        interval: Option<Duration>,
        metrics: AuditMetrics,
    ) -> Self {
        Self {
            accounts,
            settings,
            clock: Clock::start(),
            state: Mutex::new(State::new(metrics)),
            rules: interval.map(|interval| Mutex::new(Rules::new(interval))),
        }
    }

    pub(super) fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Waits until accounts and mappings have been listed.
    pub(super) async fn are_accounts_there(&self) {
        let is_awaited = |readiness: &Readiness| matches!(readiness.state, ListState::Awaited(_));
        while self.accounts.readiness().iter().any(is_awaited) {
            sleep(LOOK).await;
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn rules(&self) -> Option<MutexGuard<'_, Rules>> {
        let rules = self.rules.as_ref()?;
        Some(rules.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes what the watch of Pods says.
    pub(super) fn take(&self, event: Event<Watched>) {
        match event {
            Event::Init => self.state().begins(),
            Event::InitApply(pod) | Event::Apply(pod) => self.look(pod.json()),
            Event::Delete(pod) => self.state().gone(sight::uid(pod.uid()), Gone::Away),
            Event::InitDone => self.state().ends(),
        }
    }

    /// Looks at a Pod.
    pub(super) fn look(&self, json: &str) {
        let Ok(sight) = Sight::read(json) else {
            tracing::debug!("a Pod cannot be read");
            return;
        };
        let uid = sight::uid(sight.uid());
        let Ok(account) = sight.ask().account() else {
            self.state().gone(uid, Gone::Healthy);
            return;
        };
        let facts = self.accounts.known(sight.namespace(), account);
        let sources = facts.sources();
        let Some(judgement) = judge(&sight, &sources, &self.settings) else {
            self.state().gone(uid, Gone::Away);
            return;
        };
        let (cause, controller) = (judgement.cause(), sight.controller());
        let controller = controller.as_ref().map(Controller::new);
        self.apply_rules(uid, &judgement, controller.as_ref());
        let found = cause.zip(judgement.expected()).map(|(cause, expected)| Found {
            uid,
            name: sight.name(),
            created: sight.created(),
            cause,
            subject: Subject::new(sight.namespace(), account, &expected),
            controller,
        });
        match found {
            Some(found) => self.state().found(found, self.clock.moment()),
            None => self.state().gone(uid, Gone::Healthy),
        }
    }

    fn apply_rules(
        &self,
        uid: Uid,
        judgement: &Judgement<'_, '_>,
        controller: Option<&Controller>,
    ) {
        let Some(mut rules) = self.rules() else { return };
        let (sight, now) = (judgement.sight, self.clock.now());
        let created = sight.created();
        let (cause, verdict) = (judgement.cause(), judgement.drift.verdict);
        if let (Some(controller), true) = (controller, rules.waits()) {
            let health = match (cause, verdict) {
                (Some(_), Verdict::Missing) => Some(Health::Missed),
                (Some(_), _) => Some(Health::Lacking),
                (None, Verdict::Complete) if sight.is_ready() => Some(Health::Ready),
                (None, Verdict::Complete) => Some(Health::Identified),
                (None, _) => None,
            };
            if let Some(health) = health {
                let seen = Seen { uid, created, health };
                let rounds = HEALED.into_iter().filter(|of| cause.is_none_or(|it| it == *of));
                for of in rounds {
                    let round = Name::of_evictions(controller.uid, of);
                    if rules.saw(round, seen, now) == Learned::NoUse {
                        tracing::warn!(
                            namespace = sight.namespace(),
                            pod = sight.name(),
                            "a Pod that came instead of an evicted one lacks its identity, too: \
                             nothing is evicted for a while"
                        );
                    }
                }
            }
        }
        if verdict == Verdict::Missing && cause.is_some() {
            rules.slipped(created);
        }
    }
}

/// What is looked at by several tasks.
pub(super) type Shared = Arc<Eye>;
