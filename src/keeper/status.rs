//! How the keeper is doing, for readiness and the log.
//!
//! Holds no certificate and no key. What goes wrong is logged once, when it begins or changes, and
//! once when it is over.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::error::KeeperError;
use super::object::Object;
use crate::authority::Standing;

/// What is kept, as far as it is known. Shared by the keeper's tasks and those who ask.
#[derive(Debug)]
pub struct Status {
    configuration: Object,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    standing: Option<Standing>,
    /// When what is served does not count as trusted any more, whatever else happens.
    until: Option<SystemTime>,
    registered: Registered,
    troubles: [Option<KeeperError>; PLACES],
}

/// How many places there are in which something can be wrong.
const PLACES: usize = 5;

/// What the webhook configuration has for us.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Registered {
    /// It is not known, or there is none.
    #[default]
    Nowhere,
    /// It has no entry of ours.
    Elsewhere,
    /// It has entries of ours.
    Here,
}

/// What can go wrong, in the order in which it is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    /// Reading the configuration, or the file that it follows.
    ReadConfiguration,
    /// Reading the Secret.
    ReadSecret,
    /// Doing what there was to do.
    Act,
    /// A watch.
    Watch(Watched),
}

/// What is watched.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Watched {
    /// The Secret.
    Secret,
    /// The webhook configuration.
    Configuration,
}

/// Whether API servers get an answer that they trust.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Readiness {
    /// They do.
    Ready,
    /// They do, but a person should look.
    Noted(String),
    /// They do not, or nobody knows.
    NotReady(String),
}

// === impl Status ===

impl Status {
    pub(super) fn new(configuration: Object) -> Self {
        Self { configuration, state: Mutex::default() }
    }

    /// How things stand at `now`.
    pub fn readiness(&self, now: SystemTime) -> Readiness {
        let state = self.lock();
        let State { standing, until, registered, troubles } = &*state;
        let troubles: Vec<_> = troubles.iter().flatten().map(KeeperError::chain).collect();
        let troubles = (!troubles.is_empty()).then(|| troubles.join("; "));
        let or = |otherwise: &str| troubles.clone().unwrap_or_else(|| otherwise.to_owned());
        let configuration = &self.configuration;
        let standing = match (standing, until) {
            (Some(Standing::Trusted), Some(until)) if *until <= now => Some(Standing::Expired),
            (standing, _) => *standing,
        };
        match standing {
            None => Readiness::NotReady(or("looking at the Secret and the webhook configuration")),
            Some(Standing::NoLeaf) => {
                let reason = or("it is being made");
                Readiness::NotReady(format!("there is no certificate yet: {reason}"))
            }
            Some(Standing::Expired) => {
                let reason = or("another is being made");
                Readiness::NotReady(format!("the certificate has expired or is about to: {reason}"))
            }
            Some(Standing::NotInBundle) => {
                let reason = or("it is being put right");
                Readiness::NotReady(format!(
                    "the caBundle of {configuration} does not hold the CA of what is served: \
                     {reason}"
                ))
            }
            Some(Standing::Unknown) => {
                let reason = or("it is being read");
                Readiness::NotReady(format!(
                    "nobody knows whether {configuration} trusts what is served: {reason}"
                ))
            }
            Some(Standing::Trusted) => match (troubles, registered) {
                (Some(troubles), _) => Readiness::Noted(troubles),
                (None, Registered::Elsewhere) => Readiness::Noted(format!(
                    "no entry of {configuration} is ours: compare --service-name, --namespace and \
                     --webhook-url with its clientConfig"
                )),
                (None, Registered::Here | Registered::Nowhere) => Readiness::Ready,
            },
        }
    }

    /// What a look came to.
    pub(super) fn stands(
        &self,
        standing: Standing,
        until: Option<SystemTime>,
        registered: Registered,
    ) {
        let mut state = self.lock();
        state.standing = Some(standing);
        state.until = until;
        state.registered = registered;
    }

    /// How the watch of an object does.
    pub(super) fn watch(&self, watched: Watched, trouble: Option<KeeperError>) {
        self.trouble(Place::Watch(watched), trouble);
    }

    /// What is wrong there, or that nothing is any more.
    pub(super) fn trouble(&self, place: Place, trouble: Option<KeeperError>) {
        let text = trouble.as_ref().map(KeeperError::chain);
        let before = {
            let mut state = self.lock();
            let Some(slot) = state.troubles.get_mut(place.index()) else { return };
            std::mem::replace(slot, trouble).map(|before| before.chain())
        };
        match (before, text) {
            (before, Some(reason)) if before.as_ref() != Some(&reason) => {
                tracing::warn!(%place, reason, "certificates cannot be kept as they should; trying again");
            }
            (Some(reason), None) => {
                tracing::info!(%place, reason, "certificates: this is over");
            }
            _ => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Place ===

impl Place {
    fn index(self) -> usize {
        match self {
            Self::ReadConfiguration => 0,
            Self::ReadSecret => 1,
            Self::Act => 2,
            Self::Watch(Watched::Secret) => 3,
            Self::Watch(Watched::Configuration) => 4,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadConfiguration => "read-configuration",
            Self::ReadSecret => "read-secret",
            Self::Act => "act",
            Self::Watch(Watched::Secret) => "watch-secret",
            Self::Watch(Watched::Configuration) => "watch-configuration",
        })
    }
}
