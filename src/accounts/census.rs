//! What is known without asking anybody: one account, or all of them, as they stand at a moment.
//!
//! For people who look, never for a decision about a Pod: what the cache lacks counts as absent
//! here, where a Pod's creation would look it up. A census holds pointers to what the cache holds,
//! not copies.

use std::sync::Arc;

use super::account::{self, Account};
use super::{Accounts, Credentials, Facts, Found, Guarded, ListState, Mappings};
use crate::identity::RolePolicy;
use crate::policy;

/// Why an account is not known before the first list.
const UNSYNCED: &str = "the ServiceAccounts have not been listed yet";

/// Everything that is known about anybody, at one moment.
pub struct Census {
    residents: Vec<Name>,
    mappings: Arc<Mappings>,
    credentials: Arc<Credentials>,
    role_policy: Option<Arc<RolePolicy>>,
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

/// An account of the cache, or one that only a document names.
enum Name {
    Cached(Arc<Account>),
    Named(Box<str>, Box<str>),
}

// === impl Accounts ===

impl Accounts {
    /// What is known about one account, without asking the API server.
    pub fn resident(&self, namespace: &str, name: &str) -> Resident {
        let census = self.snapshot(Vec::new());
        let cached = self.0.cache.get(&account::key(namespace, name));
        census.resident(
            cached.map_or_else(|| Name::Named(namespace.into(), name.into()), Name::Cached),
        )
    }

    /// All accounts that the cache holds or a document names, by namespace and name. Takes some
    /// tenths of a second of computing for a hundred thousand.
    pub fn census(&self) -> Census {
        let cache = &self.0.cache;
        let mut census = self.snapshot(cache.state().into_iter().map(Name::Cached).collect());
        let Census { residents, mappings, credentials, role_policy: _, unknown: _ } = &mut census;
        residents.extend(
            mappings
                .exact()
                .chain(credentials.iter())
                .filter(|(namespace, name)| cache.get(&account::key(namespace, name)).is_none())
                .map(|(namespace, name)| Name::Named(namespace.into(), name.into())),
        );
        residents.sort_unstable_by(|a, b| a.pair().cmp(&b.pair()));
        residents.dedup_by(|a, b| a.pair() == b.pair());
        census
    }

    fn snapshot(&self, residents: Vec<Name>) -> Census {
        let inner = &self.0;
        let unknown = match inner.service_accounts.readiness().state {
            ListState::Complete | ListState::Noted(_) => Found::Absent,
            ListState::Awaited(_) => Found::Unknown(UNSYNCED),
        };
        Census {
            residents,
            mappings: inner.mappings.load_full(),
            credentials: inner.credentials.load_full(),
            role_policy: inner.role_policy.as_ref().map(policy::Current::load),
            unknown,
        }
    }
}

// === impl Census ===

impl Census {
    /// The mappings of that moment.
    pub fn mappings(&self) -> &Mappings {
        &self.mappings
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
        let name = match self.residents.get(place)? {
            Name::Cached(account) => Name::Cached(Arc::clone(account)),
            Name::Named(namespace, name) => Name::Named(namespace.clone(), name.clone()),
        };
        Some(self.resident(name))
    }

    fn resident(&self, name: Name) -> Resident {
        let (namespace, of_account) = name.pair();
        let (namespace, of_account): (Box<str>, Box<str>) = (namespace.into(), of_account.into());
        let facts = Facts {
            credentials_file: self.credentials.listed(&namespace, &of_account),
            mapping: self.mappings.find(&namespace, &of_account).cloned(),
            account: match name {
                Name::Cached(account) => Found::Known(account),
                Name::Named(..) => self.unknown.clone(),
            },
            guarded: self
                .role_policy
                .as_ref()
                .map(|policy| Guarded { policy: Arc::clone(policy), namespace: namespace.clone() }),
        };
        let key = self.mappings.key(&namespace, &of_account);
        Resident { namespace, name: of_account, facts, key }
    }
}

// === impl Name ===

impl Name {
    fn pair(&self) -> (&str, &str) {
        match self {
            Self::Cached(account) => (account.namespace(), account.name()),
            Self::Named(namespace, name) => (namespace, name),
        }
    }
}
