//! `--compose-role-arn` against an instance metadata service, version 2, that follows a script.
//!
//! What the service may do is tried on the library, by its public function; that the process asks
//! it, or ends before it listens, is tried on the binary. Whatever a script does, a question
//! without a token (version 1) fails the test.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use cluster::{Webhook, WebhookBuilder, eventually, namespace};
use http::{Request, Response};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;
use pod_identity_webhook::identity::{Composer, Role};
use pod_identity_webhook::imds::{ENDPOINT_VARIABLE, ImdsError, Known, composer};
use serde_json::{Value, json};

use crate::loopback::Loopback;
use crate::plane::plane;

const TOKEN: &str = "PUT /latest/api/token";
const IDENTITY: &str = "GET /latest/dynamic/instance-identity/document";
const PARTITION: &str = "GET /latest/meta-data/services/partition";

/// What it answers to the nth question, counted from 1: a status and a body; or nothing, ever.
type Answer = Option<(u16, String)>;

/// A scripted service.
struct Imds {
    server: Loopback,
    asked: Arc<Mutex<Vec<String>>>,
}

// === impl Imds ===

impl Imds {
    async fn start(script: impl Fn(&str, usize) -> Answer + Send + Sync + 'static) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let recorded = Arc::clone(&asked);
        let server = Loopback::serve(move |request| {
            let question = question(request);
            let nth = {
                let mut recorded = recorded.lock().unwrap();
                recorded.push(question.clone());
                recorded.len()
            };
            let (status, body) = script(&question, nth)?;
            Some(Response::builder().status(status).body(body).unwrap())
        });
        Self { server: server.await, asked }
    }

    /// What it was asked, in order.
    fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap().clone();
        assert!(asked.iter().all(|question| !question.starts_with("version 1")), "{asked:?}");
        asked
    }

    async fn composer(&self, known: Known) -> Result<Composer, ImdsError> {
        composer(&self.server.url(), known).await
    }
}

/// A question as [`Imds::asked`] tells it, its headers checked.
fn question(request: &Request<Bytes>) -> String {
    let header = |name| request.headers().get(name).map(|value| value.to_str().unwrap());
    let question = format!("{} {}", request.method(), request.uri());
    let is_version_2 = if question == TOKEN {
        let ttl = header("x-aws-ec2-metadata-token-ttl-seconds").unwrap_or_default();
        ttl.parse().is_ok_and(|ttl: u32| (1..=21_600).contains(&ttl))
    } else {
        header("x-aws-ec2-metadata-token") == Some("TEST-TOKEN-1")
    };
    if is_version_2 { question } else { format!("version 1: {question}") }
}

/// An instance of account 111122223333.
fn instance(question: &str, partition: &str) -> (u16, String) {
    let document = json!({
        "accountId": "111122223333",
        "architecture": "arm64",
        "billingProducts": null,
        "instanceId": "i-0123",
        "region": "eu-central-1",
        "version": "2017-09-30",
    });
    let body = match question {
        TOKEN => "TEST-TOKEN-1".to_owned(),
        IDENTITY => format!("{document:#}"),
        PARTITION => partition.to_owned(),
        other => panic!("{other}"),
    };
    (200, body)
}

fn composed(composer: &Composer, role: &str) -> String {
    Role::read(role, Some(composer)).as_str().to_owned()
}

/// The sentence and its causes, which must name the flags and the address.
fn sentence(error: ImdsError) -> String {
    let sentence = error.to_string();
    assert_names_the_flags(&sentence);
    format!("{:#}", anyhow::Error::new(error))
}

/// N19: the remedy that needs no instance metadata is in the sentence.
fn assert_names_the_flags(sentence: &str) {
    for flag in ["--aws-account-id", "--aws-partition", "--aws-default-region"] {
        assert!(sentence.contains(flag), "{sentence}");
    }
    assert!(sentence.contains("http://127.0.0.1:") && !sentence.contains('\n'), "{sentence}");
}

