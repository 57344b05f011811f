//! How long everything lasts.
//!
//! A [`Policy`] that exists can be kept: each third of a life, the time that is left when something
//! is renewed, is long enough for a CA to become known.

use std::time::Duration;

use super::certificate::BACKDATE;

/// How many overlaps a life is long at least: renewal at two thirds leaves two of them.
const OVERLAPS: u32 = 6;

/// How long a replica that cannot know better waits for one that can, at most: twice what a replica
/// has for a repair.
const HESITATION: Duration = Duration::from_secs(10);

/// The longest time between two looks.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long everything lasts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Policy {
    ca_validity: Duration,
    leaf_validity: Duration,
    overlap: Duration,
    clock_margin: Duration,
}

/// Why durations do not go together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// `--ca-validity` is too short.
    #[error("--ca-validity has to be at least six times --ca-overlap")]
    CaValidity,
    /// `--certificate-validity` is too short.
    #[error("--certificate-validity has to be at least six times --ca-overlap")]
    LeafValidity,
    /// `--ca-overlap` is nothing.
    #[error("--ca-overlap has to be longer than nothing: API servers take time to see a CA")]
    Overlap,
}

impl Policy {
    /// Checks the three flags against each other.
    pub fn new(
        ca_validity: Duration,
        leaf_validity: Duration,
        overlap: Duration,
    ) -> Result<Self, PolicyError> {
        if overlap.is_zero() {
            return Err(PolicyError::Overlap);
        }
        let least = overlap.saturating_mul(OVERLAPS);
        if ca_validity < least {
            return Err(PolicyError::CaValidity);
        }
        if leaf_validity < least {
            return Err(PolicyError::LeafValidity);
        }
        Ok(Self { ca_validity, leaf_validity, overlap, clock_margin: BACKDATE })
    }

    /// How long a CA holds.
    pub fn ca_validity(&self) -> Duration {
        self.ca_validity
    }

    /// How long a leaf holds.
    pub fn leaf_validity(&self) -> Duration {
        self.leaf_validity
    }

    /// How long API servers have, after a CA came into the bundle, to see it.
    pub fn overlap(&self) -> Duration {
        self.overlap
    }

    /// How far the clocks of any two machines may be apart: as far as validity is backdated.
    pub fn clock_margin(&self) -> Duration {
        self.clock_margin
    }

    /// How long a replica that has no memory waits for one that has, before it replaces what it
    /// finds missing, broken or strange.
    pub fn hesitation(&self) -> Duration {
        HESITATION.min(self.overlap)
    }

    /// The longest time between two looks, for what no clock foretells: far less than an overlap.
    pub fn patience(&self) -> Duration {
        PATIENCE.min(self.overlap / 4)
    }

    /// How old an observation may be when it is acted on.
    pub fn freshness(&self) -> Duration {
        self.overlap / 2
    }

    /// How long after the last leaf was ordered from a CA one may still be served.
    pub(super) fn farewell(&self) -> Duration {
        self.leaf_validity.saturating_add(self.clock_margin)
    }
}
