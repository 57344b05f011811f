//! A stretch of road between a webhook and its API server, with valves.
//!
//! Plain HTTP on the webhook's side, the admin's credentials on the other. What a watch says passes
//! frame by frame, and stops where the test closes the valve: nothing breaks, nothing comes.

use std::{convert::Infallible, path::PathBuf};

use bytes::Bytes;
use cluster::ControlPlane;
use futures::{StreamExt, TryStreamExt};
use http::{Method, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, BodyStream, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use kube::{Client, client::Body};
use serde_json::json;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

/// Whether something passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Valve {
    Open,
    Closed,
}

/// The proxy; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Proxy {
    folder: tempfile::TempDir,
    valves: Valves<watch::Sender<Valve>>,
    _running: JoinSet<()>,
}

/// One valve for what watches say, one for whole GETs of single accounts.
#[derive(Clone, Debug)]
struct Valves<V> {
    watches: V,
    gets: V,
}

type Error = Box<dyn std::error::Error + Send + Sync>;

// === impl Proxy ===

impl Proxy {
    /// Starts one in front of the API server of `plane`, with both valves open.
    pub(super) async fn start(plane: &ControlPlane) -> Self {
        let mut config = plane.config();
        config.default_retry = false;
        let client = Client::try_from(config).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let valves = Valves {
            watches: watch::Sender::new(Valve::Open),
            gets: watch::Sender::new(Valve::Open),
        };
        let seen = Valves { watches: valves.watches.subscribe(), gets: valves.gets.subscribe() };

        let mut running = JoinSet::new();
        running.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (client, valves) = (client.clone(), seen.clone());
                let service = service_fn(move |request| {
                    let (client, valves) = (client.clone(), valves.clone());
                    async move { Ok::<_, Infallible>(pass(&client, valves, request).await) }
                });
                let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                // A webhook that ends breaks its connections, which is no concern of ours.
                connections.spawn(async { drop(served.await) });
            }
        });

        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "proxy", "cluster": { "server": format!("http://{address}") } }],
            "users": [{ "name": "proxy", "user": {} }],
            "contexts": [{ "name": "proxy", "context": { "cluster": "proxy", "user": "proxy" } }],
            "current-context": "proxy",
        });
        std::fs::write(folder.path().join("kubeconfig"), kubeconfig.to_string()).unwrap();
        Self { folder, valves, _running: running }
    }

    /// The kubeconfig of the webhook behind it.
    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// Lets pass, or holds back, what watches say from now on.
    pub(super) fn watches(&self, valve: Valve) {
        self.valves.watches.send_replace(valve);
    }

    /// Lets pass, or holds back, GETs of single accounts.
    pub(super) fn gets(&self, valve: Valve) {
        self.valves.gets.send_replace(valve);
    }
}

/// Passes on one request and its answer.
async fn pass(
    client: &Client,
    valves: Valves<watch::Receiver<Valve>>,
    request: Request<Incoming>,
) -> Response<UnsyncBoxBody<Bytes, Error>> {
    let Valves { watches, gets } = valves;
    let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
    if !is_watch
        && request.method() == Method::GET
        && request.uri().path().contains("/serviceaccounts/")
    {
        open(gets).await;
    }
    let (mut head, body) = request.into_parts();
    head.headers.remove(header::HOST);
    let body = body.collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
    let answer = match client.send(Request::from_parts(head, Body::from(body))).await {
        Ok(answer) => answer,
        Err(error) => {
            let text = Full::new(Bytes::from(error.to_string())).map_err(|never| match never {});
            let mut answer = Response::new(text.boxed_unsync());
            *answer.status_mut() = StatusCode::BAD_GATEWAY;
            return answer;
        }
    };
    let (mut head, body) = answer.into_parts();
    head.headers.remove(header::TRANSFER_ENCODING);
    if !is_watch {
        return Response::from_parts(head, body.map_err(Error::from).boxed_unsync());
    }
    let frames = TryStreamExt::map_err(BodyStream::new(body), Error::from).then(move |frame| {
        let watches = watches.clone();
        async move {
            open(watches).await;
            frame as Result<Frame<Bytes>, Error>
        }
    });
    Response::from_parts(head, StreamBody::new(frames).boxed_unsync())
}

/// Waits until a valve is open.
async fn open(mut valve: watch::Receiver<Valve>) {
    // An error means that the test is over.
    drop(valve.wait_for(|valve| *valve == Valve::Open).await);
}
