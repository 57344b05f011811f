//! Events on the owners of refused Pods: when there are any, what they say, what they cost.
//!
//! The API server is the scripted one, in virtual time; that a real one takes these Events is
//! shown beside it.

use std::sync::atomic::{AtomicUsize, Ordering};

use cluster::{Heard, eventually};
use tokio::time::Instant;
use tracing::level_filters::LevelFilter;

use super::api::{refusal, streamed};
use super::*;

/// How long anything may take, in virtual time.
const SOON: Duration = Duration::from_mins(2);

/// A Pod of a ReplicaSet that the strict path refuses: half a pair of variables is set.
fn half_a_pair(owner: &str) -> Value {
    let mut pod = pod("irsa");
    pod["metadata"]["ownerReferences"] = json!([
        {"apiVersion": "v1", "kind": "Other", "name": "other", "uid": "0-1"},
        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": format!("uid-{owner}"),
         "controller": true, "blockOwnerDeletion": true}]);
    pod["spec"]["containers"][0]["env"] = json!([{"name": "AWS_ROLE_ARN", "value": "own"}]);
    pod
}

/// An API server that answers for Events by `events`, and for accounts as ever.
async fn world(mut events: impl FnMut(&Call) -> Reply + Send + 'static) -> World {
    let world = World::new().await;
    world.api.now(move |call| match call {
        call if call.is_event() => events(call),
        call if call.is_get() => not_found(call),
        _ => streamed(&known(), super::api::Then::Silence),
    });
    world
}

/// Takes every Event.
fn taken(call: &Call) -> Reply {
    Reply::Json(if call.method() == Method::POST { 201 } else { 200 }, call.body().clone())
}

fn wrote(result: &str) -> String {
    format!("pod_identity_webhook_events_total{{result=\"{result}\"}}")
}

impl World {
    /// Refuses a Pod of `owner`.
    async fn refuses(&self, owner: &str) {
        let response = self.post(STRICT, v1(&half_a_pair(owner))).await.response("v1");
        assert_eq!(response["allowed"], false);
    }

    async fn events(&self, count: usize) -> Vec<Call> {
        eventually("the Events are written", SOON, || async {
            let found = self.api.count(Call::is_event);
            anyhow::ensure!(found >= count, "{found}");
            Ok(())
        })
        .await
        .unwrap();
        self.api.calls(Call::is_event)
    }

