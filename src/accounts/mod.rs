//! Everything that is known about ServiceAccounts, and how it is come by.
//!
//! ```text
//! watch of ServiceAccounts --> cache ---------+
//! live GET, for what the cache lacks ---------+--> Facts --> identity::Sources
//! watch of one ConfigMap --> Mappings --------+
//! container-credentials file --> Credentials -+
//! role policy (`policy`) ---------------------+
//! ```
//!
//! Decides nothing about identities and knows neither servers nor Pods. [`bind`] gives what is
//! asked and the tasks that keep it true; whoever holds the tasks runs them. What was once known
//! is served until something newer is known.

mod account;
mod cache;
mod census;
mod config_map;
mod credentials;
mod credentials_file;
mod error;
mod follow;
mod health;
mod live;
mod mappings;
mod pairs;
#[cfg(test)]
mod scripted;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::core::PartialObjectMeta;
use kube::{Api, Client};

pub use account::Account;
pub use cache::Change;
pub use census::{Census, Resident};
pub use config_map::{CONFIG_KEY, CONFIG_MAP};
pub use credentials::Credentials;
pub use credentials_file::MAX_FILE_BYTES;
pub use error::{AccountsError, Document, EntryError};
pub use follow::follow;
pub use health::{Health, ListState, Readiness, Watched};
pub use mappings::{Entry, Mappings};

use crate::identity::{AccountRef, Guard, Knowledge, Listed, Mapping, RolePolicy, Sources};
use crate::policy;
use crate::telemetry::accounts::{AccountsMetrics, Lookup};
use cache::Cache;
use live::{Answer, Failure, Live};

/// How often files are compared with what was read: a change is seen within 10 s.
pub const POLL_INTERVAL: Duration = Duration::from_secs(10);

/// How long a cached account without an identity is not taken at its word: a minute, in which the
/// annotation may follow the account.
const FRESH: Duration = Duration::from_mins(1);

const SERVICE_ACCOUNTS: Watched =
    Watched { resource: "serviceaccounts", title: "service accounts" };

const CONFIG_MAPS: Watched = Watched { resource: "configmaps", title: "mappings" };

/// What is watched, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `--annotation-prefix`.
    pub annotation_prefix: Box<str>,
    /// How long a live look-up may take; none is made if it is zero.
    pub grace_period: Duration,
    /// The namespace of the ConfigMap [`CONFIG_MAP`], if that is to be watched.
    pub config_map: Option<Box<str>>,
    /// The container-credentials file, if there is to be one.
    pub credentials_file: Option<PathBuf>,
    /// How often that file is read: [`POLL_INTERVAL`].
    pub poll_interval: Duration,
    /// The role policy, if there is one.
    pub role_policy: Option<policy::Current>,
}

/// What is known about accounts now. Clones share everything.
#[derive(Clone)]
pub struct Accounts(Arc<Inner>);

struct Inner {
    cache: Cache,
    service_accounts: Arc<Health>,
    live: Live,
    config_map: Option<Arc<Health>>,
    mappings: Arc<ArcSwap<Mappings>>,
    credentials: Arc<ArcSwap<Credentials>>,
    role_policy: Option<policy::Current>,
    metrics: AccountsMetrics,
}

/// Everything that is known about one account.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Whether the container-credentials file lists it.
    pub credentials_file: Listed,
    /// The account itself.
    pub account: Found,
    /// The mapping that fits it best.
    pub mapping: Option<Arc<Mapping>>,
    /// The role policy for its namespace, if there is one.
    pub guarded: Option<Guarded>,
}

/// A namespace, and the role policy of this moment.
#[derive(Clone, Debug)]
pub struct Guarded {
    policy: Arc<RolePolicy>,
    namespace: Box<str>,
}

/// The documents that give identities besides accounts; equal if nothing was read in between.
#[derive(Clone, Debug)]
pub struct Documents {
    mappings: Arc<Mappings>,
    credentials: Arc<Credentials>,
    role_policy: Option<Arc<RolePolicy>>,
}

