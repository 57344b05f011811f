//! Pods that are stored: what was added to them, and that nothing else was done.

use anyhow::ensure;
use cluster::{ControlPlane, eventually};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    additions::additions,
    support::{
        Answer, IRSA_MOUNT, Namespace, POD_IDENTITY, POD_IDENTITY_MOUNT, ROLE, ROLE_ARN, Run, SOON,
        has_irsa, has_pod_identity, metric, mounts, pod, post, registered, settled, webhook,
    },
};
use crate::plane::plane;

/// What was added to `pod` in `injected`, compared with the same Pod where no webhook is called.
async fn added(
    plane: &ControlPlane,
    injected: &Namespace,
    annotations: &Value,
    pod: &Value,
) -> Vec<(String, Value)> {
    let account = pod["spec"]["serviceAccountName"].as_str().unwrap();
    let plain = Namespace::new(plane, "plain").await;
    plain.account(account, annotations).await;
    let before = settled(&plain.pod(pod).await);
    let after = settled(&injected.pod(pod).await);
    additions(&before, &after).unwrap()
}

fn volume(name: &str, audience: &str, path: &str, seconds: u64) -> Value {
    json!({ "name": name, "projected": {
        "sources": [{ "serviceAccountToken": {
            "audience": audience, "expirationSeconds": seconds, "path": path,
        }}],
        "defaultMode": 420,
    }})
}

fn variable(name: &str, value: &str) -> Value {
    json!({ "name": name, "value": value })
}

/// The additions of IRSA to the container at `container`, which has `env` variables and `mounts`
/// mounts of its own.
fn irsa(container: &str, env: usize, mounts: usize, role: &str) -> Vec<(String, Value)> {
    let token = format!("{IRSA_MOUNT}/token");
    let mount = json!({ "name": "aws-iam-token", "readOnly": true, "mountPath": IRSA_MOUNT });
    let variables =
        [variable("AWS_ROLE_ARN", role), variable("AWS_WEB_IDENTITY_TOKEN_FILE", &token)];
    appended(container, env, mounts, &variables, mount)
}

/// The same of Pod Identity.
fn pod_identity(container: &str, env: usize, mounts: usize) -> Vec<(String, Value)> {
    let token = format!("{POD_IDENTITY_MOUNT}/eks-pod-identity-token");
    let name = "eks-pod-identity-token";
    let mount = json!({ "name": name, "readOnly": true, "mountPath": POD_IDENTITY_MOUNT });
    let variables = [
        variable("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials"),
        variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &token),
    ];
    appended(container, env, mounts, &variables, mount)
}

fn appended(
    container: &str,
    env: usize,
    mounts: usize,
    variables: &[Value],
    mount: Value,
) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    if env == 0 {
        all.push((format!("{container}/env"), json!(variables)));
    } else {
        let numbered = variables.iter().zip(env..);
        all.extend(numbered.map(|(v, at)| (format!("{container}/env/{at}"), v.clone())));
    }
    all.push((format!("{container}/volumeMounts/{mounts}"), mount));
    all
}

/// Sorts by pointer, since a Pod's keys may stand in any order.
fn sorted(mut additions: Vec<(String, Value)>) -> Vec<(String, Value)> {
    additions.sort_by(|one, other| one.0.cmp(&other.0));
    additions
}

/// O1: whatever the Pod has, only additions are made. O8: the review version is v1.
#[tokio::test]
async fn a_pod_gets_irsa_from_its_accounts_role_and_nothing_else_changes() {
    let plane = plane().await;
    let (_webhook, namespace) = registered(plane, "irsa", webhook(plane)).await;
    let annotations = json!({ ROLE_ARN: ROLE, "eks.amazonaws.com/token-expiration": "3600" });
    namespace.account("app", &annotations).await;
    let mut pod = pod("app");
    pod["spec"]["containers"] = json!([
        { "name": "app", "image": "app", "env": [{ "name": "HOME", "value": "/" }] },
        { "name": "side", "image": "side" },
    ]);
    pod["spec"]["initContainers"] = json!([{ "name": "first", "image": "first" }]);

    let found = added(plane, &namespace, &annotations, &pod).await;
    let token = volume("aws-iam-token", "sts.amazonaws.com", "token", 3600);
    let mut wanted = vec![("/spec/volumes/0".to_owned(), token)];
    wanted.extend(irsa("/spec/containers/0", 1, 1, ROLE));
    wanted.extend(irsa("/spec/containers/1", 0, 1, ROLE));
    wanted.extend(irsa("/spec/initContainers/0", 0, 1, ROLE));
    assert_eq!(sorted(found), sorted(wanted));
}

