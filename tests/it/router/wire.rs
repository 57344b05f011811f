//! The table of behaviour.md, section 3: each row, on both paths, in both versions.

use pod_identity_webhook::plan::UnfitRole;

use super::api::refusal;
use super::*;

/// Both versions, both paths.
const EVERY: [(&str, &str); 4] =
    [("v1", LENIENT), ("v1", STRICT), ("v1beta1", LENIENT), ("v1beta1", STRICT)];

/// A Pod of `account` with `more` in its container and its spec.
fn pod_with(account: &str, container: &Value, spec: &Value) -> Value {
    let mut pod = pod(account);
    merge(&mut pod["spec"]["containers"][0], container);
    merge(&mut pod["spec"], spec);
    pod
}

fn merge(into: &mut Value, from: &Value) {
    for (key, value) in from.as_object().unwrap() {
        into[key] = value.clone();
    }
}

/// Asserts what a refusal of the strict endpoint says.
#[track_caller]
fn refused(response: &Value, code: u16, reason: &str, remedy: &str) {
    assert_eq!(response["allowed"], false, "{response}");
    assert_eq!(response["status"]["status"], "Failure");
    assert_eq!(response["status"]["code"], code);
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.starts_with(&format!("pod-identity-webhook: {reason}: ")), "{message}");
    assert!(message.contains(remedy), "{message}");
    assert!(response.get("patch").is_none() && response.get("warnings").is_none(), "{response}");
}

/// Asserts what a warning is like.
#[track_caller]
fn warned(response: &Value, reason: &str) {
    assert_eq!(response["allowed"], true, "{response}");
    let warning = warning(response);
    assert!(warning.starts_with(&format!("{reason}: ")), "{warning}");
    assert!(warning.chars().count() <= 120 && !warning.contains(char::is_control), "{warning}");
}

/// F13: apiVersion, kind and uid come back as they were sent.
#[tokio::test(start_paused = true)]
async fn a_pod_with_an_identity_is_injected_on_both_paths_in_both_versions() {
    let world = World::new().await;
    for (version, path) in EVERY {
        for (account, method, source) in [
            ("irsa", "sts_web_identity", "role-arn-annotation"),
            ("agent", "container_credentials", "pod-identity-annotation"),
        ] {
            let answer = world.review(path, &creation(version, &pod(account))).await;
            let response = answer.response(version);
            assert_eq!(response["allowed"], true);
            assert!(!patch(&response).is_empty());
            assert!(response.get("warnings").is_none(), "{response}");
            assert!(response.get("status").is_none(), "{response}");
            let audit = &response["auditAnnotations"];
            assert_eq!(audit["method"], method, "{audit}");
            assert_eq!(audit["reason"], "injected", "{audit}");
            assert_eq!(audit["source"], source, "{audit}");
        }
    }
}

/// N1: no `patch` and no `patchType` where nothing changes, and nothing is said.
#[tokio::test(start_paused = true)]
async fn where_there_is_nothing_to_inject_nothing_is_said() {
    let world = World::new().await;
    let mut skipping = pod("irsa");
    skipping["metadata"]["labels"] = json!({"eks.amazonaws.com/skip-pod-identity-webhook": "true"});
    let mut mirror = pod("");
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
    for (version, path) in EVERY {
        for pod in [&pod("plain"), &pod("absent"), &skipping, &mirror] {
            let response = world.review(path, &creation(version, pod)).await.response(version);
            assert_eq!(response, json!({"uid": UID, "allowed": true}));
        }
    }
}

/// N1: a second pass finds its own work done.
#[tokio::test(start_paused = true)]
async fn what_was_injected_is_not_injected_again() {
    let world = World::new().await;
    for account in ["irsa", "agent"] {
        let mut pod = pod(account);
        let response = world.review(LENIENT, &creation("v1", &pod)).await.response("v1");
        apply(&response, &mut pod);
        let again = world.review(STRICT, &creation("v1", &pod)).await.response("v1");
        assert_eq!(again, json!({"uid": UID, "allowed": true}));
    }
}

