//! What the client of a Pod is told, and what the audit log keeps.

use anyhow::Context;
use cluster::{ControlPlane, Registration, eventually, register};
use http::StatusCode;
use serde_json::{Value, json};

use super::support::{
    Answer, IRSA_MOUNT, Namespace, POD_IDENTITY, ROLE, ROLE_ARN, Run, SOON, count, env, has_irsa,
    hook, pod, post, registered, webhook,
};
use crate::plane::plane;

/// The annotations that the audit log has of the creation of a Pod.
async fn audited(plane: &ControlPlane, namespace: &str, pod: &Value) -> Value {
    let name = pod["metadata"]["name"].as_str().unwrap();
    let found = eventually("the Pod's creation is in the audit log", SOON, || async {
        let of_the_pod = |event: &Value| {
            let object = &event["objectRef"];
            event["verb"] == "create" && object["namespace"] == namespace && object["name"] == name
        };
        let event = plane.audit_events()?.into_iter().find(of_the_pod);
        Ok(event.context("not so far")?["annotations"].clone())
    });
    found.await.unwrap()
}

/// Method, reason and source, as the webhook registered under `name` has given them.
fn annotations<'a>(audited: &'a Value, name: &str) -> [Option<&'a str>; 3] {
    let hook = hook(name);
    ["method", "reason", "source"].map(|key| audited[format!("{hook}/{key}")].as_str())
}

#[tokio::test]
async fn the_audit_log_has_method_reason_and_source_of_pods_with_an_identity() {
    let plane = plane().await;
    let (_webhook, namespace) = registered(plane, "audited", webhook(plane)).await;
    namespace.account("irsa", &json!({ ROLE_ARN: ROLE })).await;
    namespace.account("agent", &json!({ POD_IDENTITY: "true" })).await;
    namespace.account("none", &json!({})).await;
    for (account, wanted) in [
        ("irsa", [Some("sts_web_identity"), Some("injected"), Some("role-arn-annotation")]),
        (
            "agent",
            [Some("container_credentials"), Some("injected"), Some("pod-identity-annotation")],
        ),
        ("none", [None; 3]),
    ] {
        // Under generateName a Pod has no name yet when the audit event begins.
        let mut pod = pod(account);
        pod["metadata"] = json!({ "name": account });
        let stored = namespace.pod(&pod).await;
        let audited = audited(plane, &namespace.name, &stored).await;
        assert_eq!(annotations(&audited, "audited"), wanted, "{audited:#}");
    }
}

#[tokio::test]
async fn warnings_arrive_at_the_client_and_say_what_to_do() {
    let plane = plane().await;
    let (_webhook, namespace) = registered(plane, "warned", webhook(plane)).await;
    namespace.account("irsa", &json!({ ROLE_ARN: ROLE })).await;
    namespace.account("bad-arn", &json!({ ROLE_ARN: "arn:aws:iam::111122223333:user/app" })).await;
    namespace.account("near", &json!({ "eks.amazon.com/role-arn": ROLE })).await;
    namespace.account("none", &json!({})).await;

    let mut taken = pod("irsa");
    let container = |name: &str| {
        let mount = json!({ "name": "own", "mountPath": IRSA_MOUNT });
        json!({ "name": name, "image": "app", "volumeMounts": [mount] })
    };
    taken["spec"]["volumes"] = json!([{ "name": "own", "emptyDir": {} }]);
    taken["spec"]["containers"] = json!([container("app")]);
    let mut many = taken.clone();
    many["spec"]["containers"] =
        json!(["a", "b", "c", "d", "e", "f", "g"].map(container).as_slice());

    // The sentences are the golden cases'; here is what each has to hold: code, place, remedy.
    let free = |name: &str| {
        vec!["mount-path-taken: ".to_owned(), format!(" {name}"), IRSA_MOUNT.to_owned()]
    };
    let parts = |parts: &[&str]| parts.iter().map(|&part| part.to_owned()).collect::<Vec<_>>();
    let mut seven: Vec<_> = ["a", "b", "c", "d", "e"].map(free).to_vec();
    seven.push(parts(&["and 2 more"]));
    for (pod, wanted) in [
        (taken, vec![free("app")]),
        (many, seven),
        (pod("bad-arn"), vec![parts(&["invalid-role-arn: ", "arn:aws:iam::ACCOUNT:role/NAME"])]),
        (pod("near"), vec![parts(&["near-miss: ", "eks.amazon.com/role-arn", ROLE_ARN])]),
        (pod("irsa"), vec![]),
        (pod("none"), vec![]),
        (pod("default"), vec![]),
    ] {
        let Answer { status, body, warnings } = namespace.try_pod(&pod, Run::Real).await;
        assert_eq!(status, StatusCode::CREATED, "{body:#}");
        assert_eq!(warnings.len(), wanted.len(), "{warnings:#?}");
        for (warning, parts) in warnings.iter().zip(wanted) {
            assert!(warning.starts_with(&parts[0]), "{warning} {parts:?}");
            assert!(parts.iter().all(|part| warning.contains(part)), "{warning} {parts:?}");
            assert!(warning.chars().count() <= 120, "{warning}");
        }
    }
}

