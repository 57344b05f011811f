//! Where one connection stands, and the deadline that follows from it.
//!
//! hyper's own `header_read_timeout` also runs while a kept-alive connection is idle, so one limit
//! would have to serve both a slow request head (seconds) and an idle API server (minutes). Here
//! the bytes that pass tell the two apart: [`Watched`] wraps the connection's IO and reports reads,
//! writes and flushes; the calls report themselves; [`Progress`] holds the sum.

use std::{
    io,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::Limits;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    /// Connected, and not a byte of a request yet (the TLS handshake included).
    Silent,
    /// Some of a request's head has come.
    Head,
    /// The service has the request.
    Call,
    /// The service has answered, the answer is on its way.
    Answer,
    /// The answer is out, another request may come.
    Idle,
}

/// Whether a connection has ever made a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Acquaintance {
    /// No request was complete so far.
    Stranger,
    /// At least one was.
    Client,
}

/// The shared record of one connection; cheap to lock, since one task writes it.
#[derive(Debug)]
pub(super) struct Progress {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    stage: Stage,
    /// When the stage began.
    since: Instant,
    acquaintance: Acquaintance,
    /// Since when the peer takes nothing of what we want to write.
    stalled: Option<Instant>,
    /// The answer's body was handed over as a whole.
    handed_over: bool,
    /// Bytes came after that and before the flush: the next request has begun.
    early: bool,
    /// The peer has ended its side.
    eof: bool,
    /// A deadline from outside, while draining.
    hurry: Option<Instant>,
}

// === impl Progress ===

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                stage: Stage::Silent,
                since: Instant::now(),
                acquaintance: Acquaintance::Stranger,
                stalled: None,
                handed_over: false,
                early: false,
                eof: false,
                hurry: None,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stage, when it began, and whether the peer has made a request before.
    pub(super) fn snapshot(&self) -> (Stage, Instant, Acquaintance) {
        let state = self.lock();
        (state.stage, state.since, state.acquaintance)
    }

    /// Whether the peer has ended its side.
    pub(super) fn is_at_eof(&self) -> bool {
        self.lock().eof
    }

    /// When the connection has to be ended if nothing happens; none while a call is being worked
    /// on, which has its own limit.
    pub(super) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let state = self.lock();
        let waiting = match state.stage {
            Stage::Silent | Stage::Head => {
                let own = state.since + limits.head;
                Some(state.hurry.map_or(own, |hurry| hurry.min(own)))
            }
            Stage::Idle => Some(state.since + limits.idle),
            Stage::Call | Stage::Answer => None,
        };
        let write = state.stalled.map(|since| since + limits.write);
        match (waiting, write) {
            (Some(waiting), Some(write)) => Some(waiting.min(write)),
            (one, other) => one.or(other),
        }
    }

    /// A request that is not complete by `deadline` is not waited for.
    pub(super) fn hurry(&self, deadline: Instant) {
        self.lock().hurry = Some(deadline);
    }

    /// The service gets a request.
    pub(super) fn call_begins(&self) {
        let mut state = self.lock();
        state.enter(Stage::Call);
        state.acquaintance = Acquaintance::Client;
        state.handed_over = false;
        state.early = false;
    }

    /// The service has answered.
    pub(super) fn call_ends(&self) {
        self.lock().enter(Stage::Answer);
    }

    /// hyper has taken the last of the answer's body.
    pub(super) fn answer_handed_over(&self) {
        self.lock().handed_over = true;
    }

    fn did_read(&self, read: usize) {
        let mut state = self.lock();
        if read == 0 {
            state.eof = true;
            return;
        }
        match state.stage {
            Stage::Silent | Stage::Idle => state.enter(Stage::Head),
            Stage::Answer if state.handed_over => state.early = true,
            Stage::Head | Stage::Call | Stage::Answer => {}
        }
    }

    fn did_write(&self, outcome: Outcome) {
        let mut state = self.lock();
        match outcome {
            Outcome::Stalled => {
                state.stalled.get_or_insert_with(Instant::now);
            }
            Outcome::Moved => state.stalled = None,
            Outcome::Flushed => {
                state.stalled = None;
                if state.stage == Stage::Answer && state.handed_over {
                    let next = if state.early { Stage::Head } else { Stage::Idle };
                    state.enter(next);
                }
            }
        }
    }
}

impl State {
    fn enter(&mut self, stage: Stage) {
        self.stage = stage;
        self.since = Instant::now();
    }
}

/// What became of an attempt to write.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    Stalled,
    Moved,
    Flushed,
}

pin_project! {
    /// IO whose reads and writes are reported to a [`Progress`].
    #[derive(Debug)]
    pub(super) struct Watched<T> {
        #[pin]
        io: T,
        progress: std::sync::Arc<Progress>,
    }
}

// === impl Watched ===

impl<T> Watched<T> {
    pub(super) fn new(io: T, progress: std::sync::Arc<Progress>) -> Self {
        Self { io, progress }
    }
}

impl<T: AsyncRead> AsyncRead for Watched<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.project();
        let before = buffer.filled().len();
        let polled = this.io.poll_read(cx, buffer);
        if let Poll::Ready(Ok(())) = polled {
            this.progress.did_read(buffer.filled().len().saturating_sub(before));
        }
        polled
    }
}

impl<T: AsyncWrite> AsyncWrite for Watched<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        let polled = this.io.poll_write(cx, bytes);
        this.progress.did_write(moved(&polled));
        polled
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        let polled = this.io.poll_write_vectored(cx, slices);
        this.progress.did_write(moved(&polled));
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        let polled = this.io.poll_flush(cx);
        this.progress.did_write(match polled {
            Poll::Pending => Outcome::Stalled,
            Poll::Ready(_) => Outcome::Flushed,
        });
        polled
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_shutdown(cx)
    }
}

fn moved(polled: &Poll<io::Result<usize>>) -> Outcome {
    match polled {
        Poll::Pending => Outcome::Stalled,
        Poll::Ready(_) => Outcome::Moved,
    }
}
