//! The objects of a stage, and how the API server is asked for them: as JSON.

use anyhow::Result;
use http::{Method, Request, StatusCode};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use super::stage::{HOME, NAME, READER, ROLE, Rights, SHOP};

/// Removes what an earlier set-up left.
pub(super) async fn clear(client: &Client) {
    let cluster = [
        "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations".to_owned(),
        format!("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/{NAME}"),
        format!("/apis/rbac.authorization.k8s.io/v1/clusterroles/{NAME}"),
        format!("/apis/discovery.k8s.io/v1/namespaces/{HOME}/endpointslices"),
        "/api/v1/nodes".to_owned(),
    ];
    let of = |namespace: &str| {
        ["pods", "services", "configmaps", "serviceaccounts"]
            .map(|resource| format!("/api/v1/namespaces/{namespace}/{resource}"))
    };
    let label = json!({ "metadata": { "labels": { "identity": null } } });
    let path = "/api/v1/namespaces/default";
    ask(client, Method::PATCH, path, &label).await.unwrap();
    for path in cluster.into_iter().chain(of(HOME)).chain(of(SHOP)) {
        let path = format!("{path}?gracePeriodSeconds=0");
        let (status, body) = ask(client, Method::DELETE, &path, &Value::Null).await.unwrap();
        assert!(status.is_success() || status == StatusCode::NOT_FOUND, "{path}: {body:#}");
    }
}

/// Makes namespaces, accounts and rights.
pub(super) async fn furnish(client: &Client, rights: Rights) {
    for namespace in [HOME, SHOP] {
        let object = json!({ "metadata": { "name": namespace } });
        let (status, body) =
            ask(client, Method::POST, "/api/v1/namespaces", &object).await.unwrap();
        assert!(status.is_success() || status == StatusCode::CONFLICT, "{body:#}");
    }
    let role = json!({ "eks.amazonaws.com/role-arn": ROLE });
    for (namespace, name, annotations) in
        [(HOME, NAME, json!({})), (SHOP, "default", json!({})), (SHOP, READER, role)]
    {
        create_in(client, namespace, "serviceaccounts", &account(name, &annotations)).await;
    }
    let rules = json!([
        { "apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["get", "list", "watch"] },
        { "apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"] },
    ]);
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let role = json!({ "metadata": { "name": NAME }, "rules": rules });
    let binding = json!({
        "metadata": { "name": NAME },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME },
        "subjects": [{ "kind": "ServiceAccount", "name": NAME, "namespace": HOME }],
    });
    if rights == Rights::Granted {
        create(client, &format!("{rbac}/clusterroles"), &role).await;
        create(client, &format!("{rbac}/clusterrolebindings"), &binding).await;
    }
}

pub(super) fn account(name: &str, annotations: &Value) -> Value {
    json!({ "metadata": { "name": name, "annotations": annotations } })
}

pub(super) async fn create_in(client: &Client, namespace: &str, resource: &str, object: &Value) {
    create(client, &format!("/api/v1/namespaces/{namespace}/{resource}"), object).await;
}

pub(super) async fn create(client: &Client, path: &str, object: &Value) {
    let (status, body) = ask(client, Method::POST, path, object).await.unwrap();
    assert_eq!(status, StatusCode::CREATED, "{path}: {body:#}");
}

pub(super) async fn ask(
    client: &Client,
    method: Method,
    path: &str,
    object: &Value,
) -> Result<(StatusCode, Value)> {
    let content_type = match method {
        Method::PATCH => "application/merge-patch+json",
        _ => "application/json",
    };
    let body = if object.is_null() { Vec::new() } else { object.to_string().into_bytes() };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", content_type)
        .body(Body::from(body))?;
    let answer = client.send(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect_bytes().await?;
    Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
}

/// A Pod of an account, with `over` laid over it.
pub(super) fn pod(account: &str, over: &Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "generateName": "app-" },
        "spec": {
            "serviceAccountName": account,
            "containers": [{ "name": "app", "image": "app" }],
        },
    });
    json_patch::merge(&mut pod, over);
    pod
}
