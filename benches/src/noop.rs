//! The floor: a TLS server that reads each body and answers a constant.
//!
//! What it costs is what TLS, HTTP/1.1 and the kernel cost: no webhook can cost less. It is started
//! as the webhook is (`--tls-cert`, `--tls-key`; all other flags are taken and ignored) and says in
//! the same log line where it listens, so that everything that runs the webhook runs it too.
//!
//! With `NOOP_PATCH`, a patch in base64, it answers that to every review: what no webhook that
//! makes those edits can beat, since the API server's own work on a patch is in it. The only thing
//! that it looks for in a review is the uid, which API servers want back.

use std::{convert::Infallible, path::PathBuf, sync::Arc};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Request, Response, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Collected, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

/// What stands around a uid in every answer.
#[derive(Debug)]
struct Frame {
    before: Vec<u8>,
    after: Vec<u8>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let (certificate, key) = (file("--tls-cert=")?, file("--tls-key=")?);
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let frame = Arc::new(Frame::new(std::env::var("NOOP_PATCH").ok().as_deref()));

    let (webhook, metrics) =
        (TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?);
    for (server, listener) in [("webhook", &webhook), ("metrics", &metrics)] {
        let address = listener.local_addr()?;
        println!("{{\"message\":\"listening\",\"server\":\"{server}\",\"address\":\"{address}\"}}");
    }
    loop {
        tokio::select! {
            accepted = webhook.accept() => {
                let (acceptor, frame) = (acceptor.clone(), Arc::clone(&frame));
                let (io, _) = accepted?;
                io.set_nodelay(true)?;
                drop(spawn(async move {
                    if let Ok(io) = acceptor.accept(io).await {
                        serve(TokioIo::new(io), frame).await;
                    }
                }));
            }
            accepted = metrics.accept() => {
                let (io, _): (TcpStream, _) = accepted?;
                let frame = Arc::clone(&frame);
                drop(spawn(async move { serve(TokioIo::new(io), frame).await }));
            }
        }
    }
}

/// One connection.
#[expect(clippy::disallowed_methods, reason = "the floor has no drain: it ends with its process")]
fn spawn(connection: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
    tokio::spawn(connection)
}

async fn serve<T>(io: T, frame: Arc<Frame>)
where
    T: hyper::rt::Read + hyper::rt::Write + Unpin,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let frame = Arc::clone(&frame);
        async move {
            let body = request.into_body().collect().await.map(Collected::to_bytes);
            let answer = frame.around(uid(&body.unwrap_or_default()));
            let mut response = Response::new(Full::new(answer));
            response
                .headers_mut()
                .insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
            Ok::<_, Infallible>(response)
        }
    });
    // How a connection ends is the client's business.
    drop(http1::Builder::new().serve_connection(io, service).await);
}

/// The review's uid, which comes before the object's.
fn uid(body: &[u8]) -> &[u8] {
    const KEY: &[u8] = b"\"uid\":\"";
    let rest = memchr::memmem::find(body, KEY).and_then(|at| body.get(at + KEY.len()..));
    let rest = rest.unwrap_or_default();
    let end = memchr::memchr(b'"', rest).unwrap_or_default();
    rest.get(..end).unwrap_or_default()
}

/// The value of a flag that has to be there.
fn file(flag: &str) -> Result<PathBuf> {
    let value = std::env::args().find_map(|arg| arg.strip_prefix(flag).map(PathBuf::from));
    value.with_context(|| format!("usage: noop --tls-cert=FILE --tls-key=FILE; {flag} is missing"))
}

// === impl Frame ===

impl Frame {
    fn new(patch: Option<&str>) -> Self {
        let patch = patch.map_or(String::new(), |patch| {
            format!(r#","patchType":"JSONPatch","patch":"{patch}""#)
        });
        let before = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"allowed":true,"uid":""#;
        Self { before: before.into(), after: format!("\"{patch}}}}}").into_bytes() }
    }

    fn around(&self, uid: &[u8]) -> Bytes {
        [&self.before, uid, &self.after].concat().into()
    }
}
