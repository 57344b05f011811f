//! Live look-ups: one GET for each account that somebody waits for, shared by all who do.
//!
//! Nothing outlives its use. The GET ends with the last who waits for it, the entry that lets
//! others join goes with it, and what is remembered, a 404 or an identity, is forgotten after a
//! second. A failure is never remembered: whoever comes next asks anew.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::GetParams;
use kube::core::{PartialObjectMeta, Request};
use kube::{Client, Resource};
use tokio::time::{Instant, timeout, timeout_at};

use super::account::{Account, Read};
use crate::identity::AccountRef;

/// How long the answer of one GET serves others: a second.
const REMEMBERED: Duration = Duration::from_secs(1);

/// Live GETs a second, so that a broken watch does not become a load on the API server.
const RATE: NonZeroU32 = NonZeroU32::MIN.saturating_add(50 - 1);

/// Live GETs at once: a Deployment of 200 Pods, each with an account of its own.
const BURST: NonZeroU32 = NonZeroU32::MIN.saturating_add(200 - 1);

/// The API server as the last resort for one account.
pub(super) struct Live {
    client: Client,
    prefix: Box<str>,
    grace: Duration,
    limiter: DefaultDirectRateLimiter,
    calls: Mutex<HashMap<AccountRef, WeakShared<Get>>>,
    recent: Arc<Recent>,
    refusal: Arc<Refusal>,
}

/// What a live look-up ended in.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Known(Account),
    Absent,
    Failed(Failure),
}

/// Why nobody could tell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Failure {
    Off,
    Throttled,
    TimedOut,
    Forbidden,
    Busy,
    ServerError,
    Unreachable,
    Unreadable,
}

type Get = BoxFuture<'static, Answer>;

/// Answers of the last second. The limit on GETs bounds them: [`BURST`] and [`RATE`] together.
#[derive(Default)]
struct Recent(Mutex<HashMap<AccountRef, (Instant, Answer)>>);

/// Whether the API server refused the last GET that it answered. Where a cached answer stands in,
/// no Pod tells of it: so readiness notes it, and it is logged when it begins and when it ends.
#[derive(Default)]
struct Refusal(AtomicBool);

/// One of those who wait for a GET.
struct Waiter<'a> {
    live: &'a Live,
    account: &'a AccountRef,
    /// `None` once the waiter has left.
    get: Option<Shared<Get>>,
}

/// Who began the GET that a waiter waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Begun {
    Now,
    Before,
}

// === impl Live ===

impl Live {
    pub(super) fn new(client: Client, prefix: &str, grace: Duration) -> Self {
        Self {
            client,
            prefix: prefix.into(),
            grace,
            limiter: RateLimiter::direct(Quota::per_second(RATE).allow_burst(BURST)),
            calls: Mutex::default(),
            recent: Arc::default(),
            refusal: Arc::default(),
        }
    }

    /// Whether the API server refused the last GET that it answered, for want of a right.
    pub(super) fn is_refused(&self) -> bool {
        self.refusal.0.load(Ordering::Relaxed)
    }

    /// Asks the API server for `account` and waits for `limit` or the grace period, whichever is
    /// shorter.
    pub(super) async fn ask(&self, account: &AccountRef, limit: Duration) -> Answer {
        if self.grace.is_zero() {
            return Answer::Failed(Failure::Off);
        }
        let deadline = Instant::now() + limit.min(self.grace);
        if let Some(answer) = self.recent.answer(account) {
            return answer;
        }
        loop {
            let (mut waiter, begun) = match self.join(account) {
                Ok(joined) => joined,
                Err(failure) => return Answer::Failed(failure),
            };
            match timeout_at(deadline, waiter.answer()).await {
                // Its time was up before ours: there is time for one of our own.
                Ok(Answer::Failed(Failure::TimedOut)) if begun == Begun::Before => {}
                Ok(answer) => return answer,
                Err(_) => return Answer::Failed(Failure::TimedOut),
            }
        }
    }

    fn join<'a>(&'a self, account: &'a AccountRef) -> Result<(Waiter<'a>, Begun), Failure> {
        let mut calls = self.lock();
        let waiter = |get| Waiter { live: self, account, get: Some(get) };
        let running = calls.get(account).and_then(WeakShared::upgrade);
        // One that has failed already is of no use to those who come later.
        if let Some(get) = running.filter(|get| !matches!(get.peek(), Some(Answer::Failed(_)))) {
            return Ok((waiter(get), Begun::Before));
        }
        self.limiter.check().map_err(|_| Failure::Throttled)?;
        let get = self.get(account).shared();
        if let Some(weak) = get.downgrade() {
            calls.insert(account.clone(), weak);
        }
        Ok((waiter(get), Begun::Now))
    }

    /// The GET itself; it gives up after the grace period, so that those who join late do not keep
    /// one alive that hangs.
    fn get(&self, account: &AccountRef) -> Get {
        let (client, recent) = (self.client.clone(), Arc::clone(&self.recent));
        let refusal = Arc::clone(&self.refusal);
        let (account, prefix, grace) = (account.clone(), self.prefix.clone(), self.grace);
        async move {
            let answer = timeout(grace, fetch(&client, &prefix, &account))
                .await
                .unwrap_or(Answer::Failed(Failure::TimedOut));
            recent.remember(&account, &answer);
            refusal.note(&answer);
            answer
        }
        .boxed()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AccountRef, WeakShared<Get>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn residue(&self) -> usize {
        self.lock().len() + self.recent.lock().len()
    }
}

