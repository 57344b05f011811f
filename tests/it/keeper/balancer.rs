//! What a Service is to API servers: one address in front of those replicas that are ready.
//!
//! It passes bytes on and nothing else. A connection that cannot be made is tried with the next
//! replica; one that was made is never moved.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// A running balancer, ended when this is dropped.
pub(super) struct Balancer {
    address: SocketAddr,
    shared: Arc<Shared>,
    _accepting: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    backends: Mutex<Vec<SocketAddr>>,
    /// Ends every connection that is under way.
    cuts: Notify,
    turn: AtomicUsize,
}

// === impl Balancer ===

impl Balancer {
    /// Listens on a free port, with nobody behind it.
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let mut accepting = JoinSet::new();
        accepting.spawn({
            let shared = Arc::clone(&shared);
            async move {
                let mut connections = JoinSet::new();
                loop {
                    let (client, _) = listener.accept().await.unwrap();
                    connections.spawn(Arc::clone(&shared).pass(client));
                    while connections.try_join_next().is_some() {}
                }
            }
        });
        Self { address, shared, _accepting: accepting }
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on this replica gets connections too.
    pub(super) fn add(&self, backend: SocketAddr) {
        self.shared.backends.lock().unwrap().push(backend);
    }

    /// From now on it gets none any more; those that it has stay.
    pub(super) fn remove(&self, backend: SocketAddr) {
        self.shared.backends.lock().unwrap().retain(|known| *known != backend);
    }

    /// Ends all connections: API servers make new ones, and verify certificates anew.
    pub(super) fn cut(&self) {
        self.shared.cuts.notify_waiters();
    }
}

// === impl Shared ===

impl Shared {
    async fn pass(self: Arc<Self>, mut client: TcpStream) {
        let backends = self.backends.lock().unwrap().clone();
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        for backend in
            backends.iter().cycle().skip(first % backends.len().max(1)).take(backends.len())
        {
            if let Ok(mut server) = TcpStream::connect(*backend).await {
                // How a connection ends is its two ends' business.
                tokio::select! {
                    _ = copy_bidirectional(&mut client, &mut server) => {}
                    () = self.cuts.notified() => {}
                }
                return;
            }
        }
    }
}