#[tokio::test]
async fn a_pod_gets_pod_identity_from_its_accounts_annotation_and_nothing_else_changes() {
    let plane = plane().await;
    let (_webhook, namespace) = registered(plane, "pod-identity", webhook(plane)).await;
    let annotations =
        json!({ POD_IDENTITY: "enabled", "eks.amazonaws.com/token-expiration": "86400" });
    namespace.account("app", &annotations).await;

    let found = added(plane, &namespace, &annotations, &pod("app")).await;
    let name = "eks-pod-identity-token";
    let token = volume(name, "pods.eks.amazonaws.com", name, 86400);
    let mut wanted = vec![
        ("/metadata/labels".to_owned(), json!({ POD_IDENTITY: "enabled" })),
        ("/spec/volumes/0".to_owned(), token),
    ];
    wanted.extend(pod_identity("/spec/containers/0", 0, 1));
    assert_eq!(sorted(found), sorted(wanted));
}

/// F8, N10: a mapping fits by pattern, and goes with the ConfigMap.
#[tokio::test]
async fn a_pod_gets_its_role_from_the_mappings_as_long_as_they_are_there() {
    let plane = plane().await;
    let home = Namespace::new(plane, "mappings-home").await;
    let home_flag = format!("--namespace={}", home.name);
    let webhook = webhook(plane).arg("--watch-config-map").arg(home_flag);
    let (webhook, namespace) = registered(plane, "mappings", webhook).await;
    namespace.account("app", &json!({})).await;
    let config = json!({
        format!("{}/a*", namespace.name): { "RoleARN": ROLE, "Audience": "aud", "TokenExpiration": 0 },
    });
    let map = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": "pod-identity-webhook" },
        "data": { "config": config.to_string() },
    });
    let injected = async |wanted| {
        eventually("the mappings count", SOON, || async {
            let answer = post(&webhook, "/mutate", &namespace.name, &pod("app")).await;
            ensure!(answer.get("patch").is_some() == wanted, "{answer}");
            Ok(())
        })
        .await
        .unwrap();
    };
    home.create("configmaps", &map).await;
    injected(true).await;

    let found = added(plane, &namespace, &json!({}), &pod("app")).await;
    let mut wanted =
        vec![("/spec/volumes/0".to_owned(), volume("aws-iam-token", "aud", "token", 86400))];
    wanted.extend(irsa("/spec/containers/0", 0, 1, ROLE));
    assert_eq!(sorted(found), sorted(wanted));

    let path = "configmaps/pod-identity-webhook";
    home.ask(Method::DELETE, path, "application/json", &Value::Null).await;
    injected(false).await;
    assert_eq!(added(plane, &namespace, &json!({}), &pod("app")).await, []);
}

#[tokio::test]
async fn a_pod_gets_pod_identity_from_the_container_credentials_file_before_any_role() {
    let plane = plane().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    let namespace = Namespace::new(plane, "file").await;
    let listed = json!({ "identities": [
        { "namespace": namespace.name, "serviceAccount": "app" },
    ]});
    std::fs::write(&file, listed.to_string()).unwrap();
    let webhook = webhook(plane)
        .arg(format!("--watch-container-credentials-config={}", file.display()))
        .arg("--token-expiration=7200");
    let (_webhook, _) = registered(plane, "file", webhook).await;
    let annotations = json!({ ROLE_ARN: ROLE });
    namespace.account("app", &annotations).await;

    let found = added(plane, &namespace, &annotations, &pod("app")).await;
    let name = "eks-pod-identity-token";
    let token = volume(name, "pods.eks.amazonaws.com", name, 7200);
    let mut wanted = vec![
        ("/metadata/labels".to_owned(), json!({ POD_IDENTITY: "enabled" })),
        ("/spec/volumes/0".to_owned(), token),
    ];
    wanted.extend(pod_identity("/spec/containers/0", 0, 1));
    assert_eq!(sorted(found), sorted(wanted));
}

