//! As much of a kubelet as port-forward takes: API servers pass the client's WebSocket on to it.
//!
//! One port a connection; a message is a channel's number and bytes, 0 for data and 1 for errors, and
//! the first of each channel is the port (`v4.channel.k8s.io`, kubelet's `portforward/websocket.go`).

use std::net::SocketAddr;
use std::sync::Arc;

use cluster::Authority;
use futures::{SinkExt as _, StreamExt as _};
use http::HeaderValue;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

/// A kubelet on a free port, ended when this is dropped.
pub(super) struct Kubelet {
    pub(super) port: u16,
    _running: JoinSet<()>,
}

// === impl Kubelet ===

impl Kubelet {
    /// Forwards to `webhook`, whatever the Pod.
    pub(super) async fn start(webhook: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = acceptor();
        let mut running = JoinSet::new();
        running.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, acceptor.clone(), webhook));
            }
        });
        Self { port, _running: running }
    }
}

fn acceptor() -> TlsAcceptor {
    let pair = Authority::new("kubelet").unwrap().serving(&["127.0.0.1"]).unwrap();
    let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

#[expect(clippy::result_large_err, reason = "the callback's signature")]
async fn serve(stream: TcpStream, acceptor: TlsAcceptor, webhook: SocketAddr) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let mut port = None::<u16>;
    let answer = |request: &Request, mut response: Response| {
        let query = request.uri().query().unwrap_or_default();
        let ports = query.split('&').filter_map(|pair| pair.split_once('=')?.1.parse().ok());
        port = ports.into_iter().next();
        // The newest that kubelets know of those that the client offers.
        let protocol = HeaderValue::from_static("v4.channel.k8s.io");
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, protocol);
        Ok(response)
    };
    let socket = accept_hdr_async(stream, answer).await.unwrap();
    let (mut sink, mut source) = socket.split();
    let port = port.expect("a port").to_le_bytes();
    for channel in [0, 1] {
        let first = vec![channel, port[0], port[1]];
        sink.send(Message::Binary(first.into())).await.unwrap();
    }
    let (mut reader, mut writer) = TcpStream::connect(webhook).await.unwrap().into_split();
    let up = async {
        while let Some(Ok(message)) = source.next().await {
            if let Message::Binary(bytes) = message
                && writer.write_all(&bytes[1..]).await.is_err()
            {
                return;
            }
        }
    };
    let down = async {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = reader.read(&mut buffer).await {
            let mut message = vec![0];
            message.extend_from_slice(&buffer[..read]);
            if sink.send(Message::Binary(message.into())).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = up => {}
        () = down => {}
    }
}
