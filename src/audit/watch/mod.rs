//! `audit pods --watch`: looks at every Pod as it comes, tells, counts, and evicts where it may.
//!
//! ```text
//! watch of Pods ------------------+
//! watch of accounts --> sweep ----+--> eye --> state --> teller --> Events
//! mappings, file -----> sweep ----+     \               evictor --> Events, Evictions
//!                                        \--> rules -------/
//! ```
//!
//! Everything that has to outlive the process is in the Events that it writes: before anything else,
//! those of an earlier run are read. One at a time may run.

mod event;
mod evictor;
mod eye;
mod pods;
mod rules;
mod state;
mod subject;
mod sweep;
mod teller;
mod trouble;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use kube::{Api, Client};
use tokio::time::Instant;

use super::{Expectation, JUDGED, Scope};
use crate::accounts::{self, Accounts, Health, Readiness};
use crate::policy;
use crate::telemetry::accounts::AccountsMetrics;
use crate::telemetry::audit::AuditMetrics;
use eye::Eye;
use pods::Watched;
use trouble::Troubles;

const PODS: accounts::Watched = accounts::Watched { resource: "pods", title: "pods" };

/// How often something that has no event of its own is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// What a watch does, and how.
#[derive(Debug)]
pub struct Settings {
    /// Where Pods are looked at.
    pub scope: Scope,
    /// What they are held against.
    pub expectation: Expectation,
    /// How many may be evicted in a minute; none at all by default.
    pub evictions: Option<NonZeroU32>,
}

/// A watch that runs, to be asked how it is. Clones share everything.
#[derive(Clone)]
pub struct Watch {
    accounts: Accounts,
    pods: Arc<Health>,
    troubles: Arc<Troubles>,
}

/// Work that goes on as long as the watch runs.
pub struct Task {
    name: &'static str,
    work: BoxFuture<'static, Ended>,
}

/// Work ended that never ends by itself.
#[derive(Debug, thiserror::Error)]
#[error("the work on {0} ended")]
pub struct Ended(&'static str);

/// Readies a watch. Nothing is asked of the API server before the tasks run. Has to be called within
/// a Tokio runtime.
pub fn bind(
    client: &Client,
    settings: Settings,
    metrics: &AuditMetrics,
    accounts_metrics: &AccountsMetrics,
) -> (Watch, Vec<Task>) {
    let Settings { scope, expectation, evictions } = settings;
    let Expectation { settings, documents, config_map, credentials_file, role_policy_file, .. } =
        expectation;
    let (role_policy, policy_task) = match (documents.role_policy, role_policy_file) {
        (Some(policy), Some(path)) => {
            let (current, task) = policy::follow(&path, policy, accounts_metrics);
            (Some(current), Some(task))
        }
        (policy, _) => (policy.map(policy::Current::new), None),
    };
    let (changes, changed) = sweep::channel();
    let (accounts, tasks) = accounts::bind_and_tell(
        client,
        &accounts::Settings {
            annotation_prefix: settings.defaults.annotation_prefix.clone(),
            // A Pod is looked at again when its account comes or changes.
            grace_period: Duration::ZERO,
            config_map,
            credentials_file,
            poll_interval: accounts::POLL_INTERVAL,
            role_policy,
        },
        accounts_metrics,
        move |change| changes.tell(change),
    );
    let mut work: Vec<_> = tasks.into_iter().map(of_accounts).collect();
    work.extend(
        policy_task.map(|task| Task::new("role policy", async move { match task.run().await {} })),
    );
    let pods = Arc::new(Health::new(PODS, accounts_metrics.watch(PODS.resource)));
    let troubles = Arc::<Troubles>::default();
    let interval = evictions.map(|evictions| Duration::from_mins(1) / evictions.get());
    let eye = Arc::new(Eye::new(accounts.clone(), settings, interval, metrics.clone()));
    let watch = Watch { accounts, pods, troubles: Arc::clone(&troubles) };
    let teller = teller::Teller {
        client: client.clone(),
        scope: scope.clone(),
        eye: Arc::clone(&eye),
        troubles: Arc::clone(&troubles),
        metrics: metrics.clone(),
    };
    let sweep = sweep::Sweep {
        client: client.clone(),
        scope: scope.clone(),
        eye: Arc::clone(&eye),
        troubles: Arc::clone(&troubles),
        changed,
    };
    let evictor = evictor::Evictor {
        client: client.clone(),
        eye: Arc::clone(&eye),
        troubles,
        metrics: metrics.clone(),
    };
    work.push(Task::new("pods", look(client.clone(), scope, watch.clone(), eye, teller, sweep)));
    if interval.is_some() {
        work.push(Task::new("evictions", evictor.run()));
    }
    (watch, work)
}

fn of_accounts(task: accounts::Task) -> Task {
    let name = task.name();
    let work = async move {
        if let Err(error) = task.run().await {
            tracing::error!(%error, "a watch ended");
        }
    };
    Task::new(name, work)
}

/// What an earlier run did, then accounts, then Pods: each is of use only after the one before.
async fn look(
    client: Client,
    scope: Scope,
    watch: Watch,
    eye: Arc<Eye>,
    teller: teller::Teller,
    mut sweep: sweep::Sweep,
) {
    teller.recall().await;
    eye.are_accounts_there().await;
    let client = watch.pods.observe(&client);
    let api: Api<Watched> = match &scope {
        Scope::All => Api::all(client),
        Scope::Namespace(namespace) => Api::namespaced(client, namespace),
    };
    let follow = accounts::follow(api, Some(JUDGED.to_owned()), Arc::clone(&watch.pods), |event| {
        eye.take(event);
    });
    let documents = sweep.begin();
    let (_ended, (), ()) = futures::join!(follow, sweep.run(documents), teller.run());
}

// === impl Watch ===

impl Watch {
    /// How accounts, mappings and Pods stand, and what else there is to be put right.
    pub fn readiness(&self) -> Vec<Readiness> {
        let Self { accounts, pods, troubles } = self;
        let mut all = accounts.readiness();
        all.push(pods.readiness());
        all.extend(troubles.readiness());
        all
    }
}

// === impl Task ===

impl Task {
    fn new(name: &'static str, work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self {
            name,
            work: async move {
                work.await;
                Ended(name)
            }
            .boxed(),
        }
    }

    /// What it works on, for messages.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Works until something fails that does not mend.
    pub async fn run(self) -> Ended {
        self.work.await
    }
}

/// Both clocks of a watch.
#[derive(Clone, Copy, Debug)]
struct Clock {
    began: Instant,
}

impl Clock {
    fn start() -> Self {
        Self { began: Instant::now() }
    }

    fn moment(self) -> state::Moment {
        self.began.elapsed()
    }

    fn now(self) -> rules::Now {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        rules::Now { moment: self.moment(), seconds: since.unwrap_or_default().as_secs() }
    }
}
