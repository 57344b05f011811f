//! What is counted, under which labels, and that no label is made of what a user wrote.

use super::api::{refusal, streamed};
use super::*;

fn decisions(outcome: &str, method: &str, reason: &str) -> String {
    format!(
        "pod_identity_webhook_decisions_total{{outcome=\"{outcome}\",method=\"{method}\",reason=\"{reason}\"}}"
    )
}

const MISSING: &str = "pod_identity_webhook_missing_sa_count";
const WEB_IDENTITY: &str = r#"pod_identity_webhook_pod_count{method="sts_web_identity"}"#;
const CREDENTIALS: &str = r#"pod_identity_webhook_pod_count{method="container_credentials"}"#;

/// Each outcome is a label of its own, with the reason that warnings and audit annotations name.
#[tokio::test(start_paused = true)]
async fn every_outcome_is_counted() {
    let world = World::synced(Flags::default(), |call| match call.name() {
        "broken" => refusal(500, "InternalError", "no"),
        _ => not_found(call),
    })
    .await;
    let mut injected = pod("irsa");
    let response = world.post(LENIENT, v1(&injected)).await.response("v1");
    apply(&response, &mut injected);
    let mut conflict = pod("agent");
    conflict["spec"]["containers"][0]["env"] =
        json!([{"name": "AWS_CONTAINER_CREDENTIALS_FULL_URI", "value": "x"}]);
    let mut skips = pod("irsa");
    skips["metadata"]["annotations"] = json!({"eks.amazonaws.com/skip-containers": "app"});
    for pod in [
        injected,
        pod("agent"),
        pod("plain"),
        pod("absent"),
        pod("broken"),
        conflict,
        skips,
        json!([1]),
    ] {
        assert_eq!(world.post(LENIENT, v1(&pod)).await.response("v1")["allowed"], true);
    }
    let web_identity = "sts_web_identity";
    let credentials = "container_credentials";
    for (name, count) in [
        (decisions("injected", web_identity, "injected"), 1.0),
        (decisions("unchanged", web_identity, "already-injected"), 1.0),
        (decisions("injected", credentials, "injected"), 1.0),
        (decisions("incomplete", credentials, "env-conflict"), 1.0),
        (decisions("skipped", web_identity, "containers-skipped"), 1.0),
        (decisions("skipped", "none", "no-identity"), 2.0),
        (decisions("failed", "none", "lookup-failed"), 1.0),
        (decisions("failed", "none", "unreadable-pod"), 1.0),
        (WEB_IDENTITY.to_owned(), 1.0),
        (CREDENTIALS.to_owned(), 2.0),
        (MISSING.to_owned(), 2.0),
        ("pod_identity_webhook_used".to_owned(), 1.0),
        (r#"pod_identity_webhook_service_accounts{method="sts_web_identity"}"#.to_owned(), 2.0),
    ] {
        assert_eq!(world.sample(&name).await, Some(count), "{name}");
    }
}

/// F14: each miss counts once, however often it is waited for; a hit does not.
#[tokio::test(start_paused = true)]
async fn a_miss_counts_once() {
    let world = World::synced(Flags::default(), |call| match call.name() {
        "found" => Reply::Json(200, with_role("found")),
        "broken" => refusal(500, "InternalError", "no"),
        "hangs" => Reply::Hangs,
        _ => not_found(call),
    })
    .await;
    for (account, missing) in [
        ("irsa", 0.0),
        ("plain", 0.0),
        ("found", 0.0),
        ("absent", 1.0),
        ("absent", 2.0),
        ("broken", 3.0),
        ("hangs", 4.0),
    ] {
        drop(world.post(LENIENT, v1(&pod(account))).await.response("v1"));
        assert_eq!(world.sample(MISSING).await, Some(missing), "{account}");
    }
}

/// A dry run is decided and counted as a decision, and is no Pod.
#[tokio::test(start_paused = true)]
async fn a_dry_run_is_answered_alike_and_counts_no_pod() {
    let world = World::new().await;
    for account in ["irsa", "agent", "absent"] {
        let mut review = creation("v1", &pod(account));
        let real = world.review(LENIENT, &review).await.json();
        review["request"]["dryRun"] = json!(true);
        assert_eq!(world.review(LENIENT, &review).await.json(), real);
    }
    for name in [WEB_IDENTITY, CREDENTIALS, MISSING] {
        assert_eq!(world.sample(name).await, Some(1.0), "{name}");
    }
    let injected = decisions("injected", "sts_web_identity", "injected");
    assert_eq!(world.sample(&injected).await, Some(2.0));
}

/// N20: "used" is honest: an account without an identity is no use.
#[tokio::test(start_paused = true)]
async fn nothing_is_in_use_where_no_account_has_an_identity() {
    let accounts = vec![account("plain", &json!({}))];
    let api = Api::new(move |_| streamed(&accounts, super::api::Then::Silence));
    let world = World::begun(Flags::default(), api);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.sample("pod_identity_webhook_used").await, Some(0.0));
}

