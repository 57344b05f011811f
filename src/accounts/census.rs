//! What is known without asking anybody: one account, or all of them, as they stand at a moment.
//!
//! For people who look, never for a decision about a Pod: what the cache lacks counts as absent
//! here, where a Pod's creation would look it up. A census holds the names of that moment; what is
//! known of an account is what is known when it is asked about.

use std::sync::Arc;

use super::cache::Cache;
use super::{Accounts, Credentials, Facts, Found, Guarded, ListState, Mappings};
use crate::identity::RolePolicy;
use crate::policy;

/// Why an account is not known before the first list.
const UNSYNCED: &str = "the ServiceAccounts have not been listed yet";

/// Who there is, at one moment.
pub struct Census {
    residents: Vec<(Arc<str>, Box<str>)>,
    known: Known,
}

/// What can be known of accounts without asking.
struct Known {
    cache: Cache,
    mappings: Arc<Mappings>,
    credentials: Arc<Credentials>,
    role_policy: Option<Arc<RolePolicy>>,
    /// What an account is that the cache lacks.
    unknown: Found,
}

/// An account and what is known about it.
#[derive(Clone, Debug)]
pub struct Resident {
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// What is known.
    pub facts: Facts,
    /// The key of the mapping that fits it best.
    pub key: Option<String>,
}

// === impl Accounts ===

impl Accounts {
    /// What is known about one account, without asking the API server.
    pub fn resident(&self, namespace: &str, name: &str) -> Resident {
        self.without_asking().resident(namespace, name)
    }

    /// All accounts that the cache holds or a document names, by namespace and name. Takes some
    /// tenths of a second of computing for a hundred thousand.
    pub fn census(&self) -> Census {
        let known = self.without_asking();
        let Known { cache, mappings, credentials, role_policy: _, unknown: _ } = &known;
        let mut residents = cache.names();
        residents.extend(
            mappings
                .exact()
                .chain(credentials.iter())
                .filter(|(namespace, name)| !cache.holds(namespace, name))
                .map(|(namespace, name)| (namespace.into(), name.into())),
        );
        residents.sort_unstable();
        residents.dedup();
        Census { residents, known }
    }

    fn without_asking(&self) -> Known {
        let inner = &self.0;
        Known {
            cache: inner.cache.clone(),
            mappings: inner.mappings.load_full(),
            credentials: inner.credentials.load_full(),
            role_policy: inner.role_policy.as_ref().map(policy::Current::load),
            unknown: match inner.service_accounts.readiness().state {
                ListState::Complete | ListState::Noted(_) => Found::Absent,
                ListState::Awaited(_) => Found::Unknown(UNSYNCED),
            },
        }
    }
}

// === impl Census ===

impl Census {
    /// The mappings of that moment.
    pub fn mappings(&self) -> &Mappings {
        &self.known.mappings
    }

    /// How many accounts there are.
    pub fn len(&self) -> usize {
        self.residents.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.residents.is_empty()
    }

    /// The account at `place`, from 0.
    pub fn get(&self, place: usize) -> Option<Resident> {
        let (namespace, name) = self.residents.get(place)?;
        Some(self.known.resident(namespace, name))
    }
}

// === impl Known ===

impl Known {
    fn resident(&self, namespace: &str, name: &str) -> Resident {
        let Self { cache, mappings, credentials, role_policy, unknown } = self;
        let facts = Facts {
            credentials_file: credentials.listed(namespace, name),
            account: cache.get(namespace, name).map_or_else(|| unknown.clone(), Found::Known),
            mapping: mappings.find(namespace, name).cloned(),
            guarded: role_policy
                .as_ref()
                .map(|policy| Guarded { policy: Arc::clone(policy), namespace: namespace.into() }),
        };
        let key = mappings.key(namespace, name);
        Resident { namespace: namespace.into(), name: name.into(), facts, key }
    }
}