/// F15, N19: no partition is guessed from a region.
#[tokio::test]
async fn every_partition_is_the_one_that_the_service_names() {
    for partition in [
        "aws",
        "aws-cn",
        "aws-us-gov",
        "aws-eusc",
        "aws-iso",
        "aws-iso-b",
        "aws-iso-e",
        "aws-iso-f",
    ] {
        let imds = Imds::start(|question, _| Some(instance(question, partition))).await;
        let composer = imds.composer(Known::default()).await.unwrap();
        let arn = format!("arn:{partition}:iam::111122223333:role/team/app");
        assert_eq!(composed(&composer, "team/app"), arn);
        assert_eq!(imds.asked(), [TOKEN, IDENTITY, PARTITION]);
    }
}

/// N19: the flags beat the service.
#[tokio::test]
async fn what_the_flags_tell_is_not_asked() {
    let account = Some("444455556666".into());
    let partition = Some("aws-cn".into());
    for (known, asked, arn) in [
        (
            Known { account: account.clone(), partition: None },
            [TOKEN, PARTITION].as_slice(),
            "arn:aws-eusc:iam::444455556666:role/app",
        ),
        (
            Known { account: None, partition: partition.clone() },
            &[TOKEN, IDENTITY],
            "arn:aws-cn:iam::111122223333:role/app",
        ),
        (Known { account, partition }, &[], "arn:aws-cn:iam::444455556666:role/app"),
    ] {
        let imds = Imds::start(|question, _| Some(instance(question, "aws-eusc"))).await;
        let composer = imds.composer(known).await.unwrap();
        assert_eq!(composed(&composer, "app"), arn);
        assert_eq!(imds.asked(), asked);
    }
}

#[tokio::test]
async fn white_space_around_an_answer_is_no_part_of_it() {
    let imds = Imds::start(|question, _| {
        let (status, body) = instance(question, "aws-us-gov");
        Some((status, format!(" {body}\r\n")))
    });
    let imds = imds.await;
    let composer = imds.composer(Known::default()).await.unwrap();
    assert_eq!(composed(&composer, "app"), "arn:aws-us-gov:iam::111122223333:role/app");
}

/// N19: a service that knows version 1 only, or is switched off, is not asked in another way.
#[tokio::test]
async fn a_token_that_is_refused_is_not_asked_for_again() {
    for refusal in [400, 403, 404, 405, 302] {
        let imds = Imds::start(move |question, _| match question {
            TOKEN => Some((refusal, "no".to_owned())),
            _ => Some(instance(question, "aws")),
        });
        let imds = imds.await;
        let sentence = sentence(imds.composer(Known::default()).await.unwrap_err());
        assert!(sentence.contains(&format!("/latest/api/token was answered with {refusal}")));
        assert_eq!(imds.asked(), [TOKEN]);
    }
}

#[tokio::test]
async fn a_value_that_is_refused_is_not_asked_for_again() {
    let imds = Imds::start(|question, _| match question {
        PARTITION => Some((404, String::new())),
        _ => Some(instance(question, "aws")),
    });
    let imds = imds.await;
    let sentence = sentence(imds.composer(Known::default()).await.unwrap_err());
    assert!(sentence.contains("services/partition was answered with 404"), "{sentence}");
    assert_eq!(imds.asked(), [TOKEN, IDENTITY, PARTITION]);
}

/// Each try has 2 s, on a clock that is moved by hand while nothing happens.
#[tokio::test]
async fn a_service_that_hangs_is_tried_three_times() {
    const PATIENCE: Duration = Duration::from_secs(20);
    let imds = Imds::start(|_, _| None).await;
    let mut asking = pin!(imds.composer(Known::default()));
    for tries in 1..=3 {
        let try_arrives = eventually("a try arrives", PATIENCE, || async {
            anyhow::ensure!(imds.asked().len() == tries, "{:?}", imds.asked());
            Ok(())
        });
        tokio::select! {
            arrived = try_arrives => arrived.unwrap(),
            early = &mut asking => panic!("{early:?}"),
        }
        tokio::time::pause();
        // The clock ran until now, however slow the machine: only a little may be added to it.
        tokio::time::advance(Duration::from_millis(200)).await;
        assert!(futures::poll!(&mut asking).is_pending());
        tokio::time::advance(Duration::from_millis(1_900)).await;
        if tries < 3 {
            assert!(futures::poll!(&mut asking).is_pending());
        }
        tokio::time::resume();
    }
    let sentence = sentence(asking.await.unwrap_err());
    assert!(sentence.ends_with("no answer to /latest/api/token in 2 s, 3 times"), "{sentence}");
    assert_eq!(imds.asked(), [TOKEN; 3]);
}

