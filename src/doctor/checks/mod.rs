//! The judgements: pure functions from what was observed to lines, a file for each thing.
//!
//! Each says one line at least, short where all is good. What is wrong is said as seen, and what to
//! do about it as the next step of a person.

pub(super) mod accounts;
mod behind;
pub(super) mod called;
pub(super) mod certificates;
pub(super) mod configuration;
pub(super) mod mappings;
pub(super) mod pods;
pub(super) mod policy;
pub(super) mod rights;
pub(super) mod service;
#[cfg(test)]
mod tests;
pub(super) mod tokens;

use super::line::Line;
use super::observed::Observed;
use crate::installation::{Entry, Installation};

/// The installation, or the one line of a check that cannot judge without it.
fn installation(observed: &Observed) -> Result<&Installation, Vec<Line>> {
    observed.installation.as_ref().map_err(|unseen| vec![Line::not_looked_at(unseen.to_string())])
}

/// The entries, or the one line of a check that has none to judge.
fn entries(observed: &Observed) -> Result<&[Entry], Vec<Line>> {
    match installation(observed)?.entries.as_slice() {
        [] => Err(vec![Line::nothing("nothing is called")]),
        entries => Ok(entries),
    }
}

/// `lines`, or if there is none a line that says that all is good.
fn or_passed(lines: Vec<Line>, passed: impl Into<String>) -> Vec<Line> {
    if lines.is_empty() { vec![Line::passed(passed)] } else { lines }
}

/// `all` without those that stand there already, wherever.
fn distinct<T: PartialEq>(all: Vec<T>) -> Vec<T> {
    let mut kept = Vec::with_capacity(all.len());
    for one in all {
        if !kept.contains(&one) {
            kept.push(one);
        }
    }
    kept
}

/// Up to three of `names`, for a sentence.
fn some<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 3;
    let names: Vec<_> = names.into_iter().collect();
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// `1 Pod`, `2 Pods`.
fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    }
}
