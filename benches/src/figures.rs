//! Figures: what was measured, of whom, round after round; medians and ratios.

use std::collections::BTreeMap;

use crate::subject::Kind;

/// What is measured. The order is that of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    /// CPU of a call that injects, 5 KB.
    CpuInjecting,
    /// CPU of a call without an identity, 5 KB.
    CpuNothing,
    /// Calls for each second of CPU, 5 KB, injecting.
    CallsOfCore,
    /// Calls a second, 64 connections that ask as fast as they are answered.
    CallsClosed,
    /// At 2,000 calls a second.
    P50,
    /// At 2,000 calls a second.
    P99,
    /// At 2,000 calls a second.
    P999,
    /// CPU for each KB of a Pod of 100 KB, as a part of that for a Pod of 5 KB.
    CpuOfLargeKb,
    /// CPU of each KB of a Pod of 5 KB.
    CpuOfUsualKb,
    /// Memory without any account.
    ResidentNone,
    /// Memory after so many calls.
    ResidentServed,
    /// The most that it ever had, 10,000 accounts.
    PeakSome,
    /// The most that it ever had, 100,000 accounts, all annotated, through a relist.
    PeakMany,
    /// In memory then.
    ResidentMany,
    /// The same with one in ten annotated.
    PeakTenth,
    /// Until it injects, no account.
    ReadyNone,
    /// Until it injects, 10,000 accounts.
    ReadySome,
    /// Until it injects, 100,000 accounts.
    ReadyMany,
    /// What it adds to the creation of a Pod, end to end.
    Added,
    /// Memory that a million calls and 100,000 changes have added.
    Growth,
}

/// What the goals of a row are, as ratios.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Goals {
    pub(crate) theirs: Option<Bound>,
    pub(crate) noop: Option<Bound>,
}

/// What a ratio of ours to another's has to be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// Everything that was measured.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    samples: BTreeMap<(What, Kind), Vec<f64>>,
}

// === impl What ===

impl What {
    pub(crate) const ALL: [Self; 20] = [
        Self::CpuInjecting,
        Self::CpuNothing,
        Self::CallsOfCore,
        Self::CallsClosed,
        Self::P50,
        Self::P99,
        Self::P999,
        Self::CpuOfUsualKb,
        Self::CpuOfLargeKb,
        Self::ResidentNone,
        Self::ResidentServed,
        Self::PeakSome,
        Self::PeakMany,
        Self::ResidentMany,
        Self::PeakTenth,
        Self::ReadyNone,
        Self::ReadySome,
        Self::ReadyMany,
        Self::Added,
        Self::Growth,
    ];

    /// The row's title and unit.
    pub(crate) fn title(self) -> (&'static str, &'static str) {
        match self {
            Self::CpuInjecting => ("CPU per injecting call, 5 KB", "µs"),
            Self::CpuNothing => ("CPU per call without an identity, 5 KB", "µs"),
            Self::CallsOfCore => ("calls per second of CPU, injecting, 5 KB", "/s"),
            Self::CallsClosed => {
                ("calls a second, 64 connections, load generator on the other core", "/s")
            }
            Self::P50 => ("p50 at 2,000 calls a second", "µs"),
            Self::P99 => ("p99 at 2,000 calls a second", "µs"),
            Self::P999 => ("p99.9 at 2,000 calls a second", "µs"),
            Self::CpuOfUsualKb => ("CPU per KB of a 5 KB Pod", "µs"),
            Self::CpuOfLargeKb => ("CPU per KB of a 100 KB Pod", "µs"),
            Self::ResidentNone => ("resident, no ServiceAccount", "MB"),
            Self::ResidentServed => ("resident after 100,000 calls", "MB"),
            Self::PeakSome => ("peak resident, 10,000 ServiceAccounts", "MB"),
            Self::PeakMany => ("peak resident, 100,000 annotated, first list and relist", "MB"),
            Self::ResidentMany => ("resident, 100,000 annotated, after the relist", "MB"),
            Self::PeakTenth => {
                ("peak resident, 100,000, one in ten annotated, first list and relist", "MB")
            }
            Self::ReadyNone => ("from start to injecting, no ServiceAccount", "ms"),
            Self::ReadySome => ("from start to injecting, 10,000 ServiceAccounts", "ms"),
            Self::ReadyMany => ("from start to injecting, 100,000 ServiceAccounts", "ms"),
            Self::Added => ("added to a Pod's creation, end to end, p50", "µs"),
            Self::Growth => (
                "resident after 1,000,000 calls and 100,000 changes, against after the first 200,000 calls",
                "MB",
            ),
        }
    }

    pub(crate) fn goals(self) -> Goals {
        use Bound::{AtLeast, AtMost};
        let goals = |theirs, noop| Goals { theirs, noop };
        match self {
            Self::CpuInjecting => goals(Some(AtMost(0.1)), Some(AtMost(3.0))),
            Self::CpuNothing => goals(Some(AtMost(1.0 / 12.0)), Some(AtMost(2.0))),
            Self::CallsOfCore => goals(Some(AtLeast(8.0)), Some(AtLeast(1.0 / 3.0))),
            Self::P99 => goals(Some(AtMost(1.0 / 3.0)), Some(AtMost(2.0))),
            Self::ResidentNone => goals(Some(AtMost(0.25)), None),
            Self::PeakMany => goals(Some(AtMost(1.0 / 6.0)), None),
            Self::PeakTenth => goals(Some(AtMost(1.0 / 12.0)), None),
            Self::ReadyMany => goals(Some(AtMost(0.5)), None),
            // Against the constant patch, which stands where the no-op stands elsewhere.
            Self::Added => goals(Some(AtMost(0.5)), Some(AtMost(1.3))),
            _ => Goals::default(),
        }
    }
}

// === impl Bound ===

impl Bound {
    pub(crate) fn holds(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(bound) => ratio <= bound,
            Self::AtLeast(bound) => ratio >= bound,
        }
    }
}

// === impl Figures ===

impl Figures {
    /// Adds a sample.
    pub(crate) fn add(&mut self, what: What, kind: Kind, value: f64) {
        self.samples.entry((what, kind)).or_default().push(value);
    }

    /// The median of all rounds.
    pub(crate) fn median(&self, what: What, kind: Kind) -> Option<f64> {
        median(self.samples.get(&(what, kind))?)
    }

    /// How many rounds there were, and the least and the most of them.
    pub(crate) fn spread(&self, what: What, kind: Kind) -> Option<(usize, f64, f64)> {
        let samples = self.samples.get(&(what, kind))?;
        let least = samples.iter().copied().fold(f64::INFINITY, f64::min);
        let most = samples.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Some((samples.len(), least, most))
    }

    /// Ours by another's.
    pub(crate) fn ratio(&self, what: What, other: Kind) -> Option<f64> {
        Some(self.median(what, Kind::Ours)? / self.median(what, other)?)
    }
}

/// The middle one, or of two the mean.
pub(crate) fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = sorted.get(middle).copied()?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(sorted.get(middle - 1).copied()?, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_whatever_the_order() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
    }

    #[test]
    fn every_row_is_in_the_table_once() {
        let mut all = What::ALL.to_vec();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), What::ALL.len());
    }
}