#[tokio::test]
async fn a_server_error_is_tried_again() {
    let imds = Imds::start(|question, nth| match nth {
        1 => Some((500, String::new())),
        3 => Some((503, String::new())),
        5 => Some((429, String::new())),
        _ => Some(instance(question, "aws")),
    });
    let imds = imds.await;
    let composer = imds.composer(Known::default()).await.unwrap();
    assert_eq!(composed(&composer, "app"), "arn:aws:iam::111122223333:role/app");
    assert_eq!(imds.asked(), [TOKEN, TOKEN, IDENTITY, IDENTITY, PARTITION, PARTITION]);
}

#[tokio::test]
async fn a_third_server_error_is_the_last() {
    let imds = Imds::start(|_, _| Some((500, String::new()))).await;
    let sentence = sentence(imds.composer(Known::default()).await.unwrap_err());
    assert!(sentence.contains("answered with 500"), "{sentence}");
    assert_eq!(imds.asked(), [TOKEN; 3]);
}

#[tokio::test]
async fn an_address_where_nobody_listens_ends_in_the_same_sentence() {
    let imds = Imds::start(|_, _| None).await;
    let url = imds.server.url();
    drop(imds);
    let sentence = sentence(composer(&url, Known::default()).await.unwrap_err());
    assert!(sentence.contains("asking for /latest/api/token failed"), "{sentence}");
}

#[tokio::test]
async fn an_address_that_is_no_url_is_named_by_its_variable() {
    for endpoint in ["169.254.169.254", "https://127.0.0.1:1", "http://", "http:// /", ""] {
        let error = composer(endpoint, Known::default()).await.unwrap_err();
        let sentence = format!("{:#}", anyhow::Error::new(error));
        assert!(sentence.contains(ENDPOINT_VARIABLE), "{sentence}");
        assert!(sentence.contains("--aws-account-id"), "{sentence}");
    }
}

#[tokio::test]
async fn an_answer_that_names_no_account_or_no_partition_is_none() {
    let long = "x".repeat(1 << 20);
    for (odd, answer) in [
        (TOKEN, "\u{1}"),
        (IDENTITY, r#"{"region": "eu-central-1"}"#),
        (IDENTITY, r#"{"accountId": null}"#),
        (IDENTITY, r#"{"accountId": 111122223333}"#),
        (IDENTITY, r#"{"accountId": "11112222333"}"#),
        (IDENTITY, r#"{"accountId": "111122223333""#),
        (IDENTITY, ""),
        (PARTITION, "<html>aws</html>"),
        (PARTITION, ""),
        (PARTITION, &long),
    ] {
        let answer = answer.to_owned();
        let imds = Imds::start(move |question, _| {
            let is_odd = question == odd;
            Some(if is_odd { (200, answer.clone()) } else { instance(question, "aws") })
        });
        let imds = imds.await;
        let sentence = sentence(imds.composer(Known::default()).await.unwrap_err());
        assert!(!sentence.contains("xx") && !sentence.contains("html"), "{sentence}");
        imds.asked();
    }
}

/// Our binary, composing ARNs by what it finds at `imds`.
async fn webhook(imds: &Imds) -> WebhookBuilder {
    Webhook::builder(plane().await)
        .binary(env!("CARGO_BIN_EXE_pod-identity-webhook"))
        .arg("--compose-role-arn")
        .arg("--service-account-lookup-grace-period=5s")
        .env(ENDPOINT_VARIABLE, imds.server.url())
}

/// The `AWS_ROLE_ARN` that a Pod of a new account with this annotation is given.
async fn injected(webhook: &Webhook, role: &str) -> String {
    let plane = plane().await;
    let namespace = namespace(plane, "imds").await.unwrap();
    let account: ServiceAccount = serde_json::from_value(json!({
        "metadata": { "name": "app", "annotations": { "eks.amazonaws.com/role-arn": role } },
    }))
    .unwrap();
    let accounts = Api::namespaced(plane.client().unwrap(), &namespace);
    accounts.create(&PostParams::default(), &account).await.unwrap();

    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "1",
            "kind": { "group": "", "version": "v1", "kind": "Pod" },
            "resource": { "group": "", "version": "v1", "resource": "pods" },
            "operation": "CREATE",
            "namespace": namespace,
            "object": {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": { "name": "app" },
                "spec": {
                    "serviceAccountName": "app",
                    "containers": [{ "name": "app", "image": "app" }],
                },
            },
        },
    });
    let answer = webhook.post("/mutate/strict?timeout=30s", review.to_string(), "application/json");
    let (_, answer) = answer.await.unwrap();
    let reply: Value = serde_json::from_str(&answer).unwrap();
    let patch = reply["response"]["patch"].as_str().unwrap_or_else(|| panic!("{answer}"));
    let patch: Value = serde_json::from_slice(&BASE64_STANDARD.decode(patch).unwrap()).unwrap();
    let role = variable(&patch, "AWS_ROLE_ARN").unwrap_or_else(|| panic!("{patch}"));
    role.to_owned()
}

/// The value of a variable, wherever a patch sets it.
fn variable<'a>(patch: &'a Value, name: &str) -> Option<&'a str> {
    match patch {
        Value::Object(fields) if fields.get("name").is_some_and(|field| field == name) => {
            fields.get("value")?.as_str()
        }
        Value::Object(fields) => fields.values().find_map(|field| variable(field, name)),
        Value::Array(items) => items.iter().find_map(|item| variable(item, name)),
        _ => None,
    }
}

