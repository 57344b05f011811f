//! What the tests share: the control plane, a webhook, a namespace, and how to ask.
//!
//! Objects are JSON throughout, asked for and answered as text: a type would drop the fields that
//! it does not know, and these tests are about what is not dropped.

use std::time::Duration;

use cluster::{ControlPlane, Registration, Webhook, WebhookBuilder, eventually, register};
use http::{Method, Request, StatusCode, header::CONTENT_TYPE};
use kube::{Client, client::Body};
use serde_json::{Value, json};

/// How long anything may take that is waited for, on a machine that has other things to do.
pub(super) const SOON: Duration = Duration::from_mins(1);

/// A role.
pub(super) const ROLE: &str = "arn:aws:iam::111122223333:role/app";

/// The annotations of an account.
pub(super) const ROLE_ARN: &str = "eks.amazonaws.com/role-arn";
pub(super) const POD_IDENTITY: &str = "eks.amazonaws.com/pod-identity";

/// Where the two tokens are mounted.
pub(super) const IRSA_MOUNT: &str = "/var/run/secrets/eks.amazonaws.com/serviceaccount";
pub(super) const POD_IDENTITY_MOUNT: &str =
    "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount";

/// Options of a webhook of our binary.
///
/// It waits longer for a live look-up than by default: what is tested is what the answer is, on a
/// machine on which one may take a second.
pub(super) fn webhook(plane: &ControlPlane) -> WebhookBuilder {
    Webhook::builder(plane)
        .binary(env!("CARGO_BIN_EXE_pod-identity-webhook"))
        .arg("--service-account-lookup-grace-period=5s")
}

/// A webhook that is registered under `name`, and a namespace that it serves.
pub(super) async fn registered(
    plane: &ControlPlane,
    name: &str,
    webhook: WebhookBuilder,
) -> (Webhook, Namespace) {
    let webhook = webhook.start().await.unwrap();
    register(plane, name, &webhook, Registration::default()).await.unwrap();
    let namespace = Namespace::new(plane, name).await;
    (webhook, namespace)
}

/// The full name of the webhook that is registered under `name`.
pub(super) fn hook(name: &str) -> String {
    format!("{name}.pod-identity.test")
}

/// A namespace, and a client that may do everything.
#[derive(Clone)]
pub(super) struct Namespace {
    pub(super) name: String,
    client: Client,
}

/// An answer of the API server.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Value,
    /// The texts of its `Warning` headers.
    pub(super) warnings: Vec<String>,
}

/// Whether a request is to have an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Run {
    Real,
    Dry,
}

// === impl Namespace ===

impl Namespace {
    /// A new namespace that the webhook registered under `prefix` serves.
    pub(super) async fn new(plane: &ControlPlane, prefix: &str) -> Self {
        let name = cluster::namespace(plane, prefix).await.unwrap();
        let mut config = plane.config();
        // A refusal with 503 is an answer, too.
        config.default_retry = false;
        Self { name, client: Client::try_from(config).unwrap() }
    }

    /// Asks for `path` beneath the namespace, such as `pods`.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        object: &Value,
    ) -> Answer {
        let path = format!("/api/v1/namespaces/{}/{path}", self.name);
        ask(&self.client, method, &path, content_type, object).await
    }

    /// Creates whatever is at `path` beneath the namespace; it must succeed.
    pub(super) async fn create(&self, path: &str, object: &Value) -> Value {
        let answer = self.ask(Method::POST, path, "application/json", object).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{path}: {:#}", answer.body);
        answer.body
    }

    /// Creates an account with these annotations.
    pub(super) async fn account(&self, name: &str, annotations: &Value) {
        let object = json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": { "name": name, "annotations": annotations },
        });
        self.create("serviceaccounts", &object).await;
    }

    /// Adds annotations to an account.
    pub(super) async fn annotate(&self, account: &str, annotations: &Value) {
        let path = format!("serviceaccounts/{account}");
        let patch = json!({ "metadata": { "annotations": annotations } });
        let answer = self.ask(Method::PATCH, &path, "application/merge-patch+json", &patch).await;
        assert_eq!(answer.status, StatusCode::OK, "{:#}", answer.body);
    }

    /// Creates a Pod, whatever comes of it.
    pub(super) async fn try_pod(&self, pod: &Value, run: Run) -> Answer {
        let path = match run {
            Run::Real => "pods",
            Run::Dry => "pods?dryRun=All",
        };
        self.ask(Method::POST, path, "application/json", pod).await
    }

    /// Creates a Pod and returns what was stored; it must succeed.
    pub(super) async fn pod(&self, pod: &Value) -> Value {
        let answer = self.try_pod(pod, Run::Real).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{:#}", answer.body);
        answer.body
    }
}

/// Asks the API server.
pub(super) async fn ask(
    client: &Client,
    method: Method,
    path: &str,
    content_type: &str,
    object: &Value,
) -> Answer {
    let body = if *object == Value::Null { Vec::new() } else { object.to_string().into_bytes() };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(CONTENT_TYPE, content_type)
        .body(Body::from(body))
        .unwrap();
    let exchange = async {
        let answer = client.send(request).await.unwrap();
        let status = answer.status();
        let headers = answer.headers().get_all("warning").iter();
        let warnings = headers.map(|value| warning(value.to_str().unwrap())).collect();
        let body = answer.into_body().collect_bytes().await.unwrap();
        Answer { status, body: serde_json::from_slice(&body).unwrap_or_default(), warnings }
    };
    tokio::time::timeout(SOON, exchange).await.expect("the API server answers")
}

/// The text in the value of a `Warning` header: `299 - "text"` (RFC 7234, section 5.5).
fn warning(value: &str) -> String {
    let quoted = value.strip_prefix("299 - \"").and_then(|rest| rest.strip_suffix('"'));
    quoted.expect("a warning with code 299").replace("\\\"", "\"").replace("\\\\", "\\")
}

