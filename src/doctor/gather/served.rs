//! What is served where API servers call: a handshake, and `/readyz` over the same connection.
//!
//! A Pod is asked at its address from inside the cluster alone: elsewhere the same address may be
//! anybody's. From there it is asked through the API server's port-forward. A connection that fails
//! says something only if it is made from where API servers stand: on this machine, when the API
//! server is on it, too.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use http::{Request, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Question, Standpoint};
use crate::certificate::handshake;
use crate::doctor::observed::{Answer, Served};
use crate::installation::{Installation, Place, Why};

/// How long a connection may take to be made.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// How long handshake and answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How many replicas are asked; more say nothing new.
const REPLICAS: usize = 10;

/// How much of what `/readyz` says is read, in bytes.
const MAX_READY: usize = 64 * 1024;

/// The port of a URL that names none.
const HTTPS: u16 = 443;

/// Somebody to ask.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Target {
    /// The name that the certificate has to be for.
    host: String,
    address: String,
    port: u16,
    /// Namespace and name of the Pod, if it is one.
    pod: Option<(Box<str>, Box<str>)>,
}

/// Asks everybody that the entries call.
pub(super) async fn all(
    client: &Client,
    installation: &Installation,
    question: &Question,
) -> Vec<Served> {
    let mut targets = BTreeMap::<Target, Vec<usize>>::new();
    for (index, entry) in installation.entries.iter().enumerate() {
        for target in targets_of(&entry.place, installation) {
            targets.entry(target).or_default().push(index);
        }
    }
    let ask = |(target, entries): (Target, Vec<usize>)| async move {
        let (name, answer) = one(client, &target, question).await;
        Served { entries, target: name, answer }
    };
    stream::iter(targets).map(ask).buffered(REPLICAS).collect().await
}

fn targets_of(place: &Place, installation: &Installation) -> Vec<Target> {
    let host = place.host();
    let target = |address: &str, port, pod| Target {
        host: host.clone(),
        address: address.into(),
        port,
        pod,
    };
    let (namespace, name, number) = match place {
        Place::Url(url) => {
            let port = url.parse::<Uri>().ok().and_then(|url| url.port_u16());
            return vec![target(&host, port.unwrap_or(HTTPS), None)];
        }
        Place::Service { namespace, name, port, path: _ } => (namespace, name, *port),
    };
    let backend = installation
        .backends
        .iter()
        .find(|backend| backend.namespace == *namespace && backend.name == *name);
    let Some(backend) = backend else { return Vec::new() };
    let Ok(Some(service)) = &backend.service else { return Vec::new() };
    if let Some(external) = &service.external_name {
        return vec![target(external, number, None)];
    }
    let Some(port) = service.port(number) else { return Vec::new() };
    let of = |endpoint: &crate::installation::Endpoint| {
        let pod = endpoint.pod.clone().map(|pod| (namespace.clone(), pod));
        Some(target(&endpoint.address, endpoint.port(port)?, pod))
    };
    backend.ready().filter_map(of).take(REPLICAS).collect()
}

async fn one(client: &Client, target: &Target, question: &Question) -> (String, Answer) {
    let Target { host, address, port, pod } = target;
    let shown = match address.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => format!("[{address}]:{port}"),
        _ => format!("{address}:{port}"),
    };
    let is_here = is_loopback(address);
    let with_api_server = is_here && question.api_server.host().is_some_and(is_loopback);
    if is_here && !with_api_server {
        let why = "it is the API server's own machine, not this one".to_owned();
        return (shown, Answer::OutOfReach(why));
    }
    let why = match (pod, question.standpoint) {
        (Some(_), Standpoint::Outside) => None,
        (None, _) | (Some(_), Standpoint::Inside) => match connect(address, *port).await {
            Ok(stream) => return (shown, shake(stream, host).await),
            Err(why) if with_api_server => return (shown, Answer::Refused(why)),
            Err(why) => Some(why),
        },
    };
    let Some((namespace, name)) = pod else {
        let why = why.unwrap_or_default();
        return (shown, Answer::OutOfReach(format!("not to be reached from here: {why}")));
    };
    let shown = format!("Pod {namespace}/{name}, port {port}");
    let answer = match forward(client, namespace, name, *port).await {
        Ok(stream) => match shake(stream, host).await {
            // What the kubelet cannot reach looks like a server that hangs up.
            Answer::NoHandshake(why) => Answer::OutOfReach(format!("by port-forward: {why}")),
            answer => answer,
        },
        Err(why) => Answer::OutOfReach(format!("by port-forward: {why}")),
    };
    (shown, answer)
}

async fn connect(address: &str, port: u16) -> Result<TcpStream, String> {
    match timeout(CONNECT_WITHIN, TcpStream::connect((address, port))).await {
        Ok(connected) => connected.map_err(|error| error.to_string()),
        Err(_) => Err(Why::NoAnswer.to_string()),
    }
}

/// A connection to a Pod's port, through API server and kubelet.
async fn forward(
    client: &Client,
    namespace: &str,
    pod: &str,
    port: u16,
) -> Result<impl AsyncRead + AsyncWrite + Unpin, String> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let mut forwarder = match timeout(CONNECT_WITHIN, api.portforward(pod, &[port])).await {
        Ok(forwarder) => forwarder.map_err(|error| Why::of(&error).to_string())?,
        Err(_) => return Err(Why::NoAnswer.to_string()),
    };
    let stream = forwarder.take_stream(port);
    stream.ok_or_else(|| "the API server gives no stream".to_owned())
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

async fn shake<S: AsyncRead + AsyncWrite + Unpin>(stream: S, host: &str) -> Answer {
    match timeout(ANSWER_WITHIN, handshake(stream, host)).await {
        Ok(Ok((chain, stream))) => {
            let ready = timeout(ANSWER_WITHIN, ready(stream, host)).await.ok().flatten();
            Answer::Shook { chain, ready }
        }
        Ok(Err(why)) => Answer::NoHandshake(why),
        Err(_) => Answer::NoHandshake(Why::NoAnswer.to_string()),
    }
}

/// What `/readyz` says.
async fn ready<S: AsyncRead + AsyncWrite + Unpin>(stream: S, host: &str) -> Option<(u16, String)> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let request = Request::get("/readyz").header(http::header::HOST, host);
    let request = request.body(Empty::<bytes::Bytes>::new()).ok()?;
    let answer = async {
        let answer = sender.send_request(request).await.ok()?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), MAX_READY).collect().await.ok()?.to_bytes();
        Some((status, String::from_utf8_lossy(&body).into_owned()))
    };
    tokio::pin!(answer);
    let connection = async {
        // It ends with the exchange, or before it with nothing to say.
        let _ended = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = &mut answer => answer,
        () = connection => None,
    }
}
