//! What all checks had to say, and what follows from it.
//!
//! A cause is told once: what a check finds that another's finding explains is kept for programs, and
//! for people it is named as what follows.

use serde::Serialize;

use super::check::Selection;
use super::line::{Line, Mark};
use super::observed::Observed;

/// What all checks had to say.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Each check.
    pub checks: Vec<Judged>,
    /// How many lines say that something is wrong.
    pub findings: usize,
    /// How many say that somebody should know something.
    pub notes: usize,
    /// How many say that something could not be looked at.
    pub not_looked_at: usize,
}

/// What one check had to say.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Judged {
    /// Its name.
    pub id: &'static str,
    /// What it asks.
    pub asks: &'static str,
    /// Its worst mark.
    pub status: Mark,
    /// The check whose finding explains this one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explained_by: Option<&'static str>,
    /// What it had to say.
    pub lines: Vec<Line>,
}

/// What follows for whoever asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Health {
    /// Everything that there is was looked at, and nothing is wrong.
    Good,
    /// Something is wrong.
    Bad,
    /// Nothing is known to be wrong, but not everything could be looked at.
    Unknown,
}

// === impl Report ===

impl Report {
    /// Asks each check of `selection` about `observed`.
    pub fn new(observed: &Observed, selection: &Selection) -> Self {
        let mut checks: Vec<Judged> = Vec::new();
        for check in selection.iter() {
            let lines = (check.judge)(observed);
            let status = lines.iter().map(|line| line.mark).max().unwrap_or(Mark::Nothing);
            let unseen_by = match status {
                Mark::NotLookedAt => check.unseen_by,
                Mark::Passed | Mark::Nothing | Mark::Note | Mark::Finding => &[],
            };
            let is_cause = |judged: &&Judged| {
                let mut causes = check.explained_by.iter().chain(unseen_by);
                judged.status == Mark::Finding && causes.any(|cause| *cause == judged.id)
            };
            let explained_by = match status {
                Mark::Passed | Mark::Nothing => None,
                Mark::NotLookedAt | Mark::Note | Mark::Finding => checks
                    .iter()
                    .find(is_cause)
                    // The first cause, not a consequence that is a cause itself.
                    .map(|cause| cause.explained_by.unwrap_or(cause.id)),
            };
            let asks = crate::cli::CHECKS.iter().find(|(id, _)| *id == check.id);
            let asks = asks.map_or("", |(_, asks)| asks);
            checks.push(Judged { id: check.id, asks, status, explained_by, lines });
        }
        let count = |mark: Mark| {
            let told = checks.iter().filter(|judged| judged.explained_by.is_none());
            told.flat_map(|judged| &judged.lines).filter(|line| line.mark == mark).count()
        };
        Self {
            findings: count(Mark::Finding),
            notes: count(Mark::Note),
            not_looked_at: count(Mark::NotLookedAt),
            checks,
        }
    }

    /// What follows.
    pub fn health(&self) -> Health {
        match (self.findings, self.not_looked_at) {
            (0, 0) => Health::Good,
            (0, _) => Health::Unknown,
            (_, _) => Health::Bad,
        }
    }
}
