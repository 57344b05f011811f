//! A healthy cluster, of which nothing is told but that it is.

use serde_json::{Value, json};

use super::objects::pod;
use super::stage::{Injected, READER, SHOP, Setting};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_wrong_with_a_healthy_cluster() {
    let stage = Setting::of("healthy").set().await;
    stage.create(SHOP, "pods", &pod(READER, &json!({}))).await;
    stage.shows(0).await;
}

/// Its Pods, wherever they run, are not looked at: not their rights, nor their flags.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_wrong_with_a_webhook_that_is_called_by_url() {
    let stage = Setting::of("healthy-by-url").set().await;
    let url = format!("{}/mutate", stage.webhook.url());
    stage.register(&json!({ "clientConfig": { "service": null, "url": url } })).await;
    stage.becomes(Injected::Yes).await;
    stage.shows(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_read_the_same_as_people() {
    let stage = Setting::of("json").set().await;
    let seen = stage.doctor(&["--output=json", "--skip=fail-open"]).await;
    let report: Value = serde_json::from_str(&seen.text).unwrap();
    assert_eq!((&report["findings"], &report["notLookedAt"]), (&json!(0), &json!(0)));
    let checks = report["checks"].as_array().unwrap();
    assert_eq!(checks.len(), pod_identity_webhook::doctor::CHECKS.len() - 1);
    for check in checks {
        assert!(["passed", "nothing"].contains(&check["status"].as_str().unwrap()), "{check:#}");
        assert!(check["asks"].as_str().unwrap().ends_with('?'), "{check:#}");
        assert!(!check["lines"].as_array().unwrap().is_empty(), "{check:#}");
    }
}
