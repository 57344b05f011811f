//! The rights that the webhook needs, and what it says when it lacks one.

use cluster::{ControlPlane, Webhook, eventually};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::support::{Namespace, ROLE, ROLE_ARN, SOON, ask, pod, post, webhook};
use crate::plane::plane;

/// The account of the webhook in the tests.
const ACCOUNT: &str = "pod-identity-webhook";

/// All of what `/readyz` of the right webhook says.
const READY: &str = "[+] service accounts: ok\n[+] mappings: ok\n[+] certificate: ok\nready\n";

/// Creates an object of the RBAC API at `path`.
pub(super) async fn rbac(plane: &ControlPlane, path: &str, object: &Value) {
    let client = plane.client().unwrap();
    let path = format!("/apis/rbac.authorization.k8s.io/v1/{path}");
    let made = ask(&client, Method::POST, &path, "application/json", object).await;
    assert_eq!(made.status, StatusCode::CREATED, "{:#}", made.body);
}

/// What a role is bound to: the account of the webhook in its namespace.
pub(super) fn bound(kind: &str, name: &str, namespace: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name },
        "subjects": [{ "kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace }],
    })
}

/// Grants these verbs on all ServiceAccounts.
pub(super) async fn grant_accounts(plane: &ControlPlane, home: &Namespace, verbs: &[&str]) {
    let name = format!("{}-{}", home.name, verbs.join("-"));
    let role = json!({
        "metadata": { "name": name },
        "rules": [{ "apiGroups": [""], "resources": ["serviceaccounts"], "verbs": verbs }],
    });
    rbac(plane, "clusterroles", &role).await;
    rbac(plane, "clusterrolebindings", &bound("ClusterRole", &name, &home.name)).await;
}

/// Grants list and watch on the one ConfigMap of mappings.
async fn grant_mappings(plane: &ControlPlane, home: &Namespace) {
    grant_mappings_by(plane, home, &["list", "watch"]).await;
}

/// Grants these verbs on the one ConfigMap of mappings.
async fn grant_mappings_by(plane: &ControlPlane, home: &Namespace, verbs: &[&str]) {
    let name = format!("mappings-{}", verbs.join("-"));
    let role = json!({
        "metadata": { "name": name },
        "rules": [{
            "apiGroups": [""],
            "resources": ["configmaps"],
            "resourceNames": ["pod-identity-webhook"],
            "verbs": verbs,
        }],
    });
    let path = format!("namespaces/{}", home.name);
    rbac(plane, &format!("{path}/roles"), &role).await;
    let binding = bound("Role", &name, &home.name);
    rbac(plane, &format!("{path}/rolebindings"), &binding).await;
}

/// A webhook that runs as an account of a namespace of its own, with the rights of that account.
async fn start(plane: &ControlPlane, home: &Namespace) -> Webhook {
    home.account(ACCOUNT, &json!({})).await;
    let kubeconfig = plane.service_account_kubeconfig(&home.name, ACCOUNT).await.unwrap();
    let webhook = webhook(plane)
        .kubeconfig(kubeconfig)
        .arg(format!("--namespace={}", home.name))
        .arg("--watch-config-map");
    webhook.do_not_wait().start().await.unwrap()
}

