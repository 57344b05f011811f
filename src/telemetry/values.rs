//! Metric types that prometheus-client does not have.
//!
//! Its counters end in `_total`, which the Go webhook's names do not, and its gauges are always
//! shown, known or not.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder},
    metrics::{MetricType, TypedMetric},
};

use super::labels::Matching;

/// A number that only grows, under exactly the name it was given.
#[derive(Clone, Debug, Default)]
pub(super) struct Growing(Arc<AtomicU64>);

/// A truth that is not shown before it is known.
#[derive(Clone, Debug)]
pub(super) struct Known(Arc<AtomicU8>);

// === impl Growing ===

impl Growing {
    pub(super) fn increase(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl EncodeMetric for Growing {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        // A gauge's sample is the bare name.
        encoder.encode_gauge(&self.0.load(Ordering::Relaxed))
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Growing {
    const TYPE: MetricType = MetricType::Unknown;
}

// === impl Known ===

impl Known {
    const DIFFERS: u8 = 0;
    const MATCHES: u8 = 1;
    const UNKNOWN: u8 = 2;

    pub(super) fn set(&self, matching: Matching) {
        let value = match matching {
            Matching::Matches => Self::MATCHES,
            Matching::Differs => Self::DIFFERS,
            Matching::Unknown => Self::UNKNOWN,
        };
        self.0.store(value, Ordering::Relaxed);
    }
}

impl Default for Known {
    fn default() -> Self {
        Self(Arc::new(AtomicU8::new(Self::UNKNOWN)))
    }
}

impl EncodeMetric for Known {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        match self.0.load(Ordering::Relaxed) {
            Self::UNKNOWN => Ok(()),
            value => encoder.encode_gauge(&u32::from(value)),
        }
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}
