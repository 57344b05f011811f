//! One call: handed to the service, limited in time, answered.
//!
//! Whatever the service is, its calls are counted here, end after [`Limits::call`] with 503, and
//! carry `Connection: close` from the moment the server is stopping. The answer's body reports when
//! it was handed over as a whole, so that [`Progress`] knows when a connection is idle again.
//!
//! [`Limits::call`]: super::Limits::call

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower::ServiceExt;

use super::{drain::Drain, drain::Phase, peer::Peer, progress::Progress};

/// Calls that a service is working on at present, over all connections.
#[derive(Clone, Debug, Default)]
pub(super) struct InFlight(Arc<AtomicUsize>);

/// The service as one connection sees it.
#[derive(Debug)]
pub(super) struct Calls<S> {
    pub(super) service: S,
    /// Who calls, for the service to see as an extension of each request.
    pub(super) peer: Option<Peer>,
    pub(super) progress: Arc<Progress>,
    pub(super) drain: Drain,
    pub(super) limit: Duration,
    pub(super) in_flight: InFlight,
}

pin_project! {
    /// The body of an answer: the service's own, or none.
    #[derive(Debug)]
    pub(super) struct Answer<B> {
        #[pin]
        body: Option<B>,
        // Reports when it is dropped.
        handover: Handover,
    }
}

#[derive(Debug)]
struct Handover(Arc<Progress>);

#[derive(Debug)]
struct Entry(InFlight);

// === impl Calls ===

// The service is cloned for each call and never pinned itself.
impl<S> Unpin for Calls<S> {}

impl<S, B> hyper::service::Service<Request<Incoming>> for Calls<S>
where
    S: tower::Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: Send + 'static,
{
    type Response = Response<Answer<B>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        self.progress.call_begins();
        if let Some(peer) = &self.peer {
            request.extensions_mut().insert(peer.clone());
        }
        let entry = self.in_flight.enter();
        let call = self.service.clone().oneshot(request);
        let progress = Arc::clone(&self.progress);
        let drain = self.drain.clone();
        let limit = self.limit;
        Box::pin(async move {
            let mut answer = match tokio::time::timeout(limit, call).await {
                Ok(Ok(answer)) => answer.map(|body| Answer::new(Some(body), &progress)),
                Ok(Err(error)) => return Err(error),
                Err(_elapsed) => {
                    tracing::warn!(limit_seconds = limit.as_secs(), "call took too long");
                    let mut late = Response::new(Answer::new(None, &progress));
                    *late.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                    close(&mut late);
                    late
                }
            };
            if drain.phase() != Phase::Serving {
                close(&mut answer);
            }
            progress.call_ends();
            drop(entry);
            Ok(answer)
        })
    }
}

/// Ends the connection with this answer; hyper acts on the header (RFC 9112, section 9.6).
fn close<B>(answer: &mut Response<B>) {
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
}

// === impl InFlight ===

impl InFlight {
    fn enter(&self) -> Entry {
        self.0.fetch_add(1, Ordering::Relaxed);
        Entry(self.clone())
    }

    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let Self(InFlight(count)) = self;
        count.fetch_sub(1, Ordering::Relaxed);
    }
}

// === impl Answer ===

impl<B> Answer<B> {
    fn new(body: Option<B>, progress: &Arc<Progress>) -> Self {
        Self { body, handover: Handover(Arc::clone(progress)) }
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        self.0.answer_handed_over();
    }
}

impl<B: Body> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match self.project().body.as_pin_mut() {
            Some(body) => body.poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
