//! How a watch is doing: whether its first list came, since when it is broken, and why.
//!
//! kube's watcher says nothing when it takes a watch up again, so the requests themselves are
//! looked at: a watch counts as broken from the moment it is asked for anew until the API server
//! has answered 200. An answer to a streaming list is not enough, its end has to come.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Request, Uri};
use kube::client::Body;
use kube::runtime::watcher;
use kube::{Client, core::Status};
use tokio::time::{Instant, sleep_until, timeout};
use tower::BoxError;

use crate::sentence::root_cause;
use crate::telemetry::accounts::Outage;

/// How long the API server has for the head of its answer to a list or a watch: its own
/// `--request-timeout` is 60 s, nothing comes after that.
const ANSWER_WITHIN: Duration = Duration::from_mins(1);

/// The shortest time between two watches that were both accepted. kube's watcher takes up a watch
/// that ended without an error at once, which a broken proxy turns into a busy loop.
const BETWEEN_WATCHES: Duration = Duration::from_secs(1);

/// The longest message of an API server that is repeated, in characters.
const MAX_MESSAGE: usize = 300;

/// The state of the watch of one resource.
pub struct Health {
    watched: Watched,
    outage: Outage,
    state: Mutex<State>,
}

/// What is watched.
#[derive(Clone, Copy, Debug)]
pub struct Watched {
    /// The resource as RBAC names it.
    pub resource: &'static str,
    /// The resource as readiness names it.
    pub title: &'static str,
}

#[derive(Default)]
struct State {
    first_list: FirstList,
    trouble: Option<Trouble>,
    accepted: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum FirstList {
    #[default]
    Awaited,
    Complete,
}

/// Why a list or a watch failed; never holds an object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Trouble {
    /// The API server said no.
    Refused { code: u16, message: Box<str> },
    /// The answer makes no sense.
    Unreadable,
    /// There was no answer, or it broke off.
    Unreachable(Box<str>),
}

/// The API server did not begin an answer in time.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {} s", ANSWER_WITHIN.as_secs())]
struct NoAnswer;

/// Whether something that the webhook waits for before it is ready has come.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Readiness {
    /// What is waited for.
    pub of: &'static str,
    /// How it stands.
    pub state: ListState,
}

/// How the list of something stands, with one sentence where it is not as it should be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ListState {
    /// It has come, and is kept up to date.
    Complete,
    /// It has come and is served, but a person should look.
    Noted(String),
    /// It has not come yet.
    Awaited(String),
}

/// What a request of kube's watcher is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Call {
    List,
    StreamingList,
    Watch,
}

// === impl Health ===

impl Health {
    /// Of a watch that has yet to begin; `outage` shows for how long it is broken.
    pub fn new(watched: Watched, outage: Outage) -> Self {
        outage.begin();
        Self { watched, outage, state: Mutex::default() }
    }

