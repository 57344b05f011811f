//! What README says of the Go webhook, asked of the Go webhook: the left column of the table under
//! "Migrating from the Go webhook", and the right one where nothing else tests it.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use cluster::{Authority, Mount, Peer, Webhook, eventually, namespace};
use http::StatusCode;
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::{Value, json};

use super::sketch::ROLE;
use crate::plane::plane;

const SOON: Duration = Duration::from_mins(1);

/// Variables of the pair of IRSA.
const TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";

/// A review of a Pod of the account.
fn review(namespace: &str, account: &str, containers: &Value, annotations: &Value) -> String {
    let pod = json!({
        "metadata": { "name": "app", "annotations": annotations },
        "spec": { "serviceAccountName": account, "containers": containers },
    });
    let review = json!({
        "apiVersion": "admission.k8s.io/v1beta1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "7-4",
            "resource": { "group": "", "version": "v1", "resource": "pods" },
            "namespace": namespace,
            "operation": "CREATE",
            "object": pod,
        },
    });
    review.to_string()
}

fn app() -> Value {
    json!([{ "name": "app", "image": "app" }])
}

/// The response in an answer.
fn response((status, body): (StatusCode, String)) -> Value {
    assert_eq!(status, StatusCode::OK, "{body}");
    serde_json::from_str::<Value>(&body).unwrap()["response"].clone()
}

async fn ask(peer: &Peer, review: &str) -> Value {
    response(peer.post("/mutate", review).await.unwrap())
}

async fn ask_ours(ours: &Webhook, review: &str) -> Value {
    response(ours.post("/mutate", review, "application/json").await.unwrap())
}

/// The operations of a response's patch, as text.
fn patch(response: &Value) -> Option<String> {
    let patch = response["patch"].as_str()?;
    let patch = base64::engine::general_purpose::STANDARD.decode(patch).unwrap();
    Some(String::from_utf8(patch).unwrap())
}

/// A namespace with an account that has a role.
async fn account(prefix: &str, role: &str) -> String {
    let plane = plane().await;
    let namespace = namespace(plane, prefix).await.unwrap();
    let object: ServiceAccount = serde_json::from_value(json!({
        "metadata": { "name": "app", "annotations": { "eks.amazonaws.com/role-arn": role } },
    }))
    .unwrap();
    let accounts = Api::namespaced(plane.client().unwrap(), &namespace);
    accounts.create(&PostParams::default(), &object).await.unwrap();
    namespace
}

/// Both, with the same argument if there is one.
async fn both(arg: Option<&str>) -> (Peer, Webhook) {
    let plane = plane().await;
    let mut peer = Peer::builder(plane);
    let mut ours = Webhook::builder(plane).binary(env!("CARGO_BIN_EXE_pod-identity-webhook"));
    if let Some(arg) = arg {
        (peer, ours) = (peer.arg(arg), ours.arg(arg));
    }
    let (peer, ours) = tokio::join!(peer.start(), ours.start());
    (peer.unwrap(), ours.unwrap())
}

/// Waits until the answer to a review has a patch.
async fn injects(peer: &Peer, review: &str) {
    let wait = eventually("the peer injects", SOON, async || {
        patch(&ask(peer, review).await).map(|_| ()).context("not so far")
    });
    wait.await.unwrap();
}

