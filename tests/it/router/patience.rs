//! How long an answer takes at most: half of the API server's patience, or the grace period.

use tokio::time::Instant;

use super::*;

/// How long it took, in virtual time, to say that a look-up failed.
async fn took(grace: Duration, path: &str) -> Duration {
    let world = World::synced(Flags { grace, ..Flags::default() }, |_| Reply::Hangs).await;
    let began = Instant::now();
    let response = world.post(path, v1(&pod("unheard-of"))).await.response("v1");
    assert!(warning(&response).contains("did not answer in time"), "{response}");
    began.elapsed()
}

#[track_caller]
fn about(took: Duration, millis: u64) {
    let wanted = Duration::from_millis(millis);
    assert!(took >= wanted && took < wanted + Duration::from_millis(20), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_look_up_takes_at_most_half_of_the_api_servers_patience() {
    let long = Duration::from_mins(1);
    about(took(long, "/mutate?timeout=1s").await, 500);
    about(took(long, "/mutate?timeout=30s").await, 15_000);
    about(took(long, "/mutate?other=1&timeout=2s").await, 1_000);
    // Not said, or not to be read: ten seconds, the default of `timeoutSeconds`.
    about(took(long, "/mutate").await, 5_000);
    about(took(long, "/mutate?timeout=soon").await, 5_000);
}

#[tokio::test(start_paused = true)]
async fn a_look_up_takes_at_most_the_grace_period() {
    about(took(Duration::from_millis(300), "/mutate?timeout=10s").await, 300);
    about(took(Duration::from_millis(300), "/mutate").await, 300);
}

/// O5: the answer that comes within the grace period is the one that counts.
#[tokio::test(start_paused = true)]
async fn an_account_that_the_watch_has_not_seen_is_looked_up() {
    let world = World::synced(Flags::default(), |call| {
        let account = Reply::Json(200, with_role(call.name()));
        Reply::After(Duration::from_millis(400), Box::new(account))
    })
    .await;
    let response = world.post(LENIENT, v1(&pod("late"))).await.response("v1");
    assert!(!patch(&response).is_empty());
    assert_eq!(world.api.count(Call::is_get), 1);
    let live = r#"pod_identity_webhook_lookups_total{result="live"}"#;
    assert_eq!(world.sample(live).await, Some(1.0));
}

/// N8: nobody is asked about a Pod that names no account and needs none, or one that cannot be.
#[tokio::test(start_paused = true)]
async fn nobody_is_asked_about_what_cannot_be() {
    let world = World::synced(Flags::default(), |_| Reply::Hangs).await;
    let began = Instant::now();
    let mut mirror = pod("");
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
    for pod in [mirror, pod("No such name"), pod("../../secrets/x"), pod("a?watch=true")] {
        let response = world.post(STRICT, v1(&pod)).await.response("v1");
        assert_eq!(response["allowed"], true);
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(world.api.count(Call::is_get), 0);
}
