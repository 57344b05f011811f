//! Logs to stderr: text for people, or one JSON object a line.
//!
//! JSON lines have `timestamp`, `level`, `target` and `message`, and the event's fields beside
//! them. Messages are constant; what varies is in fields. Libraries that talk a lot are heard from
//! `warn` on, unless everything is wanted.

use std::{env, io, io::IsTerminal};

use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer, filter::Targets, fmt::MakeWriter, layer::SubscriberExt, registry::LookupSpan,
    util::SubscriberInitExt,
};

use super::traces;

/// Libraries that log calls and connections of their own at `info` and `debug`.
const NOISY: [&str; 6] = ["hyper", "hyper_util", "rustls", "tokio_rustls", "tower", "h2"];

/// Libraries that log whole objects, and every retry, at `warn`.
const INDISCREET: [&str; 2] = ["kube_client", "kube_runtime"];

/// What a line looks like.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

/// Which lines there are.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    targets: Targets,
}

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// This process logs already.
    #[error("the log was set up twice")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

/// Sets up the log of this process, and the traces if there are to be any.
pub fn init(format: Format, filter: Filter, traces: Option<traces::Layer>) -> Result<(), Error> {
    let colours = if io::stderr().is_terminal() && !is_set("NO_COLOR") {
        Colours::Ansi
    } else {
        Colours::None
    };
    subscriber(format, filter, colours, io::stderr, traces).try_init().map_err(Error::Twice)
}

/// Whether text is coloured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Colours {
    Ansi,
    None,
}

fn subscriber<W>(
    format: Format,
    filter: Filter,
    colours: Colours,
    writer: W,
    traces: Option<traces::Layer>,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let Filter { targets } = filter;
    let registry = tracing_subscriber::registry();
    match traces {
        // What the log leaves out costs nothing.
        None => Box::new(registry.with(targets).with(lines(format, colours, writer))),
        Some(traces) => {
            let lines = lines(format, colours, writer).with_filter(targets);
            Box::new(registry.with(traces).with(lines))
        }
    }
}

/// What writes lines.
fn lines<S, W>(format: Format, colours: Colours, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    match format {
        Format::Text => layer.with_ansi(colours == Colours::Ansi).boxed(),
        Format::Json => layer.json().flatten_event(true).with_span_list(false).boxed(),
    }
}

/// Whether the variable is there and not empty (<https://no-color.org>).
fn is_set(variable: &str) -> bool {
    env::var_os(variable).is_some_and(|value| !value.is_empty())
}

// === impl Filter ===

impl Filter {
    /// Ours and everyone's from this level on, the noisy ones from `warn` on; all of them for
    /// `trace`.
    pub fn at(level: LevelFilter) -> Self {
        let mut targets = Targets::new().with_default(level);
        if level < LevelFilter::TRACE {
            let noisy = level.min(LevelFilter::WARN);
            targets = targets.with_targets(NOISY.map(|target| (target, noisy)));
        }
        targets = targets.with_targets(INDISCREET.map(|target| (target, LevelFilter::ERROR)));
        // The decision's line says the same.
        targets = targets.with_target(traces::TARGET, LevelFilter::OFF);
        Self { targets }
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self::at(LevelFilter::INFO)
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn noisy_libraries_are_never_louder_than_ours() {
        let Filter { targets } = Filter::at(LevelFilter::ERROR);
        assert!(!targets.would_enable("kube_client", &Level::WARN));
        let Filter { targets } = Filter::at(LevelFilter::INFO);
        assert!(targets.would_enable("hyper", &Level::WARN));
        assert!(!targets.would_enable("hyper", &Level::INFO));
    }

    /// kube logs the body of an answer that it cannot decode at `warn`.
    #[test]
    fn libraries_that_log_objects_are_heard_only_when_they_fail() {
        let Filter { targets } = Filter::at(LevelFilter::TRACE);
        assert!(targets.would_enable("kube_client::client", &Level::ERROR));
        assert!(!targets.would_enable("kube_client::client", &Level::WARN));
    }

    #[test]
    fn a_json_line_is_one_flat_object() {
        let written = Written::default();
        let writer = written.clone();
        let log = subscriber(
            Format::Json,
            Filter::default(),
            Colours::None,
            move || writer.clone(),
            None,
        );
        tracing::subscriber::with_default(log, || {
            tracing::info!(server = "webhook", address = %"[::]:443", "listening");
            tracing::debug!("not heard");
        });
        let written = written.0.lock().unwrap();
        let lines: Vec<_> = std::str::from_utf8(&written).unwrap().lines().collect();
        assert_eq!(lines.len(), 1, "{lines:?}");
        let line: serde_json::Value = serde_json::from_str(lines[0]).unwrap();
        assert_eq!(line["message"], "listening");
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["server"], "webhook");
        assert_eq!(line["address"], "[::]:443");
        assert!(line["timestamp"].is_string() && line["target"].is_string(), "{line}");
    }

    #[test]
    fn text_is_not_coloured_away_from_a_terminal() {
        let written = Written::default();
        let writer = written.clone();
        let log = subscriber(
            Format::Text,
            Filter::default(),
            Colours::None,
            move || writer.clone(),
            None,
        );
        tracing::subscriber::with_default(log, || tracing::warn!(reason = "mismatch", "kept"));
        let written = written.0.lock().unwrap();
        let line = std::str::from_utf8(&written).unwrap();
        assert!(line.contains("kept reason=\"mismatch\"") && !line.contains('\u{1b}'), "{line:?}");
    }

    /// A log that can be read.
    #[derive(Clone, Default)]
    struct Written(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
