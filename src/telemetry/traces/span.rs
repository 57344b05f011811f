//! The span of a call: begun with its head, concluded with its decision.
//!
//! The API server's own span is its parent, where it sends one (`traceparent`, W3C Trace Context).

use http::HeaderMap;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// What spans are known by: neither a level nor a flag brings them into the log.
pub(in crate::telemetry) const TARGET: &str = "pod_identity_webhook::trace";

/// The span of a call. Costs nothing where nobody listens.
#[derive(Clone, Debug)]
pub struct CallSpan(Span);

/// What became of a call; names are as long as names may be.
#[derive(Clone, Copy, Debug)]
pub struct Concluded<'a> {
    /// The review's uid.
    pub uid: &'a str,
    /// The Pod's namespace.
    pub namespace: &'a str,
    /// The ServiceAccount.
    pub account: &'a str,
    /// The outcome's name.
    pub outcome: &'static str,
    /// The reason code.
    pub reason: &'static str,
    /// The method's name.
    pub method: &'static str,
    /// The source's name.
    pub source: &'static str,
}

// === impl CallSpan ===

impl CallSpan {
    /// The span of a call of `route`.
    pub fn begin(route: &'static str, headers: &HeaderMap) -> Self {
        let span = tracing::info_span!(
            target: TARGET,
            "review",
            otel.kind = "server",
            otel.status_code = Empty,
            http.route = route,
            http.response.status_code = Empty,
            uid = Empty,
            namespace = Empty,
            account = Empty,
            outcome = Empty,
            reason = Empty,
            method = Empty,
            source = Empty,
        );
        if !span.is_disabled() {
            let parent = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
            // It fails where spans are listened to by something else.
            let _other = span.set_parent(parent);
        }
        Self(span)
    }

    /// The span itself, for what happens within the call.
    pub fn span(&self) -> &Span {
        &self.0
    }

    /// The review was decided.
    pub fn decided(&self, concluded: &Concluded<'_>) {
        if self.0.is_disabled() {
            return;
        }
        let Concluded { uid, namespace, account, outcome, reason, method, source } = *concluded;
        for (field, value) in [
            ("uid", uid),
            ("namespace", namespace),
            ("account", account),
            ("outcome", outcome),
            ("reason", reason),
            ("method", method),
            ("source", source),
        ] {
            self.0.record(field, value);
        }
    }

    /// The call was answered with this status.
    pub fn answered(&self, code: u16) {
        if !self.0.is_disabled() {
            self.0.record("http.response.status_code", code);
            if code >= 500 {
                self.0.record("otel.status_code", "ERROR");
            }
        }
    }
}