/// What is known of the account itself.
#[derive(Clone, Debug)]
pub enum Found {
    /// It exists.
    Known(Account),
    /// It does not exist.
    Absent,
    /// Nobody could tell; a constant sentence that says why.
    Unknown(&'static str),
}

/// Work that goes on as long as the webhook runs.
pub struct Task {
    name: &'static str,
    work: BoxFuture<'static, AccountsError>,
}

/// Reads the container-credentials file once, and readies the rest. Nothing is asked of the API
/// server before the tasks run. Has to be called within a Tokio runtime.
pub fn bind(
    client: &Client,
    settings: &Settings,
    metrics: &AccountsMetrics,
) -> (Accounts, Vec<Task>) {
    bind_and_tell(client, settings, metrics, |_| {})
}

/// The same, for one who has to know when an account says something else than before: `told` is
/// called once the change can be looked up.
pub fn bind_and_tell(
    client: &Client,
    settings: &Settings,
    metrics: &AccountsMetrics,
    told: impl Fn(Change) + Send + 'static,
) -> (Accounts, Vec<Task>) {
    let Settings {
        annotation_prefix,
        grace_period,
        config_map,
        credentials_file,
        poll_interval,
        role_policy,
    } = settings;
    let mut tasks = Vec::new();

    let mut keeper = cache::Keeper::new(annotation_prefix, metrics);
    let cache = keeper.cache();
    let service_accounts =
        Arc::new(Health::new(SERVICE_ACCOUNTS, metrics.watch(SERVICE_ACCOUNTS.resource)));
    let api = Api::<PartialObjectMeta<ServiceAccount>>::all(service_accounts.observe(client));
    tasks.push(Task {
        name: SERVICE_ACCOUNTS.title,
        work: follow::follow(api, None, Arc::clone(&service_accounts), move |event| {
            keeper.take(event).map(&told);
        })
        .boxed(),
    });

    let mappings = Arc::<ArcSwap<Mappings>>::default();
    let config_map = config_map.as_deref().map(|namespace| {
        let health = Arc::new(Health::new(CONFIG_MAPS, metrics.watch(CONFIG_MAPS.resource)));
        let errors = metrics.mapping_errors(Document::Mappings.name());
        let mut keeper = config_map::Keeper::new(Arc::clone(&mappings), errors);
        let api = Api::<ConfigMap>::namespaced(health.observe(client), namespace);
        let fields = Some(format!("metadata.name={CONFIG_MAP}"));
        tasks.push(Task {
            name: CONFIG_MAPS.title,
            work: follow::follow(api, fields, Arc::clone(&health), move |event| {
                keeper.take(event);
            })
            .boxed(),
        });
        health
    });

    let credentials = Arc::<ArcSwap<Credentials>>::default();
    if let Some(path) = credentials_file {
        let current = Arc::clone(&credentials);
        let mut keeper = credentials_file::Keeper::new(path.clone(), current, metrics.clone());
        keeper.look();
        let interval = *poll_interval;
        tasks.push(Task {
            name: "container-credentials file",
            work: async move { keeper.run(interval).await.map_or_else(|e| e, |n| match n {}) }
                .boxed(),
        });
    }

    let accounts = Accounts(Arc::new(Inner {
        cache,
        service_accounts,
        live: Live::new(client.clone(), annotation_prefix, *grace_period),
        config_map,
        mappings,
        credentials,
        role_policy: role_policy.clone(),
        metrics: metrics.clone(),
    }));
    (accounts, tasks)
}

// === impl Accounts ===

impl Accounts {
    /// Everything known about an account. What the cache cannot tell is asked of the API server,
    /// for `limit` or the grace period, whichever is shorter.
    pub async fn look_up(&self, namespace: &str, name: &str, limit: Duration) -> Facts {
        let inner = &self.0;
        let (account, lookup) = inner.account(namespace, name, limit).await;
        inner.metrics.looked_up(lookup);
        Facts {
            credentials_file: inner.credentials.load().listed(namespace, name),
            account,
            mapping: inner.mappings.load().find(namespace, name).cloned(),
            guarded: inner.guarded(namespace),
        }
    }

    /// What is known about an account at this moment, without asking anybody; one that the cache
    /// lacks counts as absent.
    pub fn known(&self, namespace: &str, name: &str) -> Facts {
        let inner = &self.0;
        let cached = inner.cache.get(namespace, name);
        Facts {
            credentials_file: inner.credentials.load().listed(namespace, name),
            account: cached.map_or(Found::Absent, Found::Known),
            mapping: inner.mappings.load().find(namespace, name).cloned(),
            guarded: inner.guarded(namespace),
        }
    }

    /// The mappings, the container-credentials file and the role policy as they are now.
    pub fn documents(&self) -> Documents {
        let inner = &self.0;
        Documents {
            mappings: inner.mappings.load_full(),
            credentials: inner.credentials.load_full(),
            role_policy: inner.role_policy.as_ref().map(policy::Current::load),
        }
    }

