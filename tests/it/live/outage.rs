//! An API server that goes away and comes back.

use cluster::ControlPlane;
use http::StatusCode;
use serde_json::json;

use super::support::{
    Namespace, ROLE, ROLE_ARN, has_irsa, metric, metric_becomes, pod, post, registered, webhook,
};

const AGE: &str = "pod_identity_webhook_watch_age_seconds";
const ACCOUNTS: &str = "pod_identity_webhook_service_accounts";

#[tokio::test]
async fn while_the_api_server_is_away_the_last_known_state_is_served() {
    let plane = ControlPlane::start().await.unwrap();
    let webhook = webhook(&plane).arg("--watch-config-map").arg("--namespace=default");
    let (webhook, namespace) = registered(&plane, "away", webhook).await;
    namespace.account("app", &json!({ ROLE_ARN: ROLE })).await;
    namespace.account("none", &json!({})).await;
    let irsa = [("method", "sts_web_identity")];
    metric_becomes(&webhook, ACCOUNTS, &irsa, |n| n > 0.0).await;
    let none = [("method", "none")];
    let before = metric(&webhook, ACCOUNTS, &none).await;
    for resource in ["serviceaccounts", "configmaps"] {
        metric_becomes(&webhook, AGE, &[("resource", resource)], |age| age == 0.0).await;
    }

    plane.stop_apiserver().await.unwrap();
    for resource in ["serviceaccounts", "configmaps"] {
        metric_becomes(&webhook, AGE, &[("resource", resource)], |age| age > 0.0).await;
    }
    let answer = post(&webhook, "/mutate", &namespace.name, &pod("app")).await;
    assert!(answer.get("patch").is_some(), "{answer:#}");
    assert!(answer.get("warnings").is_none(), "{answer:#}");
    // The cached answer stands where it cannot be checked; of who is not cached nothing is known.
    let answer = post(&webhook, "/mutate/strict", &namespace.name, &pod("none")).await;
    assert_eq!(answer["allowed"], true, "{answer:#}");
    assert!(answer.get("patch").is_none() && answer.get("warnings").is_none(), "{answer:#}");
    let answer = post(&webhook, "/mutate/strict", &namespace.name, &pod("nobody")).await;
    assert_eq!(answer["status"]["code"], 503, "{answer:#}");
    // It has been ready and stays ready: another instance would know less.
    assert_eq!(webhook.get("/readyz").await.unwrap().0, StatusCode::OK);
    assert_eq!(metric(&webhook, ACCOUNTS, &none).await.to_bits(), before.to_bits());

    plane.start_apiserver().await.unwrap();
    let after = Namespace::new(&plane, "away").await;
    after.account("app", &json!({ ROLE_ARN: ROLE })).await;
    for resource in ["serviceaccounts", "configmaps"] {
        metric_becomes(&webhook, AGE, &[("resource", resource)], |age| age == 0.0).await;
    }
    metric_becomes(&webhook, ACCOUNTS, &irsa, |n| n >= 2.0).await;
    assert!(has_irsa(&after.pod(&pod("app")).await));
    assert!(has_irsa(&namespace.pod(&pod("app")).await));
}
