//! A histogram of durations without locks, read in more than one unit.
//!
//! The drop-in names want microseconds and a summary, ours wants seconds. Every observation is
//! three additions; prometheus-client's own histogram takes a write lock. A scrape may see a sum
//! that is one observation ahead of the buckets, never a count that differs from them.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::{MetricType, TypedMetric},
};

/// Durations in buckets. Clones count together.
#[derive(Clone, Debug)]
pub(super) struct Durations {
    counts: Arc<Counts>,
    unit: Unit,
}

#[derive(Debug)]
struct Counts {
    /// Upper bounds, inclusive, in microseconds, ascending.
    bounds: &'static [u64],
    /// One for each bound.
    buckets: Box<[AtomicU64]>,
    beyond: AtomicU64,
    sum_micros: AtomicU64,
}

/// The unit in which a histogram is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unit {
    /// Prometheus's base unit.
    Seconds,
    /// The Go webhook's.
    Microseconds,
}

/// Sum and count of a histogram, in its unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Totals {
    pub(super) sum: f64,
    pub(super) count: u64,
}

// === impl Durations ===

impl Durations {
    /// An empty histogram; the bounds are in microseconds and ascend.
    pub(super) fn new(bounds: &'static [u64], unit: Unit) -> Self {
        let buckets = bounds.iter().map(|_| AtomicU64::new(0)).collect();
        let (beyond, sum_micros) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { counts: Arc::new(Counts { bounds, buckets, beyond, sum_micros }), unit }
    }

    pub(super) fn observe(&self, took: Duration) {
        let Counts { bounds, buckets, beyond, sum_micros } = &*self.counts;
        // The bound is compared with nanoseconds in mind: 100.5 µs is above 100 µs.
        let micros = u64::try_from(took.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX);
        let bucket = buckets.get(bounds.partition_point(|bound| *bound < micros));
        bucket.unwrap_or(beyond).fetch_add(1, Ordering::Relaxed);
        sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub(super) fn totals(&self) -> Totals {
        let (sum, buckets) = self.read();
        Totals { sum, count: buckets.iter().map(|(_, count)| count).sum() }
    }

    fn read(&self) -> (f64, Vec<(f64, u64)>) {
        let Counts { bounds, buckets, beyond, sum_micros } = &*self.counts;
        let buckets = bounds
            .iter()
            .map(|bound| self.unit.of(*bound))
            // What prometheus-client writes as `+Inf`.
            .chain([f64::MAX])
            .zip(buckets.iter().chain([beyond]).map(|count| count.load(Ordering::Relaxed)))
            .collect();
        (self.unit.of(sum_micros.load(Ordering::Relaxed)), buckets)
    }
}

impl EncodeMetric for Durations {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let (sum, buckets) = self.read();
        let count = buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Durations {
    const TYPE: MetricType = MetricType::Histogram;
}

// === impl Unit ===

impl Unit {
    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 µs, which is 285 years")]
    fn of(self, micros: u64) -> f64 {
        match self {
            Self::Seconds => micros as f64 / 1e6,
            Self::Microseconds => micros as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_inclusive_and_what_is_beyond_is_counted() {
        let histogram = Durations::new(&[100, 1000], Unit::Seconds);
        for nanos in [100_000, 100_001, 1_000_000, 2_000_000_000] {
            histogram.observe(Duration::from_nanos(nanos));
        }
        let (_, buckets) = histogram.read();
        assert_eq!(buckets, [(0.0001, 1), (0.001, 2), (f64::MAX, 1)]);
        assert_eq!(histogram.totals().count, 4);
        assert!((histogram.totals().sum - 2.001_201).abs() < 1e-9);
    }
}
