//! What keeps a watch from its work: one sentence for each kind of work, until it succeeds.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::accounts::{ListState, Readiness};
use crate::installation::Unseen;

/// What is wrong now, by what it concerns.
#[derive(Debug, Default)]
pub(super) struct Troubles(Mutex<BTreeMap<&'static str, Unseen>>);

// === impl Troubles ===

impl Troubles {
    /// Something went wrong; it is logged if it is another thing than before.
    pub(super) fn note(&self, of: &'static str, trouble: Unseen) {
        let text = trouble.to_string();
        let before = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(of, trouble);
        if before.is_none_or(|before| before.to_string() != text) {
            tracing::warn!(of, reason = text, "the watch cannot do its work, and tries again");
        }
    }

    /// It went well.
    pub(super) fn over(&self, of: &'static str) {
        let before = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(of);
        if before.is_some() {
            tracing::info!(of, "the watch does its work again");
        }
    }

    pub(super) fn readiness(&self) -> Vec<Readiness> {
        let troubles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        troubles
            .iter()
            .map(|(of, trouble)| Readiness { of, state: ListState::Awaited(trouble.to_string()) })
            .collect()
    }
}
