//! The loop itself: who gets in, who has to leave, and the end.
//!
//! At the cap, one more connection is accepted and waits; for it, the connection is ended that is
//! the least likely to be missed: the one that has kept us waiting for its first request the
//! longest, then the one that has been idle for longer than any API server keeps one. If there is
//! none, everyone waits: later ones in the kernel's backlog. So connections that only sit there
//! cannot keep a good client out, and a client in the middle of a call is never ended.

use std::{
    collections::HashMap, error::Error as StdError, io, net::SocketAddr, sync::Arc, time::Duration,
};

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, Id, JoinError, JoinSet},
    time::{Instant, sleep, sleep_until, timeout_at},
};

use super::{
    Bound, Drained,
    calls::InFlight,
    connection::{self, Context, End, Refusal},
    drain::Drain,
    progress::{Acquaintance, Progress, Stage},
};

/// Since when a connection without a request may be ended for another: its TLS handshake and first
/// request take some milliseconds in a cluster.
const STRANGER_GRACE: Duration = Duration::from_secs(1);

/// Since when an idle connection may be ended for another. API servers close theirs after 90 s.
const IDLE_GRACE: Duration = Duration::from_secs(95);

/// How often a waiting connection looks again for one that may be ended.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// The pause after an error of `accept` that will not go away at once, such as EMFILE.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// How often the log is told that one side does not trust the other's certificate: each of their calls
/// fails.
const TELL_AGAIN: Duration = Duration::from_mins(1);

/// All connections of one listener.
struct Connections<S> {
    context: Context<S>,
    transport: super::Transport,
    tasks: JoinSet<(SocketAddr, End)>,
    known: HashMap<Id, (Arc<Progress>, AbortHandle)>,
    cap: usize,
    /// Set from the first connection that had to wait until there is room again.
    crowded: Crowd,
    /// When the log was last told that one side does not trust the other's certificate; each by
    /// itself, so that no stranger hides from the log that the API server does not trust us.
    refusals_told: HashMap<Refusal, Instant>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Crowd {
    Room,
    Full,
}

impl Bound {
    /// Serves until `drain` says [`Phase::Refusing`](super::Phase::Refusing) and what was in flight
    /// is done.
    pub async fn run<S, B>(self, service: S, drain: Drain) -> Drained
    where
        S: tower::Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn StdError + Send + Sync>> + Send,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let Self { listener, address, transport, connections: cap, limits } = self;
        let in_flight = InFlight::default();
        let context = Context { service, limits, drain: drain.clone(), in_flight };
        let mut connections = Connections {
            context,
            transport,
            tasks: JoinSet::new(),
            known: HashMap::new(),
            cap,
            crowded: Crowd::Room,
            refusals_told: HashMap::new(),
        };

        let mut refusing = std::pin::pin!(drain.refusing());
        let mut waiting: Option<(TcpStream, SocketAddr)> = None;
        let mut accept_from = Instant::now();
        loop {
            if connections.has_room()
                && let Some((stream, peer)) = waiting.take()
            {
                connections.admit(stream, peer);
            }
            tokio::select! {
                biased;
                () = refusing.as_mut() => break,
                Some(ended) = connections.tasks.join_next_with_id() => connections.forget(ended),
                () = sleep(LOOK_AGAIN), if waiting.is_some() => connections.make_room(),
                () = sleep_until(accept_from), if accept_from > Instant::now() => {}
                accepted = listener.accept(),
                    if waiting.is_none() && accept_from <= Instant::now() =>
                {
                    match accepted {
                        Ok(accepted) => {
                            if !connections.has_room() {
                                connections.make_room();
                            }
                            waiting = Some(accepted);
                        }
                        Err(error) if is_of_one_connection(&error) => {
                            tracing::debug!(%error, "connection was gone before it was accepted");
                        }
                        Err(error) => {
                            tracing::error!(%error, "connection could not be accepted");
                            connections.make_room();
                            accept_from = Instant::now() + ACCEPT_PAUSE;
                        }
                    }
                }
            }
        }

        // Whoever the kernel has let in already is served, or would see a reset.
        let mut last = waiting.into_iter().collect::<Vec<_>>();
        accept_the_rest(listener, cap, &mut last);
        for (stream, peer) in last {
            connections.admit(stream, peer);
        }
        tracing::debug!(%address, connections = connections.tasks.len(), "listener closed");
        connections.finish().await
    }
}

// === impl Connections ===

