//! Both routers, in process: bytes in, bytes out, without a socket and in virtual time.
//!
//! What is proved here is what the wire says (behaviour.md, section 3), how long an answer takes at
//! most, what is counted, and what is never told. The decision itself is the golden cases'; the
//! cache's ways are tested beside it.

pub(crate) mod api;
mod bodies;
mod debug;
mod events;
mod health;
mod metrics;
mod patience;
mod policy;
mod secrecy;
mod wire;

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use pod_identity_webhook::accounts::{self, Accounts, AccountsError, ListState};
use pod_identity_webhook::events as voice;
use pod_identity_webhook::http::{
    self as routes, Check, Checks, Context, DebugPages, Gate, Standing,
};
use pod_identity_webhook::plan::Settings;
use pod_identity_webhook::policy as guard;
use pod_identity_webhook::server::Budget;
use pod_identity_webhook::telemetry::Metrics;
use pod_identity_webhook::telemetry::accounts::AccountsMetrics;
use pod_identity_webhook::telemetry::events::EventMetrics;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use api::{Api, Call, Reply, account, not_found, with_role};

/// The uid of every review here.
const UID: &str = "705ab4f5-6393-11e8-b7cc-42010a800002";

const LENIENT: &str = "/mutate";
const STRICT: &str = "/mutate/strict";

/// The default of `--service-account-lookup-grace-period`.
const GRACE: Duration = Duration::from_millis(500);

/// Both routers beside a scripted API server.
struct World {
    api: Api,
    accounts: Accounts,
    webhook: Router,
    metrics: Router,
    _running: JoinSet<Result<(), AccountsError>>,
    _writing: JoinSet<Infallible>,
}

/// What a [`World`] is made with.
struct Flags {
    grace: Duration,
    settings: Settings,
    budget: Budget,
    pages: DebugPages,
    /// The namespace of the mappings, if they are watched.
    config_map: Option<&'static str>,
    credentials_file: Option<PathBuf>,
    role_policy: Option<guard::Current>,
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

// === impl Flags ===

impl Default for Flags {
    fn default() -> Self {
        Self {
            grace: GRACE,
            settings: Settings::default(),
            budget: Budget::default(),
            pages: DebugPages::Off,
            config_map: None,
            credentials_file: None,
            role_policy: None,
        }
    }
}

// === impl World ===

impl World {
    /// One that has just begun.
    fn begun(flags: Flags, api: Api) -> Self {
        cluster::attentive();
        let Flags { grace, settings, budget, pages, config_map, credentials_file, role_policy } =
            flags;
        let mut metrics = Metrics::new();
        let of_accounts = AccountsMetrics::default();
        of_accounts.register(metrics.registry_mut());
        let of_events = EventMetrics::default();
        of_events.register(metrics.registry_mut());
        let (accounts, tasks) = accounts::bind(
            &api.client(),
            &accounts::Settings {
                annotation_prefix: settings.defaults.annotation_prefix.clone(),
                grace_period: grace,
                config_map: config_map.map(Into::into),
                credentials_file,
                poll_interval: accounts::POLL_INTERVAL,
                role_policy,
            },
            &of_accounts,
        );
        let of_checks = accounts.clone();
        let checks = Checks::new(move || {
            let readiness = of_checks.readiness().into_iter();
            let check = |r: accounts::Readiness| Check {
                name: r.of,
                standing: match r.state {
                    ListState::Complete => Standing::Ready,
                    ListState::Noted(why) => Standing::Noted(why),
                    ListState::Awaited(why) => Standing::NotReady(why),
                },
            };
            readiness.map(check).collect()
        });
        let (events, writing) = voice::bind(&api.client(), &of_events);
        let metrics = Arc::new(metrics);
        let context = Context::new(accounts.clone(), settings, metrics, checks, budget, events);
        Self {
            api,
            accounts,
            webhook: routes::webhook(context.clone(), Gate::open()),
            metrics: routes::metrics(context, pages),
            _running: tasks.into_iter().map(accounts::Task::run).collect(),
            _writing: [writing.run()].into_iter().collect(),
        }
    }

    /// One that knows the accounts of `ns` and answers GETs of others by `get`.
    async fn synced(flags: Flags, get: impl FnMut(&Call) -> Reply + Send + 'static) -> Self {
        let world = Self::begun(flags, Api::listing(known(), get));
        world.syncs().await;
        world
    }