#[tokio::test(start_paused = true)]
async fn an_incomplete_injection_is_a_warning_or_a_refusal() {
    let skips = Settings { invalid_role_arn: UnfitRole::Skip, ..Settings::default() };
    let world = World::synced(Flags { settings: skips, ..Flags::default() }, not_found).await;
    let path = "/var/run/secrets/eks.amazonaws.com/serviceaccount";
    let mut two = pod_with(
        "irsa",
        &json!({"volumeMounts": [{"name": "mine", "mountPath": path}]}),
        &json!({"volumes": [{"name": "mine", "emptyDir": {}}]}),
    );
    two["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": "other"}));
    let half = json!({"env": [{"name": "AWS_ROLE_ARN", "value": "mine"}]});
    let fargate = json!({"schedulerName": "fargate-scheduler"});
    let none = json!({});
    for (reason, remedy, pod, patched) in [
        ("mount-path-taken", "free /var/run/secrets/", two, true),
        ("env-conflict", "complete the pair", pod_with("irsa", &half, &none), true),
        ("pod-identity-unsupported", "role-arn", pod_with("agent", &none, &fargate), true),
        ("invalid-role-arn", "correct it", pod("bad-arn"), false),
    ] {
        for (version, path) in EVERY {
            let response = world.review(path, &creation(version, &pod)).await.response(version);
            if path == STRICT {
                refused(&response, 403, reason, remedy);
                assert_eq!(response["status"]["reason"], "Forbidden");
            } else {
                warned(&response, reason);
                assert_eq!(response.get("patch").is_some(), patched, "{reason}");
            }
            assert_eq!(response["auditAnnotations"]["reason"], reason);
        }
    }
}

/// N17: `--invalid-role-arn=deny` and `--role-not-allowed=deny` alone make `/mutate` refuse.
#[tokio::test(start_paused = true)]
async fn an_invalid_role_is_refused_on_both_paths_if_a_person_chose_so() {
    let denies = Settings { invalid_role_arn: UnfitRole::Deny, ..Settings::default() };
    let world = World::synced(Flags { settings: denies, ..Flags::default() }, not_found).await;
    for (version, path) in EVERY {
        let response =
            world.review(path, &creation(version, &pod("bad-arn"))).await.response(version);
        refused(&response, 403, "invalid-role-arn", "correct it");
    }
}

/// What is no reason to refuse, is none on the strict path either.
#[tokio::test(start_paused = true)]
async fn what_only_needs_a_person_some_time_is_complete() {
    let world = World::new().await;
    let taken = json!({"volumes": [{"name": "aws-iam-token", "emptyDir": {}}]});
    let keys = json!({"env": [{"name": "AWS_ACCESS_KEY_ID", "value": "x"}]});
    let mut unknown = pod("irsa");
    unknown["metadata"]["annotations"] = json!({"eks.amazonaws.com/skip-containers": "nobody"});
    let none = json!({});
    for (reason, pod) in [
        ("volume-name-taken", pod_with("irsa", &none, &taken)),
        ("shadowed-by-static-keys", pod_with("irsa", &keys, &none)),
        ("unknown-container", unknown),
        ("invalid-role-arn", pod("bad-arn")),
    ] {
        for path in [LENIENT, STRICT] {
            let response = world.review(path, &creation("v1", &pod)).await.response("v1");
            warned(&response, reason);
            assert!(response.get("patch").is_some(), "{response}");
        }
    }
}

/// N3: what fails is allowed with a warning, or a refusal that somebody chose; never an accident.
#[tokio::test(start_paused = true)]
async fn a_failed_look_up_is_a_warning_or_a_refusal() {
    type Says = fn() -> Reply;
    let answers: [(Duration, Says, &str); 6] = [
        (GRACE, || refusal(403, "Forbidden", "no"), "grant it the verb get"),
        (GRACE, || refusal(429, "TooManyRequests", "no"), "too busy"),
        (GRACE, || refusal(500, "InternalError", "no"), "failed to answer"),
        (GRACE, || Reply::Hangs, "did not answer in time"),
        (GRACE, || Reply::Breaks, "cannot be reached"),
        (Duration::ZERO, || Reply::Hangs, "live look-ups are off"),
    ];
    for (grace, answer, why) in answers {
        let flags = Flags { grace, ..Flags::default() };
        let world = World::synced(flags, move |_| answer()).await;
        for (version, path) in EVERY {
            let review = creation(version, &pod("unheard-of"));
            let response = world.review(path, &review).await.response(version);
            if path == STRICT {
                refused(&response, 503, "lookup-failed", why);
                assert_eq!(response["status"]["reason"], "ServiceUnavailable");
                let message = response["status"]["message"].as_str().unwrap();
                assert!(message.contains("recreate it"), "{message}");
            } else {
                warned(&response, "lookup-failed");
                assert!(warning(&response).contains(why), "{response}");
                assert!(response.get("patch").is_none());
            }
        }
        let failed = r#"outcome="failed",method="none",reason="lookup-failed""#;
        let decisions = format!("pod_identity_webhook_decisions_total{{{failed}}}");
        assert_eq!(world.sample(&decisions).await, Some(4.0));
        let lookups = r#"pod_identity_webhook_lookups_total{result="failed"}"#;
        assert_eq!(world.sample(lookups).await, Some(4.0));
        let gets = world.api.count(Call::is_get);
        assert_eq!(gets == 0, grace.is_zero(), "{gets} GETs");
    }
}

