//! Traces: a span a call, with what was decided, below the API server's own; sent to a collector, and
//! never in the way of anything.
//!
//! The collector is a scripted one on loopback, which decodes what it gets.

use std::convert::Infallible;
use std::net::{Ipv4Addr, TcpListener as Std};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use cluster::Signal;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;

/// A collector, and what it got.
pub(crate) struct Collector {
    url: String,
    got: Arc<Mutex<Vec<Bytes>>>,
    _accepting: JoinSet<Infallible>,
}

// === impl Collector ===

impl Collector {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let got = Arc::<Mutex<Vec<Bytes>>>::default();
        let kept = Arc::clone(&got);
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let kept = Arc::clone(&kept);
                let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                    let kept = Arc::clone(&kept);
                    async move {
                        assert_eq!(request.uri().path(), "/v1/traces");
                        assert_eq!(request.headers()["content-type"], "application/x-protobuf");
                        let body = request.into_body().collect().await.unwrap().to_bytes();
                        kept.lock().unwrap().push(body);
                        Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
                    }
                });
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                connections.spawn(async move { drop(connection.await) });
            }
        });
        Self { url, got, _accepting: accepting }
    }

    /// `--otlp-endpoint`.
    pub(crate) fn flag(&self) -> String {
        format!("--otlp-endpoint={}", self.url)
    }

    fn exports(&self) -> Vec<ExportTraceServiceRequest> {
        let got = self.got.lock().unwrap();
        got.iter().map(|body| ExportTraceServiceRequest::decode(body.clone()).unwrap()).collect()
    }

    /// All spans so far, whichever batch they came in.
    fn spans(&self) -> Vec<Span> {
        let exports = self.exports().into_iter();
        let scopes = exports.flat_map(|export| export.resource_spans).flat_map(|r| r.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }

    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Span> {
        cluster::eventually("the spans arrive", SOON, || async {
            let spans = self.spans();
            anyhow::ensure!(spans.len() >= count, "{spans:#?}");
            Ok(spans)
        })
        .await
        .unwrap()
    }
}

/// The value of an attribute, as text.
pub(crate) fn attribute(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    let value = found.and_then(|found| found.value.as_ref()?.value.clone());
    match value {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        other => panic!("{key}: {other:?} in {attributes:#?}"),
    }
}