/// The Go webhook's dashboards find what they know; a path that nobody made is `other`.
#[tokio::test(start_paused = true)]
async fn requests_are_counted_by_verb_path_and_code() {
    let world = World::new().await;
    let review = v1(&pod("irsa"));
    assert_eq!(world.post("/mutate?timeout=10s", review.clone()).await.status, StatusCode::OK);
    assert_eq!(world.post(STRICT, review.clone()).await.status, StatusCode::OK);
    let not_json = request(Method::POST, LENIENT, Some("text/plain"), review.into());
    assert_eq!(world.call(not_json).await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(world.get(LENIENT).await.status, StatusCode::METHOD_NOT_ALLOWED);
    for path in ["/", "/mutate/marker", "/marker?marker=marker", "/%6d%61rker"] {
        assert_eq!(world.get(path).await.status, StatusCode::NOT_FOUND);
    }
    assert_eq!(world.get("/healthz").await.status, StatusCode::OK);
    let odd = request(Method::from_bytes(b"MARKER").unwrap(), LENIENT, None, Body::empty());
    assert_eq!(world.call(odd).await.status, StatusCode::METHOD_NOT_ALLOWED);
    let counts = |verb, path, code, count| {
        (format!("http_request_count{{verb=\"{verb}\",path=\"{path}\",code=\"{code}\"}}"), count)
    };
    for (name, count) in [
        counts("POST", "/mutate", 200, 1.0),
        counts("POST", "/mutate/strict", 200, 1.0),
        counts("POST", "/mutate", 415, 1.0),
        counts("GET", "/mutate", 405, 1.0),
        counts("GET", "other", 404, 4.0),
        counts("GET", "/healthz", 200, 1.0),
        counts("other", "/mutate", 405, 1.0),
    ] {
        assert_eq!(world.sample(&name).await, Some(count), "{name}");
    }
    for name in [
        r#"http_request_latencies_count{verb="POST",path="/mutate"}"#,
        r#"http_request_duration_microseconds_count{verb="POST",path="/mutate"}"#,
    ] {
        assert_eq!(world.sample(name).await, Some(2.0), "{name}");
    }
    let seconds =
        r#"pod_identity_webhook_request_duration_seconds_count{path="/mutate",code="200"}"#;
    assert_eq!(world.sample(seconds).await, Some(1.0));
    let text = world.get_metrics("/metrics").await.text();
    assert!(!text.to_lowercase().contains("marker"), "{text}");
}

/// A call that its client gives up is counted as well.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_counts() {
    let flags = Flags { grace: Duration::from_secs(5), ..Flags::default() };
    let world = World::synced(flags, |_| Reply::Hangs).await;
    let call = world.post(LENIENT, v1(&pod("unheard-of")));
    assert!(tokio::time::timeout(Duration::from_secs(1), call).await.is_err());
    let given_up = r#"http_request_count{verb="POST",path="/mutate",code="499"}"#;
    assert_eq!(world.sample(given_up).await, Some(1.0));
}

/// No label takes its value from users' object names, whatever they are.
#[tokio::test(start_paused = true)]
async fn no_label_is_made_of_what_a_user_wrote() {
    let world = World::new().await;
    let mut lines = Vec::new();
    for odd in ["marker", "marker\"} 1\n", "marker\u{0}", "\u{1f980}marker", "../marker"] {
        for path in [LENIENT, STRICT] {
            let mut review = creation("v1", &pod(odd));
            review["request"]["namespace"] = json!(odd);
            review["request"]["object"]["metadata"] =
                json!({"name": odd, "namespace": odd, "labels": {odd: odd}});
            review["request"]["object"]["spec"]["containers"][0]["name"] = json!(odd);
            assert_eq!(world.review(path, &review).await.response("v1")["allowed"], true);
        }
        lines.push(world.get_metrics("/metrics").await.text().lines().count());
    }
    assert!(lines.iter().all(|count| *count == lines[0]), "{lines:?}");
    let after = world.get_metrics("/metrics").await.text();
    assert!(!after.contains("marker"), "{after}");
    // Every line of the text is one that Prometheus can read.
    for line in after.lines() {
        let value = line.rsplit(' ').next().unwrap();
        assert!(line.starts_with('#') || value.parse::<f64>().is_ok(), "{line}");
    }
}
