//! Health: alive whatever happens, ready once there is something to serve from.

use super::api::{Then, page, refusal, streamed};
use super::*;

const READY: &str = "[+] service accounts: ok\nready\n";

/// The answer of `/readyz` on both ports.
async fn readiness(world: &World) -> (StatusCode, String) {
    let [one, other] = [world.get("/readyz").await, world.get_metrics("/readyz").await];
    assert_eq!((one.status, one.text()), (other.status, other.text()));
    (one.status, one.text())
}

/// Alive says nothing but that.
async fn is_alive(world: &World) {
    for path in ["/healthz", "/livez"] {
        for answer in [world.get(path).await, world.get_metrics(path).await] {
            assert_eq!((answer.status, answer.text()), (StatusCode::OK, "ok\n".to_owned()));
        }
    }
}

/// N5: not ready before the first list is complete, however long that takes.
#[tokio::test(start_paused = true)]
async fn it_is_alive_and_not_ready_while_the_first_list_hangs() {
    let world = World::begun(Flags::default(), Api::new(|_| Reply::Hangs));
    for _ in 0..3 {
        is_alive(&world).await;
        let (status, text) = readiness(&world).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(text.starts_with("[-] service accounts: waiting for the first list"), "{text}");
        assert!(text.ends_with("\nnot ready\n"), "{text}");
        tokio::time::sleep(Duration::from_secs(40)).await;
    }
    world.api.now(|call| {
        if call.is_streaming() {
            streamed(&[], Then::Silence)
        } else if call.is_watch() {
            Reply::Events(Vec::new(), Then::Silence)
        } else {
            page(&[])
        }
    });
    tokio::time::sleep(Duration::from_mins(3)).await;
    assert_eq!(readiness(&world).await, (StatusCode::OK, READY.to_owned()));
}

/// N5: a missing rule is named, with its verbs and its resource.
#[tokio::test(start_paused = true)]
async fn it_is_not_ready_without_permission_and_says_which() {
    let forbidden = || refusal(403, "Forbidden", "serviceaccounts is forbidden");
    let world = World::begun(Flags::default(), Api::new(move |_| forbidden()));
    tokio::time::sleep(Duration::from_secs(5)).await;
    is_alive(&world).await;
    let (status, text) = readiness(&world).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("grant list and watch on serviceaccounts"), "{text}");
    // Reviews are answered all the same: a strict one with a refusal.
    let response = world.post(STRICT, v1(&pod("irsa"))).await.response("v1");
    assert_eq!(response["status"]["code"], 503);
    let response = world.post(LENIENT, v1(&pod("irsa"))).await.response("v1");
    assert_eq!(response["allowed"], true);
    assert!(warning(&response).contains("grant it the verb get"), "{response}");
}

/// A watch that broke is no reason to send Pods elsewhere: what was known is served.
#[tokio::test(start_paused = true)]
async fn it_stays_ready_while_the_watch_is_broken() {
    let world = World::begun(
        Flags::default(),
        Api::new(|call| {
            if call.is_streaming() {
                streamed(&known(), Then::Break)
            } else {
                refusal(500, "InternalError", "not now")
            }
        }),
    );
    tokio::time::sleep(Duration::from_secs(30)).await;
    let noted = "[!] service accounts: the last known state is served: \
                 the API server answers 500: \"not now\"\nready\n";
    assert_eq!(readiness(&world).await, (StatusCode::OK, noted.to_owned()));
    let response = world.post(STRICT, v1(&pod("irsa"))).await.response("v1");
    assert!(!patch(&response).is_empty());
    let age = r#"pod_identity_webhook_watch_age_seconds{resource="serviceaccounts"}"#;
    assert!(world.sample(age).await > Some(20.0));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_says_what_is() {
    let world = World::new().await;
    for answer in [
        world.get("/").await,
        world.get("/metrics").await,
        world.post("/mutate/", v1(&pod("irsa"))).await,
        world.get_metrics("/mutate").await,
        world.get_metrics("/debug/alpha/cache").await,
    ] {
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert_eq!(answer.text().lines().count(), 1, "{}", answer.text());
    }
}
