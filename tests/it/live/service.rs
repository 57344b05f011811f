//! What a Service does for a webhook: new connections go to one backend, and then to another.
//!
//! Connections that stand stay where they are, as under kube-proxy.

use std::net::SocketAddr;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// The service; it ends, with all connections through it, when this is dropped.
#[derive(Debug)]
pub(super) struct Service {
    url: String,
    backend: watch::Sender<SocketAddr>,
    _running: JoinSet<()>,
}

// === impl Service ===

impl Service {
    /// Listens, and connects to what is at `url`.
    pub(super) async fn start(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let backend = watch::Sender::new(address_of(url));
        let seen = backend.subscribe();
        let mut running = JoinSet::new();
        running.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let backend = *seen.borrow();
                connections.spawn(async move {
                    // A backend that refuses shows as a connection that ends at once.
                    if let Ok(mut server) = TcpStream::connect(backend).await {
                        drop(copy_bidirectional(&mut client, &mut server).await);
                    }
                });
            }
        });
        Self { url: format!("https://{address}"), backend, _running: running }
    }

    /// Where it listens.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Connects to what is at `url` from now on.
    pub(super) fn switch(&self, url: &str) {
        self.backend.send_replace(address_of(url));
    }
}

fn address_of(url: &str) -> SocketAddr {
    url.strip_prefix("https://").unwrap().parse().unwrap()
}
