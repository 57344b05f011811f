//! What one replica does next: state, clocks and what was observed -> actions.
//!
//! [`Replica::next`] is pure. Called again with what came of its actions, any number of replicas
//! come to one ledger, one bundle and leaves that are trusted, whatever happened to the Secret, the
//! configuration or the processes. The rules:
//!
//! - every write is guarded, and follows a look that is younger than half an overlap;
//! - a leaf is made only from the CA that is current in the ledger just read;
//! - a leaf that is trusted is left for another CA only after that one was seen in the bundle for
//!   the overlap, without interruption, by this process's monotonic clock;
//! - what a ledger has lost, and leaves still need, is put back before a bundle is written.

mod follow;
mod recover;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use super::{
    authorities::{Ca, Key},
    bundle::Bundle,
    certificate::{CaCertificate, CaId, Validity},
    ledger::Ledger,
    observed::{Configuration, Now, Observed, Secret, Trust},
    policy::Policy,
};

/// The shortest, so that no deadline that has passed makes a busy loop.
const LOOK_AGAIN_AT_SOONEST: Duration = Duration::from_millis(100);

/// What a replica remembers. Lost with the process, and nothing breaks by it.
#[derive(Clone, Debug)]
pub struct Replica<K = Key> {
    /// The last ledger that was good.
    remembered: Option<Ledger<K>>,
    /// What is served.
    leaf: Option<Serving>,
    /// When the configuration was last read.
    looked: Option<Duration>,
    /// Since when, by the monotonic clock, each look found a CA in the bundle.
    sightings: BTreeMap<CaId, Duration>,
    /// When a good ledger was last read.
    followed: Option<Duration>,
    /// Since when the ledger that is followed is one about whose past something is not known.
    newcomer: Option<Duration>,
    /// The last current CA that API servers had had time to see.
    established: Option<CaId>,
    /// Since when there is no ledger to follow.
    lost: Option<Duration>,
    /// CAs that this replica asked the ledger to keep.
    wanted: BTreeMap<CaId, Wish>,
    /// A CA that was made and is in no ledger yet.
    spare: Option<Ca<K>>,
}

/// A leaf that is served: which CA signed it, from when to when it holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Serving {
    /// The CA's certificate.
    pub ca: CaCertificate,
    /// The leaf's validity.
    pub validity: Validity,
}

/// A leaf that is to be made.
#[derive(Clone, Debug)]
pub struct LeafOrder<K = Key> {
    /// What signs it.
    pub ca: Ca<K>,
    /// From when to when it has to hold.
    pub validity: Validity,
}

/// What to do, in this order. If one fails, the rest is dropped; look again in any case.
#[derive(Clone, Debug)]
pub struct Plan<K = Key> {
    /// The actions.
    pub actions: Vec<Action<K>>,
    /// When to look again though nothing happened. After actions: at once.
    pub look_again: Duration,
}

/// One thing to do.
#[derive(Clone, Debug)]
pub enum Action<K = Key> {
    /// Make a leaf, serve it, and say so with [`Replica::serves`].
    Serve(LeafOrder<K>),
    /// Create the Secret; that it exists by now is no error.
    CreateSecret {
        /// What it holds.
        ledger: Ledger<K>,
        /// Why.
        change: Change,
    },
    /// Replace our keys of the Secret, guarded; a conflict is no error.
    WriteSecret {
        /// What it holds.
        ledger: Ledger<K>,
        /// The guard.
        resource_version: String,
        /// Why.
        change: Change,
    },
    /// Set the `caBundle` of each of our entries, guarded; a conflict is no error.
    PublishBundle {
        /// What it is.
        bundle: Bundle,
        /// The guard.
        resource_version: String,
    },
}

/// Why the ledger changes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Change {
    /// There was none, and nobody remembers one: a new CA.
    Created,
    /// It was deleted or broken, and is written from memory.
    Restored,
    /// A strange CA took the place of ours: ours stays, the strange one is the next.
    Adopted,
    /// CAs that leaves still need were not in it.
    Kept,
    /// Two thirds of the current CA's life are over: a next one is made.
    Announced,
    /// The next CA is known: it is the current one.
    Promoted,
    /// No leaf of a retired CA can be served any more: it is dropped.
    Dropped,
}

/// Whether API servers trust what is served.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// They do, or there is nobody who asks.
    Trusted,
    /// Nothing is served yet.
    NoLeaf,
    /// The leaf has ended, or is about to.
    Expired,
    /// Its CA is not in the bundle of each entry.
    NotInBundle,
    /// The configuration cannot be read.
    Unknown,
}

/// How often a replica asks the ledger within an overlap to keep a CA. Where clocks are far apart
/// another one may drop it each time, and both are right: that must not become a storm.
const WISHES: u8 = 8;

/// How often, and since when, a replica asked the ledger to keep a CA.
#[derive(Clone, Copy, Debug)]
struct Wish {
    since: Duration,
    asked: u8,
}

/// One look, and what it is judged by.
struct Look<'a, K> {
    now: Now,
    observed: &'a Observed<K>,
    policy: &'a Policy,
}

// === impl Replica ===

impl<K> Default for Replica<K> {
    fn default() -> Self {
        Self {
            remembered: None,
            leaf: None,
            looked: None,
            sightings: BTreeMap::new(),
            followed: None,
            newcomer: None,
            established: None,
            lost: None,
            wanted: BTreeMap::new(),
            spare: None,
        }
    }
}

