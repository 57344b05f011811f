//! An API server in trouble, over real HTTP: once each through the whole process.
//!
//! When what is tried again is tested in virtual time beside the cache.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::router::api::{Call, Then, event, refusal, status, streamed};

/// Waits until readiness says `text`.
async fn says(running: &Running, text: &str) {
    cluster::eventually(text, SOON, || async {
        let (_, body) = running.readiness().await;
        anyhow::ensure!(body.contains(text), "{body}");
        Ok(())
    })
    .await
    .unwrap();
}

/// N5: a list that fails is said, and tried again.
#[tokio::test]
async fn a_list_that_fails_is_named_and_tried_again() {
    let recovers = async |code: u16, reason: &'static str, says_so: &str| {
        let api = Api::new(move |call| {
            if call.is_get() {
                refusal(500, "InternalError", "no")
            } else {
                refusal(code, reason, "not now")
            }
        });
        let running = Running::listening(api).await;
        says(&running, says_so).await;
        assert_eq!(running.readiness().await.0, StatusCode::SERVICE_UNAVAILABLE);
        let response = running.review("/mutate/strict", "irsa").await;
        assert_eq!(response["status"]["code"], 503, "{code}: {response}");
        let age = r#"pod_identity_webhook_watch_age_seconds{resource="serviceaccounts"}"#;
        assert!(running.sample(age).await > Some(0.0));
        running.api.now(|_| streamed(&accounts(), Then::Silence));
        running.webhook.ready(SOON).await.unwrap();
        assert_eq!(running.sample(age).await, Some(0.0));
        let response = running.review("/mutate/strict", "irsa").await;
        assert!(response["patch"].is_string(), "{code}: {response}");
    };
    tokio::join!(
        recovers(403, "Forbidden", "grant list and watch on serviceaccounts"),
        recovers(404, "NotFound", "the API server answers 404: \"not now\""),
        recovers(410, "Expired", "the API server answers 410: \"not now\""),
        recovers(429, "TooManyRequests", "the API server answers 429: \"not now\""),
        recovers(503, "ServiceUnavailable", "the API server answers 503: \"not now\""),
        recovers(500, "InternalError", "the API server answers 500: \"not now\""),
    );
}

/// A watch that is dropped is taken up again; a state that is too old is listed anew. What was known
/// is served all the while.
#[tokio::test]
async fn a_watch_that_is_dropped_is_taken_up() {
    let taken_up = async |script: Box<dyn FnMut(&Call) -> Reply + Send>| {
        let running = Running::start(Api::new(script), |builder| builder).await;
        let reviewed = cluster::eventually("the new account is known", SOON, || async {
            let old = running.review("/mutate/strict", "irsa").await;
            assert!(old["patch"].is_string(), "{old}");
            let new = running.review("/mutate", "new").await;
            anyhow::ensure!(new["patch"].is_string(), "{new}");
            Ok(())
        });
        reviewed.await.unwrap();
        assert_eq!(running.readiness().await.0, StatusCode::OK);
        let age = r#"pod_identity_webhook_watch_age_seconds{resource="serviceaccounts"}"#;
        assert_eq!(running.sample(age).await, Some(0.0));
    };
    let with_new = || {
        let mut all = accounts();
        all.push(with_role("new"));
        streamed(&all, Then::Silence)
    };
    // The connection breaks; the watch goes on from where it was.
    let dropped = |call: &Call| {
        if call.is_get() {
            not_found(call)
        } else if call.is_streaming() {
            streamed(&accounts(), Then::Break)
        } else {
            Reply::Events(vec![event("ADDED", &with_role("new"))], Then::Silence)
        }
    };
    // The state is too old, which the API server says in the stream or at once.
    let expires = move |in_stream: bool| {
        let mut lists = 0;
        move |call: &Call| {
            if call.is_get() {
                return not_found(call);
            }
            if call.is_streaming() {
                lists += 1;
                return if lists == 1 { streamed(&accounts(), Then::Break) } else { with_new() };
            }
            if in_stream {
                let expired = status(410, "Expired", "too old resource version");
                return Reply::Events(vec![event("ERROR", &expired)], Then::Silence);
            }
            refusal(410, "Expired", "too old resource version")
        }
    };
    tokio::join!(
        taken_up(Box::new(dropped)),
        taken_up(Box::new(expires(true))),
        taken_up(Box::new(expires(false))),
    );
}

/// O5, N3, N6: a live look-up that fails is said, never remembered, and tried again.
#[tokio::test]
async fn a_live_look_up_that_fails_is_named_and_not_remembered() {
    let is_well = Arc::new(AtomicBool::new(false));
    let well = Arc::clone(&is_well);
    let api = Api::listing(accounts(), move |call| {
        if well.load(Ordering::SeqCst) {
            return Reply::Json(200, with_role(call.name()));
        }
        match call.name() {
            "forbidden" => refusal(403, "Forbidden", "no"),
            "away" => refusal(503, "ServiceUnavailable", "no"),
            "busy" => refusal(429, "TooManyRequests", "no"),
            "gone" => refusal(410, "Expired", "no"),
            "broken" => refusal(500, "InternalError", "no"),
            "breaks" => Reply::Breaks,
            "hangs" => Reply::Hangs,
            _ => not_found(call),
        }
    });
    let running = Running::start(api, |builder| builder).await;
    let fail = [
        ("forbidden", "grant it the verb get"),
        ("busy", "too busy"),
        ("away", "failed to answer"),
        ("gone", "cannot be read"),
        ("broken", "failed to answer"),
        ("breaks", "cannot be reached"),
        ("hangs", "did not answer in time"),
    ];
    for (name, why) in fail {
        let response = running.review("/mutate", name).await;
        let warning = response["warnings"][0].as_str().unwrap();
        assert!(warning.starts_with("lookup-failed: "), "{warning}");
        assert!(warning.contains(why), "{name}: {warning}");
    }
    let failed = r#"pod_identity_webhook_lookups_total{result="failed"}"#;
    assert_eq!(running.sample(failed).await, Some(7.0));
    let response = running.review("/mutate/strict", "absent").await;
    assert_eq!(response, json!({"uid": UID, "allowed": true}));
    is_well.store(true, Ordering::SeqCst);
    for (name, _) in fail {
        let response = running.review("/mutate/strict", name).await;
        assert!(response["patch"].is_string(), "{name}: {response}");
    }
    let live = r#"pod_identity_webhook_lookups_total{result="live"}"#;
    assert_eq!(running.sample(live).await, Some(7.0));
}
