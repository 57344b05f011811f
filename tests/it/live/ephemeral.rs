//! `kubectl debug`: containers that join a Pod that runs.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    additions::additions,
    support::{
        Answer, IRSA_MOUNT, Namespace, ROLE, ROLE_ARN, env, has_irsa, metric, mounts, pod,
        registered, settled, webhook,
    },
};
use crate::plane::plane;

/// Adds a container the way `kubectl debug` does, by a strategic merge patch.
async fn debug(namespace: &Namespace, pod: &Value, container: &str) -> Answer {
    let path = format!("pods/{}/ephemeralcontainers", pod["metadata"]["name"].as_str().unwrap());
    let patch = json!({ "spec": { "ephemeralContainers": [
        { "name": container, "image": "debug", "targetContainerName": "app" },
    ]}});
    let content_type = "application/strategic-merge-patch+json";
    namespace.ask(Method::PATCH, &path, content_type, &patch).await
}

/// Whether a container has variables and mount, once each.
fn is_injected(container: &Value) -> bool {
    env(container, "AWS_ROLE_ARN") == Some(ROLE)
        && container["env"].as_array().unwrap().len() == 2
        && mounts(container) == [IRSA_MOUNT]
}

/// N24: the webhook acts on `pods/ephemeralcontainers`, too.
#[tokio::test]
async fn a_container_that_joins_an_injected_pod_is_injected_and_the_others_stay_as_they_are() {
    let plane = plane().await;
    let (webhook, namespace) = registered(plane, "debug", webhook(plane)).await;
    namespace.account("app", &json!({ ROLE_ARN: ROLE })).await;
    let stored = namespace.pod(&pod("app")).await;
    assert!(has_irsa(&stored));

    let first = debug(&namespace, &stored, "debug-1").await;
    assert_eq!(first.status, StatusCode::OK, "{:#}", first.body);
    assert_eq!(first.warnings, [""; 0]);
    let found = additions(&settled(&stored), &settled(&first.body)).unwrap();
    let [(path, list)] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!(path, "/spec/ephemeralContainers");
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert!(is_injected(&list[0]), "{list:#}");

    // The patch of a second one puts it first; only it is new.
    let second = debug(&namespace, &stored, "debug-2").await;
    assert_eq!(second.status, StatusCode::OK, "{:#}", second.body);
    let found = additions(&settled(&first.body), &settled(&second.body)).unwrap();
    let [(path, container)] = found.as_slice() else { panic!("{found:#?}") };
    assert!(path.starts_with("/spec/ephemeralContainers/"), "{path}");
    assert_eq!(container["name"], "debug-2");
    assert!(is_injected(container), "{container:#}");

    // And so does a PUT of the whole Pod.
    let mut whole = second.body.clone();
    let list = whole["spec"]["ephemeralContainers"].as_array_mut().unwrap();
    list.push(json!({ "name": "debug-3", "image": "debug" }));
    let name = stored["metadata"]["name"].as_str().unwrap();
    let path = format!("pods/{name}/ephemeralcontainers");
    let third = namespace.ask(Method::PUT, &path, "application/json", &whole).await;
    assert_eq!(third.status, StatusCode::OK, "{:#}", third.body);
    let list = third.body["spec"]["ephemeralContainers"].as_array().unwrap();
    assert_eq!(list.len(), 3);
    assert!(list.iter().all(is_injected), "{:#}", third.body);

    let injected = [("outcome", "injected"), ("reason", "injected")];
    let decisions = metric(&webhook, "pod_identity_webhook_decisions_total", &injected).await;
    // An update that was tried on an object that is no longer the newest is tried again.
    assert!(decisions >= 4.0, "{decisions}");
}

#[tokio::test]
async fn a_container_that_joins_a_pod_without_token_volume_is_let_in_as_it_is() {
    let plane = plane().await;
    let (webhook, namespace) = registered(plane, "debug-none", webhook(plane)).await;
    namespace.account("app", &json!({})).await;
    let stored = namespace.pod(&pod("app")).await;
    namespace.annotate("app", &json!({ ROLE_ARN: ROLE })).await;

    let joined = debug(&namespace, &stored, "debug").await;
    assert_eq!(joined.status, StatusCode::OK, "{:#}", joined.body);
    assert_eq!(joined.warnings, [""; 0]);
    let container = &joined.body["spec"]["ephemeralContainers"][0];
    assert!(container.get("env").is_none() && mounts(container).is_empty(), "{container:#}");
    let reason = [("outcome", "skipped"), ("reason", "no-token-volume")];
    let decisions = metric(&webhook, "pod_identity_webhook_decisions_total", &reason).await;
    assert!(decisions >= 1.0, "{decisions}");
}
