//! Who gets an answer on `/mutate` and `/mutate/strict`.
//!
//! Who that is, is the composition root's to say; here it is asked before anything else of a call is
//! looked at. Health is in front of the gate.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use super::refusal;
use crate::server::Peer;

/// Judges the client of each call.
#[derive(Clone)]
pub struct Gate(Arc<Judge>);

/// `None` is a client that showed no certificate; an error is one sentence for it.
type Judge = dyn Fn(Option<&Peer>) -> Result<(), String> + Send + Sync;

// === impl Gate ===

impl Gate {
    /// Asks `judge` about each call.
    pub fn new(
        judge: impl Fn(Option<&Peer>) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(judge))
    }

    /// Lets everyone in.
    pub fn open() -> Self {
        Self::new(|_anyone| Ok(()))
    }
}

/// Answers those who are not let in with 403, their bodies unread.
pub(super) async fn guard(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    match (gate.0)(request.extensions().get::<Peer>()) {
        Ok(()) => next.run(request).await,
        Err(sentence) => {
            tracing::warn!(reason = sentence, "client was refused");
            let mut response = refusal(StatusCode::FORBIDDEN, &sentence);
            // The body is not read, so nothing else can come on this connection.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            response
        }
    }
}
