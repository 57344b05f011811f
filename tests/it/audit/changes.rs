//! What changes after Pods have started: accounts, mappings, the Pods themselves.

use anyhow::ensure;
use cluster::eventually;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

use super::stage::{ROLE, SOON, Stage};

const MISSED: &str = "pod_identity_webhook_missed_pods{reason=\"missing-identity\"}";

/// An account that is annotated when its Pods run already: they lack what a new one would get.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_annotated_later_is_a_finding_and_taken_back_is_none() {
    let stage = Stage::set("audit-later").await;
    stage.account("app", &json!({})).await;
    stage.pod("one", "app").await;
    stage.pod("other", "default").await;
    let watch = stage.watch(&[]).await;
    watch.ready().await;
    assert_eq!(watch.metric(MISSED).await.unwrap(), 0);

    stage.annotate("app", &json!({ "eks.amazonaws.com/role-arn": ROLE })).await;
    watch.metric_is(MISSED, 1).await;
    eventually("it is told", SOON, || async {
        let told = stage.told("Pod", "Audit").await?;
        ensure!(told.iter().eq(["one"]), "{told:?}");
        Ok(())
    })
    .await
    .unwrap();
    stage.annotate("app", &json!({ "eks.amazonaws.com/role-arn": null })).await;
    watch.metric_is(MISSED, 0).await;
    stage.annotate("app", &json!({ "eks.amazonaws.com/role-arn": ROLE })).await;
    watch.metric_is(MISSED, 1).await;
    stage.pods().delete("one", &DeleteParams::default().grace_period(0)).await.unwrap();
    watch.metric_is(MISSED, 0).await;
    assert_eq!(stage.events().await.unwrap().len(), 1, "the same was told once");
    watch.kill().await;
}

/// A mapping that comes, and goes.
#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_that_comes_later_is_a_finding_for_all_whom_it_fits() {
    let stage = Stage::set("audit-mapping").await;
    stage.pod("one", "default").await;
    stage.pod("two", "default").await;
    let namespace = format!("--webhook-namespace={}", stage.namespace);
    let watch = stage.watch(&["--watch-config-map", &namespace]).await;
    watch.ready().await;
    let maps: Api<ConfigMap> = Api::namespaced(stage.client.clone(), &stage.namespace);
    let config = |config: serde_json::Value| json!({ "data": { "config": config.to_string() } });
    let mut map = config(json!({ "*/default": { "RoleARN": ROLE } }));
    map["metadata"] = json!({ "name": "pod-identity-webhook" });
    let map = serde_json::from_value(map).unwrap();
    maps.create(&PostParams::default(), &map).await.unwrap();
    watch.metric_is(MISSED, 2).await;
    let none = Patch::Merge(config(json!({})));
    maps.patch("pod-identity-webhook", &PatchParams::default(), &none).await.unwrap();
    watch.metric_is(MISSED, 0).await;
    watch.kill().await;
}
