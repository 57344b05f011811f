//! The metrics of a server that has served, by their documented names.

use http::StatusCode;
use serde_json::json;

use super::support::{
    Namespace, POD_IDENTITY, ROLE, ROLE_ARN, Run, count, pod, registered, webhook,
};
use crate::plane::plane;

/// behaviour.md, section 7; those of the Go webhook are under exactly its names.
const SERIES: [(&str, &[(&str, &str)]); 25] = [
    (
        "pod_identity_webhook_decisions_total",
        &[("outcome", "injected"), ("method", "sts_web_identity"), ("reason", "injected")],
    ),
    (
        "pod_identity_webhook_decisions_total",
        &[("outcome", "injected"), ("method", "container_credentials"), ("reason", "injected")],
    ),
    (
        "pod_identity_webhook_decisions_total",
        &[("outcome", "skipped"), ("method", "none"), ("reason", "no-identity")],
    ),
    (
        "pod_identity_webhook_request_duration_seconds_bucket",
        &[("le", "0.0001"), ("path", "/mutate"), ("code", "200")],
    ),
    (
        "pod_identity_webhook_request_duration_seconds_bucket",
        &[("le", "5.0"), ("path", "/mutate"), ("code", "200")],
    ),
    (
        "pod_identity_webhook_request_duration_seconds_count",
        &[("path", "/mutate"), ("code", "200")],
    ),
    ("pod_identity_webhook_service_accounts", &[("method", "sts_web_identity")]),
    ("pod_identity_webhook_service_accounts", &[("method", "container_credentials")]),
    ("pod_identity_webhook_service_accounts", &[("method", "none")]),
    ("pod_identity_webhook_lookups_total", &[("result", "live")]),
    ("pod_identity_webhook_watch_age_seconds", &[("resource", "serviceaccounts")]),
    ("pod_identity_webhook_watch_age_seconds", &[("resource", "configmaps")]),
    ("pod_identity_webhook_mapping_errors_total", &[("source", "config_map")]),
    ("pod_identity_webhook_mapping_errors_total", &[("source", "credentials_file")]),
    ("pod_identity_webhook_certificate_not_after_seconds", &[("kind", "leaf")]),
    ("pod_identity_webhook_build_info", &[("rustc", env!("CARGO_PKG_RUST_VERSION"))]),
    ("process_cpu_seconds_total", &[]),
    ("process_resident_memory_bytes", &[]),
    ("pod_identity_webhook_pod_count", &[("method", "sts_web_identity")]),
    ("pod_identity_webhook_pod_count", &[("method", "container_credentials")]),
    ("pod_identity_webhook_missing_sa_count", &[]),
    ("pod_identity_webhook_used", &[]),
    ("http_request_count", &[("verb", "POST"), ("path", "/mutate"), ("code", "200")]),
    ("http_request_latencies_count", &[("verb", "POST"), ("path", "/mutate")]),
    ("http_request_duration_microseconds_count", &[("verb", "POST"), ("path", "/mutate")]),
];

#[tokio::test]
async fn every_documented_metric_is_there_once_it_has_served() {
    let plane = plane().await;
    let home = Namespace::new(plane, "metrics-home").await;
    let folder = tempfile::tempdir().unwrap();
    let webhook = webhook(plane)
        .arg("--watch-config-map")
        .arg(format!("--namespace={}", home.name))
        .arg(format!("--watch-container-credentials-config={}", folder.path().display()));
    let (webhook, namespace) = registered(plane, "metrics", webhook).await;
    namespace.account("irsa", &json!({ ROLE_ARN: ROLE })).await;
    namespace.account("agent", &json!({ POD_IDENTITY: "true" })).await;
    for account in ["irsa", "agent", "default"] {
        assert_eq!(namespace.try_pod(&pod(account), Run::Real).await.status, StatusCode::CREATED);
    }
    let (status, text) = webhook.get("/metrics").await.unwrap();
    assert_eq!(status, StatusCode::OK);
    for (name, labels) in SERIES {
        let found = text.lines().any(|line| {
            let rest = line.strip_prefix(name).unwrap_or_default();
            rest.starts_with(['{', ' '])
                && labels.iter().all(|(key, value)| {
                    let value = value.trim_end_matches(".0");
                    rest.contains(&format!("{key}=\"{value}"))
                })
        });
        assert!(found, "{name} {labels:?}\n{text}");
    }
    assert!(text.ends_with("# EOF\n"), "{text}");
    // No object of a user gives a label its value.
    for name in [namespace.name.as_str(), "irsa", "agent"] {
        assert!(!text.contains(&format!("\"{name}\"")), "{name}\n{text}");
    }
    assert_eq!(count(&webhook, "pod_identity_webhook_pod_count", &[]).await, 2);
    assert_eq!(count(&webhook, "pod_identity_webhook_used", &[]).await, 1);
}