/// N3: a Pod that cannot be read is not denied by accident, and the uid comes back all the same.
#[tokio::test(start_paused = true)]
async fn an_unreadable_pod_is_a_warning_or_a_refusal() {
    let world = World::new().await;
    let unreadable = [
        json!(null),
        json!([1]),
        json!("Pod"),
        json!({"spec": {"containers": "app"}}),
        json!({"spec": {"serviceAccountName": 7}}),
        json!({"metadata": {"labels": ["a"]}, "spec": {"containers": []}}),
    ];
    for pod in &unreadable {
        for (version, path) in EVERY {
            let response = world.review(path, &creation(version, pod)).await.response(version);
            if path == STRICT {
                refused(&response, 400, "unreadable-pod", "check what sent it");
                assert_eq!(response["status"]["reason"], "BadRequest");
            } else {
                warned(&response, "unreadable-pod");
                assert!(response.get("patch").is_none());
            }
        }
    }
    let failed = r#"outcome="failed",method="none",reason="unreadable-pod""#;
    let decisions = format!("pod_identity_webhook_decisions_total{{{failed}}}");
    assert_eq!(world.sample(&decisions).await, Some(24.0));
}

/// What is neither a Pod's creation nor an update of its ephemeral containers is let through.
#[tokio::test(start_paused = true)]
async fn what_is_none_of_our_business_is_allowed() {
    let world = World::new().await;
    for (version, path) in EVERY {
        for (field, value) in [
            ("operation", json!("UPDATE")),
            ("operation", json!("DELETE")),
            ("operation", json!(null)),
            ("subResource", json!("binding")),
            ("resource", json!({"group": "apps", "version": "v1", "resource": "deployments"})),
            ("resource", json!(null)),
        ] {
            let mut review = creation(version, &pod("irsa"));
            review["request"][field] = value;
            let response = world.review(path, &review).await.response(version);
            assert_eq!(response, json!({"uid": UID, "allowed": true}), "{field}");
        }
    }
}

/// N24: the new ephemeral container of a Pod that has the token's volume, and nothing else.
#[tokio::test(start_paused = true)]
async fn an_ephemeral_container_joins_in() {
    let world = World::new().await;
    let token = json!({"serviceAccountToken":
        {"audience": "sts.amazonaws.com", "expirationSeconds": 86400, "path": "token"}});
    let volumes = json!([{"name": "aws-iam-token", "projected": {"sources": [token]}}]);
    for (version, path) in EVERY {
        for (volumes, operations) in [(&volumes, 2), (&json!([]), 0)] {
            let mut pod = pod("irsa");
            pod["spec"]["volumes"] = volumes.clone();
            let mut review = creation(version, &pod);
            review["request"]["oldObject"] = pod.clone();
            pod["spec"]["ephemeralContainers"] = json!([{"name": "debugger"}]);
            review["request"]["object"] = pod;
            review["request"]["operation"] = json!("UPDATE");
            review["request"]["subResource"] = json!("ephemeralcontainers");
            let response = world.review(path, &review).await.response(version);
            assert_eq!(response["allowed"], true);
            assert!(response.get("warnings").is_none(), "{response}");
            if operations == 0 {
                assert!(response.get("patch").is_none(), "{response}");
                continue;
            }
            let patch = patch(&response);
            assert!(!patch.is_empty());
            for operation in &patch {
                let path = operation["path"].as_str().unwrap();
                assert!(path.starts_with("/spec/ephemeralContainers/0/"), "{path}");
            }
        }
    }
}

/// At most five warnings, each of at most 120 characters, and how many there are besides.
#[tokio::test(start_paused = true)]
async fn warnings_are_few_and_short_whatever_the_pod() {
    let world = World::new().await;
    let mut many = pod("irsa");
    let container = |n: usize| {
        let name = format!("{n}-\u{7}\n{}", "x".repeat(10_000));
        json!({"name": name, "env": [{"name": "AWS_ROLE_ARN", "value": "x"}]})
    };
    many["spec"]["containers"] = (0..12).map(container).collect();
    let response = world.review(LENIENT, &creation("v1", &many)).await.response("v1");
    let warnings = response["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 6);
    assert_eq!(warnings[5], "and 7 more");
    for warning in warnings {
        let warning = warning.as_str().unwrap();
        assert!(warning.chars().count() <= 120 && !warning.contains(char::is_control));
    }
    let response = world.review(STRICT, &creation("v1", &many)).await.response("v1");
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.ends_with("; and 7 more"), "{message}");
    assert!(message.len() < 3_000 && !message.contains(char::is_control), "{}", message.len());
}
