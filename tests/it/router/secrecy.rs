//! N4: what a Pod holds is for nobody's eyes: not in logs, not in answers, not in metrics.
//!
//! Everything is listened to at `trace`, libraries that use tracing included, while reviews pass by that hold a
//! marker wherever a secret might stand.

use cluster::Heard;
use tracing::level_filters::LevelFilter;

use super::*;

/// What no log, answer or metric may hold.
const MARKER: &str = "wJalrXUtnFEMI-marker";

/// A Pod that holds the marker wherever a secret might stand.
fn secretive(account: &str) -> Value {
    let mut pod = pod(account);
    pod["metadata"]["annotations"] = json!({"vault/secret": MARKER, MARKER: "x",
        "eks.amazonaws.com/token-expiration": MARKER});
    pod["metadata"]["labels"] = json!({"app": MARKER});
    pod["metadata"]["managedFields"] = json!([{"manager": MARKER}]);
    pod["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet",
        "name": "app-5d9f", "uid": "1", "controller": true, MARKER: MARKER}]);
    pod["spec"]["tomorrow"] = json!({"unknown": [MARKER]});
    pod["spec"]["imagePullSecrets"] = json!([{"name": MARKER}]);
    pod["spec"]["volumes"] = json!([{"name": "v", "secret": {"secretName": MARKER}}]);
    pod["spec"]["containers"] = json!([
        {"name": "app", "image": MARKER, "args": ["--password", MARKER], "command": [MARKER],
         "env": [
            {"name": "AWS_SECRET_ACCESS_KEY", "value": MARKER},
            {"name": "AWS_ACCESS_KEY_ID", "value": MARKER},
            {"name": MARKER, "value": MARKER},
            {"name": "AWS_ROLE_ARN", "value": MARKER}],
         "envFrom": [{"secretRef": {"name": MARKER}}],
         "lifecycle": {"postStart": {"exec": {"command": [MARKER]}}}},
        {"name": "other", "env": [{"name": "AWS_REGION", "value": MARKER}]}]);
    pod
}

/// Reviews whose Pod cannot be read, each broken near a marker.
fn malformed() -> Vec<String> {
    let mut pods = vec![json!(MARKER), json!([MARKER]), json!({"spec": MARKER})];
    for (pointer, value) in [
        ("/spec/containers/0/env", json!(MARKER)),
        ("/spec/containers/0/env/0/name", json!({MARKER: MARKER})),
        ("/spec/containers/0/env/0", json!(MARKER)),
        ("/spec/volumes/0/name", json!([MARKER])),
        ("/spec/serviceAccountName", json!({"a": MARKER})),
        ("/metadata/annotations/vault~1secret", json!([MARKER])),
        ("/metadata/annotations", json!(MARKER)),
    ] {
        let mut pod = secretive("irsa");
        *pod.pointer_mut(pointer).unwrap() = value;
        pods.push(pod);
    }
    pods.iter().map(v1).collect()
}

/// N4.
#[tokio::test(start_paused = true)]
async fn nothing_of_a_pod_is_told_to_anybody() {
    let log = Heard::listen(LevelFilter::TRACE);
    let flags = Flags { pages: DebugPages::On, ..Flags::default() };
    let world = World::synced(flags, not_found).await;
    let mut answers = String::new();
    let mut say = |answer: Answer| {
        answers.push_str(&answer.text());
        answer
    };
    for path in [LENIENT, STRICT] {
        for account in ["irsa", "agent", "plain", "absent", "bad-arn"] {
            let answer = say(world.post(path, v1(&secretive(account))).await).response("v1");
            if answer["patch"].is_string() {
                let patch = Value::from(patch(&answer)).to_string();
                assert!(!patch.contains(MARKER), "{patch}");
            }
        }
        for review in malformed() {
            let answer = say(world.post(path, review).await).response("v1");
            assert!(answer.to_string().contains("unreadable-pod"), "{answer}");
        }
        for body in [
            MARKER.to_owned(),
            format!("{{\"kind\":\"{MARKER}\"}}"),
            format!("{{\"kind\":\"AdmissionReview\",\"apiVersion\":\"{MARKER}\"}}"),
            format!("{{\"request\":{{\"uid\":[\"{MARKER}\"]}}}}"),
            v1(&secretive("irsa")).replacen("\"request\"", &format!("\"{MARKER}\""), 1),
            v1(&secretive("irsa"))[..900].to_owned(),
        ] {
            let answer = say(world.post(path, body).await);
            assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        }
        let review = v1(&secretive("irsa"));
        let text = request(Method::POST, path, Some(MARKER), review.clone().into());
        assert_eq!(say(world.call(text).await).status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        let put = request(Method::PUT, path, Some("application/json"), review.into());
        assert_eq!(say(world.call(put).await).status, StatusCode::METHOD_NOT_ALLOWED);
        say(world.get(&format!("{path}/{MARKER}?{MARKER}")).await);
    }
    for page in ["decision?namespace=ns&serviceAccount=irsa", "alpha/cache"] {
        say(world.get_metrics(&format!("/debug/{page}")).await);
    }
    for query in [MARKER.to_owned(), format!("namespace={MARKER}&serviceAccount={MARKER}")] {
        say(world.get_metrics(&format!("/debug/decision?{query}")).await);
    }
    assert!(!answers.contains(MARKER), "{answers}");
    cluster::eventually("an Event is written", Duration::from_mins(1), || async {
        anyhow::ensure!(world.api.count(Call::is_event) > 0);
        Ok(())
    })
    .await
    .unwrap();
    for event in world.api.calls(Call::is_event) {
        assert!(event.body().to_string().contains("env-conflict"), "{event:?}");
        assert!(!format!("{event:?}").contains(MARKER), "{event:?}");
    }
    let metrics = world.get_metrics("/metrics").await.text();
    assert!(!metrics.contains(MARKER), "{metrics}");
    let log = log.text();
    assert!(log.contains("decided") && log.contains(UID) && log.contains("not a review"), "{log}");
    assert!(!log.contains(MARKER), "{log}");
}

/// A name is a name: it is in the log, within the bounds of one, on one line.
#[tokio::test(start_paused = true)]
async fn a_name_in_the_log_is_never_longer_than_a_name() {
    let log = Heard::listen(LevelFilter::TRACE);
    let world = World::new().await;
    let huge = format!("line\none\u{1b}[31m{}", "x".repeat(100_000));
    let mut review = creation("v1", &pod("irsa"));
    review["request"]["object"]["metadata"]["name"] = json!(huge);
    assert_eq!(world.review(LENIENT, &review).await.response("v1")["allowed"], true);
    review["request"]["object"]["spec"]["serviceAccountName"] = json!(huge);
    review["request"]["namespace"] = json!(huge);
    assert_eq!(world.review(LENIENT, &review).await.response("v1")["allowed"], true);
    let log = log.text();
    let decided: Vec<_> = log.lines().filter(|line| line.contains("decided")).collect();
    assert_eq!(decided.len(), 2, "{log}");
    for line in log.lines() {
        assert!(line.len() < 2_000, "{} characters: {}", line.len(), &line[..200]);
        assert!(!line.contains('\u{1b}'), "{line}");
    }
}
