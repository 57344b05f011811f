//! An API server that does as it is told, under a real `kube::Client` or on a loopback port.
//!
//! A script answers each request, and can be replaced while a test runs. Requests are counted. What
//! it says is what API servers say: streaming lists, watches, single accounts, `Status` objects.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Method, Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A request, as far as scripts care.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    method: Method,
    path: String,
    query: String,
    body: Value,
}

/// An answer.
#[derive(Debug)]
pub(crate) enum Reply {
    /// A status and an object.
    Json(u16, Value),
    /// These events of a watch, and what comes behind them.
    Events(Vec<Value>, Then),
    /// Another answer, later.
    After(Duration, Box<Reply>),
    /// Nothing, ever.
    Hangs,
    /// The connection breaks before there is an answer.
    Breaks,
}

/// What comes behind the events that are there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Then {
    /// Nothing, ever.
    Silence,
    /// The connection breaks after [`BREAKS_AFTER`].
    Break,
}

/// What was sent before a connection breaks has arrived by then.
const BREAKS_AFTER: Duration = Duration::from_millis(100);

type Script = Box<dyn FnMut(&Call) -> Reply + Send>;
type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// The server. Clones are one.
#[derive(Clone)]
pub(crate) struct Api(Arc<State>);

struct State {
    script: Mutex<Script>,
    calls: Mutex<Vec<Call>>,
}

/// The server on a loopback port; it ends with this.
pub(crate) struct Served {
    url: String,
    _accepting: JoinSet<Infallible>,
}

// === impl Api ===

impl Api {
    pub(crate) fn new(script: impl FnMut(&Call) -> Reply + Send + 'static) -> Self {
        Self(Arc::new(State { script: Mutex::new(Box::new(script)), calls: Mutex::default() }))
    }

    /// One that lists `objects`, keeps the watch open, and answers GETs by `get`.
    pub(crate) fn listing(
        objects: Vec<Value>,
        mut get: impl FnMut(&Call) -> Reply + Send + 'static,
    ) -> Self {
        Self::new(
            move |call| {
                if call.is_get() { get(call) } else { streamed(&objects, Then::Silence) }
            },
        )
    }

    /// From now on answers by `script`.
    pub(crate) fn now(&self, script: impl FnMut(&Call) -> Reply + Send + 'static) {
        *self.0.script.lock().unwrap() = Box::new(script);
    }

    /// The requests that `of` holds for, in their order.
    pub(crate) fn calls(&self, of: impl Fn(&Call) -> bool) -> Vec<Call> {
        self.0.calls.lock().unwrap().iter().filter(|call| of(call)).cloned().collect()
    }

    /// How many requests `of` holds for.
    pub(crate) fn count(&self, of: impl Fn(&Call) -> bool) -> usize {
        self.0.calls.lock().unwrap().iter().filter(|call| of(call)).count()
    }

    /// A client whose connection is this value.
    pub(crate) fn client(&self) -> kube::Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let api = api.clone();
            async move { api.answer(request).await }
        });
        kube::Client::new(service, "default")
    }

    /// Serves plain HTTP on a free loopback port.
    pub(crate) async fn serve(&self) -> Served {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let api = self.clone();
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let api = api.clone();
                let service =
                    hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
                        let api = api.clone();
                        async move { api.answer(request).await }
                    });
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                // One that breaks is one that was told to.
                connections.spawn(async move { drop(connection.await) });
            }
        });
        Served { url: format!("http://{address}"), _accepting: accepting }
    }

    async fn answer<B: http_body::Body>(&self, request: Request<B>) -> io::Result<Answer> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(http_body_util::Collected::to_bytes);
        let call = Call {
            method: head.method,
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            body: serde_json::from_slice(&body.unwrap_or_default()).unwrap_or_default(),
        };
        let mut reply = self.0.script.lock().unwrap()(&call);
        self.0.calls.lock().unwrap().push(call);
        while let Reply::After(pause, later) = reply {
            tokio::time::sleep(pause).await;
            reply = *later;
        }
        let broken = || io::Error::new(io::ErrorKind::ConnectionReset, "the connection broke");
        let frame = |line: Value| Ok(Frame::data(Bytes::from(format!("{line}\n"))));
        let (status, body) = match reply {
            Reply::Json(status, object) => (status, stream::iter([frame(object)]).boxed()),
            Reply::Events(events, then) => {
                let behind = match then {
                    Then::Silence => stream::pending().boxed(),
                    Then::Break => stream::once(async move {
                        tokio::time::sleep(BREAKS_AFTER).await;
                        Err(broken())
                    })
                    .boxed(),
                };
                (200, stream::iter(events.into_iter().map(frame)).chain(behind).boxed())
            }
            Reply::Hangs => std::future::pending().await,
            Reply::Breaks => return Err(broken()),
            Reply::After(..) => unreachable!("waited for above"),
        };
        let body = StreamBody::new(body).boxed_unsync();
        let json = (http::header::CONTENT_TYPE, "application/json");
        Ok(Response::builder().status(status).header(json.0, json.1).body(body).unwrap())
    }
}

