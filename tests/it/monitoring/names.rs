//! Every metric that dashboard and alerts name is looked for where it has to be: in `/metrics` of
//! webhooks that have served, of an audit that has healed, and of the API server that has asked them.

use std::collections::{BTreeMap, BTreeSet};

use cluster::{ControlPlane, FailurePolicy, Registration, Webhook, eventually, register};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use super::promql::{Selector, selectors};
use super::{dashboard, named};
use crate::audit::stage as audit;
use crate::keeper::stage::{REPAIR, SOON, Stage};
use crate::plane::plane;

const BINARY: &str = env!("CARGO_BIN_EXE_pod-identity-webhook");

/// The labels that Prometheus gives to what it scrapes.
const OF_TARGETS: [&str; 4] = ["namespace", "pod", "job", "instance"];

/// The metrics of an exposition, each with the sets of labels that its series have.
fn series(exposition: &str, found: &mut BTreeMap<String, Vec<BTreeSet<String>>>) {
    for line in exposition.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        // A series is a selector, and a value behind it.
        let (series, _) = line.rsplit_once(' ').unwrap();
        let [Selector { metric, labels }] = selectors(series).try_into().unwrap();
        found.entry(metric).or_default().push(labels.into_iter().collect());
    }
}

/// Creates a Pod in a new namespace that the webhook registered under `prefix` serves.
async fn try_pod(plane: &ControlPlane, prefix: &str) -> kube::Result<Pod> {
    let namespace = cluster::namespace(plane, prefix).await.unwrap();
    let pod = json!({"metadata": {"name": "app"}, "spec": {"containers": [{"name": "app", "image": "app"}]}});
    let pod: Pod = serde_json::from_value(pod).unwrap();
    let pods = Api::namespaced(plane.client().unwrap(), &namespace);
    // The account `default` comes a moment after its namespace.
    eventually("the API server has an answer", SOON, || async {
        match pods.create(&PostParams::default(), &pod).await {
            Err(kube::Error::Api(status)) if status.message.contains("serviceaccount") => {
                anyhow::bail!(status.message)
            }
            answer => Ok(answer),
        }
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_that_dashboard_and_alerts_name_is_there() {
    let plane = plane().await;
    let mut found = BTreeMap::new();

    // An audit that has found, told and evicted.
    let audited = audit::Stage::set("monitoring-audit").await;
    let kubelet = audit::Kubelet::start(&audited);
    audited.account("app", &json!({ "eks.amazonaws.com/role-arn": audit::ROLE })).await;
    audited.deployment("shop", "app", 1).await;
    kubelet.has_started_all(&audited).await;
    let watch = audited.watch(&["--evict", "--evict-per-minute=600"]).await;
    let evicted = "pod_identity_webhook_audit_evictions_total{result=\"evicted\"}";
    watch.metric_is(evicted, 1).await;
    series(&watch.get("/metrics").await.unwrap(), &mut found);
    drop((watch, kubelet));

    // One that makes its certificates, and has served.
    let stage = Stage::set("monitoring").await;
    let managed = stage.start(&["--watch-config-map"]).await;
    stage.register().await;
    stage.settled(REPAIR).await.unwrap();
    stage.injects(SOON).await;
    // One whose files are broken by now.
    let files = Webhook::builder(plane).binary(BINARY).start().await.unwrap();
    std::fs::write(files.cert_dir().join("tls.crt"), "no certificate").unwrap();
    eventually("it has read the files", SOON, || async {
        let (_, text) = files.get("/metrics").await?;
        anyhow::ensure!(text.contains("pod_identity_webhook_certificate_errors_total{"));
        Ok(())
    })
    .await
    .unwrap();
    for served in [&managed, &files] {
        series(&served.get("/metrics").await.unwrap().1, &mut found);
    }

    // An API server that could ask, and then could not.
    let gone = Webhook::builder(plane).binary(BINARY).start().await.unwrap();
    for failure_policy in [FailurePolicy::Ignore, FailurePolicy::Fail] {
        let name =
            if failure_policy == FailurePolicy::Fail { "gone-failed" } else { "gone-ignored" };
        let registration = Registration { failure_policy, ..Registration::default() };
        register(plane, name, &gone, registration).await.unwrap();
    }
    gone.terminate().await.unwrap();
    assert!(try_pod(plane, "gone-ignored").await.is_ok());
    assert!(try_pod(plane, "gone-failed").await.is_err());
    let client = plane.client().unwrap();
    let request = http::Request::get("/metrics").body(Vec::new()).unwrap();
    series(&client.request_text(request).await.unwrap(), &mut found);

    let variables = dashboard()["templating"]["list"].clone();
    let of_variables = variables.as_array().unwrap().iter().filter_map(|variable| {
        let query = variable["query"]["query"].as_str()?;
        let [first, ..] = &selectors(query)[..] else { panic!("{query}") };
        Some(("a variable".to_owned(), first.clone()))
    });
    let mut missing = Vec::new();
    for (place, Selector { metric, labels }) in named().into_iter().chain(of_variables) {
        let wanted: BTreeSet<_> =
            labels.into_iter().filter(|label| !OF_TARGETS.contains(&label.as_str())).collect();
        let series = found.get(&metric).map(Vec::as_slice).unwrap_or_default();
        if !series.iter().any(|labels| wanted.is_subset(labels)) {
            missing.push(format!("{place}: {metric} {wanted:?}"));
        }
    }
    assert!(missing.is_empty(), "{missing:#?}\n{:#?}", found.keys().collect::<Vec<_>>());
}
