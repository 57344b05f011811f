//! Events of the strict path on a real API server: taken as they are, found where people look, and
//! missed by nobody when the right is not there.

use anyhow::Context as _;
use cluster::{FailurePolicy, Registration, Webhook, WebhookPath, eventually, register};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::rbac::{bound, grant_accounts, rbac};
use super::support::{Namespace, ROLE, ROLE_ARN, Run, SOON, count, metric_becomes, pod, webhook};
use crate::plane::plane;

const EVENTS: &str = "pod_identity_webhook_events_total";

/// A namespace whose Pods `webhook` judges strictly, with an account that has a role.
async fn strict(name: &str, webhook: &Webhook) -> Namespace {
    let plane = plane().await;
    let registration = Registration {
        path: WebhookPath::Strict,
        failure_policy: FailurePolicy::Fail,
        ..Registration::default()
    };
    register(plane, name, webhook, registration).await.unwrap();
    let namespace = Namespace::new(plane, name).await;
    namespace.account("irsa", &json!({ ROLE_ARN: ROLE })).await;
    namespace
}

/// A Pod of a ReplicaSet, with half a pair of variables.
fn owned(uid: &str) -> Value {
    let mut pod = pod("irsa");
    pod["metadata"]["ownerReferences"] = json!([{ "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "name": "app-5d9f", "uid": uid, "controller": true }]);
    pod["spec"]["containers"][0]["env"] = json!([{ "name": "AWS_ROLE_ARN", "value": "own" }]);
    pod
}

async fn refused(namespace: &Namespace, run: Run) -> String {
    let answer = namespace.try_pod(&owned("0b1c-2d3e"), run).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{:#}", answer.body);
    answer.body["message"].as_str().unwrap().to_owned()
}

/// The Events of the namespace about the ReplicaSet, as kubectl lists them.
async fn events(namespace: &Namespace) -> Vec<Value> {
    let path = "events?fieldSelector=involvedObject.kind=ReplicaSet";
    let answer = namespace.ask(Method::GET, path, "application/json", &Value::Null).await;
    answer.body["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_refusal_is_an_event_of_the_replica_set_and_the_next_ones_are_counted_in_it() {
    let plane = plane().await;
    let webhook = webhook(plane).start().await.unwrap();
    let namespace = strict("events", &webhook).await;
    refused(&namespace, Run::Dry).await;
    let message = refused(&namespace, Run::Real).await;
    let event = eventually("there is an Event", SOON, || async {
        events(&namespace).await.pop().context("none so far")
    })
    .await
    .unwrap();
    let involved = &event["involvedObject"];
    assert_eq!(
        [&involved["kind"], &involved["name"], &involved["uid"]],
        ["ReplicaSet", "app-5d9f", "0b1c-2d3e"]
    );
    assert_eq!([&event["type"], &event["reason"]], ["Warning", "env-conflict"], "{event:#}");
    let told = event["message"].as_str().unwrap();
    assert!(message.ends_with(told), "{told}\n{message}");
    assert_eq!(event.get("series"), None, "{event:#}");

    for _ in 0..20 {
        refused(&namespace, Run::Real).await;
    }
    eventually("the others are counted", SOON, || async {
        let events = events(&namespace).await;
        anyhow::ensure!(events.len() == 1, "{events:#?}");
        anyhow::ensure!(events[0]["series"]["count"] == 21, "{events:#?}");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(count(&webhook, EVENTS, &[("result", "written")]).await, 2);
}

/// The documented rule is enough; without it Pods are decided all the same, and the log says once
/// what to grant.
#[tokio::test]
async fn without_the_right_to_events_only_the_events_are_missing() {
    let plane = plane().await;
    let home = Namespace::new(plane, "events-rbac").await;
    grant_accounts(plane, &home, &["get", "list", "watch"]).await;
    home.account("pod-identity-webhook", &json!({})).await;
    let kubeconfig =
        plane.service_account_kubeconfig(&home.name, "pod-identity-webhook").await.unwrap();
    let webhook = webhook(plane).kubeconfig(kubeconfig).start().await.unwrap();
    let namespace = strict("events-rbac", &webhook).await;
    for _ in 0..3 {
        refused(&namespace, Run::Real).await;
    }
    metric_becomes(&webhook, EVENTS, &[("result", "forbidden")], |value| value >= 1.0).await;
    assert_eq!(webhook.get("/readyz").await.unwrap().0, StatusCode::OK);

    let name = format!("{}-events", home.name);
    let role = json!({
        "metadata": { "name": name },
        "rules": [{ "apiGroups": ["events.k8s.io"], "resources": ["events"],
            "verbs": ["create", "patch"] }],
    });
    rbac(plane, "clusterroles", &role).await;
    rbac(plane, "clusterrolebindings", &bound("ClusterRole", &name, &home.name)).await;
    eventually("the Event is written", SOON, || async {
        refused(&namespace, Run::Real).await;
        anyhow::ensure!(!events(&namespace).await.is_empty());
        Ok(())
    })
    .await
    .unwrap();
    webhook.wait_for_log("Events are written again", SOON).await.unwrap();
    let logs = webhook.logs();
    let told = logs.iter().filter(|line| line.contains("grant create on events of events.k8s.io"));
    assert_eq!(told.filter(|line| line.contains("WARN")).count(), 1, "{logs:#?}");
    // The verb patch is part of it.
    eventually("the series goes on", SOON, || async {
        refused(&namespace, Run::Real).await;
        let events = events(&namespace).await;
        anyhow::ensure!(events.iter().any(|event| event["series"]["count"].is_number()));
        Ok(())
    })
    .await
    .unwrap();
}
