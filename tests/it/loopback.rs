//! Plain HTTP servers on loopback, scripted by the test that starts them.
//!
//! One function answers every request. A request that it does not answer is left hanging, with its
//! connection open. The server ends with the value that stands for it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A running server.
pub(crate) struct Loopback {
    address: SocketAddr,
    /// Aborted when dropped, and every connection with it.
    _accepting: JoinSet<()>,
}

// === impl Loopback ===

impl Loopback {
    /// Serves `answer` on a free port.
    pub(crate) async fn serve<A>(answer: A) -> Self
    where
        A: Fn(&Request<Bytes>) -> Option<Response<String>> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(answer);
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(connection(stream, Arc::clone(&answer)));
            }
        });
        Self { address, _accepting: accepting }
    }

    /// `http://127.0.0.1:PORT`, without a path.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn connection<A>(stream: TcpStream, answer: Arc<A>)
where
    A: Fn(&Request<Bytes>) -> Option<Response<String>>,
{
    let service = service_fn(|request: Request<Incoming>| async {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        match answer(&Request::from_parts(head, body)) {
            Some(response) => Ok::<_, hyper::Error>(response),
            None => std::future::pending().await,
        }
    });
    // A caller that goes away in the middle is part of some scripts.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