impl<K: Clone> Replica<K> {
    /// What to do at `now`, given a look at both objects. `make` makes a CA, and is called only if
    /// one is needed; its error is handed on, and nothing else is done then.
    pub fn next<E>(
        &mut self,
        now: Now,
        observed: &Observed<K>,
        policy: &Policy,
        make: &mut dyn FnMut(Validity) -> Result<Ca<K>, E>,
    ) -> Result<Plan<K>, E> {
        let age = now.monotonic.saturating_sub(observed.begun.monotonic);
        if age > policy.freshness() {
            return Ok(Plan::wait(LOOK_AGAIN_AT_SOONEST));
        }
        self.sees(&observed.configuration, now.monotonic, policy);
        let look = Look { now, observed, policy };
        match &observed.secret {
            Secret::Unknown => Ok(Plan::wait(policy.patience())),
            Secret::Missing => self.recover(&look, &recover::Lost::Missing, make),
            Secret::Vacant { resource_version } => {
                self.recover(&look, &recover::Lost::Vacant { resource_version }, make)
            }
            Secret::Corrupt { error: _, salvaged, resource_version } => {
                self.recover(&look, &recover::Lost::Corrupt { salvaged, resource_version }, make)
            }
            Secret::Held { ledger, resource_version } => {
                self.follow(&look, ledger, resource_version, make)
            }
        }
    }
}

impl<K> Replica<K> {
    /// Notes that this leaf is served from now on.
    pub fn serves(&mut self, leaf: Serving) {
        self.leaf = Some(leaf);
    }

    /// Notes a state of the configuration that a watch told of: a CA that was gone in between, be
    /// it for a moment, has to become known anew.
    pub fn glimpses(&mut self, configuration: &Configuration) {
        self.sightings.retain(|ca, _| configuration.trust(*ca) != Trust::Distrusted);
    }

    /// The last ledger that was good.
    pub fn remembered(&self) -> Option<&Ledger<K>> {
        self.remembered.as_ref()
    }

    /// What is served.
    pub fn leaf(&self) -> Option<&Serving> {
        self.leaf.as_ref()
    }

    /// Whether API servers trust what is served: part of readiness. `configuration` is the last one
    /// that was read.
    pub fn standing(
        &self,
        configuration: &Configuration,
        wall: SystemTime,
        policy: &Policy,
    ) -> Standing {
        let Some(leaf) = &self.leaf else { return Standing::NoLeaf };
        let margin = policy.clock_margin();
        if leaf.validity.is_spent(wall, margin) || leaf.ca.validity().is_spent(wall, margin) {
            return Standing::Expired;
        }
        match configuration.trust(leaf.ca.id()) {
            Trust::Unknown => Standing::Unknown,
            Trust::Unasked | Trust::Trusted => Standing::Trusted,
            Trust::Distrusted => Standing::NotInBundle,
        }
    }

    /// Notes which CAs are in the bundle. After a time without a look nothing counts as seen.
    fn sees(&mut self, configuration: &Configuration, monotonic: Duration, policy: &Policy) {
        if matches!(configuration, Configuration::Unknown) {
            return;
        }
        let looked = self.looked.replace(monotonic);
        if looked.is_none_or(|at| monotonic.saturating_sub(at) > policy.freshness()) {
            self.sightings.clear();
        }
        self.glimpses(configuration);
        for certificate in configuration.certificates() {
            if configuration.trust(certificate.id()) == Trust::Trusted {
                self.saw(certificate.id(), monotonic);
            }
        }
    }

    fn saw(&mut self, ca: CaId, monotonic: Duration) {
        self.sightings.entry(ca).or_insert(monotonic);
    }

    /// Since when a CA is in the bundle without interruption.
    fn known_since(&self, ca: CaId) -> Option<Duration> {
        self.sightings.get(&ca).copied()
    }

    /// When API servers have had the overlap to see a CA, if it is in the bundle.
    fn settles(&self, ca: CaId, policy: &Policy) -> Option<Duration> {
        self.known_since(ca).map(|since| since.saturating_add(policy.overlap()))
    }

    /// Whether they have had it.
    fn is_settled(&self, ca: CaId, look: &Look<'_, K>) -> bool {
        self.settles(ca, look.policy).is_some_and(|at| at <= look.observed.begun.monotonic)
    }

    /// Whether memory is so young that no CA that was current in it can have been dropped by a
    /// rotation: that takes longer than a leaf lasts.
    fn is_recent(&self, look: &Look<'_, K>) -> bool {
        self.followed
            .is_some_and(|at| look.now.monotonic.saturating_sub(at) < look.policy.leaf_validity())
    }

    /// Whether the leaf holds.
    fn has_leaf(&self, wall: SystemTime) -> bool {
        self.leaf.as_ref().is_some_and(|leaf| !leaf.validity.is_over(wall))
    }
}

// === impl Plan ===

impl<K> Plan<K> {
    fn wait(look_again: Duration) -> Self {
        Self { actions: Vec::new(), look_again: look_again.max(LOOK_AGAIN_AT_SOONEST) }
    }

    fn act(action: Action<K>) -> Self {
        Self { actions: vec![action], look_again: LOOK_AGAIN_AT_SOONEST }
    }
}

// === impl Look ===

impl<K> Look<'_, K> {
    /// The time of day when the look began: no later than anything that was seen.
    fn wall(&self) -> SystemTime {
        self.observed.begun.wall
    }

    /// Whether something ends so soon that, by another clock, it may have ended.
    fn is_spent(&self, validity: Validity) -> bool {
        validity.is_spent(self.wall(), self.policy.clock_margin())
    }

    /// Whether something has begun, and is not spent.
    fn is_fit(&self, validity: Validity) -> bool {
        validity.holds(self.wall()) && !self.is_spent(validity)
    }

    fn configuration(&self) -> &Configuration {
        &self.observed.configuration
    }
}
