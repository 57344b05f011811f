//! There is a ledger: put back what it has lost, serve, publish, and bring the rotation forward.
//!
//! In that order, and one write at a time: a bundle is written only from a ledger that has all that
//! leaves need, and the ledger changes only when the bundle is what it says.

use std::time::{Duration, SystemTime};

use super::{
    super::{
        authorities::Ca,
        certificate::{CaCertificate, CaId, Validity, later},
        ledger::Ledger,
        observed::{Configuration, Trust},
    },
    Action, Change, LeafOrder, Look, Plan, Replica, WISHES, Wish,
};

/// What the ledger needs before anything is done with it.
enum Repair<K> {
    /// Nothing.
    None,
    /// To be written.
    Write(Ledger<K>, Change),
    /// Somebody undoes each repair: to be left alone for a while, and not to be followed.
    Wait,
}

/// What the bundle of the configuration needs.
enum Publication {
    /// It is right, or there is nobody to read it.
    Done,
    /// It cannot be read.
    Unknown,
    /// It has to be written.
    Due { resource_version: String },
    /// It holds CAs that the ledger lacks, of which this replica knows nothing: others may.
    Strange { cas: Vec<CaCertificate> },
}

impl<K: Clone> Replica<K> {
    pub(super) fn follow<E>(
        &mut self,
        look: &Look<'_, K>,
        ledger: &Ledger<K>,
        resource_version: &str,
        make: &mut dyn FnMut(Validity) -> Result<Ca<K>, E>,
    ) -> Result<Plan<K>, E> {
        if look.configuration().bundles().is_empty()
            && !matches!(look.configuration(), Configuration::Unknown)
        {
            // Nobody verifies: what stands in the ledger is as good as known.
            for certificate in ledger.certificates() {
                self.saw(certificate.id(), look.now.monotonic);
            }
        }
        let write = |ledger, change| Action::WriteSecret {
            ledger,
            resource_version: resource_version.to_owned(),
            change,
        };
        self.lost = None;
        match self.repair(ledger, look) {
            Repair::Write(repaired, change) => return Ok(Plan::act(write(repaired, change))),
            Repair::Wait => return Ok(Plan::wait(look.policy.patience())),
            Repair::None => {}
        }
        self.accept(ledger, look);

        let mut plan = Plan::wait(look.policy.patience());
        plan.actions.extend(self.leaf_order(ledger, look).map(Action::Serve));
        match self.publication(ledger, look) {
            Publication::Due { resource_version } => {
                let bundle = ledger.bundle();
                plan.actions.push(Action::PublishBundle { bundle, resource_version });
            }
            Publication::Strange { cas } => {
                let since = self.newcomer.unwrap_or_default();
                let waited = look.now.monotonic.saturating_sub(since);
                let left = look.policy.hesitation().saturating_sub(waited);
                if left.is_zero() {
                    let until = later(look.wall(), look.policy.farewell());
                    let kept = cas
                        .into_iter()
                        .fold(ledger.clone(), |ledger, ca| ledger.retiring(ca, until));
                    plan.actions.push(write(kept, Change::Kept));
                } else {
                    plan.look_again = Plan::<K>::wait(left).look_again;
                }
            }
            Publication::Unknown => {}
            Publication::Done => {
                if let Some((advanced, change)) = self.advanced(ledger, look, make)? {
                    plan.actions.push(write(advanced, change));
                }
            }
        }
        if plan.actions.is_empty() {
            let deadline = self.deadline(ledger, look);
            plan = Plan::wait(plan.look_again.min(deadline));
        }
        Ok(plan)
    }

    fn accept(&mut self, ledger: &Ledger<K>, look: &Look<'_, K>) {
        // Between two looks that are less than an overlap apart no CA can come into use unseen.
        let is_attentive = self
            .followed
            .is_some_and(|at| look.now.monotonic.saturating_sub(at) < look.policy.overlap());
        let is_known = self
            .remembered
            .as_ref()
            .is_some_and(|remembered| remembered.contains(ledger.current().id()));
        if !is_attentive || !is_known {
            self.newcomer = Some(look.now.monotonic);
        }
        self.followed = Some(look.observed.begun.monotonic);
        if self.spare.as_ref().is_some_and(|spare| ledger.contains(spare.id())) {
            self.spare = None;
        }
        if self.is_settled(ledger.current().id(), look) {
            self.established = Some(ledger.current().id());
        }
        self.remembered = Some(ledger.clone());
    }

    // --- what a ledger has lost

