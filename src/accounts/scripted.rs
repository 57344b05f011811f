//! An API server that does as it is told: a tower service under a real `kube::Client`.
//!
//! A script answers each request; it can be replaced while the test runs. Requests are counted,
//! and so are those whose client left before the answer was whole.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::channel::mpsc;
use futures::{StreamExt, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

/// A request, as far as scripts care.
#[derive(Clone, Debug)]
pub(super) struct Call {
    path: String,
    query: String,
}

/// An answer.
pub(super) enum Reply {
    /// A status and an object.
    Json(u16, Value),
    /// A failed status with a reason and a message.
    Failure(u16, &'static str, String),
    /// These events, and what comes behind them.
    Events(Vec<Value>, Then),
    /// Another answer, later.
    After(Duration, Box<Reply>),
    /// Nothing, ever.
    Hangs,
    /// The connection breaks before there is an answer.
    Breaks,
}

/// What comes behind the events that are there.
pub(super) enum Then {
    /// Nothing, ever.
    Silence,
    /// The end.
    End,
    /// The connection breaks.
    Break,
    /// What the test sends, then the end.
    More(mpsc::UnboundedReceiver<Value>),
}

type Script = Box<dyn FnMut(&Call) -> Reply + Send>;
type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// The server.
#[derive(Clone)]
pub(super) struct Server(Arc<State>);

struct State {
    script: Mutex<Script>,
    calls: Mutex<Vec<Call>>,
    left: AtomicUsize,
}

/// Notes that the client left, unless the answer was given.
struct Presence(Option<Arc<State>>);

// === impl Server ===

impl Server {
    pub(super) fn new(script: impl FnMut(&Call) -> Reply + Send + 'static) -> Self {
        Self(Arc::new(State {
            script: Mutex::new(Box::new(script)),
            calls: Mutex::default(),
            left: AtomicUsize::new(0),
        }))
    }

    /// From now on answers by `script`.
    pub(super) fn now(&self, script: impl FnMut(&Call) -> Reply + Send + 'static) {
        *self.0.script.lock().unwrap() = Box::new(script);
    }

    pub(super) fn client(&self) -> Client {
        let state = Arc::clone(&self.0);
        let service = tower::service_fn(move |request: Request<Body>| {
            let state = Arc::clone(&state);
            async move {
                let call = Call {
                    path: request.uri().path().to_owned(),
                    query: request.uri().query().unwrap_or_default().to_owned(),
                };
                let reply = state.script.lock().unwrap()(&call);
                state.calls.lock().unwrap().push(call);
                let mut presence = Presence(Some(state));
                let answer = answer(reply).await;
                presence.0 = None;
                answer
            }
        });
        Client::new(service, "default")
    }

    /// How many requests `of` holds for.
    pub(super) fn count(&self, of: impl Fn(&Call) -> bool) -> usize {
        self.0.calls.lock().unwrap().iter().filter(|c| of(c)).count()
    }

    /// How many clients left before they had an answer.
    pub(super) fn left(&self) -> usize {
        self.0.left.load(Ordering::SeqCst)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        if let Some(state) = &self.0 {
            state.left.fetch_add(1, Ordering::SeqCst);
        }
    }
}

async fn answer(mut reply: Reply) -> io::Result<Answer> {
    while let Reply::After(pause, later) = reply {
        tokio::time::sleep(pause).await;
        reply = *later;
    }
    let broken = || io::Error::new(io::ErrorKind::ConnectionReset, "the connection broke");
    let (status, lines, then) = match reply {
        Reply::Json(status, object) => (status, vec![object], Then::End),
        Reply::Failure(code, reason, message) => {
            (code, vec![failure(code, reason, &message)], Then::End)
        }
        Reply::Events(events, then) => (200, events, then),
        Reply::Hangs => std::future::pending().await,
        Reply::Breaks => return Err(broken()),
        Reply::After(..) => unreachable!("waited for above"),
    };
    let frame = |line: Value| Ok(Frame::data(Bytes::from(format!("{line}\n"))));
    let lines = stream::iter(lines).map(frame);
    let then = match then {
        Then::Silence => stream::pending().boxed(),
        Then::End => stream::empty().boxed(),
        Then::Break => stream::iter([Err(broken())]).boxed(),
        Then::More(more) => more.map(frame).boxed(),
    };
    Ok(Response::builder()
        .status(status)
        .body(StreamBody::new(lines.chain(then)).boxed_unsync())
        .unwrap())
}

// === impl Call ===

impl Call {
    fn asks(&self, pair: &str) -> bool {
        self.query.split('&').any(|found| found == pair)
    }

    pub(super) fn of_config_maps(&self) -> bool {
        self.path.ends_with("/configmaps")
    }

    pub(super) fn is_get(&self) -> bool {
        self.path.contains("/serviceaccounts/")
    }

    pub(super) fn is_list(&self) -> bool {
        !self.is_get() && !self.asks("watch=true")
    }

    pub(super) fn is_streaming(&self) -> bool {
        self.asks("sendInitialEvents=true")
    }

    pub(super) fn is_watch(&self) -> bool {
        self.asks("watch=true") && !self.is_streaming()
    }

    pub(super) fn asks_for_page(&self, token: &str) -> bool {
        self.asks(&format!("continue={token}"))
    }

    /// The name of the account that a GET asks for.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap()
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }
}

// === what API servers say ===

/// A `Status` that says no.
pub(super) fn failure(code: u16, reason: &str, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "code": code, "reason": reason, "message": message})
}

/// An event of a watch.
pub(super) fn event(kind: &str, object: &Value) -> Value {
    json!({"type": kind, "object": object})
}

/// The end of a streaming list.
pub(super) fn end() -> Value {
    event(
        "BOOKMARK",
        &json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata":
            {"resourceVersion": "9", "annotations": {"k8s.io/initial-events-end": "true"}}}),
    )
}

/// A streaming list of `objects`, and what comes behind it.
pub(super) fn streamed(objects: &[Value], then: Then) -> Reply {
    let mut events: Vec<_> = objects.iter().map(|o| event("ADDED", o)).collect();
    events.push(end());
    Reply::Events(events, then)
}

/// A page of a list.
pub(super) fn page(objects: &[Value], more: &str) -> Reply {
    let metadata = json!({"resourceVersion": "9", "continue": more});
    Reply::Json(
        200,
        json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": objects}),
    )
}

/// An account made long ago.
pub(super) fn account(name: &str, annotations: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {
        "namespace": "ns", "name": name, "resourceVersion": "5",
        "creationTimestamp": "2020-01-01T00:00:00Z", "annotations": annotations}})
}

/// An account made long ago, with a role.
pub(super) fn with_role(name: &str, role: &str) -> Value {
    account(name, &json!({"eks.amazonaws.com/role-arn": role}))
}

/// An account made now, without an identity.
pub(super) fn fresh(name: &str) -> Value {
    let mut object = account(name, &json!({}));
    object["metadata"]["creationTimestamp"] =
        json!(k8s_openapi::jiff::Timestamp::now().to_string());
    object
}

/// The ConfigMap of mappings.
pub(super) fn config_map(config: &str) -> Value {
    json!({"kind": "ConfigMap", "apiVersion": "v1", "data": {"config": config},
        "metadata": {"namespace": "eks", "name": "pod-identity-webhook", "resourceVersion": "7"}})
}
