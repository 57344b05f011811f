//! Kinds of Pod on which the two webhooks part, and what comes of each alone and together.
//!
//! Each says why: the Δ of behaviour.md, or the row of field.md for what the Go webhook does wrong.
//! What is not said here is the same under both.

mod accounts;
mod containers;
mod volumes;

use serde_json::Value;

use super::compare::parts;
use super::sketch::{Account, Sketch};
use super::stage::Made;

pub(super) use accounts::{ACCOUNTS, mappings};

/// How many there are.
pub(super) const COUNT: usize = 30;

/// A kind on which the two part.
pub(super) struct Difference {
    pub(super) name: &'static str,
    pub(super) why: &'static str,
    account: Account,
    alter: fn(&mut Sketch),
    /// The Pod under the peer alone, as against ours alone; for each of `stage::FLAGS`.
    pub(super) alone: [Compared; 2],
    /// The Pod under both, ours in front, as against ours alone.
    pub(super) ours_first: [Compared; 2],
    /// The same with the peer in front.
    pub(super) peer_first: [Compared; 2],
}

/// A Pod as against another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compared {
    /// It is the same.
    Same,
    /// It differs in these parts and no others.
    In(&'static [&'static str]),
    /// The API server refuses it, and says this.
    Refused(&'static str),
}

/// All of them.
pub(super) fn differences() -> impl Iterator<Item = &'static Difference> {
    volumes::DIFFERENCES.iter().chain(&containers::DIFFERENCES).chain(&accounts::DIFFERENCES)
}

/// The one of that name, if that is one.
pub(super) fn difference(name: &str) -> Option<&'static Difference> {
    differences().find(|difference| difference.name == name)
}

/// The differences as kinds, each with the reason, for webhooks whose flag is `audience`.
pub(super) fn kinds(audience: &'static str) -> impl Iterator<Item = (Sketch, String)> {
    differences().map(move |difference| {
        let mut sketch = Sketch::new(difference.name, difference.account, audience);
        (difference.alter)(&mut sketch);
        (sketch, difference.why.to_owned())
    })
}

// === impl Compared ===

impl Compared {
    /// How `made` compares to `reference`, if not like this.
    pub(super) fn otherwise(self, made: &Made, reference: &Value) -> Option<String> {
        let seen = match made {
            Made::Refused(said) => match self {
                Self::Refused(wanted) if said.contains(wanted) => return None,
                _ => format!("it is refused: {said}"),
            },
            Made::Pod(pod) => match (self, parts(pod, reference)) {
                (Self::Same, differ) if differ.is_empty() => return None,
                (Self::In(wanted), differ) if differ == wanted => return None,
                (_, differ) => format!("it differs in {differ:?}"),
            },
        };
        Some(format!("{seen}, and not {self:?}"))
    }
}