#[tokio::test]
async fn the_pods_of_a_deployment_are_injected_on_both_paths() {
    let plane = plane().await;
    let (_webhook, namespace) = registered(plane, "deployment", webhook(plane)).await;
    namespace.account("irsa", &json!({ ROLE_ARN: ROLE })).await;
    namespace.account("agent", &json!({ POD_IDENTITY: "true" })).await;
    let client = plane.client().unwrap();
    for account in ["irsa", "agent"] {
        let deployment = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": { "name": account },
            "spec": {
                "replicas": 2,
                "selector": { "matchLabels": { "app": account } },
                "template": {
                    "metadata": { "labels": { "app": account } },
                    "spec": {
                        "serviceAccountName": account,
                        "containers": [{ "name": "app", "image": "app" }],
                    },
                },
            },
        });
        let path = format!("/apis/apps/v1/namespaces/{}/deployments", namespace.name);
        let made =
            super::support::ask(&client, Method::POST, &path, "application/json", &deployment);
        assert_eq!(made.await.status, StatusCode::CREATED);
    }
    let pods = eventually("the Deployments have their Pods", SOON, || async {
        let list = namespace.ask(Method::GET, "pods", "application/json", &Value::Null).await;
        let pods = list.body["items"].as_array().unwrap().clone();
        ensure!(pods.len() == 4, "{} Pods so far", pods.len());
        Ok(pods)
    });
    for pod in pods.await.unwrap() {
        match pod["spec"]["serviceAccountName"].as_str() {
            Some("irsa") => assert!(has_irsa(&pod), "{pod:#}"),
            _ => assert!(has_pod_identity(&pod), "{pod:#}"),
        }
    }
}

/// O1, N1: fields that the webhook's own view of a Pod does not have.
#[tokio::test]
async fn fields_that_the_webhook_does_not_know_stay_as_they_are() {
    let plane = plane().await;
    let (_webhook, namespace) = registered(plane, "new-fields", webhook(plane)).await;
    let annotations = json!({ ROLE_ARN: ROLE });
    namespace.account("app", &annotations).await;
    let mut pod = pod("app");
    let claim = |cpu: &str| json!({ "requests": { "cpu": cpu }, "limits": { "cpu": "3" } });
    pod["spec"] = json!({
        "serviceAccountName": "app",
        "resources": { "requests": { "cpu": "2", "memory": "64Mi" }, "limits": { "memory": "1Gi" } },
        "hostUsers": false,
        "hostnameOverride": "other.example",
        "schedulingGates": [{ "name": "example.com/gate" }],
        "resourceClaims": [{ "name": "gpu", "resourceClaimName": "gpu" }],
        "os": { "name": "linux" },
        "setHostnameAsFQDN": false,
        "securityContext": { "supplementalGroupsPolicy": "Strict", "seccompProfile": { "type": "RuntimeDefault" } },
        "topologySpreadConstraints": [{
            "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
            "matchLabelKeys": ["version"], "nodeTaintsPolicy": "Honor",
            "labelSelector": { "matchLabels": { "app": "app" } },
        }],
        "initContainers": [{ "name": "side", "image": "side", "restartPolicy": "Always" }],
        "containers": [{
            "name": "app",
            "image": "app",
            "resources": claim("1"),
            "restartPolicy": "OnFailure",
            "restartPolicyRules": [{ "action": "Restart", "exitCodes": { "operator": "NotIn", "values": [1, 2] } }],
            "resizePolicy": [{ "resourceName": "cpu", "restartPolicy": "RestartContainer" }],
            "lifecycle": { "preStop": { "sleep": { "seconds": 5 } } },
            "env": [
                { "name": "FROM_FILE", "valueFrom": { "fileKeyRef": { "volumeName": "files", "path": "a.env", "key": "K", "optional": false } } },
            ],
            "volumeMounts": [
                { "name": "image", "mountPath": "/image", "readOnly": true, "recursiveReadOnly": "IfPossible" },
            ],
        }],
        "volumes": [
            { "name": "image", "image": { "reference": "data", "pullPolicy": "IfNotPresent" } },
            { "name": "files", "emptyDir": {} },
            { "name": "trust", "projected": { "sources": [
                { "clusterTrustBundle": { "name": "ca", "path": "ca.pem" } },
                { "configMap": { "name": "more" } },
            ] } },
        ],
    });
    pod["metadata"]["labels"] = json!({ "app": "app", "version": "1" });

    let stored = namespace.pod(&pod).await;
    for pointer in [
        "/spec/resources",
        "/spec/hostUsers",
        "/spec/hostnameOverride",
        "/spec/schedulingGates",
        "/spec/resourceClaims",
        "/spec/securityContext",
        "/spec/containers/0/restartPolicyRules",
        "/spec/containers/0/resizePolicy",
        "/spec/containers/0/env/0",
    ] {
        // The API server that drops a field would make this test worth nothing.
        assert!(pod.pointer(pointer).is_some(), "{pointer}");
        assert_eq!(stored.pointer(pointer), pod.pointer(pointer), "{pointer}");
    }
    let found = added(plane, &namespace, &annotations, &pod).await;
    let token = volume("aws-iam-token", "sts.amazonaws.com", "token", 86400);
    let mut wanted = vec![("/spec/volumes/0".to_owned(), token)];
    wanted.extend(irsa("/spec/containers/0", 1, 2, ROLE));
    wanted.extend(irsa("/spec/initContainers/0", 0, 1, ROLE));
    assert_eq!(sorted(found), sorted(wanted));
}

