//! Watches of one object each. They wake, and say when a `caBundle` was another for a moment.
//!
//! Nothing is listed: a watch from no resourceVersion begins with the object as it is, and what
//! counts is read with a GET anyway. A watch that breaks is taken up where it was; while it cannot
//! be, the keeper looks by itself every minute, and readiness says so.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::api::{WatchEvent, WatchParams};
use kube::core::PartialObjectMeta;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::DefaultBackoff;
use kube::{Client, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::error::{KeeperError, Why};
use super::object::Object;
use super::secret::SecretRef;
use super::status::{Status, Watched};
use super::target::Target;
use crate::authority::Configuration;

/// After how many seconds the API server is asked to end a watch, for another to begin.
const WATCH_SECONDS: u32 = 120;

/// How long a watch may be silent: its own time, and what it takes to say that it is over.
const SILENCE: Duration = Duration::from_secs(125);

/// The longest pause between two attempts: a right that was granted counts soon.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The shortest time between two watches that were both accepted: one that ends at once, as behind a
/// broken proxy, must not make us busy.
const BETWEEN_WATCHES: Duration = Duration::from_secs(1);

/// What a watch tells.
#[derive(Debug)]
pub(super) enum Notice {
    /// Something is other than it was.
    Changed,
    /// The configuration is, or for a moment was, this.
    Configuration(Configuration),
}

type Opened<'a, K> = BoxFuture<'a, kube::Result<BoxStream<'static, kube::Result<WatchEvent<K>>>>>;

/// What is watched, and who is told.
struct Watch {
    object: Object,
    watched: Watched,
    notify: Sender<Notice>,
    status: Arc<Status>,
}

/// Watches the Secret, without what it holds.
pub(super) async fn secret(
    client: Client,
    secret: SecretRef,
    notify: Sender<Notice>,
    status: Arc<Status>,
) -> KeeperError {
    let api = secret.api(&client);
    let params = params(&secret.name);
    let watch = Watch { object: secret.object(), watched: Watched::Secret, notify, status };
    let open = |version: String| -> Opened<'_, PartialObjectMeta<KubeSecret>> {
        let (api, params) = (&api, &params);
        async move { Ok(api.watch_metadata(params, &version).await?.boxed()) }.boxed()
    };
    watch.run(open, |_| Notice::Changed).await
}

/// Watches the webhook configuration.
pub(super) async fn configuration(
    client: Client,
    target: Target,
    notify: Sender<Notice>,
    status: Arc<Status>,
) -> KeeperError {
    let api = Target::api(&client);
    let params = params(&target.configuration);
    let watch = Watch { object: target.object(), watched: Watched::Configuration, notify, status };
    let open = |version: String| -> Opened<'_, MutatingWebhookConfiguration> {
        let (api, params) = (&api, &params);
        async move { Ok(api.watch(params, &version).await?.boxed()) }.boxed()
    };
    watch.run(open, |found| Notice::Configuration(target.entries(found).configuration())).await
}

fn params(name: &str) -> WatchParams {
    WatchParams::default().fields(&format!("metadata.name={name}")).timeout(WATCH_SECONDS)
}

// === impl Watch ===

impl Watch {
    /// Never ends but with the keeper.
    async fn run<'a, K>(
        &self,
        open: impl Fn(String) -> Opened<'a, K>,
        notice: impl Fn(&K) -> Notice,
    ) -> KeeperError
    where
        K: ResourceExt + DeserializeOwned + Debug,
    {
        let mut version = String::new();
        let mut backoff = DefaultBackoff::default();
        loop {
            let error = match open(version.clone()).await {
                Ok(mut events) => {
                    let accepted = Instant::now();
                    self.status.watch(self.watched, None);
                    backoff.reset();
                    match self.follow(&mut events, &mut version, &notice).await {
                        Ok(()) => {
                            sleep_until(accepted + BETWEEN_WATCHES).await;
                            continue;
                        }
                        Err(Ended::Keeper) => return KeeperError::Unwatched,
                        Err(Ended::Watch(error)) => error,
                    }
                }
                Err(error) => Some(error),
            };
            if let Some(error) = error {
                if matches!(&error, kube::Error::Api(status) if status.code == 410) {
                    version.clear();
                }
                let trouble = KeeperError::of("watch", self.object.clone(), &error);
                self.status.watch(self.watched, Some(trouble));
            } else {
                let (verb, object, why) = ("watch", self.object.clone(), Why::NoAnswer);
                self.status.watch(self.watched, Some(KeeperError::Request { verb, object, why }));
            }
            let pause = backoff.next().unwrap_or(LONGEST_PAUSE);
            sleep(pause.min(LONGEST_PAUSE)).await;
        }
    }

    /// Hands on what happens until the watch has run its time.
    async fn follow<K>(
        &self,
        events: &mut BoxStream<'static, kube::Result<WatchEvent<K>>>,
        version: &mut String,
        notice: &impl Fn(&K) -> Notice,
    ) -> Result<(), Ended>
    where
        K: ResourceExt,
    {
        loop {
            let event = match timeout(SILENCE, events.next()).await {
                Ok(Some(Ok(event))) => event,
                Ok(Some(Err(error))) => return Err(Ended::Watch(Some(error))),
                Ok(None) => return Ok(()),
                Err(_) => return Err(Ended::Watch(None)),
            };
            let notice = match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    *version = object.resource_version().unwrap_or_default();
                    notice(&object)
                }
                WatchEvent::Deleted(object) => {
                    *version = object.resource_version().unwrap_or_default();
                    Notice::Changed
                }
                WatchEvent::Bookmark(bookmark) => {
                    version.clone_from(&bookmark.metadata.resource_version);
                    continue;
                }
                WatchEvent::Error(status) => {
                    return Err(Ended::Watch(Some(kube::Error::Api(status))));
                }
            };
            self.notify.send(notice).await.map_err(|_| Ended::Keeper)?;
        }
    }
}

/// Why a watch is over before its time.
enum Ended {
    /// It broke; without an error: nothing was heard of it.
    Watch(Option<kube::Error>),
    /// Nobody listens any more.
    Keeper,
}
