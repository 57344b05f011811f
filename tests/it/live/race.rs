//! Pods that are created right behind their account, or right behind its annotation: the watch may
//! not have told of it yet.

use cluster::{FailurePolicy, Registration, register};
use http::StatusCode;
use serde_json::json;
use tokio::task::JoinSet;

use super::{
    proxy::{Proxy, Valve},
    support::{
        Namespace, POD_IDENTITY, ROLE, ROLE_ARN, Run, SOON, count, has_irsa, has_pod_identity, pod,
        post, registered, webhook,
    },
};
use crate::plane::plane;

const LOOKUPS: &str = "pod_identity_webhook_lookups_total";

/// How many accounts are at work at once.
const LANES: usize = 4;

/// Does `each` for so many accounts, some at a time.
async fn race<F: Future<Output = ()> + Send + 'static>(
    accounts: usize,
    each: impl Fn(String) -> F,
) {
    let mut lanes = JoinSet::new();
    for number in 0..accounts {
        if lanes.len() == LANES {
            lanes.join_next().await.unwrap().unwrap();
        }
        lanes.spawn(each(format!("app-{number}")));
    }
    while let Some(done) = lanes.join_next().await {
        done.unwrap();
    }
}

/// O5: an account and its Pod, back to back.
#[tokio::test]
async fn pods_that_are_created_right_behind_their_account_are_all_injected() {
    const ACCOUNTS: usize = 200;
    let plane = plane().await;
    let (webhook, namespace) = registered(plane, "race", webhook(plane)).await;
    race(ACCOUNTS, |account| {
        let namespace = namespace.clone();
        async move {
            namespace.account(&account, &json!({ ROLE_ARN: ROLE })).await;
            let stored = namespace.pod(&pod(&account)).await;
            assert!(has_irsa(&stored), "{account}: {stored:#}");
        }
    })
    .await;
    let mut results = Vec::new();
    for result in ["cached", "live", "absent", "failed", "throttled", "stale"] {
        results.push((result, count(&webhook, LOOKUPS, &[("result", result)]).await));
    }
    println!("account, then Pod, {ACCOUNTS} times: {results:?}");
    let injected = [("outcome", "injected"), ("method", "sts_web_identity")];
    let decisions = count(&webhook, "pod_identity_webhook_decisions_total", &injected).await;
    assert_eq!(decisions, ACCOUNTS);
    let [cached, live, rest @ ..] = results.as_slice() else { unreachable!() };
    assert!(cached.1 + live.1 >= decisions, "{results:?}");
    assert!(rest.iter().all(|(_, count)| *count == 0), "{results:?}");
}

/// N7: an account that is there already is annotated, and its Pod follows at once.
#[tokio::test]
async fn pods_that_are_created_right_behind_the_annotation_are_all_injected() {
    // Each takes two live look-ups, and 200 of them at once are allowed.
    const ACCOUNTS: usize = 60;
    let plane = plane().await;
    let (webhook, namespace) = registered(plane, "annotated", webhook(plane)).await;
    race(ACCOUNTS, |account| {
        let namespace = namespace.clone();
        async move {
            namespace.account(&account, &json!({})).await;
            let stored = namespace.pod(&pod(&account)).await;
            assert!(!has_irsa(&stored), "{account}: {stored:#}");
            namespace.annotate(&account, &json!({ ROLE_ARN: ROLE })).await;
            let stored = namespace.pod(&pod(&account)).await;
            assert!(has_irsa(&stored), "{account}: {stored:#}");
        }
    })
    .await;
    let live = count(&webhook, LOOKUPS, &[("result", "live")]).await;
    println!("account, Pod, annotation, Pod, {ACCOUNTS} times: {live} live look-ups");
    // An account that is so young and has no identity is not taken at the cache's word.
    assert!(live >= ACCOUNTS, "{live}");
}

