//! Every metric but those of the account cache: names, labels, help.
//!
//! | name | type | labels |
//! |---|---|---|
//! | `pod_identity_webhook_decisions_total` | counter | `outcome`, `method`, `reason` |
//! | `pod_identity_webhook_request_duration_seconds` | histogram, 100 µs to 5 s | `path`, `code` |
//! | `pod_identity_webhook_certificate_not_after_seconds` | gauge, Unix time | `kind` |
//! | `pod_identity_webhook_certificate_errors_total` | counter | `reason` |
//! | `pod_identity_webhook_ca_bundle_matches` | gauge, 0 or 1, absent while unknown | |
//! | `pod_identity_webhook_rotations_total` | counter | `kind`, `result` |
//! | `pod_identity_webhook_build_info` | info | `version`, `revision`, `rustc` |
//! | `process_*` | of kubert-prometheus-process | |
//!
//! For the dashboards of the Go webhook, under exactly its names:
//!
//! | name | type | labels |
//! |---|---|---|
//! | `pod_identity_webhook_pod_count` | unknown (it only grows) | `method` |
//! | `pod_identity_webhook_missing_sa_count` | unknown (it only grows) | |
//! | `pod_identity_webhook_used` | gauge, 0 or 1: some account, mapping or association names an identity | |
//! | `http_request_count` | unknown (it only grows) | `verb`, `path`, `code` |
//! | `http_request_latencies` | histogram, 100 µs to 8 s, in microseconds | `verb`, `path` |
//! | `http_request_duration_microseconds` | summary without quantiles | `verb`, `path` |
//!
//! The type `unknown` is OpenMetrics': a counter's samples would have to end in `_total`.

use std::{
    fmt::{self, Write},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{
        counter::Counter,
        family::{Family, MetricConstructor},
        gauge::Gauge,
        info::Info,
    },
    registry,
};

use crate::version;

use super::{
    histogram::{Durations, Totals, Unit},
    labels::{Injection, Kind, Matching, Route, Turn, Usage, Verb},
    values::{Growing, Known},
};

pub use registry::Registry;

/// The content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of `request_duration_seconds`, in microseconds: a decision takes some 100 µs, a
/// live look-up up to 500 ms.
const DURATION_MICROS: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000,
];

/// Upper bounds of `http_request_latencies`, in microseconds: the Go webhook's, from 125 ms on, and
/// below them some in which an answer falls (field.md N20).
const LATENCY_MICROS: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 125_000, 250_000, 500_000,
    1_000_000, 2_000_000, 4_000_000, 8_000_000,
];

/// All metrics of this module, and the registry that others add theirs to.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    decisions: Family<DecisionLabels, Counter>,
    durations: Family<DurationLabels, Durations, Buckets>,
    certificates: CertificateMetrics,
    pod_count: Family<InjectionLabels, Growing>,
    missing_sa_count: Growing,
    used: Gauge,
    http_count: Family<HttpLabels, Growing>,
    http_latencies: Family<LatencyLabels, Durations, Buckets>,
}