    /// Whether changes of accounts and mappings arrive.
    pub fn is_current(&self) -> bool {
        let inner = &self.0;
        [Some(&inner.service_accounts), inner.config_map.as_ref()]
            .into_iter()
            .flatten()
            .all(|health| health.is_standing())
    }

    /// What has to come before the webhook is ready, in a constant order: the first list of the
    /// ServiceAccounts, and that of the mappings if there are to be any. Refused live look-ups are
    /// noted with the ServiceAccounts.
    pub fn readiness(&self) -> Vec<Readiness> {
        let inner = &self.0;
        let mut accounts = inner.service_accounts.readiness();
        if accounts.state == ListState::Complete && inner.live.is_refused() {
            accounts.state = ListState::Noted(
                "live look-ups are refused: grant get on serviceaccounts".to_owned(),
            );
        }
        let mappings = inner.config_map.as_ref().map(|health| health.readiness());
        std::iter::once(accounts).chain(mappings).collect()
    }

    /// Whether any account, mapping or entry of the container-credentials file names an identity.
    pub fn in_use(&self) -> bool {
        let inner = &self.0;
        cache::in_use(&inner.metrics)
            || !inner.credentials.load().is_empty()
            || inner.mappings.load().name_an_identity()
    }
}

// === impl Inner ===

impl Inner {
    async fn account(&self, namespace: &str, name: &str, limit: Duration) -> (Found, Lookup) {
        let cached = match self.cache.get(namespace, name) {
            Some(account) if self.settles(&account) => {
                return (Found::Known(account), Lookup::Cached);
            }
            cached => cached,
        };
        let Ok(account) = AccountRef::new(namespace, name) else {
            return (Found::Absent, Lookup::InvalidName);
        };
        let failure = match self.live.ask(&account, limit).await {
            Answer::Known(account) => return (Found::Known(account), Lookup::Live),
            Answer::Absent => return (Found::Absent, Lookup::Absent),
            Answer::Failed(failure) => failure,
        };
        match (cached, failure) {
            (Some(account), Failure::Off) => (Found::Known(account), Lookup::Cached),
            (Some(account), _) => (Found::Known(account), Lookup::Stale),
            (None, Failure::Throttled) => (Found::Unknown(failure.sentence()), Lookup::Throttled),
            (None, _) => (Found::Unknown(failure.sentence()), Lookup::Failed),
        }
    }

    fn guarded(&self, namespace: &str) -> Option<Guarded> {
        let policy = self.role_policy.as_ref()?.load();
        Some(Guarded { policy, namespace: namespace.into() })
    }

    /// Whether a cached account is taken at its word.
    fn settles(&self, account: &Account) -> bool {
        account.annotations().names_an_identity()
            || (self.service_accounts.is_standing() && account.age() >= FRESH)
    }
}

// === impl Documents ===

impl PartialEq for Documents {
    fn eq(&self, other: &Self) -> bool {
        let Self { mappings, credentials, role_policy } = self;
        let is_one_policy = match (role_policy, &other.role_policy) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        is_one_policy
            && Arc::ptr_eq(mappings, &other.mappings)
            && Arc::ptr_eq(credentials, &other.credentials)
    }
}

impl Eq for Documents {}

// === impl Facts ===

impl Facts {
    /// What is known of an account that nobody has to look up.
    pub fn none() -> Self {
        Self { credentials_file: Listed::No, account: Found::Absent, mapping: None, guarded: None }
    }

    /// The facts as the decision takes them.
    pub fn sources(&self) -> Sources<'_> {
        let Self { credentials_file, account, mapping, guarded } = self;
        Sources {
            credentials_file: *credentials_file,
            account: match account {
                Found::Known(account) => Knowledge::Known(account.annotations()),
                Found::Absent => Knowledge::Absent,
                Found::Unknown(why) => Knowledge::Unknown(why),
            },
            mapping: mapping.as_deref(),
            guard: guarded.as_ref().map(Guarded::guard),
        }
    }
}

// === impl Guarded ===

impl Guarded {
    fn guard(&self) -> Guard<'_> {
        let Self { policy, namespace } = self;
        Guard { policy, namespace }
    }
}

// === impl Task ===

impl Task {
    /// What the task keeps true, for messages.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Works until something fails that does not mend; nothing that the API server does is that.
    pub async fn run(self) -> Result<(), AccountsError> {
        Err(self.work.await)
    }
}
