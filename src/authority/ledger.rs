//! The ledger: which CAs there are and what each is for. The Secret holds it for all replicas.
//!
//! `current` signs leaves, `next` is getting known, `retired` ones sign nothing any more but are
//! trusted until no leaf of theirs can be served. Each CA is in it once. The bundle follows from it
//! alone, in the order of the fields.

use std::time::SystemTime;

use super::{
    authorities::{Ca, Key},
    bundle::Bundle,
    certificate::{CaCertificate, CaId},
};

/// All CAs that count.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ledger<K = Key> {
    current: Ca<K>,
    next: Option<Ca<K>>,
    retired: Vec<Retired>,
}

/// A CA that signs nothing any more; its key is gone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Retired {
    /// Its certificate.
    pub certificate: CaCertificate,
    /// From when on, by any clock within the margin, no leaf of it can be served.
    pub until: SystemTime,
}

impl<K> Ledger<K> {
    /// One with a single CA.
    pub fn new(current: Ca<K>) -> Self {
        Self { current, next: None, retired: Vec::new() }
    }

    /// What signs leaves.
    pub fn current(&self) -> &Ca<K> {
        &self.current
    }

    /// What will, once it is known.
    pub fn next(&self) -> Option<&Ca<K>> {
        self.next.as_ref()
    }

    /// What once did.
    pub fn retired(&self) -> &[Retired] {
        &self.retired
    }

    /// All certificates, in the order of the bundle.
    pub fn certificates(&self) -> impl Iterator<Item = &CaCertificate> {
        let signing = [Some(&self.current), self.next.as_ref()];
        signing
            .into_iter()
            .flatten()
            .map(Ca::certificate)
            .chain(self.retired.iter().map(|retired| &retired.certificate))
    }

    /// Whether that CA is in it, in whatever part.
    pub fn contains(&self, ca: CaId) -> bool {
        self.certificates().any(|certificate| certificate.id() == ca)
    }

    /// The `caBundle` that belongs to it.
    pub fn bundle(&self) -> Bundle {
        Bundle::of(self.certificates())
    }

    /// Adds a CA as retired, unless it is in there; of two times the later one counts.
    #[must_use]
    pub fn retiring(mut self, certificate: CaCertificate, until: SystemTime) -> Self {
        let id = certificate.id();
        if !self.contains(id) {
            self.retired.push(Retired { certificate, until });
            return self;
        }
        for retired in self.retired.iter_mut().filter(|retired| retired.certificate.id() == id) {
            retired.until = retired.until.max(until);
        }
        self
    }

    /// Makes a CA the next one. The one that was is retired until then.
    #[must_use]
    pub fn followed_by(mut self, next: Ca<K>, until: SystemTime) -> Self {
        self.retired.retain(|retired| retired.certificate.id() != next.id());
        if self.current.id() == next.id() {
            return self;
        }
        match self.next.replace(next) {
            Some(former) => self.retiring(former.certificate().clone(), until),
            None => self,
        }
    }

    /// Makes the next CA the current one. The one that was is retired until then.
    #[must_use]
    pub fn promoted(mut self, until: SystemTime) -> Self {
        match self.next.take() {
            Some(next) => {
                let former = std::mem::replace(&mut self.current, next);
                self.retiring(former.certificate().clone(), until)
            }
            None => self,
        }
    }

    /// Without those retired ones whose time is over.
    #[must_use]
    pub fn purged(mut self, now: SystemTime) -> Self {
        self.retired.retain(|retired| now < retired.until);
        self
    }
}