/// O5, N7: the watch tells nothing at all, and the live look-up is all there is.
#[tokio::test]
async fn a_live_lookup_serves_while_the_watch_is_held_back() {
    const ACCOUNTS: usize = 100;
    let plane = plane().await;
    let proxy = Proxy::start(plane).await;
    let behind = webhook(plane).kubeconfig(proxy.kubeconfig());
    let (webhook, namespace) = registered(plane, "held", behind).await;
    namespace.account("old", &json!({})).await;
    let results = async || {
        let cached = count(&webhook, LOOKUPS, &[("result", "cached")]).await;
        (cached, count(&webhook, LOOKUPS, &[("result", "live")]).await)
    };

    proxy.watches(Valve::Closed);
    let (cached, live) = results().await;
    namespace.account("irsa", &json!({ ROLE_ARN: ROLE })).await;
    assert!(has_irsa(&namespace.pod(&pod("irsa")).await));
    namespace.account("agent", &json!({ POD_IDENTITY: "true" })).await;
    assert!(has_pod_identity(&namespace.pod(&pod("agent")).await));
    namespace.annotate("old", &json!({ ROLE_ARN: ROLE })).await;
    assert!(has_irsa(&namespace.pod(&pod("old")).await));
    assert_eq!(results().await, (cached, live + 3));
    race(ACCOUNTS, |account| {
        let namespace = namespace.clone();
        async move {
            namespace.account(&account, &json!({ ROLE_ARN: ROLE })).await;
            let stored = namespace.pod(&pod(&account)).await;
            assert!(has_irsa(&stored), "{account}: {stored:#}");
        }
    })
    .await;
    assert_eq!(results().await, (cached, live + 3 + ACCOUNTS));

    // And once it tells again, the cache has it.
    proxy.watches(Valve::Open);
    let known = cluster::eventually("the cache has the account", SOON, || async {
        post(&webhook, "/mutate", &namespace.name, &pod("irsa")).await;
        anyhow::ensure!(results().await.0 > cached, "only by live look-up");
        Ok(())
    });
    known.await.unwrap();
}

/// N6: a look-up that failed is said, counted, and leaves nothing behind that stops the next.
#[tokio::test]
async fn a_lookup_that_fails_admits_the_pod_says_so_and_the_next_one_asks_again() {
    let plane = plane().await;
    let proxy = Proxy::start(plane).await;
    let behind = webhook(plane).kubeconfig(proxy.kubeconfig());
    let webhook = behind.start().await.unwrap();
    register(plane, "unanswered", &webhook, Registration::default()).await.unwrap();
    let namespace = Namespace::new(plane, "unanswered").await;

    proxy.watches(Valve::Closed);
    proxy.gets(Valve::Closed);
    namespace.account("app", &json!({ ROLE_ARN: ROLE })).await;
    for _ in 0..3 {
        let answer = post(&webhook, "/mutate?timeout=2s", &namespace.name, &pod("app")).await;
        assert_eq!(answer["allowed"], true);
        assert!(answer.get("patch").is_none(), "{answer:#}");
        let warning = answer["warnings"][0].as_str().unwrap();
        assert!(warning.starts_with("lookup-failed: "), "{warning}");
        let path = "/mutate/strict?timeout=2s";
        let answer = post(&webhook, path, &namespace.name, &pod("app")).await;
        assert_eq!(answer["status"]["code"], 503, "{answer:#}");
    }
    assert_eq!(count(&webhook, LOOKUPS, &[("result", "failed")]).await, 6);
    proxy.gets(Valve::Open);
    let stored = cluster::eventually("the Pod is injected", SOON, || async {
        let stored = namespace.pod(&pod("app")).await;
        anyhow::ensure!(has_irsa(&stored), "{stored:#}");
        Ok(())
    });
    stored.await.unwrap();
}

/// The API server says how long it will wait; what cannot be known by then is answered in time, so
/// that the API server has no failed call to apply its failurePolicy to.
#[tokio::test]
async fn a_lookup_that_hangs_is_given_up_before_the_api_server_gives_up_the_call() {
    let plane = plane().await;
    let proxy = Proxy::start(plane).await;
    let behind = webhook(plane).kubeconfig(proxy.kubeconfig());
    let behind = behind.arg("--service-account-lookup-grace-period=1h");
    let webhook = behind.start().await.unwrap();
    let registration = Registration {
        failure_policy: FailurePolicy::Fail,
        timeout_seconds: 4,
        ..Registration::default()
    };
    register(plane, "in-time", &webhook, registration).await.unwrap();
    let namespace = Namespace::new(plane, "in-time").await;
    proxy.watches(Valve::Closed);
    proxy.gets(Valve::Closed);
    namespace.account("app", &json!({ ROLE_ARN: ROLE })).await;
    let answer = namespace.try_pod(&pod("app"), Run::Real).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{:#}", answer.body);
    let [warning] = answer.warnings.as_slice() else { panic!("{answer:#?}") };
    assert!(warning.starts_with("lookup-failed: the API server did not answer in time"));
    assert!(!has_irsa(&answer.body));
}
