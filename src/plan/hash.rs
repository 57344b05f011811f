//! Hashes that give the same review the same answer, on every replica and in every version.
//!
//! FNV-1a, as Kubernetes uses it for the names of ReplicaSets: not for secrets, only for spreading.
//! Never random, never keyed: a changed hash would change patches of Pods that did not change.

use std::hash::Hasher;

use fnv::FnvHasher;

/// The shortest lifetime of a spread token, in seconds: 22 hours, the Go webhook's
/// `DefaultMinTokenExpiration`.
pub const SPREAD_FROM_SECONDS: u64 = 79_200;

/// The lifetime that is spread, and the longest that comes of it, in seconds.
const SPREAD_TO_SECONDS: u64 = crate::identity::DEFAULT_EXPIRATION_SECONDS;

/// What tells one Pod from another where lifetimes are spread: at CREATE a Pod has no uid, and
/// often no name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Spread(u64);

impl Spread {
    /// Spreads by the review's `request.uid`.
    pub fn by_request(uid: &str) -> Self {
        Self(hash(&[uid]))
    }

    /// Spreads by names, where there is no review.
    pub fn by_names(names: &[&str]) -> Self {
        Self(hash(names))
    }

    /// `seconds`, or if it is the default day something between 22 hours and that day, so that
    /// Pods which start together do not renew their tokens together.
    pub fn apply(self, seconds: u64) -> u64 {
        if seconds == SPREAD_TO_SECONDS {
            SPREAD_FROM_SECONDS + self.0 % (SPREAD_TO_SECONDS - SPREAD_FROM_SECONDS + 1)
        } else {
            seconds
        }
    }
}

/// Eight hexadecimal digits that tell `text` from others.
pub(super) fn digits(text: &str) -> String {
    let hash = hash(&[text]);
    // 64 bits folded to 32, as FNV's authors advise for a shorter hash.
    format!("{:08x}", (hash >> 32) ^ (hash & 0xffff_ffff))
}

fn hash(parts: &[&str]) -> u64 {
    let mut hasher = FnvHasher::default();
    for part in parts {
        hasher.write(part.as_bytes());
        hasher.write_u8(0);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// N13, N14: the default is spread, the same review always alike; everything else is kept.
    #[test]
    fn the_default_is_spread_within_its_bounds_and_nothing_else_is() {
        let seconds: Vec<_> =
            (0..2000).map(|i| Spread::by_request(&format!("uid-{i}")).apply(86_400)).collect();
        assert!(seconds.iter().all(|s| (79_200..=86_400).contains(s)));
        let mut distinct = seconds.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert!(distinct.len() > 1500, "{} of 2000", distinct.len());
        assert_eq!(Spread::by_request("uid-7").apply(86_400), seconds[7]);
        assert_eq!(Spread::by_request("uid-7").apply(3600), 3600);
        assert_ne!(Spread::by_names(&["a", "bc"]), Spread::by_names(&["ab", "c"]));
    }

    /// A change of the hash would change every replica's answer: the figures are fixed.
    #[test]
    fn the_hash_is_that_of_every_version() {
        assert_eq!(digits("x"), digits("x"));
        assert_eq!(digits("a-pod").len(), 8);
        assert_eq!(
            Spread::by_request("705ab4f5-6393-11e8-b7cc-42010a800002").apply(86_400),
            84_175
        );
    }
}