/// The token is a volume of its own: that no API token is mounted does not concern it.
#[tokio::test]
async fn a_pod_without_api_token_is_injected_and_gets_none() {
    let plane = plane().await;
    let (_webhook, namespace) = registered(plane, "no-api-token", webhook(plane)).await;
    for (name, annotations) in
        [("irsa", json!({ ROLE_ARN: ROLE })), ("agent", json!({ POD_IDENTITY: "true" }))]
    {
        let account = json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": { "name": name, "annotations": annotations },
            "automountServiceAccountToken": false,
        });
        namespace.create("serviceaccounts", &account).await;
        let mut pod = pod(name);
        for on_the_pod in [Value::Null, json!(false)] {
            pod["spec"]["automountServiceAccountToken"] = on_the_pod;
            let stored = namespace.pod(&pod).await;
            assert!(if name == "irsa" { has_irsa(&stored) } else { has_pod_identity(&stored) });
            assert_eq!(stored["spec"]["volumes"].as_array().unwrap().len(), 1, "{stored:#}");
            assert_eq!(mounts(&stored["spec"]["containers"][0]).len(), 1, "{stored:#}");
        }
    }
}

#[tokio::test]
async fn a_pod_of_the_account_default_is_left_as_it_is() {
    let plane = plane().await;
    let (webhook, namespace) = registered(plane, "untouched", webhook(plane)).await;
    namespace.account("app", &json!({ ROLE_ARN: ROLE })).await;
    let mut pod = pod("app");
    pod["spec"].as_object_mut().unwrap().shift_remove("serviceAccountName");
    let plain = Namespace::new(plane, "plain").await;
    let before = settled(&plain.pod(&pod).await);
    let Answer { status, body, warnings } = namespace.try_pod(&pod, Run::Real).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(warnings, [""; 0]);
    assert_eq!(settled(&body).to_string(), before.to_string());
    let skipped = [("outcome", "skipped"), ("reason", "no-identity")];
    assert!(metric(&webhook, "pod_identity_webhook_decisions_total", &skipped).await >= 1.0);
}

#[tokio::test]
async fn a_dry_run_gets_the_same_answer_and_is_not_counted_as_a_pod() {
    let plane = plane().await;
    let (webhook, namespace) = registered(plane, "dry-run", webhook(plane)).await;
    let annotations = json!({ ROLE_ARN: ROLE, "eks.amazonaws.com/token-expiration": "ten" });
    namespace.account("app", &annotations).await;
    let counted = async || {
        let injected = [("outcome", "injected"), ("reason", "injected")];
        let decisions = metric(&webhook, "pod_identity_webhook_decisions_total", &injected).await;
        let pods = metric(&webhook, "pod_identity_webhook_pod_count", &[]).await;
        (decisions, pods)
    };
    let dry = namespace.try_pod(&pod("app"), Run::Dry).await;
    assert_eq!(counted().await, (1.0, 0.0));
    let real = namespace.try_pod(&pod("app"), Run::Real).await;
    assert_eq!(counted().await, (2.0, 1.0));
    assert_eq!((dry.status, real.status), (StatusCode::CREATED, StatusCode::CREATED));
    assert_eq!(settled(&dry.body), settled(&real.body));
    assert!(has_irsa(&dry.body));
    assert_eq!(dry.warnings, real.warnings);
    assert_eq!(dry.warnings.len(), 1, "{dry:#?}");
}
