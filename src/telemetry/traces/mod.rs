//! Traces: a span a call, sent to a collector by OTLP over HTTP, if one was named.
//!
//! ```text
//! http: call() --> Span --layer--> batches (a thread of the SDK's) --> Export (a task of ours) --> POST
//! ```
//!
//! Off, nothing is set up: the one place that makes a span asks an atomic whether anybody listens.
//! A span holds names and codes, never what is in a Pod. A collector that is slow or away costs
//! spans and nothing else; that they are lost is logged when it begins and when it ends.

mod export;
mod span;

use std::time::Duration;

use http::Uri;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{
    ExporterBuildError, RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::{Layer as _, Registry};

pub use export::Export;
pub(super) use span::TARGET;
pub use span::{CallSpan, Concluded};

/// The path of traces, where an endpoint has none (OTLP/HTTP, "Default URL path").
const PATH: &str = "/v1/traces";

/// How long the last spans may take at the end.
const FLUSH_WITHIN: Duration = Duration::from_secs(5);

/// What hands spans on; the log is set up with it.
pub type Layer = Box<dyn tracing_subscriber::Layer<Registry> + Send + Sync>;

/// The spans of this process.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
}

/// Why there can be no traces.
#[derive(Debug, thiserror::Error)]
#[error("the traces cannot be set up: name another --otlp-endpoint, or none")]
pub struct TracesError(#[source] ExporterBuildError);

// === impl Traces ===

impl Traces {
    /// Sends spans to `endpoint` as long as the [`Export`] runs. Variables of the SDK, such as
    /// `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_EXPORTER_OTLP_HEADERS` and `OTEL_TRACES_SAMPLER`, hold.
    ///
    /// # Errors
    ///
    /// If the SDK does not take the endpoint, or what its variables say.
    pub fn start(endpoint: &Uri) -> Result<(Self, Export), TracesError> {
        let (client, export) = export::pair();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            // A batch that failed is followed by the next.
            .with_retry_policy(RetryPolicy::disabled())
            .with_endpoint(target(endpoint))
            .build()
            .map_err(TracesError)?;
        let resource = Resource::builder()
            .with_service_name("pod-identity-webhook")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        Ok((Self { provider }, export))
    }

    /// What the log is set up with, so that spans are seen.
    pub fn layer(&self) -> Layer {
        let ours = Targets::new().with_target(TARGET, LevelFilter::INFO);
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("pod-identity-webhook"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_level(false)
            .with_target(false)
            .with_filter(ours)
            .boxed()
    }

    /// Sends what has not been sent, for a few seconds at most. Blocks; the [`Export`] has to run
    /// meanwhile.
    pub fn finish(self) {
        if self.provider.shutdown_with_timeout(FLUSH_WITHIN).is_err() {
            tracing::warn!("the last spans could not be sent");
        }
    }
}

/// The URL that batches are sent to.
fn target(endpoint: &Uri) -> String {
    let text = endpoint.to_string();
    match endpoint.path() {
        "" | "/" => format!("{}{PATH}", text.trim_end_matches('/')),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_without_a_path_gets_that_of_traces() {
        for (endpoint, wanted) in [
            ("http://collector:4318", "http://collector:4318/v1/traces"),
            ("http://collector:4318/", "http://collector:4318/v1/traces"),
            ("http://[::1]:4318/custom", "http://[::1]:4318/custom"),
        ] {
            assert_eq!(target(&endpoint.parse().unwrap()), wanted);
        }
    }
}