    /// Waits until every first list has come.
    async fn syncs(&self) {
        cluster::eventually("the accounts are synced", Duration::from_mins(1), || async {
            let readiness = self.accounts.readiness();
            anyhow::ensure!(
                readiness.iter().all(|r| r.state == ListState::Complete),
                "{readiness:?}"
            );
            Ok(())
        })
        .await
        .unwrap();
    }

    /// One that knows the accounts of `ns`, and that there are no others.
    async fn new() -> Self {
        Self::synced(Flags::default(), not_found).await
    }

    async fn call(&self, request: Request<Body>) -> Answer {
        ask(&self.webhook, request).await
    }

    /// GET on the webhook's port.
    async fn get(&self, path: &str) -> Answer {
        self.call(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// POST of JSON, as an API server does it.
    async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        let request = Request::post(path).header("content-type", "application/json");
        self.call(request.body(body.into()).unwrap()).await
    }

    /// The answer to a review.
    async fn review(&self, path: &str, review: &Value) -> Answer {
        self.post(path, review.to_string()).await
    }

    /// GET on the metrics port.
    async fn get_metrics(&self, path: &str) -> Answer {
        ask(&self.metrics, Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// The value of a sample, as it stands in the text: `name{label="value"}`.
    async fn sample(&self, name: &str) -> Option<f64> {
        let text = self.get_metrics("/metrics").await.text();
        sample(&text, name)
    }
}

async fn ask(router: &Router, request: Request<Body>) -> Answer {
    let (head, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: head.status, headers: head.headers, body }
}

/// The value of the sample `name` in an exposition.
pub(crate) fn sample(exposition: &str, name: &str) -> Option<f64> {
    let line = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok();
    exposition.lines().find_map(line)
}

// === impl Answer ===

impl Answer {
    fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    fn json(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text());
        assert_eq!(self.headers["content-type"], "application/json");
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The response of an AdmissionReview of `version`, whose envelope echoes what it must (F13).
    fn response(&self, version: &str) -> Value {
        let mut review = self.json();
        assert_eq!(review["apiVersion"], format!("admission.k8s.io/{version}"));
        assert_eq!(review["kind"], "AdmissionReview");
        assert_eq!(review["response"]["uid"], UID);
        let response = review["response"].take();
        assert_eq!(response.get("patch").is_some(), response.get("patchType").is_some());
        response
    }
}

/// The only warning of a response.
fn warning(response: &Value) -> &str {
    let warnings = response["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    warnings[0].as_str().unwrap()
}

/// The operations of a response's patch.
fn patch(response: &Value) -> Vec<Value> {
    assert_eq!(response["patchType"], "JSONPatch", "{response}");
    let bytes = STANDARD.decode(response["patch"].as_str().unwrap()).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// Does to `pod` what the response says.
fn apply(response: &Value, pod: &mut Value) {
    let operations: json_patch::Patch =
        serde_json::from_value(Value::from(patch(response))).unwrap();
    json_patch::patch(pod, &operations).unwrap();
}

// === what API servers send ===

/// The accounts that every synced world knows.
fn known() -> Vec<Value> {
    vec![
        with_role("irsa"),
        account("agent", &json!({"eks.amazonaws.com/pod-identity": "true"})),
        account("plain", &json!({})),
        account("bad-arn", &json!({"eks.amazonaws.com/role-arn": "app"})),
    ]
}

/// A Pod with one container that runs as `account`.
fn pod(account: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"generateName": "app-", "namespace": "ns"},
        "spec": {"serviceAccountName": account, "containers": [{"name": "app", "image": "app"}]}})
}

/// The review of a Pod's creation.
fn creation(version: &str, pod: &Value) -> Value {
    json!({"apiVersion": format!("admission.k8s.io/{version}"), "kind": "AdmissionReview",
        "request": {
            "uid": UID, "operation": "CREATE", "namespace": "ns", "dryRun": false,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller"},
            "object": pod, "oldObject": null, "options": {"kind": "CreateOptions"}}})
}

/// The same, of `ns` and v1, as text.
fn v1(pod: &Value) -> String {
    creation("v1", pod).to_string()
}

/// A request with any method and content type.
fn request(method: Method, path: &str, content_type: Option<&str>, body: Body) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    request.body(body).unwrap()
}
