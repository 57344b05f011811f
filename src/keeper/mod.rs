//! The Kubernetes edge of certificates: observe, ask [`crate::authority`] what to do, do it.
//!
//! ```text
//! watches (what changed?) --wake--> round: GET configuration, GET Secret --> Replica --> Plan
//!                                     ^                                                    |
//!                                     +---- look again <---- Secret, caBundle, Served <----+
//! ```
//!
//! Decides nothing about rotations. What decides is read with GETs, in the order that
//! [`Observed`](crate::authority::Observed) demands; watches only wake. Every write is guarded by a
//! resourceVersion and touches only what is ours: keys of the Secret, `caBundle` of our entries. No
//! leader and no lease. Nothing that Kubernetes does ends a task, and no private key is logged or
//! written anywhere but to the Secret.

mod bundle_file;
mod error;
mod object;
mod round;
mod secret;
mod status;
mod target;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use kube::Client;
use tokio::sync::mpsc;

pub use error::{KeeperError, Why};
pub use object::Object;
pub use secret::SecretRef;
pub use status::{Readiness, Status};
pub use target::{Entries, Entry, Target};

use crate::authority::{Policy, ServiceNames};
use crate::telemetry::CertificateMetrics;
use crate::tls::Served;

/// The field manager of every write: what Argo CD and the like are told to leave alone.
pub const FIELD_MANAGER: &str = "pod-identity-webhook";

/// How many notices of watches may wait; each round takes all of them.
const NOTICES: usize = 32;

/// What is kept, and how long it lasts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long everything lasts.
    pub policy: Policy,
    /// The Secret with the CA.
    pub secret: SecretRef,
    /// The entries whose `caBundle` is kept.
    pub target: Target,
    /// What the certificates are for.
    pub names: ServiceNames,
}

/// Work that goes on as long as the webhook runs.
pub struct Task {
    name: &'static str,
    work: BoxFuture<'static, KeeperError>,
}

/// Keeps a CA in a Secret, a leaf of it in `served`, and both in the webhook configuration. Nothing
/// is asked of the API server before the tasks run.
pub fn bind(
    client: &Client,
    settings: Settings,
    served: Arc<Served>,
    metrics: CertificateMetrics,
) -> (Arc<Status>, Vec<Task>) {
    let (notify, notices) = mpsc::channel(NOTICES);
    let status = Arc::new(Status::new(settings.target.object()));
    let watches = [
        Task {
            name: "watch of the Secret",
            work: watch::secret(
                client.clone(),
                settings.secret.clone(),
                notify.clone(),
                Arc::clone(&status),
            )
            .boxed(),
        },
        Task {
            name: "watch of the webhook configuration",
            work: watch::configuration(
                client.clone(),
                settings.target.clone(),
                notify,
                Arc::clone(&status),
            )
            .boxed(),
        },
    ];
    let keeper =
        round::Keeper::new(client.clone(), settings, served, Arc::clone(&status), metrics, notices);
    let keeper = Task { name: "certificates", work: keeper.run().boxed() };
    (status, watches.into_iter().chain([keeper]).collect())
}

/// Has the `caBundle` of `target` hold what `file` holds, and for `overlap` what it held besides.
pub fn bind_file(
    client: &Client,
    target: Target,
    file: PathBuf,
    overlap: Duration,
    metrics: CertificateMetrics,
) -> (Arc<Status>, Vec<Task>) {
    let (notify, notices) = mpsc::channel(NOTICES);
    let status = Arc::new(Status::new(target.object()));
    let watch =
        watch::configuration(client.clone(), target.clone(), notify, Arc::clone(&status)).boxed();
    let keeper = bundle_file::Keeper::new(
        client.clone(),
        target,
        file,
        overlap,
        Arc::clone(&status),
        metrics,
        notices,
    );
    let tasks = vec![
        Task { name: "watch of the webhook configuration", work: watch },
        Task { name: "caBundle from a file", work: keeper.run().boxed() },
    ];
    (status, tasks)
}

// === impl Task ===

impl Task {
    /// What the task keeps true, for messages.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Works until something fails that does not mend; nothing that the API server does is that.
    pub async fn run(self) -> KeeperError {
        self.work.await
    }
}