/// Reviews with a parent, as an API server with tracing sends it.
async fn review_below(running: &Running, parent: &str, account: &str) {
    let request = Request::post("/mutate")
        .header("content-type", "application/json")
        .header("traceparent", parent)
        .body(Body::from(review(account)))
        .unwrap();
    let answer = running.webhook.client().unwrap().send(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

#[tokio::test]
async fn a_call_is_a_span_with_what_was_decided_below_the_api_servers() {
    let collector = Collector::start().await;
    let running = Running::ready(&[&collector.flag()]).await;
    review_below(&running, &format!("00-{TRACE}-{PARENT}-01"), "irsa").await;
    running.review("/mutate/strict", "nobody").await;
    let (status, _) = running.webhook.post("/mutate", "{", "application/json").await.unwrap();
    assert_eq!(status, StatusCode::BAD_REQUEST);
    // Health is no call, and neither is what nobody serves.
    running.webhook.get_tls("/readyz").await.unwrap();
    running.webhook.get_tls("/nothing").await.unwrap();

    let spans = collector.wait_for(3).await;
    assert_eq!(spans.len(), 3, "{spans:#?}");
    let [below, alone, broken] = &spans[..] else { panic!() };
    assert_eq!(
        (hex(&below.trace_id).as_str(), hex(&below.parent_span_id).as_str()),
        (TRACE, PARENT)
    );
    for (key, value) in [
        ("uid", UID),
        ("namespace", "ns"),
        ("account", "irsa"),
        ("outcome", "injected"),
        ("reason", "injected"),
        ("method", "sts_web_identity"),
        ("source", "role-arn-annotation"),
        ("http.route", "/mutate"),
        ("http.response.status_code", "200"),
    ] {
        assert_eq!(attribute(&below.attributes, key), value, "{below:#?}");
    }
    assert_eq!((below.name.as_str(), below.kind), ("review", 2), "a server's");
    assert!(below.end_time_unix_nano > below.start_time_unix_nano);
    assert!(alone.parent_span_id.is_empty() && alone.trace_id != below.trace_id);
    assert_eq!(attribute(&alone.attributes, "reason"), "no-identity");
    assert_eq!(attribute(&alone.attributes, "http.route"), "/mutate/strict");
    assert_eq!(attribute(&broken.attributes, "http.response.status_code"), "400");

    let exports = collector.exports();
    let resource = exports[0].resource_spans[0].resource.clone().unwrap();
    assert_eq!(attribute(&resource.attributes, "service.name"), "pod-identity-webhook");
    assert_eq!(attribute(&resource.attributes, "service.version"), env!("CARGO_PKG_VERSION"));
    // The log is none the longer for it.
    assert!(
        !running.webhook.logs().iter().any(|line| line.contains("pod_identity_webhook::trace"))
    );
    assert!(running.webhook.logs().iter().any(|line| line.contains("decided")));
}

/// Whoever began the trace has decided whether it is kept.
#[tokio::test]
async fn a_parent_that_is_not_sampled_has_no_span_below() {
    let collector = Collector::start().await;
    let running = Running::ready(&[&collector.flag()]).await;
    review_below(&running, &format!("00-{TRACE}-{PARENT}-00"), "irsa").await;
    for malformed in ["", "00-zz-zz-01", "ff-00-00-00"] {
        review_below(&running, malformed, "agent").await;
    }
    let spans = collector.wait_for(3).await;
    assert!(spans.iter().all(|span| attribute(&span.attributes, "account") == "agent"));
    assert!(spans.iter().all(|span| span.parent_span_id.is_empty()));
}

/// What happened last is not lost: it is sent while stopping.
#[tokio::test]
async fn the_last_spans_are_sent_before_it_ends() {
    let collector = Collector::start().await;
    let running = Running::ready(&[&collector.flag()]).await;
    for _ in 0..20 {
        running.review("/mutate", "irsa").await;
    }
    let status = running.webhook.terminate().await.unwrap();
    assert!(status.success(), "{status}");
    assert_eq!(collector.spans().len(), 20);
}

/// A collector that is away, or that hangs, costs spans and nothing else.
#[tokio::test]
async fn without_its_collector_it_serves_stops_and_says_once_that_spans_are_lost() {
    let away = Std::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let closed = format!("--otlp-endpoint=http://{}", away.local_addr().unwrap());
    drop(away);
    // It accepts, and never answers.
    let silent = Std::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let hangs = format!("--otlp-endpoint=http://{}", silent.local_addr().unwrap());
    for (flag, reason) in [(closed, "cannot be reached"), (hangs, "no answer of the collector")] {
        let running = Running::ready(&[&flag, "--log-level=debug"]).await;
        for _ in 0..3 {
            assert!(running.review("/mutate", "irsa").await["patch"].is_string());
        }
        let line = running.webhook.wait_for_log("spans are lost", SOON).await.unwrap();
        assert!(line.contains("WARN") && line.contains(reason), "{line}");
        running.review("/mutate", "irsa").await;
        assert_eq!(running.readiness().await.0, StatusCode::OK);
        running.webhook.signal(Signal::Terminate).unwrap();
        let status = running.webhook.ended(SOON).await.unwrap();
        assert!(status.success(), "{status}");
        let lost =
            running.webhook.logs().into_iter().filter(|line| line.contains("spans are lost"));
        assert_eq!(lost.count(), 1);
    }
}

/// N4: nothing of a Pod but its names.
#[tokio::test]
async fn no_span_holds_what_is_in_a_pod() {
    const MARKER: &str = "wJalrXUtnFEMI-marker";

    let collector = Collector::start().await;
    let running = Running::ready(&[&collector.flag(), "--log-level=trace"]).await;
    let secretive = review_of(&json!({"serviceAccountName": "irsa", "containers": [
        {"name": "app", "image": MARKER, "args": [MARKER], "env": [
            {"name": "AWS_SECRET_ACCESS_KEY", "value": MARKER},
            {"name": "AWS_ROLE_ARN", "value": MARKER}]}]}));
    let unreadable = review_of(&json!({"containers": MARKER}));
    for path in ["/mutate", "/mutate/strict"] {
        for body in [secretive.clone(), unreadable.clone(), MARKER.into()] {
            running.webhook.post(path, body, "application/json").await.unwrap();
        }
    }
    collector.wait_for(6).await;
    for body in collector.got.lock().unwrap().iter() {
        for secret in [MARKER, TOKEN] {
            assert!(!body.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()));
        }
    }
    let logs = running.webhook.logs().join("\n");
    assert!(logs.contains("\"TRACE\"") && !logs.contains(MARKER) && !logs.contains(TOKEN));
}