/// Waits until `/readyz` answers 503 with all of `wanted`, and the log has said it, too.
async fn is_not_ready(webhook: &Webhook, wanted: &[&str]) {
    eventually("it says what it lacks", SOON, || async {
        let (status, text) = webhook.get("/readyz").await?;
        anyhow::ensure!(status == StatusCode::SERVICE_UNAVAILABLE, "{status}");
        anyhow::ensure!(wanted.iter().all(|part| text.contains(part)), "{text}");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(webhook.get_tls("/readyz").await.unwrap().0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(webhook.get("/livez").await.unwrap().0, StatusCode::OK);
}

/// Waits until the log has a line with all of `wanted`.
async fn logs(webhook: &Webhook, wanted: &[&str]) {
    eventually("it logs what it lacks", SOON, || async {
        let lines = webhook.logs();
        let found = lines.iter().any(|line| wanted.iter().all(|part| line.contains(part)));
        anyhow::ensure!(found, "{lines:#?}");
        Ok(())
    })
    .await
    .unwrap();
}

/// N5: exactly the documented rights are enough, live look-ups included.
#[tokio::test]
async fn the_documented_rights_are_enough() {
    let plane = plane().await;
    let home = Namespace::new(plane, "rbac-all").await;
    grant_accounts(plane, &home, &["get", "list", "watch"]).await;
    grant_mappings(plane, &home).await;
    let webhook = start(plane, &home).await;
    webhook.ready(SOON).await.unwrap();
    assert_eq!(webhook.get("/readyz").await.unwrap().1, READY);

    let answer = post(&webhook, "/mutate", &home.name, &pod("nobody")).await;
    assert!(answer.get("warnings").is_none(), "{answer:#}");
    let mapped = json!({
        "metadata": { "name": "pod-identity-webhook" },
        "data": { "config": json!({ format!("{}/app", home.name): { "RoleARN": ROLE } }).to_string() },
    });
    home.create("configmaps", &mapped).await;
    eventually("the mappings count", SOON, || async {
        let answer = post(&webhook, "/mutate", &home.name, &pod("app")).await;
        anyhow::ensure!(answer.get("patch").is_some(), "{answer}");
        Ok(())
    })
    .await
    .unwrap();
    let refused = webhook.logs().into_iter().find(|line| line.contains("refuses"));
    assert_eq!(refused, None);
}

/// N5: without the rule, not ready, and it says which; with it, ready without a restart.
#[tokio::test]
async fn without_rights_on_accounts_it_is_not_ready_and_names_the_verb() {
    let plane = plane().await;
    let home = Namespace::new(plane, "rbac-accounts").await;
    grant_mappings(plane, &home).await;
    let webhook = start(plane, &home).await;
    let refused = [
        "[-] service accounts: ",
        "cannot watch resource",
        "serviceaccounts",
        "grant list and watch on serviceaccounts",
        "[+] mappings: ok",
    ];
    is_not_ready(&webhook, &refused).await;
    logs(&webhook, &["WARN", "the watch is broken", "cannot watch resource", "serviceaccounts"])
        .await;
    // What it cannot know it says it does not know, and admits the Pod.
    let answer = post(&webhook, "/mutate", &home.name, &pod("default")).await;
    assert_eq!(answer["allowed"], true);
    let warning = answer["warnings"][0].as_str().unwrap();
    assert!(warning.contains("grant it the verb get"), "{warning}");

    // The verb watch is missing yet.
    grant_accounts(plane, &home, &["get", "list"]).await;
    eventually("the verb get is granted", SOON, || async {
        let answer = post(&webhook, "/mutate", &home.name, &pod("default")).await;
        anyhow::ensure!(answer.get("warnings").is_none(), "{answer}");
        Ok(())
    })
    .await
    .unwrap();
    is_not_ready(&webhook, &refused).await;

    grant_accounts(plane, &home, &["watch"]).await;
    webhook.ready(SOON).await.unwrap();
    assert_eq!(webhook.get("/readyz").await.unwrap().1, READY);
    logs(&webhook, &["the watch stands again", "serviceaccounts"]).await;
    let app = Namespace::new(plane, "rbac-accounts").await;
    app.account("app", &json!({ ROLE_ARN: ROLE })).await;
    let answer = post(&webhook, "/mutate", &app.name, &pod("app")).await;
    assert!(answer.get("patch").is_some(), "{answer:#}");
}

/// N5: the same for the ConfigMap of mappings.
#[tokio::test]
async fn without_rights_on_the_mappings_it_is_not_ready_and_names_the_verb() {
    let plane = plane().await;
    let home = Namespace::new(plane, "rbac-mappings").await;
    grant_accounts(plane, &home, &["get", "list", "watch"]).await;
    let webhook = start(plane, &home).await;
    let refused = [
        "[+] service accounts: ok",
        "[-] mappings: ",
        "cannot watch resource",
        "grant list and watch on configmaps",
        &home.name,
    ];
    is_not_ready(&webhook, &refused).await;
    logs(&webhook, &["WARN", "the watch is broken", "cannot watch resource", "configmaps"]).await;

    grant_mappings(plane, &home).await;
    webhook.ready(SOON).await.unwrap();
    assert_eq!(webhook.get("/readyz").await.unwrap().1, READY);
}

/// N5, N7: live look-ups need a verb of their own. Where the cache stands in for them no Pod is the
/// worse for it at once, and only the log can tell.
#[tokio::test]
async fn without_the_verb_get_a_live_lookup_says_so() {
    let plane = plane().await;
    let home = Namespace::new(plane, "rbac-get").await;
    grant_accounts(plane, &home, &["list", "watch"]).await;
    grant_mappings(plane, &home).await;
    let webhook = start(plane, &home).await;
    webhook.ready(SOON).await.unwrap();
    let answer = post(&webhook, "/mutate/strict", &home.name, &pod("default")).await;
    assert_eq!(answer["allowed"], true);
    assert!(answer.get("warnings").is_none(), "{answer:#}");
    let refused = ["WARN", "live look-ups are refused", "serviceaccounts", "\"get\""];
    logs(&webhook, &refused).await;
    let answer = post(&webhook, "/mutate", &home.name, &pod("nobody")).await;
    assert_eq!(answer["allowed"], true);
    let warning = answer["warnings"][0].as_str().unwrap();
    let wanted = "lookup-failed: the webhook may not get ServiceAccounts: grant it the verb get";
    assert!(warning.starts_with(wanted), "{warning}");
    let told = webhook.logs().into_iter().filter(|line| line.contains("look-ups are refused"));
    assert_eq!(told.count(), 1);
    let (status, text) = webhook.get("/readyz").await.unwrap();
    let noted = "[!] service accounts: live look-ups are refused: grant get on serviceaccounts";
    assert!(status == StatusCode::OK && text.contains(noted), "{status}: {text}");

    grant_accounts(plane, &home, &["get"]).await;
    eventually("the verb get is granted", SOON, || async {
        let answer = post(&webhook, "/mutate", &home.name, &pod("nobody")).await;
        anyhow::ensure!(answer.get("warnings").is_none(), "{answer}");
        Ok(())
    })
    .await
    .unwrap();
    logs(&webhook, &["live look-ups are answered again"]).await;
    assert_eq!(webhook.get("/readyz").await.unwrap().1, READY);
}

/// N5: a streaming list is a watch, so the verb list is missed only where there are none.
#[tokio::test]
async fn without_the_verb_list_it_is_not_ready_where_there_are_no_streaming_lists() {
    let plane = ControlPlane::builder().feature_gate("WatchList", false).start().await.unwrap();
    let home = Namespace::new(&plane, "rbac-list").await;
    grant_accounts(&plane, &home, &["get", "watch"]).await;
    grant_mappings_by(&plane, &home, &["watch"]).await;
    let webhook = start(&plane, &home).await;
    let refused = [
        "[-] service accounts: ",
        "cannot list resource \\\"serviceaccounts\\\"",
        "grant list and watch on serviceaccounts",
        "[-] mappings: ",
        "cannot list resource \\\"configmaps\\\"",
        "grant list and watch on configmaps",
    ];
    is_not_ready(&webhook, &refused).await;
    for resource in ["serviceaccounts", "configmaps"] {
        logs(&webhook, &["WARN", "the watch is broken", "cannot list resource", resource]).await;
    }

    grant_accounts(&plane, &home, &["list"]).await;
    grant_mappings(&plane, &home).await;
    webhook.ready(SOON).await.unwrap();
    assert_eq!(webhook.get("/readyz").await.unwrap().1, READY);
}