    /// The resource as RBAC names it.
    pub(super) fn resource(&self) -> &'static str {
        self.watched.resource
    }

    /// Whether events arrive.
    pub fn is_standing(&self) -> bool {
        self.outage.age().is_none()
    }

    /// A list is complete.
    pub(super) fn listed(&self) {
        let before = std::mem::replace(&mut self.lock().first_list, FirstList::Complete);
        if before == FirstList::Awaited {
            tracing::info!(resource = self.resource(), "the first list is complete");
        }
    }

    /// The watch stands.
    pub(super) fn stands(&self) {
        self.outage.end();
        let trouble = self.lock().trouble.take();
        if trouble.is_some() {
            tracing::info!(resource = self.resource(), "the watch stands again");
        }
    }

    /// The list or the watch failed and will be tried again.
    pub(super) fn broke(&self, error: &watcher::Error) {
        self.outage.begin();
        let trouble = Trouble::of(error);
        let text = trouble.to_string();
        let resource = self.resource();
        let before = self.lock().trouble.replace(trouble.clone());
        if before.as_ref() == Some(&trouble) {
            tracing::debug!(resource, reason = text, "the watch is still broken");
        } else {
            tracing::warn!(
                resource,
                reason = text,
                "the watch is broken: the last known state is served, and the watch tried again"
            );
        }
    }

    /// Whether the first list has come, and why not.
    pub fn readiness(&self) -> Readiness {
        let state = self.lock();
        let resource = self.resource();
        Readiness {
            of: self.watched.title,
            state: match (&state.first_list, &state.trouble) {
                (FirstList::Complete, None) => ListState::Complete,
                (FirstList::Complete, Some(trouble)) => ListState::Noted(format!(
                    "the last known state is served: {}",
                    trouble.with_remedy(resource)
                )),
                (FirstList::Awaited, None) => {
                    ListState::Awaited("waiting for the first list".to_owned())
                }
                (FirstList::Awaited, Some(trouble)) => ListState::Awaited(format!(
                    "waiting for the first list: {}",
                    trouble.with_remedy(resource)
                )),
            },
        }
    }

    /// A client like `client` whose lists and watches are looked at.
    pub fn observe(self: &Arc<Self>, client: &Client) -> Client {
        let namespace = client.default_namespace().to_owned();
        let (client, health) = (client.clone(), Arc::clone(self));
        let service = tower::service_fn(move |request: Request<Body>| {
            let (client, health) = (client.clone(), Arc::clone(&health));
            async move { health.send(&client, request).await }
        });
        Client::new(service, namespace)
    }

    async fn send(
        &self,
        client: &Client,
        request: Request<Body>,
    ) -> Result<http::Response<Body>, BoxError> {
        let call = Call::of(request.uri());
        if call != Call::List {
            let accepted = self.lock().accepted;
            self.outage.begin();
            if let Some(accepted) = accepted {
                sleep_until(accepted + BETWEEN_WATCHES).await;
            }
        }
        let response =
            timeout(ANSWER_WITHIN, client.send(request)).await.map_err(|_| NoAnswer)??;
        if call != Call::List && response.status().is_success() {
            self.lock().accepted = Some(Instant::now());
            if call == Call::Watch {
                self.stands();
            }
        }
        Ok(response)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Call ===

impl Call {
    fn of(uri: &Uri) -> Self {
        let has =
            |wanted| uri.query().is_some_and(|query| query.split('&').any(|pair| pair == wanted));
        if !has("watch=true") {
            Self::List
        } else if has("sendInitialEvents=true") {
            Self::StreamingList
        } else {
            Self::Watch
        }
    }
}

// === impl Trouble ===

impl Trouble {
    fn of(error: &watcher::Error) -> Self {
        match error {
            watcher::Error::InitialListFailed(source)
            | watcher::Error::WatchStartFailed(source)
            | watcher::Error::WatchFailed(source) => Self::of_client(source),
            watcher::Error::WatchError(status) => Self::refused(status),
            watcher::Error::NoResourceVersion => Self::Unreadable,
        }
    }

    fn of_client(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::refused(status),
            kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => Self::Unreadable,
            _ => Self::Unreachable(root_cause(error)),
        }
    }

    fn refused(status: &Status) -> Self {
        Self::Refused { code: status.code, message: shorten(&status.message) }
    }

    /// What is wrong, and what to grant where a right is missing.
    fn with_remedy(&self, resource: &str) -> String {
        match self {
            Self::Refused { code: 403, .. } => {
                format!("{self}: grant list and watch on {resource}")
            }
            _ => self.to_string(),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { code: 403, message } => {
                write!(f, "the API server refuses: {message:?}")
            }
            Self::Refused { code, message } => {
                write!(f, "the API server answers {code}: {message:?}")
            }
            Self::Unreadable => f.write_str("the API server's answer cannot be read"),
            Self::Unreachable(why) => write!(f, "the API server cannot be reached: {why}"),
        }
    }
}

fn shorten(message: &str) -> Box<str> {
    message.chars().take(MAX_MESSAGE).collect()
}

// === impl Readiness ===

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { of, state } = self;
        match state {
            ListState::Complete => write!(f, "{of}: ok"),
            ListState::Noted(why) | ListState::Awaited(why) => write!(f, "{of}: {why}"),
        }
    }
}