/// One GET of the account's metadata.
async fn fetch(client: &Client, prefix: &str, account: &AccountRef) -> Answer {
    let url = ServiceAccount::url_path(&(), Some(account.namespace()));
    let Ok(request) = Request::new(url).get_metadata(account.name(), &GetParams::default()) else {
        return Answer::Failed(Failure::Unreadable);
    };
    // As text, since kube logs an answer that it cannot read.
    match client.request_text(request).await {
        Ok(text) => serde_json::from_str::<PartialObjectMeta<ServiceAccount>>(&text)
            .ok()
            .and_then(|object| Read::of(prefix, object))
            .map_or(Answer::Failed(Failure::Unreadable), |read| Answer::Known(read.account)),
        Err(kube::Error::Api(status)) => match (status.code, status.reason.as_str()) {
            (404, "NotFound") => Answer::Absent,
            (401 | 403, _) => Answer::Failed(Failure::Forbidden),
            (429, _) => Answer::Failed(Failure::Busy),
            (500.., _) => Answer::Failed(Failure::ServerError),
            // A 404 of something else than an API server, say: it knows nothing of accounts.
            _ => Answer::Failed(Failure::Unreadable),
        },
        Err(kube::Error::FromUtf8(_)) => Answer::Failed(Failure::Unreadable),
        Err(_) => Answer::Failed(Failure::Unreachable),
    }
}

// === impl Waiter ===

impl Waiter<'_> {
    async fn answer(&mut self) -> Answer {
        match &mut self.get {
            Some(get) => get.await,
            None => Answer::Failed(Failure::TimedOut),
        }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut calls = self.live.lock();
        self.get = None;
        if calls.get(self.account).is_some_and(|get| get.upgrade().is_none()) {
            calls.remove(self.account);
        }
    }
}

// === impl Recent ===

impl Recent {
    fn answer(&self, account: &AccountRef) -> Option<Answer> {
        let mut recent = self.lock();
        recent.retain(|_, (at, _)| at.elapsed() < REMEMBERED);
        recent.get(account).map(|(_, answer)| answer.clone())
    }

    /// An account without an identity is not remembered: somebody may be about to give it one.
    fn remember(&self, account: &AccountRef, answer: &Answer) {
        let worth = match answer {
            Answer::Known(found) => found.annotations().names_an_identity(),
            Answer::Absent => true,
            Answer::Failed(_) => false,
        };
        if worth {
            let entry = (Instant::now(), answer.clone());
            self.lock().insert(account.clone(), entry);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AccountRef, (Instant, Answer)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Refusal ===

impl Refusal {
    fn note(&self, answer: &Answer) {
        let refused = match answer {
            Answer::Failed(Failure::Forbidden) => true,
            Answer::Known(_) | Answer::Absent => false,
            // Says nothing of rights.
            Answer::Failed(_) => return,
        };
        let (resource, verb) = ("serviceaccounts", "get");
        match (self.0.swap(refused, Ordering::Relaxed), refused) {
            (false, true) => {
                tracing::warn!(resource, verb, "live look-ups are refused: grant the verb");
            }
            (true, false) => tracing::info!(resource, verb, "live look-ups are answered again"),
            _ => {}
        }
    }
}

// === impl Failure ===

impl Failure {
    /// One sentence for those who wait for the Pod, a constant.
    pub(super) const fn sentence(self) -> &'static str {
        match self {
            Self::Off => {
                "the ServiceAccount is not in the cache, and live look-ups are off \
                 (--service-account-lookup-grace-period=0)"
            }
            Self::Throttled => "too many ServiceAccounts had to be looked up at once",
            Self::TimedOut => "the API server did not answer in time",
            Self::Forbidden => "the webhook may not get ServiceAccounts: grant it the verb get",
            Self::Busy => "the API server is too busy to answer",
            Self::ServerError => "the API server failed to answer",
            Self::Unreachable => "the API server cannot be reached",
            Self::Unreadable => "the API server's answer cannot be read",
        }
    }
}
