//! The metric of Events: what became of those that were to be written.
//!
//! Its one label is an enum: no object's name is ever counted by.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Events by what became of them; the encoder appends `_total`.
pub const EVENTS: &str = "pod_identity_webhook_events";

/// The metric; clones count together.
#[derive(Clone, Debug, Default)]
pub struct EventMetrics {
    events: Family<[(&'static str, &'static str); 1], Counter>,
}

/// What became of an Event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Written {
    /// It was written, on its own or as one more of its series.
    Done,
    /// The right to write it is missing.
    Forbidden,
    /// The API server did not take it.
    Failed,
    /// Too many others were waiting.
    Dropped,
}

// === impl EventMetrics ===

impl EventMetrics {
    /// Registers the metric under its name.
    pub fn register(&self, registry: &mut Registry) {
        for written in Written::ALL {
            drop(self.events.get_or_create(&[("result", written.name())]));
        }
        registry.register(
            EVENTS,
            "Events on the owners of refused Pods by what became of them",
            self.events.clone(),
        );
    }

    /// Counts an Event.
    pub fn wrote(&self, written: Written) {
        self.events.get_or_create(&[("result", written.name())]).inc();
    }

    /// How many Events became what `written` says.
    pub fn count(&self, written: Written) -> u64 {
        self.events.get_or_create(&[("result", written.name())]).get()
    }
}

// === impl Written ===

impl Written {
    const ALL: [Self; 4] = [Self::Done, Self::Forbidden, Self::Failed, Self::Dropped];

    /// The value of the label `result`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "written",
            Self::Forbidden => "forbidden",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}