    /// The ledger with what it has to have besides, if it lacks anything.
    fn repair(&mut self, ledger: &Ledger<K>, look: &Look<'_, K>) -> Repair<K> {
        let Some(remembered) = self.remembered.clone() else { return Repair::None };
        if self.is_usurped(&remembered, ledger, look) {
            if !self.may_want(remembered.current().id(), look) {
                return Repair::Wait;
            }
            return Repair::Write(adopting(remembered, ledger, look), Change::Adopted);
        }
        let missing: Vec<_> = self
            .needed(&remembered, look)
            .into_iter()
            .filter(|(ca, _)| !ledger.contains(ca.id()))
            .filter(|(ca, _)| self.may_want(ca.id(), look))
            .collect();
        if missing.is_empty() {
            return Repair::None;
        }
        let kept = missing
            .into_iter()
            .fold(ledger.clone(), |ledger, (ca, until)| ledger.retiring(ca, until));
        Repair::Write(kept, Change::Kept)
    }

    /// Whether this replica may ask for a CA once more. Notes that it does.
    fn may_want(&mut self, ca: CaId, look: &Look<'_, K>) -> bool {
        let now = look.now.monotonic;
        let wish = self.wanted.entry(ca).or_insert(Wish { since: now, asked: 0 });
        if now.saturating_sub(wish.since) > look.policy.overlap() {
            *wish = Wish { since: now, asked: 0 };
        }
        if wish.asked < WISHES {
            wish.asked += 1;
            return true;
        }
        false
    }

    /// Whether the ledger knows nothing of the CA that this replica has as current, although that
    /// one is in use, and names one that API servers need not know yet.
    fn is_usurped(&self, own: &Ledger<K>, ledger: &Ledger<K>, look: &Look<'_, K>) -> bool {
        let current = own.current();
        self.established == Some(current.id())
            && !ledger.contains(current.id())
            && self.has_leaf(look.wall())
            && self.is_recent(look)
            && !look.is_spent(current.validity())
            && !self.is_settled(ledger.current().id(), look)
    }

    /// What leaves need, of this replica or, as far as it remembers, of others; and until when.
    fn needed(&self, own: &Ledger<K>, look: &Look<'_, K>) -> Vec<(CaCertificate, SystemTime)> {
        let margin = look.policy.clock_margin();
        let farewell = later(look.wall(), look.policy.farewell());
        let mut needed = Vec::new();
        let current = own.current().certificate();
        if self.is_recent(look) && !look.is_spent(current.validity()) {
            needed.push((current.clone(), farewell));
        }
        needed.extend(
            own.retired()
                .iter()
                .filter(|retired| later(look.wall(), margin) < retired.until)
                .map(|retired| (retired.certificate.clone(), retired.until)),
        );
        needed.extend(
            self.leaf
                .iter()
                .filter(|leaf| !leaf.validity.is_over(look.wall()))
                .map(|leaf| (leaf.ca.clone(), later(leaf.validity.not_after, margin))),
        );
        needed
    }

    // --- leaves

    /// The leaf that has to be made now, if any.
    fn leaf_order(&self, ledger: &Ledger<K>, look: &Look<'_, K>) -> Option<LeafOrder<K>> {
        let current = ledger.current();
        let validity =
            Validity::starting(look.wall(), look.policy.leaf_validity()).within(current.validity());
        if validity.is_over(look.wall()) {
            return None;
        }
        let is_due = match &self.leaf {
            None => true,
            Some(leaf) if leaf.ca.id() == current.id() => {
                leaf.validity.renewal() <= look.wall()
                    && leaf.validity.not_after < validity.not_after
            }
            Some(leaf) => {
                let has_lapsed = look.is_spent(leaf.validity);
                has_lapsed
                    || !ledger.contains(leaf.ca.id())
                    || (self.is_premature(leaf.ca.id(), ledger) && look.is_fit(current.validity()))
                    || (self.is_settled(current.id(), look) && look.is_fit(current.validity()))
            }
        };
        is_due.then(|| LeafOrder { ca: current.clone(), validity })
    }

    /// Whether a leaf is of the next CA, and the current one is known for longer.
    fn is_premature(&self, leaf: CaId, ledger: &Ledger<K>) -> bool {
        let current = ledger.current().id();
        ledger.next().is_some_and(|next| next.id() == leaf)
            && match (self.known_since(current), self.known_since(leaf)) {
                (Some(current), Some(next)) => current < next,
                (known, _) => known.is_some(),
            }
    }

    // --- the bundle

