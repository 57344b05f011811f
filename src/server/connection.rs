//! One connection, from its first byte to its last.
//!
//! TLS (with a limit), then HTTP/1.1 by hyper, watched over by the deadlines of [`Progress`], then
//! an orderly end: our side is closed first and what the peer still sends is read away for a moment,
//! since a socket that is closed over unread bytes resets, and the answer can be lost with it.
//! Needs no listener: anything that reads and writes can be served.

use std::{error::Error as StdError, future::poll_fn, pin::pin, sync::Arc, task::Poll};

use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, sleep_until, timeout},
};
use tokio_rustls::rustls;

use super::{
    Limits, Transport,
    calls::{Calls, InFlight},
    drain::Drain,
    peer::Peer,
    progress::{Acquaintance, Progress, Stage, Watched},
};

/// The most that hyper buffers of a request's head, and reads of its body at once, in bytes. An
/// API server's head is under 2 KiB.
const BUFFER_BYTES: usize = 64 * 1024;

/// The most that is read away after the last answer, in bytes.
const LINGER_BYTES: u64 = 32 * 1024 * 1024;

/// What a connection needs besides its IO.
#[derive(Clone, Debug)]
pub(super) struct Context<S> {
    pub(super) service: S,
    pub(super) limits: Limits,
    pub(super) drain: Drain,
    pub(super) in_flight: InFlight,
}

/// How a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// By the protocol: closed by the peer, by an answer, by the drain.
    Done,
    /// The TLS handshake failed.
    Handshake(std::io::Error),
    /// The TLS handshake did not end in time.
    HandshakeTooSlow,
    /// The peer broke off or did not speak HTTP/1.1.
    Broken(hyper::Error),
    /// A time limit passed at this stage.
    TooSlow(Stage),
}

/// Whose certificate was refused.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Refusal {
    /// Ours, by the client.
    Ours,
    /// The client's, by us.
    Theirs,
}

/// Serves whatever `io` speaks, TLS or not.
pub(super) async fn serve<T, S, B>(
    io: T,
    transport: Transport,
    context: Context<S>,
    progress: Arc<Progress>,
) -> End
where
    T: AsyncRead + AsyncWrite + Unpin + Send,
    S: tower::Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn StdError + Send + Sync>> + Send,
    B: Body + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    match transport {
        Transport::Plain => speak(io, None, context, progress).await,
        Transport::Tls(acceptor) => {
            match timeout(context.limits.handshake, acceptor.accept(io)).await {
                Ok(Ok(stream)) => {
                    let (_, tls) = stream.get_ref();
                    let peer = Peer::of(tls);
                    speak(stream, peer, context, progress).await
                }
                Ok(Err(error)) => End::Handshake(error),
                Err(_elapsed) => End::HandshakeTooSlow,
            }
        }
    }
}

