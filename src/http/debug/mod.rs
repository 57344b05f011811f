//! The debug pages of the metrics port: what the webhook would decide for an account, and why.
//!
//! ```text
//! GET /debug/decision?namespace=&serviceAccount=   one account
//! GET /debug/alpha/cache                           all that are known, and the patterns
//! ```
//!
//! They are there only with `--enable-debugging-handlers`. They decide with `plan::decide` and show
//! what it answers. They ask nobody: a page that anyone can open must not spend the look-ups that
//! Pods wait for. No variable of a Pod, no token and no Pod's specification is here to be shown.

mod dump;
mod effective;

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Semaphore;

use super::{Context, refusal};
use crate::identity::AccountRef;

/// Dumps of the whole cache at once: each holds a pointer an account, and is read as slowly as its
/// client likes.
const DUMPS: usize = 2;

/// Whether there are debug pages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DebugPages {
    /// There are.
    On,
    /// Their paths are like any other that is not there.
    Off,
}

/// `router` with the pages.
pub(super) fn routes(router: Router<Context>) -> Router<Context> {
    let dumps = Arc::new(Semaphore::new(DUMPS));
    let decision = |State(context): State<Context>, RawQuery(query): RawQuery| async move {
        decision(&context, query.as_deref().unwrap_or_default())
    };
    let cache = move |State(context): State<Context>| async move { cache(context, dumps).await };
    router.route("/debug/decision", get(decision)).route("/debug/alpha/cache", get(cache))
}

fn decision(context: &Context, query: &str) -> Response {
    let (mut namespace, mut name) = (String::new(), String::new());
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*key {
            "namespace" => namespace = value.into_owned(),
            "serviceAccount" => name = value.into_owned(),
            _ => {}
        }
    }
    let Ok(account) = AccountRef::new(&namespace, &name) else {
        return refusal(
            StatusCode::BAD_REQUEST,
            "name an account: /debug/decision?namespace=NAMESPACE&serviceAccount=NAME",
        );
    };
    let resident = context.0.accounts.resident(account.namespace(), account.name());
    match effective::pretty(&resident, &context.0.settings) {
        Ok(text) => json(text),
        Err(error) => unwritten(&error),
    }
}

async fn cache(context: Context, dumps: Arc<Semaphore>) -> Response {
    let Ok(permit) = dumps.try_acquire_owned() else {
        return refusal(
            StatusCode::SERVICE_UNAVAILABLE,
            "the cache is being shown to others: try again when they have read it",
        );
    };
    let accounts = context.0.accounts.clone();
    // Some tenths of a second for a hundred thousand accounts, in which Pods are not to wait.
    match tokio::task::spawn_blocking(move || accounts.census()).await {
        Ok(census) => json(dump::body(census, context, permit)),
        Err(error) => unwritten(&error),
    }
}

fn json(body: impl IntoResponse) -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    (headers, body).into_response()
}

fn unwritten(error: &impl std::fmt::Display) -> Response {
    tracing::error!(%error, "a debug page could not be written");
    refusal(StatusCode::INTERNAL_SERVER_ERROR, "the page could not be written")
}