    fn publication(&mut self, ledger: &Ledger<K>, look: &Look<'_, K>) -> Publication {
        let resource_version = match look.configuration() {
            Configuration::Unknown => return Publication::Unknown,
            Configuration::Missing => return Publication::Done,
            Configuration::Present { bundles: _, resource_version } => resource_version,
        };
        let cas: Vec<_> = look
            .configuration()
            .certificates()
            .filter(|ca| !ledger.contains(ca.id()) && !ca.validity().is_over(look.wall()))
            .cloned()
            .collect();
        if !cas.is_empty() && self.newcomer.is_some() {
            return Publication::Strange { cas };
        }
        let hesitation = look.policy.hesitation();
        self.newcomer = self.newcomer.filter(|since| look.now.monotonic < *since + hesitation);
        let bundle = ledger.bundle();
        if look.configuration().bundles().iter().all(|present| present.bytes() == bundle.bytes()) {
            return Publication::Done;
        }
        Publication::Due { resource_version: resource_version.clone() }
    }

    // --- the rotation

    /// The next step of the rotation, if its time has come.
    fn advanced<E>(
        &mut self,
        ledger: &Ledger<K>,
        look: &Look<'_, K>,
        make: &mut dyn FnMut(Validity) -> Result<Ca<K>, E>,
    ) -> Result<Option<(Ledger<K>, Change)>, E> {
        let wall = look.wall();
        let margin = look.policy.clock_margin();
        let until = later(wall, look.policy.farewell());
        let current = ledger.current().validity();
        if let Some(next) = ledger.next() {
            let is_known = if look.is_spent(current) {
                // Nothing that the current CA signs can be verified: nothing to wait for.
                matches!(look.configuration().trust(next.id()), Trust::Trusted | Trust::Unasked)
            } else {
                self.is_settled(next.id(), look)
            };
            if is_known && look.is_fit(next.validity()) {
                return Ok(Some((ledger.clone().promoted(until), Change::Promoted)));
            }
        }
        let has_next = ledger.next().is_some_and(|next| !look.is_spent(next.validity()));
        if current.renewal() <= wall && !has_next {
            let next = self.spare(look, make)?;
            return Ok(Some((ledger.clone().followed_by(next, until), Change::Announced)));
        }
        let mut purged = ledger.clone().purged(wall);
        if let Some(leaf) = self.leaf.as_ref().filter(|leaf| !leaf.validity.is_over(wall)) {
            // A clock that is wrong is no reason to drop what is served.
            purged = purged.retiring(leaf.ca.clone(), later(leaf.validity.not_after, margin));
        }
        if purged.retired().len() < ledger.retired().len() {
            return Ok(Some((purged, Change::Dropped)));
        }
        Ok(None)
    }

    /// How long it takes until a clock alone makes something due.
    fn deadline(&self, ledger: &Ledger<K>, look: &Look<'_, K>) -> Duration {
        let leaf = self.leaf.iter().flat_map(|leaf| {
            let margin = look.policy.clock_margin();
            [leaf.validity.renewal(), leaf.validity.last_call(margin)]
        });
        let wall = ledger
            .retired()
            .iter()
            .map(|retired| retired.until)
            .chain([ledger.current().validity().renewal()])
            .chain(leaf)
            .filter_map(|at| at.duration_since(look.now.wall).ok());
        let settling = [Some(ledger.current().id()), ledger.next().map(Ca::id)]
            .into_iter()
            .flatten()
            .filter_map(|ca| self.settles(ca, look.policy))
            .filter_map(|at| at.checked_sub(look.now.monotonic));
        wall.chain(settling).min().unwrap_or(look.policy.patience())
    }
}

/// The remembered ledger, with all that the other one has: its current CA becomes the next one,
/// unless it is one that was retired here, or one that has ended.
fn adopting<K: Clone>(own: Ledger<K>, other: &Ledger<K>, look: &Look<'_, K>) -> Ledger<K> {
    let until = later(look.wall(), look.policy.farewell());
    let strange = other.current();
    let is_rollback = own.retired().iter().any(|retired| retired.certificate.id() == strange.id());
    let mut merged = own;
    if !is_rollback && !look.is_spent(strange.validity()) {
        merged = merged.followed_by(strange.clone(), until);
    }
    // It may have signed leaves up to now, whatever was known of it.
    merged = merged.retiring(strange.certificate().clone(), until);
    if let Some(next) = other.next() {
        merged = merged.retiring(next.certificate().clone(), until);
    }
    other
        .retired()
        .iter()
        .fold(merged, |merged, retired| merged.retiring(retired.certificate.clone(), retired.until))
        .purged(look.wall())
}
