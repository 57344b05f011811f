//! A TLS connection that is kept, as an API server keeps its connections to webhooks.

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::ServerName};
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpStream, task::JoinSet, time::timeout};
use tokio_rustls::TlsConnector;

/// How long any step may take.
const STEP: Duration = Duration::from_secs(20);

/// One connection.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    certificate: Vec<u8>,
    host: String,
    _driver: JoinSet<()>,
}

/// How a client gets connections: which authorities it trusts.
#[derive(Clone)]
pub(super) struct Connector {
    host: String,
    tls: TlsConnector,
}

// === impl Connector ===

impl Connector {
    /// Connects to `url`, such as `https://127.0.0.1:1`, trusting these authorities (DER).
    pub(super) fn new(url: &str, authorities: &[&[u8]]) -> Self {
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority.to_vec().into()).unwrap();
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let host = url.strip_prefix("https://").unwrap().to_owned();
        Self { host, tls: TlsConnector::from(Arc::new(config)) }
    }

    /// A new connection.
    pub(super) async fn connect(&self) -> Result<Connection> {
        let Self { host, tls } = self;
        let (name, _) = host.split_once(':').context("no port")?;
        let connect = async {
            let stream = TcpStream::connect(host).await?;
            let stream = tls.connect(ServerName::try_from(name.to_owned())?, stream).await?;
            let (_, session) = stream.get_ref();
            let chain = session.peer_certificates().context("no certificate")?;
            let certificate = chain.first().context("an empty chain")?.to_vec();
            let (sender, connection) = handshake(TokioIo::new(stream)).await?;
            let mut driver = JoinSet::new();
            driver.spawn(async { drop(connection.await) });
            anyhow::Ok(Connection { sender, certificate, host: host.clone(), _driver: driver })
        };
        timeout(STEP, connect).await.context("no connection in time")?
    }
}

// === impl Connection ===

impl Connection {
    /// The certificate that the server has shown, DER.
    pub(super) fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Whether another request can be sent.
    pub(super) fn is_open(&self) -> bool {
        self.sender.is_ready()
    }

    /// POSTs JSON and waits for the whole answer.
    pub(super) async fn post(&mut self, path: &str, json: String) -> Result<Response<Bytes>> {
        let request = Request::post(path)
            .header(header::HOST, &self.host)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(json))?;
        let exchange = async {
            self.sender.ready().await?;
            let (head, body) = self.sender.send_request(request).await?.into_parts();
            anyhow::Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
        };
        timeout(STEP, exchange).await.context("no answer in time")?
    }
}