/// Speaks HTTP/1.1 over `io` until the connection ends.
async fn speak<T, S, B>(
    io: T,
    peer: Option<Peer>,
    context: Context<S>,
    progress: Arc<Progress>,
) -> End
where
    T: AsyncRead + AsyncWrite + Unpin,
    S: tower::Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn StdError + Send + Sync>> + Send,
    B: Body + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let Context { service, limits, drain, in_flight } = context;
    let calls = Calls {
        service,
        peer,
        progress: Arc::clone(&progress),
        drain: drain.clone(),
        limit: limits.call,
        in_flight,
    };
    let io = TokioIo::new(Watched::new(io, Arc::clone(&progress)));
    let mut connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(io, calls);

    let end = {
        let mut refusing = pin!(drain.refusing());
        let mut asked_to_end = false;
        let mut alarm = pin!(sleep_until(Instant::now() + limits.head));
        poll_fn(|cx| {
            // First, so that what has already come is seen before an idle connection is closed.
            if let Poll::Ready(result) = connection.poll_without_shutdown(cx) {
                return Poll::Ready(result.map_or_else(End::Broken, |()| End::Done));
            }
            if !asked_to_end && refusing.as_mut().poll(cx).is_ready() {
                asked_to_end = true;
                match progress.snapshot() {
                    // A request may be under way: its answer will end the connection.
                    (Stage::Silent | Stage::Head, ..) => {
                        progress.hurry(Instant::now() + limits.last_request);
                    }
                    _ => {
                        std::pin::Pin::new(&mut connection).graceful_shutdown();
                        if let Poll::Ready(result) = connection.poll_without_shutdown(cx) {
                            return Poll::Ready(result.map_or_else(End::Broken, |()| End::Done));
                        }
                    }
                }
            }
            // The alarm is only moved when it would be late; one that is early re-arms itself.
            while let Some(deadline) = progress.deadline(&limits) {
                if deadline < alarm.deadline() {
                    alarm.as_mut().reset(deadline);
                }
                if alarm.as_mut().poll(cx).is_pending() {
                    break;
                }
                if deadline <= Instant::now() {
                    let (stage, ..) = progress.snapshot();
                    return Poll::Ready(End::TooSlow(stage));
                }
                alarm.as_mut().reset(deadline);
            }
            Poll::Pending
        })
        .await
    };

    if let End::Done | End::Broken(_) = end {
        let io = connection.into_parts().io.into_inner();
        let (_, _, acquaintance) = progress.snapshot();
        // Too slow an end is an end.
        let _elapsed = timeout(limits.linger, part(io, &progress, acquaintance)).await;
    }
    end
}

/// Closes our side, then reads away what still comes.
async fn part<T>(mut io: T, progress: &Progress, acquaintance: Acquaintance)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    // A peer that is gone cannot be told so.
    if io.shutdown().await.is_err() {
        return;
    }
    if acquaintance == Acquaintance::Client && !progress.is_at_eof() {
        let mut rest = io.take(LINGER_BYTES);
        let _gone = tokio::io::copy(&mut rest, &mut tokio::io::sink()).await;
    }
}

// === impl End ===

impl End {
    /// Who does not trust whose certificate, if that was the end.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Handshake(error) if alert(error).is_some() => Some(Refusal::Ours),
            Self::Handshake(error) if stranger(error).is_some() => Some(Refusal::Theirs),
            _ => None,
        }
    }

    /// Tells the log, at a level that says who has to look.
    pub(super) fn log(&self, peer: std::net::SocketAddr) {
        match self {
            Self::Done => tracing::trace!(%peer, "connection ended"),
            Self::Handshake(error) => match (alert(error), stranger(error)) {
                (Some(alert), _) => tracing::warn!(
                    %peer,
                    ?alert,
                    "client refuses our certificate; compare the caBundle of the webhook configuration"
                ),
                (None, Some(problem)) => tracing::warn!(
                    %peer,
                    ?problem,
                    "client's certificate is refused; compare its CA with the one of --client-ca"
                ),
                (None, None) => tracing::debug!(%peer, %error, "TLS handshake failed"),
            },
            Self::HandshakeTooSlow => tracing::debug!(%peer, "TLS handshake took too long"),
            Self::Broken(error) => tracing::debug!(%peer, %error, "connection broke"),
            Self::TooSlow(stage) => tracing::debug!(%peer, ?stage, "connection was too slow"),
        }
    }
}

/// The alert by which a client says that it does not trust our certificate.
fn alert(error: &std::io::Error) -> Option<rustls::AlertDescription> {
    use rustls::AlertDescription as Alert;
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::AlertReceived(
            alert @ (Alert::BadCertificate
            | Alert::UnknownCA
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            // A CA of the same name with another key, as some clients say it.
            | Alert::DecryptError
            | Alert::UnsupportedCertificate),
        ) => Some(*alert),
        _ => None,
    }
}

/// What is wrong with the certificate that the client showed.
fn stranger(error: &std::io::Error) -> Option<&rustls::CertificateError> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(problem) => Some(problem),
        _ => None,
    }
}
