//! There is no ledger to follow: the Secret is not there, empty, or makes no sense.
//!
//! A replica whose memory is good writes it down again. One that has none makes a new CA, but where
//! anything says that there are others, it first gives them time to do better. Either way whatever
//! the present bundle trusts stays trusted until leaves of it have ended: nobody who serves one
//! loses it.

use std::time::SystemTime;

use super::{
    super::{
        authorities::Ca,
        certificate::{CaCertificate, Validity, later},
        ledger::Ledger,
        observed::{Configuration, Trust},
    },
    Action, Change, Look, Plan, Replica,
};

/// The most CAs that are taken over into a new ledger: nobody's rotation has more in use, and a
/// bundle with all of a browser's CAs in it is a mistake that need not be kept.
const CARRIED_AT_MOST: usize = 64;

/// How there is no ledger.
pub(super) enum Lost<'a> {
    /// No Secret.
    Missing,
    /// One without anything of ours, as charts make it.
    Vacant {
        /// What guards a write.
        resource_version: &'a str,
    },
    /// One that makes no sense.
    Corrupt {
        /// The certificates of CAs that can be read nevertheless.
        salvaged: &'a [CaCertificate],
        /// What guards a write.
        resource_version: &'a str,
    },
}

impl<K: Clone> Replica<K> {
    pub(super) fn recover<E>(
        &mut self,
        look: &Look<'_, K>,
        lost: &Lost<'_>,
        make: &mut dyn FnMut(Validity) -> Result<Ca<K>, E>,
    ) -> Result<Plan<K>, E> {
        if matches!(look.configuration(), Configuration::Unknown) {
            // What is trusted now cannot be read, so it could not be kept.
            return Ok(Plan::wait(look.policy.patience()));
        }
        let monotonic = look.now.monotonic;
        let since = *self.lost.get_or_insert(monotonic);
        let trusted = self.trusted(look, lost);

        let waited = monotonic.saturating_sub(since);
        let hesitation = look.policy.hesitation();
        let good = self.remembered.as_ref().filter(|remembered| self.is_good(remembered, look));
        let is_alone = trusted.is_empty() && !matches!(lost, Lost::Corrupt { .. });
        let knows_best = good.is_some() && self.is_recent(look);
        if !knows_best && !is_alone && waited < hesitation {
            return Ok(Plan::wait(hesitation.saturating_sub(waited)));
        }
        if let Some(remembered) = good {
            let until = later(look.wall(), look.policy.farewell());
            let ledger = retiring(remembered.clone().purged(look.wall()), &trusted, until);
            return Ok(Plan::act(lost.action(ledger, Change::Restored)));
        }
        let until = later(look.wall(), look.policy.farewell());
        let ca = self.spare(look, make)?;
        let ledger = retiring(Ledger::new(ca), &trusted, until);
        Ok(Plan::act(lost.action(ledger, Change::Created)))
    }

    /// A CA that is in no ledger yet: that of the last attempt, if it is not old.
    pub(super) fn spare<E>(
        &mut self,
        look: &Look<'_, K>,
        make: &mut dyn FnMut(Validity) -> Result<Ca<K>, E>,
    ) -> Result<Ca<K>, E> {
        let validity = Validity::starting(look.wall(), look.policy.ca_validity());
        let oldest = validity.not_after.checked_sub(look.policy.overlap());
        match &self.spare {
            Some(spare) if oldest.is_none_or(|oldest| spare.validity().not_after >= oldest) => {
                Ok(spare.clone())
            }
            _ => {
                let made = make(validity)?;
                self.spare = Some(made.clone());
                Ok(made)
            }
        }
    }

    /// Whether what is remembered can be used: its CA holds, and API servers trust it, or did until
    /// somebody took it from the bundle.
    fn is_good(&self, remembered: &Ledger<K>, look: &Look<'_, K>) -> bool {
        let current = remembered.current();
        let trust = look.configuration().trust(current.id());
        let is_trusted = match trust {
            Trust::Trusted | Trust::Unasked => true,
            Trust::Unknown => false,
            Trust::Distrusted => self.is_recent(look),
        };
        is_trusted && !look.is_spent(current.validity())
    }

    /// All CAs that somebody's leaf may need: those of the bundle, of what is left of the Secret,
    /// and of memory. Without those that have ended.
    fn trusted(&self, look: &Look<'_, K>, lost: &Lost<'_>) -> Vec<CaCertificate> {
        let salvaged = match lost {
            Lost::Missing | Lost::Vacant { .. } => &[],
            Lost::Corrupt { salvaged, resource_version: _ } => *salvaged,
        };
        let remembered = self.remembered.iter().flat_map(Ledger::certificates);
        let margin = look.policy.clock_margin();
        look.configuration()
            .certificates()
            .chain(salvaged)
            .chain(remembered)
            .chain(self.leaf.iter().map(|leaf| &leaf.ca))
            .filter(|ca| look.wall() <= later(ca.validity().not_after, margin))
            .take(CARRIED_AT_MOST)
            .cloned()
            .collect()
    }
}

impl Lost<'_> {
    fn action<K>(&self, ledger: Ledger<K>, change: Change) -> Action<K> {
        match *self {
            Lost::Missing => Action::CreateSecret { ledger, change },
            Lost::Vacant { resource_version } | Lost::Corrupt { salvaged: _, resource_version } => {
                let resource_version = resource_version.to_owned();
                Action::WriteSecret { ledger, resource_version, change }
            }
        }
    }
}

fn retiring<K>(ledger: Ledger<K>, certificates: &[CaCertificate], until: SystemTime) -> Ledger<K> {
    certificates.iter().fold(ledger, |ledger, ca| ledger.retiring(ca.clone(), until))
}
