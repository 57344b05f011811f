//! The metrics of look-ups, watches and the documents that give accounts an identity.
//!
//! No label takes its value from an object's name. How long something has been broken is computed
//! when it is asked for: nothing has to tick.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::Registry;
use tokio::time::Instant;

/// Look-ups of accounts by how they ended; the encoder appends `_total`.
pub const LOOKUPS: &str = "pod_identity_webhook_lookups";
/// Seconds for which a watch has been broken, by resource; 0 while it stands.
pub const WATCH_AGE_SECONDS: &str = "pod_identity_webhook_watch_age_seconds";
/// Bad documents and bad entries by source; the encoder appends `_total`.
pub const MAPPING_ERRORS: &str = "pod_identity_webhook_mapping_errors";
/// Accounts in the cache by the method that their annotations name.
pub const SERVICE_ACCOUNTS: &str = "pod_identity_webhook_service_accounts";
/// Accounts that the container-credentials file lists.
pub const CREDENTIALS_FILE_ENTRIES: &str = "pod_identity_webhook_credentials_file_entries";

/// One label with one value.
type Label = [(&'static str, &'static str); 1];

/// The metrics; clones share their values.
#[derive(Clone, Debug, Default)]
pub struct AccountsMetrics {
    lookups: Family<Label, Counter>,
    outages: Family<Label, Outage>,
    mapping_errors: Family<Label, Counter>,
    service_accounts: Family<Label, Gauge>,
    credentials_file_entries: Gauge,
}

/// How a look-up of an account ended. Every call counts once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lookup {
    /// The cache had the answer.
    Cached,
    /// A live GET found the account, made for this call, shared with others or a second ago.
    Live,
    /// A live GET said that there is no such account.
    Absent,
    /// Nobody could tell, and the cache had nothing.
    Failed,
    /// There were too many live GETs, and the cache had nothing.
    Throttled,
    /// No Kubernetes object can have that name; nobody was asked.
    InvalidName,
    /// The cached answer was to be checked, could not be, and stood.
    Stale,
}

/// Since when something is broken, if it is. Clones share the value.
#[derive(Clone, Debug, Default)]
pub struct Outage(Arc<Mutex<Option<Instant>>>);

// === impl AccountsMetrics ===

impl AccountsMetrics {
    /// Registers the metrics under their names.
    pub fn register(&self, registry: &mut Registry) {
        let Self { lookups, outages, mapping_errors, service_accounts, credentials_file_entries } =
            self;
        for lookup in Lookup::ALL {
            drop(lookups.get_or_create(&[("result", lookup.name())]));
        }
        registry.register(
            LOOKUPS,
            "Look-ups of ServiceAccounts by how they ended",
            lookups.clone(),
        );
        registry.register(
            WATCH_AGE_SECONDS,
            "Seconds for which the watch of a resource has been broken, 0 while it stands",
            outages.clone(),
        );
        registry.register(
            MAPPING_ERRORS,
            "Documents that could not be read and entries that were dropped",
            mapping_errors.clone(),
        );
        registry.register(
            SERVICE_ACCOUNTS,
            "ServiceAccounts in the cache by the method that their annotations name",
            service_accounts.clone(),
        );
        registry.register(
            CREDENTIALS_FILE_ENTRIES,
            "ServiceAccounts that the container-credentials file lists",
            credentials_file_entries.clone(),
        );
    }

    /// Counts a look-up.
    pub fn looked_up(&self, lookup: Lookup) {
        self.lookups.get_or_create(&[("result", lookup.name())]).inc();
    }

    /// How many look-ups ended like `lookup`.
    pub fn lookups(&self, lookup: Lookup) -> u64 {
        self.lookups.get_or_create(&[("result", lookup.name())]).get()
    }

    /// The outage that is shown for the watch of `resource`.
    pub fn watch(&self, resource: &'static str) -> Outage {
        self.outages.get_or_create(&[("resource", resource)]).clone()
    }

    /// The counter of what could not be used of the document `source`.
    pub fn mapping_errors(&self, source: &'static str) -> Counter {
        self.mapping_errors.get_or_create(&[("source", source)]).clone()
    }

    /// The gauge of the accounts in the cache whose annotations name `method`.
    pub fn service_accounts(&self, method: &'static str) -> Gauge {
        self.service_accounts.get_or_create(&[("method", method)]).clone()
    }

    /// The gauge of the accounts that the container-credentials file lists.
    pub fn credentials_file_entries(&self) -> &Gauge {
        &self.credentials_file_entries
    }
}

// === impl Lookup ===

impl Lookup {
    const ALL: [Self; 7] = [
        Self::Cached,
        Self::Live,
        Self::Absent,
        Self::Failed,
        Self::Throttled,
        Self::InvalidName,
        Self::Stale,
    ];

    /// The value of the label `result`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cached => "cached",
            Self::Live => "live",
            Self::Absent => "absent",
            Self::Failed => "failed",
            Self::Throttled => "throttled",
            Self::InvalidName => "invalid_name",
            Self::Stale => "stale",
        }
    }
}

// === impl Outage ===

impl Outage {
    /// It is broken, from now on unless it was already.
    pub fn begin(&self) {
        self.lock().get_or_insert_with(Instant::now);
    }

    /// It works again.
    pub fn end(&self) {
        *self.lock() = None;
    }

    /// How long it has been broken; `None` if it works.
    pub fn age(&self) -> Option<Duration> {
        self.lock().map(|since| since.elapsed())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TypedMetric for Outage {
    const TYPE: MetricType = MetricType::Gauge;
}

impl EncodeMetric for Outage {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        encoder.encode_gauge(&self.age().unwrap_or_default().as_secs_f64())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_names_are_those_that_are_documented() {
        let (metrics, mut registry) = (AccountsMetrics::default(), Registry::default());
        metrics.register(&mut registry);
        metrics.looked_up(Lookup::Stale);
        metrics.mapping_errors("config_map").inc();
        metrics.service_accounts("none").set(3);
        metrics.watch("serviceaccounts").begin();
        metrics.watch("configmaps").end();
        tokio::time::advance(Duration::from_secs(90)).await;
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "pod_identity_webhook_lookups_total{result=\"stale\"} 1",
            "pod_identity_webhook_lookups_total{result=\"cached\"} 0",
            "pod_identity_webhook_mapping_errors_total{source=\"config_map\"} 1",
            "pod_identity_webhook_service_accounts{method=\"none\"} 3",
            "pod_identity_webhook_watch_age_seconds{resource=\"serviceaccounts\"} 90.0",
            "pod_identity_webhook_watch_age_seconds{resource=\"configmaps\"} 0.0",
            "pod_identity_webhook_credentials_file_entries 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
