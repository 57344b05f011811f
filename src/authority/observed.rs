//! What a replica saw, and when, by its own clocks.
//!
//! The order of the reads is part of the contract, see [`Observed`]: with it, a bundle that is
//! written under the guard of the configuration's resourceVersion is never older than one that
//! another replica wrote.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    authorities::Key, bundle::Bundle, certificate::CaCertificate, certificate::CaId,
    ledger::Ledger, secret::LedgerError,
};

/// A moment by both clocks of a process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Now {
    /// The time of day, which dates in certificates are compared with. Best that of the API server
    /// (its `Date` headers), as API servers are those who judge certificates.
    pub wall: SystemTime,
    /// The time since some moment of this process's life, which never goes back.
    pub monotonic: Duration,
}

/// One look at both objects.
///
/// Both are read from storage (a GET without `resourceVersion`), not from a watch, and in this
/// order: `begun` is taken, the configuration is read, then the Secret.
#[derive(Clone, Debug)]
pub struct Observed<K = Key> {
    /// Taken before the first read.
    pub begun: Now,
    /// Read first.
    pub configuration: Configuration,
    /// Read second.
    pub secret: Secret<K>,
}

/// The webhook configuration.
#[derive(Clone, Debug)]
pub enum Configuration {
    /// It could not be read.
    Unknown,
    /// There is none: nobody verifies anything.
    Missing,
    /// There is one.
    Present {
        /// The bundles of the entries that are ours, each; an entry without one has an empty one.
        /// No entries count as no configuration.
        bundles: Vec<Bundle>,
        /// What guards a write.
        resource_version: String,
    },
}

/// The Secret.
#[derive(Clone, Debug)]
pub enum Secret<K = Key> {
    /// It could not be read.
    Unknown,
    /// There is none.
    Missing,
    /// There is one, in which nothing of ours stands.
    Vacant {
        /// What guards a write.
        resource_version: String,
    },
    /// There is one, and it makes no sense.
    Corrupt {
        /// What is wrong.
        error: Arc<LedgerError>,
        /// The certificates of CAs that can be read nevertheless.
        salvaged: Vec<CaCertificate>,
        /// What guards a write.
        resource_version: String,
    },
    /// There is one.
    Held {
        /// What it says.
        ledger: Box<Ledger<K>>,
        /// What guards a write.
        resource_version: String,
    },
}

/// Whether API servers trust a CA, as far as the configuration says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Trust {
    /// Nobody knows.
    Unknown,
    /// Nobody verifies.
    Unasked,
    /// Every entry does.
    Trusted,
    /// Some entry does not.
    Distrusted,
}

// === impl Configuration ===

impl Configuration {
    /// The bundles of our entries; none if there is nothing to verify with.
    pub fn bundles(&self) -> &[Bundle] {
        match self {
            Self::Unknown | Self::Missing => &[],
            Self::Present { bundles, resource_version: _ } => bundles,
        }
    }

    /// All certificates in it, some perhaps twice.
    pub(super) fn certificates(&self) -> impl Iterator<Item = &CaCertificate> {
        self.bundles().iter().flat_map(Bundle::certificates)
    }

    pub(super) fn trust(&self, ca: CaId) -> Trust {
        match self {
            Self::Unknown => Trust::Unknown,
            _ if self.bundles().is_empty() => Trust::Unasked,
            _ if self.bundles().iter().all(|bundle| bundle.trusts(ca)) => Trust::Trusted,
            _ => Trust::Distrusted,
        }
    }
}
