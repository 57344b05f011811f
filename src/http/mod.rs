//! The routes: decode, look up, answer; and health and metrics beside them.
//!
//! ```text
//! POST /mutate, /mutate/strict   Gate; bytes -> Review -> Ask -> Accounts -> decide -> bytes
//! GET /healthz /livez /readyz    on both ports
//! GET /metrics /debug/…          on the metrics port
//! ```
//!
//! A body that is an AdmissionReview is answered with 200 and its uid, whatever is in it; other
//! bodies get a status and one sentence, and the API server applies the failurePolicy. Nothing of
//! a Pod but its name, namespace and account is ever logged.

mod debug;
mod gate;
mod health;
mod mutate;
mod record;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

pub use debug::DebugPages;
pub use gate::Gate;
pub use health::{Check, Checks, Standing};
pub use mutate::MAX_BODY;

use crate::accounts::Accounts;
use crate::admission::Endpoint;
use crate::events::Events;
use crate::plan::Settings;
use crate::server::Budget;
use crate::telemetry::{CONTENT_TYPE as OPEN_METRICS, Metrics, Route, Usage, Verb};

/// What the routes serve from.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

struct Inner {
    accounts: Accounts,
    settings: Settings,
    metrics: Arc<Metrics>,
    checks: Checks,
    budget: Budget,
    events: Events,
}

// === impl Context ===

impl Context {
    /// Serves decisions on `accounts` by `settings`; `checks` tell whether it is ready, and
    /// refusals are told to `events`.
    pub fn new(
        accounts: Accounts,
        settings: Settings,
        metrics: Arc<Metrics>,
        checks: Checks,
        budget: Budget,
        events: Events,
    ) -> Self {
        Self(Arc::new(Inner { accounts, settings, metrics, checks, budget, events }))
    }
}

/// The routes of the webhook's port; reviews are for those whom `gate` lets in.
pub fn webhook(context: Context, gate: Gate) -> Router {
    let lenient = |State(context): State<Context>, request: Request| async move {
        mutate::mutate(&context.0, Endpoint::Lenient, request).await
    };
    let strict = |State(context): State<Context>, request: Request| async move {
        mutate::mutate(&context.0, Endpoint::Strict, request).await
    };
    let router = Router::new()
        .route("/mutate", post(lenient))
        .route("/mutate/strict", post(strict))
        .route_layer(middleware::from_fn_with_state(gate, gate::guard));
    finish(with_health(router), context)
}

/// The routes of the metrics port.
pub fn metrics(context: Context, pages: DebugPages) -> Router {
    let metrics = |State(context): State<Context>| async move { exposition(&context.0) };
    let router = with_health(Router::new().route("/metrics", get(metrics)));
    let router = match pages {
        DebugPages::On => debug::routes(router),
        DebugPages::Off => router,
    };
    router.fallback(not_found).with_state(context)
}

/// The routes of the metrics port of a process that serves no reviews: what `encode` writes, and
/// `checks`.
pub fn observed<F>(checks: Checks, encode: F) -> Router
where
    F: Fn() -> Result<String, fmt::Error> + Clone + Send + Sync + 'static,
{
    let alive = || async { "ok\n" };
    let ready = move || {
        let answer = checks.answer();
        async move { answer }
    };
    let metrics = move || {
        let exposition = written(encode());
        async move { exposition }
    };
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(alive))
        .route("/livez", get(alive))
        .route("/readyz", get(ready))
        .fallback(not_found)
}

fn with_health(router: Router<Context>) -> Router<Context> {
    let alive = || async { "ok\n" };
    let ready = |State(context): State<Context>| async move { context.0.checks.answer() };
    router.route("/healthz", get(alive)).route("/livez", get(alive)).route("/readyz", get(ready))
}

fn finish(router: Router<Context>, context: Context) -> Router {
    router
        .fallback(not_found)
        .layer(middleware::from_fn_with_state(context.clone(), measure))
        .with_state(context)
}

async fn not_found() -> Response {
    refusal(
        StatusCode::NOT_FOUND,
        "there is nothing here: see /mutate and /mutate/strict on the webhook port, /metrics on the metrics port",
    )
}

/// Counts a call; one that is given up, by the client or by a time limit, counts as 499.
async fn measure(State(context): State<Context>, request: Request, next: Next) -> Response {
    /// The code that nginx made customary for a call whose client has gone.
    const GIVEN_UP: u16 = 499;

    struct Call {
        metrics: Arc<Metrics>,
        verb: Verb,
        route: Route,
        code: u16,
        began: Instant,
    }

    impl Drop for Call {
        fn drop(&mut self) {
            let Self { metrics, verb, route, code, began } = self;
            metrics.answered(*verb, *route, *code, began.elapsed());
        }
    }

    let mut call = Call {
        metrics: Arc::clone(&context.0.metrics),
        verb: Verb::from(request.method().as_str()),
        route: Route::from(request.uri().path()),
        code: GIVEN_UP,
        began: Instant::now(),
    };
    let response = next.run(request).await;
    call.code = response.status().as_u16();
    response
}

fn exposition(inner: &Inner) -> Response {
    inner.metrics.usage(if inner.accounts.in_use() { Usage::InUse } else { Usage::Unused });
    written(inner.metrics.encode())
}

fn written(encoded: Result<String, fmt::Error>) -> Response {
    match encoded {
        Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics could not be written");
            refusal(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written")
        }
    }
}

/// A status and one sentence.
fn refusal(code: StatusCode, sentence: &str) -> Response {
    (code, format!("{sentence}\n")).into_response()
}
