//! The accept loop: time limits, a cap on connections and an orderly stop, for any service.
//!
//! `Settings -> bind -> Bound -> run`. What is served is not known here: any tower service over
//! hyper's request will do. HTTP/1.1 only, which is what API servers speak to webhooks.
//!
//! Invariants: no peer can hold a connection without making progress ([`Limits`]); no error of
//! `accept` or of a connection ends the loop; a request that was read is answered, also while
//! stopping ([`Shutdown`]).

mod accept;
pub mod budget;
mod calls;
mod connection;
mod drain;
mod peer;
mod progress;
#[cfg(test)]
mod tests;

use std::{fmt, io, net::SocketAddr, time::Duration};

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

pub use budget::{BodyError, Budget, Held};
pub use drain::{Drain, Phase, Shutdown};
pub use peer::Peer;

/// Connections that one listener holds at most, unless told otherwise. A cluster has a handful of
/// API servers, each with some ten connections.
pub const DEFAULT_CONNECTIONS: usize = 4096;

/// File descriptors that are never spent on connections: files, the API client, other listeners.
const RESERVED_FILES: u64 = 256;

/// How one listener is to be served.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub address: SocketAddr,
    /// What is spoken below HTTP.
    pub transport: Transport,
    /// Connections held at most. The file descriptor limit may lower it.
    pub connections: usize,
    /// The time limits.
    pub limits: Limits,
}

/// What is spoken below HTTP.
#[derive(Clone)]
pub enum Transport {
    /// Nothing.
    Plain,
    /// TLS, by this acceptor.
    Tls(TlsAcceptor),
}

/// How long things may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// The TLS handshake: 10 s.
    pub handshake: Duration,
    /// A request's head, from its first byte on; and the first byte of all, from when the
    /// connection was accepted: 10 s.
    pub head: Duration,
    /// A kept-alive connection between requests: 5 min. API servers end theirs after 90 s
    /// (`IdleConnTimeout` of Go's `http.DefaultTransport`), and they must be the ones to do it: a
    /// request that crosses our close is lost.
    pub idle: Duration,
    /// A peer that takes nothing of what we write: 30 s.
    pub write: Duration,
    /// A call, from the request's head to the answer's: 30 s, the longest `timeoutSeconds` that a
    /// webhook configuration may have.
    pub call: Duration,
    /// While refusing: a request that has not come as a whole on a connection that may bring
    /// one: 2 s.
    pub last_request: Duration,
    /// After the last answer: reading away what still comes: 2 s.
    pub linger: Duration,
    /// While refusing: all that is in flight: 30 s.
    pub drain: Duration,
}

/// A listener that is open and not served yet.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    transport: Transport,
    connections: usize,
    limits: Limits,
}

/// What a server left behind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Drained {
    /// Calls that were cut off, since they did not end in [`Limits::drain`].
    pub cut_calls: usize,
    /// Connections that were cut off with or without a call.
    pub cut_connections: usize,
}

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: choose a free port that this user may bind")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The address that was bound cannot be read back.
    #[error("cannot tell which address {address} was bound to")]
    Address {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

// === impl Settings ===

impl Settings {
    /// The defaults at an address.
    pub fn new(address: SocketAddr, transport: Transport) -> Self {
        Self { address, transport, connections: DEFAULT_CONNECTIONS, limits: Limits::default() }
    }

    /// Opens the listener (with `SO_REUSEADDR`, as std does), and raises the soft limit of file
    /// descriptors to the hard one.
    pub async fn bind(self) -> Result<Bound, Error> {
        let Self { address, transport, connections, limits } = self;
        let listener =
            TcpListener::bind(address).await.map_err(|source| Error::Bind { address, source })?;
        let local = listener.local_addr().map_err(|source| Error::Address { address, source })?;
        let connections = affordable(connections, raise_file_limit());
        Ok(Bound { listener, address: local, transport, connections, limits })
    }
}

/// The soft limit after it was raised to the hard one; none if the system does not tell.
fn raise_file_limit() -> Option<u64> {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => Some(limit),
        Err(error) => {
            tracing::warn!(%error, "file descriptor limit could not be raised");
            rlimit::getrlimit(rlimit::Resource::NOFILE).ok().map(|(soft, _hard)| soft)
        }
    }
}

/// As many of the wanted connections as the file descriptor limit leaves room for; a quarter of a
/// limit that is smaller than twice the reserve.
fn affordable(wanted: usize, files: Option<u64>) -> usize {
    let Some(files) = files else { return wanted };
    let room = files.saturating_sub(RESERVED_FILES).max(files / 4).max(1);
    wanted.min(usize::try_from(room).unwrap_or(usize::MAX))
}

// === impl Bound ===

impl Bound {
    /// The address that is listened on, with its real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            idle: Duration::from_mins(5),
            write: Duration::from_secs(30),
            call: Duration::from_secs(30),
            last_request: Duration::from_secs(2),
            linger: Duration::from_secs(2),
            drain: Duration::from_secs(30),
        }
    }
}

// === impl Transport ===

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::Tls(_) => "Tls",
        })
    }
}
