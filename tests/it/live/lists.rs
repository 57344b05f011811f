//! API servers that have no streaming lists.

use anyhow::ensure;
use cluster::{ControlPlane, eventually};
use serde_json::json;
use tokio::task::JoinSet;

use super::support::{
    Namespace, ROLE, ROLE_ARN, SOON, count, has_irsa, pod, post, registered, webhook,
};

/// More accounts than a page has.
const ACCOUNTS: usize = 1_010;

const KNOWN: &str = "pod_identity_webhook_service_accounts";

#[tokio::test]
async fn without_streaming_lists_it_lists_in_pages_says_so_and_injects() {
    let plane = ControlPlane::builder().feature_gate("WatchList", false).start().await.unwrap();
    let namespace = Namespace::new(&plane, "pages").await;
    let mut lanes = JoinSet::new();
    for number in 0..ACCOUNTS {
        if lanes.len() == 8 {
            lanes.join_next().await.unwrap().unwrap();
        }
        let namespace = namespace.clone();
        lanes.spawn(async move {
            namespace.account(&format!("app-{number}"), &json!({ ROLE_ARN: ROLE })).await;
        });
    }
    while let Some(done) = lanes.join_next().await {
        done.unwrap();
    }

    let (webhook, _) = registered(&plane, "pages", webhook(&plane)).await;
    webhook
        .wait_for_log("no streaming lists here: listing in pages from now on", SOON)
        .await
        .unwrap();
    // The whole list counted before it was ready.
    let irsa = [("method", "sts_web_identity")];
    assert_eq!(count(&webhook, KNOWN, &irsa).await, ACCOUNTS);
    for number in [0, 999, ACCOUNTS - 1] {
        let pod = pod(&format!("app-{number}"));
        let answer = post(&webhook, "/mutate", &namespace.name, &pod).await;
        assert!(answer.get("patch").is_some(), "{number}: {answer:#}");
    }
    assert!(has_irsa(&namespace.pod(&pod("app-500")).await));
    // And the watch behind the list works.
    namespace.account("late", &json!({ ROLE_ARN: ROLE })).await;
    eventually("the watch has told of it", SOON, || async {
        ensure!(count(&webhook, KNOWN, &irsa).await == ACCOUNTS + 1, "not so far");
        Ok(())
    })
    .await
    .unwrap();
    assert!(has_irsa(&namespace.pod(&pod("late")).await));
}