/// What the certificates count; clones count together.
#[derive(Clone, Debug, Default)]
pub struct CertificateMetrics {
    not_after: Family<KindLabels, Gauge>,
    errors: Family<ReasonLabels, Counter>,
    ca_bundle_matches: Known,
    rotations: Family<TurnLabels, Counter>,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct DecisionLabels {
    outcome: &'static str,
    method: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct DurationLabels {
    path: &'static str,
    code: u16,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct HttpLabels {
    verb: &'static str,
    path: &'static str,
    code: u16,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct InjectionLabels {
    method: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct TurnLabels {
    kind: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct LatencyLabels {
    verb: &'static str,
    path: &'static str,
}

/// Makes the histograms of a family.
#[derive(Clone, Copy, Debug)]
struct Buckets {
    bounds: &'static [u64],
    unit: Unit,
}

// === impl Metrics ===

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Registers everything of this module, the build and the process.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            decisions: Family::default(),
            durations: Family::new_with_constructor(Buckets {
                bounds: DURATION_MICROS,
                unit: Unit::Seconds,
            }),
            certificates: CertificateMetrics::default(),
            pod_count: Family::default(),
            missing_sa_count: Growing::default(),
            used: Gauge::default(),
            http_count: Family::default(),
            http_latencies: Family::new_with_constructor(Buckets {
                bounds: LATENCY_MICROS,
                unit: Unit::Microseconds,
            }),
        };
        metrics.register();
        metrics
    }

    // The registry ends each help text with a full stop of its own.
    fn register(&mut self) {
        let Self {
            registry,
            decisions,
            durations,
            certificates: CertificateMetrics { not_after, errors, ca_bundle_matches, rotations },
            pod_count,
            missing_sa_count,
            used,
            http_count,
            http_latencies,
        } = self;

        let own = registry.sub_registry_with_prefix("pod_identity_webhook");
        own.register("decisions", "Reviews by what was decided and why", decisions.clone());
        own.register_with_unit(
            "request_duration",
            "Time from a request's head to its answer",
            registry::Unit::Seconds,
            durations.clone(),
        );
        own.register_with_unit(
            "certificate_not_after",
            "When what is served, and the CA that signs it, expire, as Unix time",
            registry::Unit::Seconds,
            not_after.clone(),
        );
        own.register(
            "certificate_errors",
            "Reads of the certificate files that found a pair that cannot be served",
            errors.clone(),
        );
        own.register(
            "ca_bundle_matches",
            "Whether the webhook configuration's caBundle trusts the served certificate",
            ca_bundle_matches.clone(),
        );
        own.register(
            "rotations",
            "Certificates that were made to be served, and steps in the life of the CA",
            rotations.clone(),
        );
        own.register(
            "build",
            "What was built",
            Info::new([
                ("version", version::VERSION),
                ("revision", version::REVISION.unwrap_or("unknown")),
                ("rustc", version::compiler()),
            ]),
        );
        own.register("pod_count", "Pods that were given an identity", pod_count.clone());
        own.register(
            "missing_sa_count",
            "Reviews whose ServiceAccount was not in the cache or had no identity",
            missing_sa_count.clone(),
        );
        own.register(
            "used",
            "Whether some account, mapping or association names an identity",
            used.clone(),
        );

        registry.register("http_request_count", "Requests", http_count.clone());
        registry.register(
            "http_request_latencies",
            "Time from a request's head to its answer, in microseconds",
            http_latencies.clone(),
        );

        let process = registry.sub_registry_with_prefix("process");
        if let Err(error) = kubert_prometheus_process::register(process) {
            tracing::warn!(%error, "process metrics are not available");
        }
    }

    /// Where other modules register theirs, before this is shared.
    pub fn registry_mut(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// A review was decided. All three are codes of a fixed set.
    pub fn decided(&self, outcome: &'static str, method: &'static str, reason: &'static str) {
        self.decisions.get_or_create(&DecisionLabels { outcome, method, reason }).inc();
    }

    /// A request was answered, or given up, with this status code.
    pub fn answered(&self, verb: Verb, route: Route, code: u16, took: Duration) {
        let (verb, path) = (verb.as_str(), route.as_str());
        self.durations.get_or_create(&DurationLabels { path, code }).observe(took);
        self.http_count.get_or_create(&HttpLabels { verb, path, code }).increase();
        self.http_latencies.get_or_create(&LatencyLabels { verb, path }).observe(took);
    }

    /// A Pod was given an identity (not on a dry run, not on a pass that changes nothing).
    pub fn injected(&self, injection: Injection) {
        let method = injection.as_str();
        self.pod_count.get_or_create(&InjectionLabels { method }).increase();
    }

    /// Whether anything names an identity, looked at when the metrics are read.
    pub fn usage(&self, usage: Usage) {
        self.used.set(match usage {
            Usage::InUse => 1,
            Usage::Unused => 0,
        });
    }

    /// A review's account was not in the cache, or had no identity.
    pub fn missing_account(&self) {
        self.missing_sa_count.increase();
    }

    /// What [`crate::tls`] and the keeper of certificates count.
    pub fn certificates(&self) -> CertificateMetrics {
        self.certificates.clone()
    }

    /// All metrics as OpenMetrics text, of the type [`CONTENT_TYPE`].
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::with_capacity(16 * 1024);
        text::encode_registry(&mut text, &self.registry)?;
        self.encode_summary(&mut text)?;
        text::encode_eof(&mut text)?;
        Ok(text)
    }

    /// The one type that prometheus-client does not have. The labels need no escaping.
    fn encode_summary(&self, text: &mut String) -> fmt::Result {
        let name = "http_request_duration_microseconds";
        writeln!(text, "# HELP {name} Time from a request's head to its answer.")?;
        writeln!(text, "# TYPE {name} summary")?;
        for verb in Verb::ALL.map(Verb::as_str) {
            for path in Route::ALL.map(Route::as_str) {
                let Some(totals) = self
                    .http_latencies
                    .get(&LatencyLabels { verb, path })
                    .map(|durations| durations.totals())
                else {
                    continue;
                };
                let Totals { sum, count } = totals;
                writeln!(text, "{name}_sum{{verb=\"{verb}\",path=\"{path}\"}} {sum}")?;
                writeln!(text, "{name}_count{{verb=\"{verb}\",path=\"{path}\"}} {count}")?;
            }
        }
        Ok(())
    }
}

// === impl CertificateMetrics ===

impl CertificateMetrics {
    /// A pair is served now whose leaf expires then.
    pub fn serves_until(&self, not_after: SystemTime) {
        self.expires(Kind::Leaf, not_after);
    }

    /// The CA, or the leaf that is served, expires then.
    pub fn expires(&self, kind: Kind, not_after: SystemTime) {
        let seconds = not_after.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let gauge = self.not_after.get_or_create(&KindLabels { kind: kind.as_str() });
        gauge.set(i64::try_from(seconds).unwrap_or(i64::MAX));
    }

    /// A leaf was to be made, or the CA was to take a step in its life: how that went.
    pub fn turned(&self, kind: Kind, turn: Turn) {
        let labels = TurnLabels { kind: kind.as_str(), result: turn.as_str() };
        self.rotations.get_or_create(&labels).inc();
    }

    /// The webhook configuration was compared with what is served.
    pub fn ca_bundle(&self, matching: Matching) {
        self.ca_bundle_matches.set(matching);
    }

    /// A pair was found that cannot be served, for this reason of a fixed set.
    pub fn refused(&self, reason: &'static str) {
        self.errors.get_or_create(&ReasonLabels { reason }).inc();
    }
}

// === impl Buckets ===

impl MetricConstructor<Durations> for Buckets {
    fn new_metric(&self) -> Durations {
        let Self { bounds, unit } = *self;
        Durations::new(bounds, unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(metrics: &Metrics) -> Vec<String> {
        metrics.encode().unwrap().lines().map(str::to_owned).collect()
    }

    fn assert_has(lines: &[String], expected: &str) {
        assert!(lines.iter().any(|line| line == expected), "no {expected:?} in {lines:#?}");
    }

    /// Keeps out names that prometheus-client has lengthened: dashboards know them without `_total`.
    #[test]
    fn the_go_webhooks_names_are_kept_to_the_letter() {
        let metrics = Metrics::new();
        metrics.injected(Injection::WebIdentity);
        metrics.injected(Injection::ContainerCredentials);
        metrics.missing_account();
        metrics.usage(Usage::InUse);
        metrics.answered(Verb::Post, Route::Mutate, 200, Duration::from_micros(300));
        metrics.answered(Verb::Post, Route::Mutate, 200, Duration::from_micros(400));
        let lines = shown(&metrics);
        for expected in [
            "pod_identity_webhook_pod_count{method=\"sts_web_identity\"} 1",
            "pod_identity_webhook_pod_count{method=\"container_credentials\"} 1",
            "pod_identity_webhook_missing_sa_count 1",
            "pod_identity_webhook_used 1",
            "http_request_count{verb=\"POST\",path=\"/mutate\",code=\"200\"} 2",
            "http_request_latencies_count{verb=\"POST\",path=\"/mutate\"} 2",
            "http_request_latencies_sum{verb=\"POST\",path=\"/mutate\"} 700.0",
            "http_request_latencies_bucket{le=\"500.0\",verb=\"POST\",path=\"/mutate\"} 2",
            "# TYPE http_request_duration_microseconds summary",
            "http_request_duration_microseconds_sum{verb=\"POST\",path=\"/mutate\"} 700",
            "http_request_duration_microseconds_count{verb=\"POST\",path=\"/mutate\"} 2",
        ] {
            assert_has(&lines, expected);
        }
    }

    /// field.md N20: buckets start where answers fall, and "used" means that something names an
    /// identity.
    #[test]
    fn usage_and_buckets_are_honest() {
        let metrics = Metrics::new();
        assert_has(&shown(&metrics), "pod_identity_webhook_used 0");
        metrics.answered(Verb::Post, Route::MutateStrict, 403, Duration::from_micros(90));
        let lines = shown(&metrics);
        assert_has(
            &lines,
            "pod_identity_webhook_request_duration_seconds_bucket{le=\"0.0001\",path=\"/mutate/strict\",code=\"403\"} 1",
        );
        for micros in [125_000, 250_000, 500_000, 1_000_000, 2_000_000, 4_000_000, 8_000_000] {
            assert!(LATENCY_MICROS.contains(&micros), "the Go webhook's bucket {micros}");
        }
    }

    #[test]
    fn our_own_names_are_there() {
        let metrics = Metrics::new();
        metrics.decided("inject", "irsa", "annotation");
        let certificates = metrics.certificates();
        certificates.serves_until(UNIX_EPOCH + Duration::from_secs(1_900_000_000));
        certificates.refused("mismatch");
        certificates.turned(Kind::Ca, Turn::Conflict);
        let lines = shown(&metrics);
        for expected in [
            "pod_identity_webhook_decisions_total{outcome=\"inject\",method=\"irsa\",reason=\"annotation\"} 1",
            "pod_identity_webhook_certificate_not_after_seconds{kind=\"leaf\"} 1900000000",
            "pod_identity_webhook_certificate_errors_total{reason=\"mismatch\"} 1",
            "pod_identity_webhook_rotations_total{kind=\"ca\",result=\"conflict\"} 1",
            "# EOF",
        ] {
            assert_has(&lines, expected);
        }
        let starts = |prefix: &str| lines.iter().any(|line| line.starts_with(prefix));
        assert!(starts("process_cpu_seconds_total "), "{lines:#?}");
        assert!(starts("pod_identity_webhook_build_info{version="), "{lines:#?}");
        assert!(!starts("pod_identity_webhook_ca_bundle_matches "), "not known yet");

        metrics.certificates().ca_bundle(Matching::Differs);
        assert_has(&shown(&metrics), "pod_identity_webhook_ca_bundle_matches 0");
        metrics.certificates().ca_bundle(Matching::Unknown);
        let lines = shown(&metrics);
        let is_shown =
            lines.iter().any(|line| line.starts_with("pod_identity_webhook_ca_bundle_matches "));
        assert!(!is_shown, "known no more");
    }

    #[test]
    fn what_clients_send_becomes_no_label() {
        assert_eq!(Route::from("/mutate/strict"), Route::MutateStrict);
        assert_eq!(Route::from("/mutate/../../x"), Route::Other);
        assert_eq!(Verb::from("POST"), Verb::Post);
        assert_eq!(Verb::from("BREW"), Verb::Other);
    }
}
