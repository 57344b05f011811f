//! Following a resource for ever: list, watch, and again, whatever happens.
//!
//! Streaming lists come first and paged ones where the API server knows no streaming lists, which
//! it says with 400 or 422, or by sending the objects and never their end. What was known is never
//! thrown away on the way: events only ever say what is, and a new list replaces the old when it
//! is complete.

use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, DefaultBackoff, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::time::{sleep, timeout};

use super::error::AccountsError;
use super::health::Health;

/// How long a streaming list may be silent before its end has come. An API server that has
/// streaming lists sends what it has without a pause.
const SILENCE: Duration = Duration::from_secs(30);

/// After how many seconds the API server is asked to end a watch, for another to begin. A
/// connection that died without a word is noticed 5 s later (kube's watcher), so the time is
/// shorter than kube's 290 s.
const WATCH_SECONDS: u32 = 120;

/// Objects in a page of a paged list. client-go takes 500.
const PAGE: u32 = 1_000;

/// The longest pause between two attempts, should kube's own series of pauses ever end.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How lists are asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Lists {
    Streaming,
    Paged,
}

/// How far the watcher is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// A list is asked for.
    Asking,
    /// A list comes in.
    Listing,
    /// The list is complete.
    Watching,
}

/// Why a watcher was given up for another.
enum Restart {
    /// No streaming lists here, and how that showed.
    NoStreaming(&'static str),
    /// The watch is too old to be taken up, which kube's watcher does not see in this case.
    Expired,
}

/// Follows what `api` shows, limited to `fields`, and hands on every event. Never ends by itself.
pub async fn follow<K>(
    api: Api<K>,
    fields: Option<String>,
    health: Arc<Health>,
    mut take: impl FnMut(Event<K>),
) -> AccountsError
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut lists = Lists::Streaming;
    let mut backoff = DefaultBackoff::default();
    loop {
        let config = watcher::Config { field_selector: fields.clone(), ..lists.config() };
        let restart = match watch(&api, config, lists, &health, &mut backoff, &mut take).await {
            Ok(restart) => restart,
            Err(ended) => return ended,
        };
        if let Restart::NoStreaming(reason) = restart {
            lists = Lists::Paged;
            tracing::info!(
                resource = health.resource(),
                reason,
                "no streaming lists here: listing in pages from now on"
            );
        }
    }
}

async fn watch<K>(
    api: &Api<K>,
    config: watcher::Config,
    lists: Lists,
    health: &Health,
    backoff: &mut DefaultBackoff,
    take: &mut impl FnMut(Event<K>),
) -> Result<Restart, AccountsError>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut events = pin!(watcher(api.clone(), config));
    let mut phase = Phase::Asking;
    loop {
        let next = match (lists, phase) {
            (Lists::Streaming, Phase::Asking | Phase::Listing) => {
                match timeout(SILENCE, events.next()).await {
                    Ok(next) => next,
                    Err(_) => return Ok(Restart::NoStreaming("a list did not end")),
                }
            }
            (Lists::Paged, _) | (_, Phase::Watching) => events.next().await,
        };
        let resource = health.resource();
        let event = match next.ok_or(AccountsError::WatchEnded { resource })? {
            Ok(event) => event,
            Err(error) => {
                let refused = matches!(code(&error), Some(400 | 422));
                if lists == Lists::Streaming && phase != Phase::Watching && refused {
                    return Ok(Restart::NoStreaming("it refuses them"));
                }
                health.broke(&error);
                sleep(backoff.next().unwrap_or(LONGEST_PAUSE)).await;
                if code(&error) == Some(410) {
                    return Ok(Restart::Expired);
                }
                if phase == Phase::Listing {
                    phase = Phase::Asking;
                }
                continue;
            }
        };
        match &event {
            Event::Init if phase == Phase::Listing && lists == Lists::Streaming => {
                return Ok(Restart::NoStreaming("a list broke off"));
            }
            Event::Init => phase = Phase::Listing,
            Event::InitApply(_) => {}
            Event::InitDone => phase = Phase::Watching,
            Event::Apply(_) | Event::Delete(_) => health.stands(),
        }
        let complete = matches!(event, Event::InitDone);
        take(event);
        if complete {
            health.listed();
            if lists == Lists::Streaming {
                health.stands();
            }
        }
        if phase == Phase::Watching {
            backoff.reset();
        }
    }
}

/// The HTTP status that the API server gave as the reason.
fn code(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status.code),
        _ => None,
    }
}

// === impl Lists ===

impl Lists {
    fn config(self) -> watcher::Config {
        let config = watcher::Config::default().timeout(WATCH_SECONDS);
        match self {
            Self::Streaming => config.streaming_lists(),
            Self::Paged => config.page_size(PAGE),
        }
    }
}
