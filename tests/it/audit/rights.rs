//! The rights that README documents: they are enough, and a missing one is named.

use anyhow::ensure;
use cluster::eventually;
use serde_json::json;

use super::stage::{Kubelet, ROLE, SOON, Stage, Watch};
use crate::rights::{OF_AUDIT, Rules};

/// The account of the watch.
const RUNNER: &str = "audit";

/// Grants these to an account of the stage, and starts a watch that runs as that.
async fn run(rules: Rules, stage: &Stage) -> Watch {
    let namespace = &stage.namespace;
    rules.grant(&stage.client, namespace, RUNNER, namespace).await;
    let kubeconfig = stage.plane.service_account_kubeconfig(namespace, RUNNER).await.unwrap();
    let webhook = format!("--webhook-namespace={namespace}");
    let args = ["--watch-config-map", &webhook, "--evict", "--evict-per-minute=600"];
    stage.watch_as(&kubeconfig, &args).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_rights_are_enough_to_tell_and_to_evict() {
    let stage = Stage::set("audit-rights").await;
    let kubelet = Kubelet::start(&stage);
    stage.account("app", &json!({ "eks.amazonaws.com/role-arn": ROLE })).await;
    stage.deployment("shop", "app", 1).await;
    stage.pod("bare", "app").await;
    kubelet.has_started_all(&stage).await;
    let watch = run(Rules::documented(OF_AUDIT), &stage).await;
    watch.metric_is("pod_identity_webhook_audit_evictions_total{result=\"evicted\"}", 1).await;
    watch.ready().await;
    let told = stage.told("Pod", "Audit").await.unwrap();
    assert!(told.contains("bare"), "{told:?}");
    assert_eq!(stage.told("ReplicaSet", "Audit").await.unwrap().len(), 1);
    let log = watch.kill().await;
    assert!(!log.contains("refuses"), "{log}");
}

/// One look needs less.
#[tokio::test(flavor = "multi_thread")]
async fn one_look_needs_no_right_that_the_watch_does_not() {
    let stage = Stage::set("audit-rights").await;
    let watch = run(Rules::documented(OF_AUDIT), &stage).await;
    watch.ready().await;
    let kubeconfig =
        stage.plane.service_account_kubeconfig(&stage.namespace, RUNNER).await.unwrap();
    let output = stage.run(&kubeconfig, &["-n", &stage.namespace, "--flags-from=given"]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
}

/// Readiness and the log name what to grant.
async fn names_the_missing_right(verb: &str, resource: &str, sentence: &str) {
    let stage = Stage::set("audit-right").await;
    let kubelet = Kubelet::start(&stage);
    stage.account("app", &json!({ "eks.amazonaws.com/role-arn": ROLE })).await;
    stage.deployment("shop", "app", 1).await;
    kubelet.has_started_all(&stage).await;
    let watch = run(Rules::documented(OF_AUDIT).without(verb, resource), &stage).await;
    if (verb, resource) == ("list", "pods") {
        // Streaming lists do without: it is needed when an account changes.
        watch.metric_is("pod_identity_webhook_missed_pods{reason=\"missing-identity\"}", 1).await;
        stage.annotate("app", &json!({ "eks.amazonaws.com/audience": "other" })).await;
    }
    eventually("readiness names the right", SOON, || async {
        let text = watch.get("/readyz").await?;
        let names = |line: &str| line.starts_with("[-] ") && line.contains(sentence);
        ensure!(text.lines().any(names), "no {sentence:?} in {text}");
        Ok(())
    })
    .await
    .unwrap();
    watch.kill().await;
}

macro_rules! rights {
    ($($name:ident: $verb:literal $resource:literal $sentence:literal,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                names_the_missing_right($verb, $resource, $sentence).await;
            }
        )*
    };
}

rights! {
    without_list_on_pods_that_is_named: "list" "pods" "cannot list pods in ",
    without_watch_on_pods_that_is_named: "watch" "pods" "grant list and watch on pods",
    without_watch_on_accounts_that_is_named:
        "watch" "serviceaccounts" "grant list and watch on serviceaccounts",
    without_watch_on_mappings_that_is_named:
        "watch" "configmaps" "grant list and watch on configmaps",
    without_list_on_events_that_is_named: "list" "events" "cannot list events.events.k8s.io",
    without_create_on_events_that_is_named: "create" "events" "cannot create events.events.k8s.io",
    without_create_on_evictions_that_is_named:
        "create" "pods/eviction" "cannot create pods/eviction",
}
