//! The metrics of `audit pods --watch`.
//!
//! | name | type | labels |
//! |---|---|---|
//! | `pod_identity_webhook_missed_pods` | gauge | `reason` |
//! | `pod_identity_webhook_audit_events_total` | counter | `result`: written, failed |
//! | `pod_identity_webhook_audit_evictions_total` | counter | `result`: evicted, blocked, failed |
//!
//! Beside them are the accounts', the build's and the process's. No label takes its value from an
//! object's name.

use std::fmt;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::accounts::AccountsMetrics;
use super::metrics::{build, process};

/// One label with one value.
type Label = [(&'static str, &'static str); 1];

/// What a watch counts; clones count together.
#[derive(Clone, Debug, Default)]
pub struct AuditMetrics {
    missed: Family<Label, Gauge>,
    events: Family<Label, Counter>,
    evictions: Family<Label, Counter>,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Attempt {
    /// It came to what it was for.
    Done,
    /// Not now: a `PodDisruptionBudget` or the API server says so.
    Blocked,
    /// It failed.
    Failed,
}

// === impl AuditMetrics ===

impl AuditMetrics {
    /// A registry with these, with `accounts`, the build and the process.
    pub fn registry(&self, accounts: &AccountsMetrics) -> Registry {
        let Self { missed, events, evictions } = self;
        let mut registry = Registry::default();
        let own = registry.sub_registry_with_prefix("pod_identity_webhook");
        own.register(
            "missed_pods",
            "Pods that run without the identity that their ServiceAccount gives, by reason",
            missed.clone(),
        );
        own.register("audit_events", "Events about such Pods by how that went", events.clone());
        own.register(
            "audit_evictions",
            "Evictions of such Pods by how that went",
            evictions.clone(),
        );
        build(own);
        accounts.register(&mut registry);
        process(&mut registry);
        registry
    }

    /// The Pods that lack their identity for `reason`, a code of a fixed set.
    pub fn missed(&self, reason: &'static str) -> Gauge {
        self.missed.get_or_create(&[("reason", reason)]).clone()
    }

    /// An Event was to be written.
    pub fn event(&self, attempt: Attempt) {
        let result = match attempt {
            Attempt::Done => "written",
            Attempt::Blocked => "blocked",
            Attempt::Failed => "failed",
        };
        self.events.get_or_create(&[("result", result)]).inc();
    }

    /// A Pod was to be evicted.
    pub fn eviction(&self, attempt: Attempt) {
        let result = match attempt {
            Attempt::Done => "evicted",
            Attempt::Blocked => "blocked",
            Attempt::Failed => "failed",
        };
        self.evictions.get_or_create(&[("result", result)]).inc();
    }
}

/// A registry as OpenMetrics text.
pub fn encode(registry: &Registry) -> Result<String, fmt::Error> {
    let mut text = String::with_capacity(8 * 1024);
    text::encode(&mut text, registry)?;
    Ok(text)
}