/// The Pod of an account, with one container `app`.
pub(super) fn pod(account: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "generateName": format!("{account}-") },
        "spec": {
            "serviceAccountName": account,
            "containers": [{ "name": "app", "image": "app" }],
        },
    })
}

/// A stored Pod without what differs from one creation to the next.
pub(super) fn settled(pod: &Value) -> Value {
    let mut text = pod.to_string();
    let volume = "kube-api-access-";
    while let Some(at) = text.find(volume) {
        text.replace_range(at..at + volume.len() + 5, "api-access");
    }
    let mut pod: Value = serde_json::from_str(&text).unwrap();
    let metadata = pod["metadata"].as_object_mut().unwrap();
    let of_the_creation =
        ["name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp"];
    for key in of_the_creation.into_iter().chain(["managedFields"]) {
        metadata.shift_remove(key);
    }
    pod
}

/// The value of a variable of a container.
pub(super) fn env<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    let variables = container["env"].as_array()?;
    variables.iter().find(|variable| variable["name"] == name)?["value"].as_str()
}

/// The paths at which a container has something mounted.
pub(super) fn mounts(container: &Value) -> Vec<&str> {
    let mounts = container["volumeMounts"].as_array().into_iter().flatten();
    mounts.filter_map(|mount| mount["mountPath"].as_str()).collect()
}

/// Whether every container of a stored Pod, of those that came with it, has all of IRSA with
/// [`ROLE`].
pub(super) fn has_irsa(pod: &Value) -> bool {
    let containers = pod["spec"]["containers"].as_array().unwrap();
    let token = format!("{IRSA_MOUNT}/token");
    pod["spec"]["volumes"][0]["name"] == "aws-iam-token"
        && containers.iter().all(|container| {
            env(container, "AWS_ROLE_ARN") == Some(ROLE)
                && env(container, "AWS_WEB_IDENTITY_TOKEN_FILE") == Some(&token)
                && mounts(container).contains(&IRSA_MOUNT)
        })
}

/// The same for Pod Identity.
pub(super) fn has_pod_identity(pod: &Value) -> bool {
    let containers = pod["spec"]["containers"].as_array().unwrap();
    let token = format!("{POD_IDENTITY_MOUNT}/eks-pod-identity-token");
    pod["spec"]["volumes"][0]["name"] == "eks-pod-identity-token"
        && pod["metadata"]["labels"][POD_IDENTITY] == "enabled"
        && containers.iter().all(|container| {
            env(container, "AWS_CONTAINER_CREDENTIALS_FULL_URI").is_some()
                && env(container, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") == Some(&token)
                && mounts(container).contains(&POD_IDENTITY_MOUNT)
        })
}

/// The AdmissionReview of the creation of a Pod, as an API server sends it.
pub(super) fn review(version: &str, namespace: &str, uid: &str, pod: &Value) -> Value {
    json!({
        "apiVersion": format!("admission.k8s.io/{version}"),
        "kind": "AdmissionReview",
        "request": {
            "uid": uid,
            "kind": { "group": "", "version": "v1", "kind": "Pod" },
            "resource": { "group": "", "version": "v1", "resource": "pods" },
            "requestKind": { "group": "", "version": "v1", "kind": "Pod" },
            "requestResource": { "group": "", "version": "v1", "resource": "pods" },
            "namespace": namespace,
            "operation": "CREATE",
            "userInfo": { "username": "admin" },
            "object": pod,
            "oldObject": null,
            "dryRun": false,
            "options": { "apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions" },
        },
    })
}

/// What the webhook says to the Pod of an account, asked without the API server.
pub(super) async fn post(webhook: &Webhook, path: &str, namespace: &str, pod: &Value) -> Value {
    let review = review("v1", namespace, "0-1-2-3", pod);
    let answer = webhook.post(path, review.to_string(), "application/json").await.unwrap();
    assert_eq!(answer.0, StatusCode::OK, "{}", answer.1);
    serde_json::from_str::<Value>(&answer.1).unwrap()["response"].clone()
}

/// The sum of the series of a metric that have all these labels; 0 if there is none.
pub(super) async fn metric(webhook: &Webhook, name: &str, labels: &[(&str, &str)]) -> f64 {
    let (status, text) = webhook.get("/metrics").await.unwrap();
    assert_eq!(status, StatusCode::OK);
    sum(&text, name, labels)
}

/// The same of a metric that counts.
pub(super) async fn count(webhook: &Webhook, name: &str, labels: &[(&str, &str)]) -> usize {
    metric(webhook, name, labels).await.to_string().parse().unwrap()
}

/// What [`metric`] finds in the text of `/metrics`.
pub(super) fn sum(text: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    let series = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let (found, value) = match rest.strip_prefix('{') {
            Some(rest) => rest.split_once("} ")?,
            None => ("", rest.strip_prefix(' ')?),
        };
        let has = |(key, value): &(&str, &str)| found.contains(&format!("{key}=\"{value}\""));
        labels.iter().all(has).then(|| value.parse::<f64>().unwrap())
    });
    // The sum of nothing would be -0.
    series.fold(0.0, |sum, value| sum + value)
}

/// Waits until a metric is as wanted.
pub(super) async fn metric_becomes(
    webhook: &Webhook,
    name: &str,
    labels: &[(&str, &str)],
    wanted: impl Fn(f64) -> bool,
) {
    let what = format!("{name} {labels:?} is as wanted");
    eventually(&what, SOON, || async {
        let value = metric(webhook, name, labels).await;
        anyhow::ensure!(wanted(value), "it is {value}");
        Ok(())
    })
    .await
    .unwrap();
}