/// F15, N19.
#[tokio::test]
async fn pods_get_the_arn_that_the_instances_metadata_completes() {
    let imds = Imds::start(|question, _| Some(instance(question, "aws-eusc"))).await;
    let webhook = webhook(&imds).await.start().await.unwrap();
    for (role, arn) in [
        ("app", "arn:aws-eusc:iam::111122223333:role/app"),
        ("team/app", "arn:aws-eusc:iam::111122223333:role/team/app"),
        ("arn:aws:iam::444455556666:role/app", "arn:aws:iam::444455556666:role/app"),
    ] {
        assert_eq!(injected(&webhook, role).await, arn);
    }
    // At start, and never again.
    assert_eq!(imds.asked(), [TOKEN, IDENTITY, PARTITION]);
}

/// N19.
#[tokio::test]
async fn with_both_flags_the_webhook_asks_nobody() {
    let imds = Imds::start(|_, _| None).await;
    let webhook = webhook(&imds).await;
    let webhook = webhook.arg("--aws-account-id=444455556666").arg("--aws-partition=aws-cn");
    let webhook = webhook.start().await.unwrap();
    assert_eq!(injected(&webhook, "app").await, "arn:aws-cn:iam::444455556666:role/app");
    assert!(imds.asked().is_empty());
}

/// N19.
#[tokio::test]
async fn with_one_flag_the_webhook_asks_for_the_other() {
    let imds = Imds::start(|question, _| Some(instance(question, "aws-iso-b"))).await;
    let webhook = webhook(&imds).await;
    let webhook = webhook.arg("--aws-account-id=444455556666").start().await.unwrap();
    assert_eq!(injected(&webhook, "app").await, "arn:aws-iso-b:iam::444455556666:role/app");
    assert_eq!(imds.asked(), [TOKEN, PARTITION]);
}

/// N19: one sentence that says what to do, not a crash loop that leaves one guessing.
#[tokio::test]
async fn a_refused_token_ends_the_webhook_before_it_listens() {
    let imds = Imds::start(|_, _| Some((403, String::new()))).await;
    let ended = webhook(&imds).await.start().await.unwrap_err().to_string();
    let (status, log) = ended.split_once('\n').unwrap();
    assert_eq!(status, "the webhook ended with exit status: 1:");
    let line: Value = serde_json::from_str(log).unwrap_or_else(|_| panic!("one line:\n{log}"));
    assert_eq!(line["level"], "ERROR");
    assert_names_the_flags(line["error"].as_str().unwrap());
    assert_eq!(line["cause"], "/latest/api/token was answered with 403 Forbidden");
    assert_eq!(imds.asked(), [TOKEN]);
}
