//! The way to the collector: the SDK's thread asks, a task of ours does.
//!
//! The SDK exports from a thread of its own, in which no runtime is; an HTTP client needs one. So a
//! batch goes through a channel to a task that lives with the others, and its answer comes back.

use std::convert::Infallible;
use std::time::Duration;

use crate::sentence::root_cause;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_http::{HttpClient, HttpError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// How long the collector has for a batch.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);

/// The longest answer that is read, in bytes; a good one is empty or says how many were rejected.
const MAX_ANSWER: usize = 64 * 1024;

/// Batches that may wait; the SDK sends one at a time.
const WAITING: usize = 2;

/// What the SDK asks.
#[derive(Debug)]
pub(super) struct Client {
    asks: mpsc::Sender<Ask>,
}

/// The task that sends.
pub struct Export {
    asks: mpsc::Receiver<Ask>,
    pool: Pool<HttpConnector, Full<Bytes>>,
}

struct Ask {
    request: Request<Bytes>,
    answer: oneshot::Sender<Result<Response<Bytes>, ExportError>>,
}

/// Why a batch was not taken.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
enum ExportError {
    #[error("the collector answers {0}")]
    Refused(http::StatusCode),
    #[error("no answer of the collector in time")]
    NoAnswer,
    #[error("the collector cannot be reached: {0}")]
    Unreachable(Box<str>),
    #[error("the collector's answer cannot be read")]
    Unreadable,
    #[error("nobody sends any more")]
    Ended,
}

/// The two ends.
pub(super) fn pair() -> (Client, Export) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let pool = Pool::builder(TokioExecutor::new()).build_http();
    (Client { asks: sender }, Export { asks: receiver, pool })
}

// === impl Client ===

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (answer, answered) = oneshot::channel();
        self.asks.send(Ask { request, answer }).await.map_err(|_| ExportError::Ended)?;
        Ok(answered.await.map_err(|_| ExportError::Ended)??)
    }
}

// === impl Export ===

impl Export {
    /// Sends batches for ever; nothing that a collector does ends it.
    pub async fn run(mut self) -> Infallible {
        let mut trouble = None;
        loop {
            let Some(Ask { request, answer }) = self.asks.recv().await else {
                // The SDK has finished; the process is about to.
                std::future::pending().await
            };
            let sent = timeout(ANSWER_WITHIN, self.send(request))
                .await
                .unwrap_or(Err(ExportError::NoAnswer));
            note(&mut trouble, sent.as_ref().err());
            // Nobody waits any more once time is up.
            let _gone = answer.send(sent);
        }
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ExportError> {
        let answer = self
            .pool
            .request(request.map(Full::new))
            .await
            .map_err(|error| ExportError::Unreachable(root_cause(&error)))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await;
        let body = body.map_err(|_| ExportError::Unreadable)?.to_bytes();
        if head.status.is_success() {
            Ok(Response::from_parts(head, body))
        } else {
            Err(ExportError::Refused(head.status))
        }
    }
}

/// Logs trouble when it begins, when it changes and when it ends.
fn note(before: &mut Option<ExportError>, now: Option<&ExportError>) {
    match (&*before, now) {
        (Some(_), None) => tracing::info!("spans are sent again"),
        (before, Some(error)) if before.as_ref() != Some(error) => {
            tracing::warn!(reason = %error, "spans are lost");
        }
        _ => {}
    }
    *before = now.cloned();
}