    async fn counted(&self, result: &str, count: f64) {
        eventually("it is counted", SOON, || async {
            let found = self.sample(&wrote(result)).await;
            anyhow::ensure!(found == Some(count), "{found:?}");
            Ok(())
        })
        .await
        .unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_owner_of_a_refused_pod_is_told_what_the_refusal_says() {
    let world = world(taken).await;
    let response = world.post(STRICT, v1(&half_a_pair("app-5d9f"))).await.response("v1");
    let calls = world.events(1).await;
    assert_eq!(calls[0].method(), Method::POST);
    assert_eq!(calls[0].path(), "/apis/events.k8s.io/v1/namespaces/ns/events");
    let event = calls[0].body();
    let name = event["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("app-5d9f."), "{name}");
    for (pointer, wanted) in [
        ("/metadata/namespace", json!("ns")),
        ("/type", json!("Warning")),
        ("/reason", json!("env-conflict")),
        ("/action", json!("PodCreation")),
        ("/note", response["status"]["message"].clone()),
        ("/reportingController", json!("pod-identity-webhook")),
        (
            "/regarding",
            json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "app-5d9f",
                "namespace": "ns", "uid": "uid-app-5d9f"}),
        ),
    ] {
        assert_eq!(event.pointer(pointer), Some(&wanted), "{pointer} of {event:#}");
    }
    assert!(event.get("series").is_none_or(Value::is_null), "{event:#}");
    assert!(event["reportingInstance"].is_string() && event["eventTime"].is_string());
    world.counted("written", 1.0).await;
}

/// A controller tries again and again; its owner has one Event whose count is right.
#[tokio::test(start_paused = true)]
async fn a_replica_set_that_tries_again_and_again_is_one_event_with_a_count() {
    let world = world(taken).await;
    world.refuses("loops").await;
    world.events(1).await;
    for _ in 0..499 {
        world.refuses("loops").await;
    }
    let calls = world.events(2).await;
    assert_eq!(calls.len(), 2, "{calls:?}");
    let name = calls[0].body()["metadata"]["name"].as_str().unwrap();
    assert_eq!(calls[1].method(), Method::PATCH);
    assert!(calls[1].path().ends_with(&format!("/{name}")), "{}", calls[1].path());
    assert_eq!(calls[1].body()["series"]["count"], 500);
    assert!(calls[1].body()["series"]["lastObservedTime"].is_string());

    // Somebody deletes it: the next refusal begins another.
    world.api.now(|call| match *call.method() {
        Method::PATCH => refusal(404, "NotFound", "gone"),
        _ => taken(call),
    });
    world.refuses("loops").await;
    let calls = world.events(4).await;
    assert_eq!([calls[2].method(), calls[3].method()], [Method::PATCH, Method::POST]);
    world.counted("written", 3.0).await;
}

/// A large cluster comes up at once: the API server gets ten Events a second, in the order in which
/// their owners were refused, and what does not fit is counted.
#[tokio::test(start_paused = true)]
async fn many_owners_at_once_are_written_one_after_the_other() {
    let world = world(taken).await;
    let before = Instant::now();
    for owner in 0..1_002 {
        world.refuses(&format!("app-{owner}")).await;
    }
    // The first is no longer waiting, the last finds no room.
    let calls = world.events(1_001).await;
    assert!(before.elapsed() >= Duration::from_secs(100), "{:?}", before.elapsed());
    let names = calls.iter().map(|call| call.body()["regarding"]["name"].as_str().unwrap());
    assert!(names.eq((0..1_001).map(|owner| format!("app-{owner}"))), "{calls:#?}");
    world.counted("dropped", 1.0).await;
    world.counted("written", 1_001.0).await;
}

/// Nobody is told of a dry run, of what was allowed, or of a Pod that a person made: they read it.
#[tokio::test(start_paused = true)]
async fn there_is_no_event_where_there_was_no_refusal_or_nobody_to_tell() {
    let world = world(taken).await;
    let mut dry = creation("v1", &half_a_pair("app"));
    dry["request"]["dryRun"] = json!(true);
    let mut bare = half_a_pair("app");
    bare["metadata"]["ownerReferences"] = Value::Null;
    let mut owned_by_no_controller = half_a_pair("app");
    owned_by_no_controller["metadata"]["ownerReferences"][1]["controller"] = json!(false);
    let mut odd = half_a_pair("app");
    odd["metadata"]["ownerReferences"][1]["name"] = json!("x".repeat(1 << 20));
    for (path, review) in [
        (STRICT, dry),
        (LENIENT, creation("v1", &half_a_pair("app"))),
        (STRICT, creation("v1", &bare)),
        (STRICT, creation("v1", &owned_by_no_controller)),
        (STRICT, creation("v1", &odd)),
    ] {
        let response = world.review(path, &review).await.response("v1");
        assert_eq!(response["allowed"], path == LENIENT);
    }
    // What was to be written would have been by now.
    world.refuses("last").await;
    let calls = world.events(1).await;
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert_eq!(calls[0].body()["regarding"]["name"], "last");
}

/// The right is not needed to decide: it is missed in the log, once, and in a metric.
#[tokio::test(start_paused = true)]
async fn a_missing_right_is_logged_once_and_changes_nothing_else() {
    let log = Heard::listen(LevelFilter::INFO);
    let world = world(|_| refusal(403, "Forbidden", "wJalrXUtnFEMI-marker")).await;
    for owner in ["a", "b", "c"] {
        world.refuses(owner).await;
    }
    world.counted("forbidden", 3.0).await;
    assert_eq!(world.get("/readyz").await.status, StatusCode::OK);
    let missed = "grant create on events of events.k8s.io";
    let text = log.text();
    assert_eq!(text.matches(missed).count(), 1, "{text}");
    assert!(!text.contains("marker"), "{text}");

    world.api.now(taken);
    world.refuses("d").await;
    world.counted("written", 1.0).await;
    assert!(log.text().contains("Events are written again"), "{}", log.text());
}

/// A namespace that ends answers 403 as well, and no right would help.
#[tokio::test(start_paused = true)]
async fn a_namespace_that_ends_is_no_missing_right() {
    let log = Heard::listen(LevelFilter::INFO);
    let world = world(|_| {
        let mut status = super::api::status(403, "Forbidden", "no");
        status["details"] = json!({"causes": [{"reason": "NamespaceTerminating"}]});
        Reply::Json(403, status)
    })
    .await;
    world.refuses("a").await;
    world.counted("failed", 1.0).await;
    assert!(!log.text().contains("grant"), "{}", log.text());
}

/// The reply does not wait for the API server, whatever that does with Events.
#[tokio::test(start_paused = true)]
async fn an_event_never_delays_a_reply() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let world = world(move |_| match count.fetch_add(1, Ordering::Relaxed) % 2 {
        0 => Reply::Hangs,
        _ => Reply::Breaks,
    })
    .await;
    let before = Instant::now();
    for owner in 0..10 {
        world.refuses(&format!("app-{owner}")).await;
    }
    assert_eq!(before.elapsed(), Duration::ZERO);
    world.counted("failed", 10.0).await;
    assert_eq!(asked.load(Ordering::Relaxed), 10);
    assert_eq!(world.get("/readyz").await.status, StatusCode::OK);
}