// === impl Served ===

impl Served {
    /// A kubeconfig that leads here, with a token that nobody may ever see.
    pub(crate) fn kubeconfig(&self, token: &str) -> String {
        kubeconfig(&self.url, token)
    }
}

// === impl Call ===

impl Call {
    fn asks(&self, pair: &str) -> bool {
        self.query.split('&').any(|found| found == pair)
    }

    /// Whether an Event is written.
    pub(crate) fn is_event(&self) -> bool {
        self.path.starts_with("/apis/events.k8s.io/v1/")
    }

    /// The request's path.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The request's method.
    pub(crate) fn method(&self) -> &Method {
        &self.method
    }

    /// What was sent, if it was JSON.
    pub(crate) fn body(&self) -> &Value {
        &self.body
    }

    /// Whether it is a GET of one account.
    pub(crate) fn is_get(&self) -> bool {
        self.path.contains("/serviceaccounts/")
    }

    /// Whether it is a streaming list.
    pub(crate) fn is_streaming(&self) -> bool {
        self.asks("sendInitialEvents=true")
    }

    /// Whether it takes up a watch.
    pub(crate) fn is_watch(&self) -> bool {
        self.asks("watch=true") && !self.is_streaming()
    }

    /// The name of the account that a GET asks for.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap()
    }
}

// === what API servers say ===

/// A kubeconfig of one cluster and one user. JSON is YAML.
pub(crate) fn kubeconfig(url: &str, token: &str) -> String {
    json!({"apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": url}}],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}]})
    .to_string()
}

/// A `Status` that says no.
pub(crate) fn refusal(code: u16, reason: &str, message: &str) -> Reply {
    Reply::Json(code, status(code, reason, message))
}

/// The account does not exist.
pub(crate) fn not_found(call: &Call) -> Reply {
    refusal(404, "NotFound", &format!("serviceaccounts {:?} not found", call.name()))
}

/// The object of a refusal.
pub(crate) fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "code": code, "reason": reason, "message": message})
}

/// An event of a watch.
pub(crate) fn event(kind: &str, object: &Value) -> Value {
    json!({"type": kind, "object": object})
}

/// A streaming list of `objects`, and what comes behind it.
pub(crate) fn streamed(objects: &[Value], then: Then) -> Reply {
    let end = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata":
        {"resourceVersion": "9", "annotations": {"k8s.io/initial-events-end": "true"}}});
    let mut events: Vec<_> = objects.iter().map(|object| event("ADDED", object)).collect();
    events.push(event("BOOKMARK", &end));
    Reply::Events(events, then)
}

/// A paged list of `objects`, all on one page.
pub(crate) fn page(objects: &[Value]) -> Reply {
    let metadata = json!({"resourceVersion": "9"});
    let list = json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": objects});
    Reply::Json(200, list)
}

/// An account of the namespace `ns`, made long ago.
pub(crate) fn account(name: &str, annotations: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {
        "namespace": "ns", "name": name, "resourceVersion": "5",
        "creationTimestamp": "2020-01-01T00:00:00Z", "annotations": annotations}})
}

/// An account on the IRSA path.
pub(crate) fn with_role(name: &str) -> Value {
    account(name, &json!({"eks.amazonaws.com/role-arn": ROLE}))
}

/// The role of [`with_role`].
pub(crate) const ROLE: &str = "arn:aws:iam::111122223333:role/app";