impl<S, B> Connections<S>
where
    S: tower::Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn StdError + Send + Sync>> + Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    fn has_room(&self) -> bool {
        self.tasks.len() < self.cap
    }

    fn admit(&mut self, stream: TcpStream, peer: SocketAddr) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "TCP_NODELAY could not be set");
        }
        let progress = Arc::new(Progress::new());
        let context = self.context.clone();
        let transport = self.transport.clone();
        let served = connection::serve(stream, transport, context, Arc::clone(&progress));
        let handle = self.tasks.spawn(async move { (peer, served.await) });
        self.known.insert(handle.id(), (progress, handle));
    }

    fn forget(&mut self, ended: Result<(Id, (SocketAddr, End)), JoinError>) {
        let id = match ended {
            Ok((id, (peer, end))) => {
                let now = Instant::now();
                let refusal = end.refusal();
                let told = refusal.and_then(|refusal| self.refusals_told.get(&refusal));
                if told.is_none_or(|told| now >= *told + TELL_AGAIN) {
                    if let Some(refusal) = refusal {
                        self.refusals_told.insert(refusal, now);
                    }
                    end.log(peer);
                }
                id
            }
            Err(error) => {
                if error.is_panic() {
                    tracing::error!(%error, "connection panicked");
                }
                error.id()
            }
        };
        self.known.remove(&id);
        // A quarter of the cap of slack, so that the two messages do not alternate.
        if self.crowded == Crowd::Full && self.tasks.len() <= self.cap - self.cap / 4 {
            self.crowded = Crowd::Room;
            tracing::info!(cap = self.cap, "connections are below their cap again");
        }
    }

    /// Ends the connection that is the least likely to be missed, if there is one.
    fn make_room(&mut self) {
        if self.crowded == Crowd::Room {
            self.crowded = Crowd::Full;
            tracing::warn!(
                cap = self.cap,
                connections = self.tasks.len(),
                "connections are at their cap"
            );
        }
        // One that was ended for this purpose already will leave soon.
        if self.known.len() < self.tasks.len() {
            return;
        }
        let now = Instant::now();
        let least = self
            .known
            .iter()
            .filter_map(|(id, (progress, _))| {
                let (stage, since, acquaintance) = progress.snapshot();
                let waited = now.saturating_duration_since(since);
                match (stage, acquaintance) {
                    (Stage::Silent | Stage::Head, Acquaintance::Stranger)
                        if waited >= STRANGER_GRACE =>
                    {
                        Some((1, waited, *id))
                    }
                    (Stage::Idle, _) if waited >= IDLE_GRACE => Some((0, waited, *id)),
                    _ => None,
                }
            })
            .max_by_key(|(rank, waited, _)| (*rank, *waited));
        if let Some((_, _, id)) = least
            && let Some((_, handle)) = self.known.remove(&id)
        {
            handle.abort();
        }
    }

    /// Waits for what is in flight, within the limit, and cuts off the rest.
    async fn finish(mut self) -> Drained {
        let deadline = Instant::now() + self.context.limits.drain;
        while let Ok(Some(ended)) = timeout_at(deadline, self.tasks.join_next_with_id()).await {
            self.forget(ended);
        }
        let drained = Drained {
            cut_calls: self.context.in_flight.count(),
            cut_connections: self.tasks.len(),
        };
        if drained.cut_connections > 0 {
            tracing::warn!(
                calls = drained.cut_calls,
                connections = drained.cut_connections,
                "connections were cut off while stopping"
            );
        }
        self.tasks.shutdown().await;
        drained
    }
}

/// Takes who is in the kernel's backlog, `most` in all, and closes the listener. The kernel is asked
/// itself: what Tokio knows of it may be of before the last connection.
fn accept_the_rest(listener: TcpListener, most: usize, last: &mut Vec<(TcpStream, SocketAddr)>) {
    let listener = match listener.into_std() {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(%error, "the last connections could not be accepted");
            return;
        }
    };
    while last.len() < most {
        let accepted = listener.accept().and_then(|(stream, peer)| {
            stream.set_nonblocking(true)?;
            Ok((TcpStream::from_std(stream)?, peer))
        });
        match accepted {
            Ok(accepted) => last.push(accepted),
            Err(error) if is_of_one_connection(&error) => {}
            Err(_) => break,
        }
    }
}

/// Whether an error of `accept` concerns only the connection that was to be accepted
/// (accept(2), "Error handling").
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkDown
    )
}

#[cfg(test)]
mod tests {
    use rlimit::Resource;

    use super::*;

    #[test]
    fn an_error_of_one_connection_is_told_from_one_of_the_process() {
        // Linux: ECONNABORTED, EINTR; EMFILE, ENFILE, ENOMEM.
        for number in [103, 4] {
            assert!(is_of_one_connection(&io::Error::from_raw_os_error(number)), "{number}");
        }
        for number in [24, 23, 12] {
            assert!(!is_of_one_connection(&io::Error::from_raw_os_error(number)), "{number}");
        }
    }

    #[test]
    fn the_soft_limit_of_files_is_raised_to_the_hard_one() {
        let raised = super::super::raise_file_limit();
        let (soft, hard) = rlimit::getrlimit(Resource::NOFILE).unwrap();
        assert_eq!((raised, soft), (Some(hard), hard));
    }
}
