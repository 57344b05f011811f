//! The two paths, registered as our manifests register them: what one refuses the other admits.

use cluster::{FailurePolicy, Registration, Webhook, WebhookPath, register};
use http::StatusCode;
use serde_json::{Value, json};

use super::{
    proxy::{Proxy, Valve},
    support::{
        IRSA_MOUNT, Namespace, POD_IDENTITY, ROLE, ROLE_ARN, Run, has_irsa, hook, pod, webhook,
    },
};
use crate::plane::plane;

/// Registers one webhook on both paths, and makes a namespace for each.
async fn on_both_paths(webhook: &Webhook, name: &str) -> [Namespace; 2] {
    let plane = plane().await;
    let strict = format!("{name}-strict");
    let registration = Registration {
        path: WebhookPath::Strict,
        failure_policy: FailurePolicy::Fail,
        ..Registration::default()
    };
    register(plane, &strict, webhook, registration).await.unwrap();
    register(plane, name, webhook, Registration::default()).await.unwrap();
    [Namespace::new(plane, &strict).await, Namespace::new(plane, name).await]
}

/// Creates a Pod in both; the first refuses it with a message that says all of `wanted`.
async fn only_strict_refuses(
    [strict, lenient]: &[Namespace; 2],
    pod: &Value,
    code: u16,
    wanted: &[&str],
) -> Value {
    let refused = strict.try_pod(pod, Run::Real).await;
    let message = refused.body["message"].as_str().unwrap_or_default();
    assert_eq!(refused.status, code, "{:#}", refused.body);
    assert!(wanted.iter().all(|part| message.contains(part)), "{message}\n{wanted:?}");
    assert_eq!(refused.warnings, [""; 0]);

    let admitted = lenient.try_pod(pod, Run::Real).await;
    assert_eq!(admitted.status, StatusCode::CREATED, "{:#}", admitted.body);
    assert_eq!(admitted.warnings.len(), 1, "{:?}", admitted.warnings);
    assert!(message.contains(&admitted.warnings[0]), "{message}\n{:?}", admitted.warnings);
    admitted.body
}

#[tokio::test]
async fn the_strict_path_refuses_what_would_lack_its_identity() {
    let plane = plane().await;
    let skipping = webhook(plane).arg("--invalid-role-arn=skip").start().await.unwrap();
    let both = on_both_paths(&skipping, "both").await;
    for namespace in &both {
        namespace.account("irsa", &json!({ ROLE_ARN: ROLE })).await;
        namespace.account("bad-arn", &json!({ ROLE_ARN: "app" })).await;
        namespace.account("agent", &json!({ POD_IDENTITY: "true" })).await;
        namespace.account("none", &json!({})).await;
    }
    let denied = format!(
        "admission webhook \"{}\" denied the request: pod-identity-webhook: ",
        hook("both-strict")
    );

    let mut taken = pod("irsa");
    taken["spec"]["volumes"] = json!([{ "name": "own", "emptyDir": {} }]);
    taken["spec"]["containers"][0]["volumeMounts"] =
        json!([{ "name": "own", "mountPath": IRSA_MOUNT }]);
    let remedy = format!("free {IRSA_MOUNT}");
    let wanted = [denied.as_str(), "mount-path-taken", "app", &remedy];
    let stored = only_strict_refuses(&both, &taken, 403, &wanted).await;
    assert!(stored["spec"]["containers"][0].get("env").is_none(), "{stored:#}");

    let mut conflict = pod("irsa");
    conflict["spec"]["containers"][0]["env"] = json!([{ "name": "AWS_ROLE_ARN", "value": "own" }]);
    let wanted = [denied.as_str(), "env-conflict", "AWS_ROLE_ARN", "complete the pair"];
    let stored = only_strict_refuses(&both, &conflict, 403, &wanted).await;
    assert_eq!(stored["spec"]["containers"][0]["env"].as_array().unwrap().len(), 1);

    let mut fargate = pod("agent");
    fargate["spec"]["schedulerName"] = json!("fargate-scheduler");
    let wanted = [denied.as_str(), "pod-identity-unsupported", "role-arn"];
    only_strict_refuses(&both, &fargate, 403, &wanted).await;

    let wanted = [denied.as_str(), "invalid-role-arn", "correct it"];
    let stored = only_strict_refuses(&both, &pod("bad-arn"), 403, &wanted).await;
    assert!(stored["spec"]["containers"][0].get("env").is_none(), "{stored:#}");

    // Complete ones pass, and so does what has no identity at all.
    for namespace in &both {
        assert!(has_irsa(&namespace.pod(&pod("irsa")).await));
        assert!(!has_irsa(&namespace.pod(&pod("none")).await));
    }
}

/// N17: a malformed ARN can be denied, and then on both paths.
#[tokio::test]
async fn a_malformed_role_is_denied_on_both_paths_where_that_is_asked_for() {
    let plane = plane().await;
    let denying = webhook(plane).arg("--invalid-role-arn=deny").start().await.unwrap();
    for namespace in on_both_paths(&denying, "deny").await {
        namespace.account("bad-arn", &json!({ ROLE_ARN: "app" })).await;
        let refused = namespace.try_pod(&pod("bad-arn"), Run::Real).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        let message = refused.body["message"].as_str().unwrap();
        assert!(message.contains("invalid-role-arn: "), "{message}");
    }
}

#[tokio::test]
async fn the_strict_path_refuses_a_pod_whose_account_nobody_could_look_up() {
    let plane = plane().await;
    let proxy = Proxy::start(plane).await;
    let behind = webhook(plane).kubeconfig(proxy.kubeconfig()).start().await.unwrap();
    let both = on_both_paths(&behind, "unknown").await;
    proxy.watches(Valve::Closed);
    proxy.gets(Valve::Closed);
    for namespace in &both {
        namespace.account("irsa", &json!({ ROLE_ARN: ROLE })).await;
    }
    let wanted = ["lookup-failed", "the API server did not answer in time", "recreate it"];
    let stored = only_strict_refuses(&both, &pod("irsa"), 503, &wanted).await;
    assert!(stored["spec"]["containers"][0].get("env").is_none(), "{stored:#}");
}