/// N4: whatever the level, and whatever is wrong with the Pod.
#[tokio::test]
async fn nothing_of_a_pod_but_its_names_is_ever_logged() {
    let plane = plane().await;
    let (webhook, namespace) =
        registered(plane, "secret", webhook(plane).arg("--log-level=trace")).await;
    namespace.account("irsa", &json!({ ROLE_ARN: ROLE })).await;
    let mut pod = pod("irsa");
    pod["metadata"]["annotations"] = json!({ "note": "hush-1" });
    pod["spec"]["containers"][0]["env"] = json!([
        { "name": "PASSWORD", "value": "hush-2" },
        { "name": "AWS_ROLE_ARN", "value": "hush-3" },
    ]);
    let stored = namespace.pod(&pod).await;
    assert!(stored.to_string().contains("hush-3"));
    // What an API server never sends: a Pod that is none.
    pod["spec"]["containers"] = json!("hush-4");
    let answer = post(&webhook, "/mutate", &namespace.name, &pod).await;
    assert!(answer["warnings"][0].as_str().unwrap().starts_with("unreadable-pod: "), "{answer:#}");
    let not_a_review = webhook.post("/mutate", "{\"hush-5\"", "application/json").await.unwrap();
    assert_eq!(not_a_review.0, StatusCode::BAD_REQUEST);

    let lines = webhook.wait_for_log("not a review", SOON).await.map(|_| webhook.logs()).unwrap();
    assert!(lines.iter().any(|line| line.contains("env-conflict") && line.contains("\"irsa\"")));
    let told: Vec<_> = lines.iter().filter(|line| line.contains("hush-")).collect();
    assert_eq!(told, [""; 0]);
    let metrics = webhook.get("/metrics").await.unwrap().1;
    assert!(!answer.to_string().contains("hush-") && !metrics.contains("hush-"));
    assert!(!not_a_review.1.contains("hush-"), "{}", not_a_review.1);
}

/// N1: the second pass over its own work finds nothing to do and writes no audit annotation again.
#[tokio::test]
async fn a_second_pass_changes_nothing_and_is_no_audit_error() {
    let plane = plane().await;
    // Another webhook behind the first, which changes the Pod: then the first is called again.
    let first = webhook(plane).start().await.unwrap();
    let second = webhook(plane).arg("--aws-default-region=eu-west-1").start().await.unwrap();
    for (name, webhook) in [("again-1", &first), ("again-2", &second)] {
        let registration =
            Registration { namespaces: Some("again".to_owned()), ..Registration::default() };
        register(plane, name, webhook, registration).await.unwrap();
    }
    let namespace = Namespace::new(plane, "again").await;
    namespace.account("app", &json!({ ROLE_ARN: ROLE })).await;
    let mut named = pod("app");
    named["metadata"] = json!({ "name": "app" });
    let answer = namespace.try_pod(&named, Run::Real).await;
    let stored = answer.body;
    assert_eq!(answer.warnings, [""; 0]);

    assert!(has_irsa(&stored), "{stored:#}");
    let container = &stored["spec"]["containers"][0];
    assert_eq!(env(container, "AWS_REGION"), Some("eu-west-1"));
    assert_eq!(container["env"].as_array().unwrap().len(), 4, "{stored:#}");
    assert_eq!(container["volumeMounts"].as_array().unwrap().len(), 2, "{stored:#}");
    assert_eq!(stored["spec"]["volumes"].as_array().unwrap().len(), 2, "{stored:#}");

    let decisions = "pod_identity_webhook_decisions_total";
    let unchanged = [("outcome", "unchanged"), ("reason", "already-injected")];
    assert_eq!(count(&first, decisions, &[("outcome", "injected")]).await, 1);
    assert_eq!(count(&first, decisions, &unchanged).await, 1);
    assert_eq!(count(&first, "pod_identity_webhook_pod_count", &[]).await, 1);

    let audited = audited(plane, &namespace.name, &stored).await;
    let wanted = [Some("sts_web_identity"), Some("injected"), Some("role-arn-annotation")];
    assert_eq!(annotations(&audited, "again-1"), wanted, "{audited:#}");
    assert_eq!(annotations(&audited, "again-2"), wanted, "{audited:#}");
    let second_round = audited["mutation.webhook.admission.k8s.io/round_1_index_0"].as_str();
    let second_round: Value = serde_json::from_str(second_round.unwrap()).unwrap();
    assert_eq!(second_round["mutated"], false, "{audited:#}");
    // The API server logs an annotation that is written twice with different values.
    let log = plane.folder().join("kube-apiserver.log");
    let log = std::fs::read_to_string(log).unwrap();
    let complaint = log.lines().find(|line| line.contains("annotation") && line.contains("again-"));
    assert_eq!(complaint, None);
}