/// O1: "rewrites whole arrays, and drops fields it does not know"; ours adds.
#[tokio::test]
async fn its_patch_rewrites_arrays_and_drops_unknown_fields() {
    let namespace = account("claims-fields", ROLE).await;
    let (peer, ours) = both(None).await;
    peer.knows(&namespace, "app", SOON).await.unwrap();
    let containers = json!([{ "name": "app", "image": "app", "ofTheFuture": { "a": 1 } }]);
    let review = review(&namespace, "app", &containers, &json!({}));
    let theirs = patch(&ask(&peer, &review).await).unwrap();
    assert!(theirs.contains(r#""path":"/spec/containers""#), "{theirs}");
    assert!(theirs.contains(TOKEN_FILE) && !theirs.contains("ofTheFuture"), "{theirs}");
    let ours = patch(&ask_ours(&ours, &review).await).unwrap();
    assert!(ours.contains(r#""path":"/spec/containers/0/env""#), "{ours}");
    assert!(ours.contains(TOKEN_FILE) && !ours.contains(r#""path":"/spec/containers""#), "{ours}");
}

/// N3, N4: "is refused, and logged with its secrets"; ours allows it, and logs nothing of it.
#[tokio::test]
async fn it_refuses_a_pod_that_it_cannot_decode_and_logs_all_of_it() {
    let (peer, ours) = both(None).await;
    let containers = json!({ "password": "hush-1" });
    let review = review("default", "app", &containers, &json!({}));
    let theirs = ask(&peer, &review).await;
    assert_eq!(theirs["allowed"], false, "{theirs}");
    let logged = async || {
        let logs = peer.logs();
        let told = logs.iter().any(|line| line.contains("hush-1"));
        told.then_some(()).context("not so far")
    };
    eventually("the secret is logged", SOON, logged).await.unwrap();
    let answer = ask_ours(&ours, &review).await;
    assert_eq!(answer["allowed"], true, "{answer}");
    let told = answer["warnings"][0].as_str().unwrap();
    assert!(told.starts_with("unreadable-pod: "), "{told}");
    ours.wait_for_log("unreadable-pod", SOON).await.unwrap();
    assert!(!ours.logs().iter().any(|line| line.contains("hush-1")));
}

/// N17: "is injected, and logged".
#[tokio::test]
async fn it_injects_a_malformed_arn_and_logs_it() {
    let role = "arn:aws:iam::111122223333:user/app";
    let namespace = account("claims-arn", role).await;
    let peer = Peer::builder(plane().await).start().await.unwrap();
    peer.knows(&namespace, "app", SOON).await.unwrap();
    let answer = ask(&peer, &review(&namespace, "app", &app(), &json!({}))).await;
    assert!(patch(&answer).unwrap().contains(role), "{answer}");
    assert_eq!(answer.get("warnings"), None);
    let logs = peer.logs();
    assert!(logs.iter().any(|line| line.contains("arn is invalid")), "{logs:#?}");
}

/// N13: "is spread like the default".
#[tokio::test]
async fn it_spreads_an_explicit_day_like_the_default() {
    let listed = json!({ "identities": [{ "namespace": "shop", "serviceAccount": "app" }] });
    let mount = Mount::new(&[("list.json", &listed.to_string())]).unwrap();
    let file =
        format!("--watch-container-credentials-config={}", mount.path("list.json").display());
    let (peer, ours) = both(Some(&file)).await;
    let day = json!({ "eks.amazonaws.com/token-expiration": "86400" });
    let review = review("shop", "app", &app(), &day);
    injects(&peer, &review).await;
    let exact = r#""expirationSeconds":86400"#;
    let mut spread = 0;
    for _ in 0..5 {
        spread += u32::from(!patch(&ask(&peer, &review).await).unwrap().contains(exact));
        assert!(patch(&ask_ours(&ours, &review).await).unwrap().contains(exact));
    }
    assert!(spread > 0, "five times a day, of two hours of choice");
}

/// N10: "keeps its entries". N9: "may end the process".
#[tokio::test]
async fn it_keeps_the_entries_of_a_deleted_configmap_and_ends_on_nonsense() {
    let plane = plane().await;
    let home = namespace(plane, "claims-map").await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(plane.client().unwrap(), &home);
    let map = |config: Value| -> ConfigMap {
        serde_json::from_value(json!({
            "metadata": { "name": "pod-identity-webhook" },
            "data": { "config": config.to_string() },
        }))
        .unwrap()
    };
    let mapped = json!({ "RoleARN": ROLE, "Audience": "sts.amazonaws.com" });
    maps.create(&PostParams::default(), &map(json!({ "shop/app": mapped }))).await.unwrap();
    let peer = Peer::builder(plane)
        .arg("--watch-config-map")
        .arg(format!("--namespace={home}"))
        .start()
        .await
        .unwrap();
    let of_the_first = review("shop", "app", &app(), &json!({}));
    let of_the_second = review("shop", "other", &app(), &json!({}));
    injects(&peer, &of_the_first).await;

    // It has seen the deletion once it has seen what came after it.
    maps.delete("pod-identity-webhook", &DeleteParams::default()).await.unwrap();
    maps.create(&PostParams::default(), &map(json!({ "shop/other": mapped }))).await.unwrap();
    injects(&peer, &of_the_second).await;
    assert!(patch(&ask(&peer, &of_the_first).await).is_some(), "gone, and still served");

    maps.replace("pod-identity-webhook", &PostParams::default(), &map(json!({ "app": mapped })))
        .await
        .unwrap();
    eventually("the peer ends", SOON, async || {
        let logs = peer.logs();
        ensure!(logs.iter().any(|line| line.contains("index out of range")), "{logs:?}");
        ensure!(peer.get_tls("/healthz").await.is_err(), "it answers");
        Ok(())
    })
    .await
    .unwrap();
}

/// O8: why it is registered for v1beta1, and why a configuration that both serve has to be, too.
#[tokio::test]
async fn it_answers_a_v1_review_without_its_version_and_kind() {
    let (peer, ours) = both(None).await;
    let review = review("default", "app", &app(), &json!({})).replace("v1beta1", "v1");
    let (_, theirs) = peer.post("/mutate", review.as_str()).await.unwrap();
    let theirs: Value = serde_json::from_str(&theirs).unwrap();
    assert_eq!((theirs.get("apiVersion"), theirs.get("kind")), (None, None), "{theirs}");
    let (_, ours) = ours.post("/mutate", review, "application/json").await.unwrap();
    let ours: Value = serde_json::from_str(&ours).unwrap();
    assert_eq!(ours["apiVersion"], "admission.k8s.io/v1", "{ours}");
}

/// N5: "none".
#[tokio::test]
async fn it_has_no_readiness() {
    let peer = Peer::builder(plane().await).start().await.unwrap();
    for path in ["/readyz", "/livez"] {
        assert_eq!(peer.get_tls(path).await.unwrap().0, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(peer.get(path).await.unwrap().0, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(peer.get("/healthz").await.unwrap().0, StatusCode::NOT_FOUND);
    assert_eq!(peer.get_tls("/healthz").await.unwrap(), (StatusCode::OK, "ok".to_owned()));
}

/// N15: "are not seen".
#[tokio::test]
async fn it_misses_a_swapped_list_of_associations() {
    let list = |account: &str| {
        let identity = json!({ "namespace": "shop", "serviceAccount": account });
        json!({ "identities": [identity] }).to_string()
    };
    let mount = Mount::new(&[("list.json", &list("old"))]).unwrap();
    let file = mount.path("list.json");
    let file = format!("--watch-container-credentials-config={}", file.display());
    let (peer, ours) = both(Some(&file)).await;
    let of = |account: &str| review("shop", account, &app(), &json!({}));
    let (old, new) = (of("old"), of("new"));
    injects(&peer, &old).await;

    mount.swap(&[("list.json", &list("new"))]).unwrap();
    // It has had all the time that ours needs.
    eventually("ours has read the list", SOON, async || {
        patch(&ask_ours(&ours, &new).await).map(|_| ()).context("not so far")
    })
    .await
    .unwrap();
    assert_eq!(patch(&ask_ours(&ours, &old).await), None);
    assert!(patch(&ask(&peer, &old).await).is_some() && patch(&ask(&peer, &new).await).is_none());
}

/// F10: certificates that are swapped are seen, which is why the row is not about them.
#[tokio::test]
async fn it_sees_a_swapped_certificate() {
    let peer = Peer::builder(plane().await).start().await.unwrap();
    let stranger = Authority::new("stranger").unwrap();
    let pair = stranger.serving(&["127.0.0.1"]).unwrap();
    let files = [("tls.crt", pair.certificate.as_str()), ("tls.key", pair.key.as_str())];
    peer.certificates().swap(&files).unwrap();
    eventually("the new certificate is served", SOON, async || {
        ensure!(peer.get_tls("/healthz").await.is_err(), "the old one is");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(peer.get("/debug/alpha/cache").await.unwrap().0, StatusCode::OK, "it runs");
}
