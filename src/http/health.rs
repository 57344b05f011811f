//! Readiness: a list of checks, each ready or not, with a reason that a person can act on.
//!
//! What is checked is the composition root's to say. A note says that something needs a person
//! although it stands in nobody's way yet.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// Something that readiness depends on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Check {
    /// What it is.
    pub name: &'static str,
    /// How it stands.
    pub standing: Standing,
}

/// How a check stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Standing {
    /// Ready.
    Ready,
    /// Ready, but a person should look.
    Noted(String),
    /// Not ready, and why.
    NotReady(String),
}

/// All checks, looked at anew for each call.
#[derive(Clone)]
pub struct Checks(Arc<dyn Fn() -> Vec<Check> + Send + Sync>);

// === impl Checks ===

impl Checks {
    /// Asks `look` how things stand.
    pub fn new(look: impl Fn() -> Vec<Check> + Send + Sync + 'static) -> Self {
        Self(Arc::new(look))
    }

    /// 200 if every check is ready, else 503; a line a check in either case.
    pub(super) fn answer(&self) -> Response {
        let mut text = String::new();
        let mut code = StatusCode::OK;
        for Check { name, standing } in (self.0)() {
            let (mark, state) = match standing {
                Standing::Ready => ('+', "ok".to_owned()),
                Standing::Noted(note) => ('!', note),
                Standing::NotReady(why) => {
                    code = StatusCode::SERVICE_UNAVAILABLE;
                    ('-', why)
                }
            };
            // Writing to a String does not fail.
            let _infallible = writeln!(text, "[{mark}] {name}: {state}");
        }
        text.push_str(if code == StatusCode::OK { "ready\n" } else { "not ready\n" });
        (code, text).into_response()
    }
}
