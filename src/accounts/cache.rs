//! Every ServiceAccount of the cluster, as small as it can be held, and how many there are of each
//! kind.
//!
//! ```text
//! namespace -> name -> when it was made, what its annotations say
//! ```
//!
//! Not the store of kube's reflector: that keeps three texts of its own for each key, copies them
//! to look one up, and holds a new list beside the old one until the new one is complete. Here a
//! new list is laid over the old one, account by account, and what it did not have goes at its
//! end; meanwhile all that was known is served. The counts follow the events, nothing is walked
//! when they are read.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::Event;
use prometheus_client::metrics::gauge::Gauge;

use super::account::{Account, Named, Read};
use crate::identity::Annotations;
use crate::telemetry::accounts::AccountsMetrics;

/// What is other than before.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// The annotations of ours on one account, its coming and going with some among them.
    Account {
        /// Its namespace.
        namespace: Box<str>,
        /// Its name.
        name: Box<str>,
    },
    /// A list came in, and nobody compared it with what was there.
    Listed,
}

/// The reading end.
#[derive(Clone, Default)]
pub(super) struct Cache(Arc<RwLock<Namespaces>>);

/// No namespace is empty.
type Namespaces = HashMap<Box<str>, HashMap<Box<str>, Held>>;

/// An account, and the last list that had it.
struct Held {
    account: Account,
    list: List,
}

/// One list or the next: no more than two are ever told apart.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum List {
    #[default]
    Even,
    Odd,
}

/// The writing end, and the counts of what is held.
pub(super) struct Keeper {
    prefix: Box<str>,
    cache: Cache,
    /// The list that came in last, or comes in now.
    list: List,
    counts: HashMap<Named, Gauge>,
}

// === impl Cache ===

impl Cache {
    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<Account> {
        Some(self.read().get(namespace)?.get(name)?.account.clone())
    }

    pub(super) fn holds(&self, namespace: &str, name: &str) -> bool {
        self.read().get(namespace).is_some_and(|accounts| accounts.contains_key(name))
    }

    /// Namespace and name of everything that is held, in no order.
    pub(super) fn names(&self) -> Vec<(Arc<str>, Box<str>)> {
        let namespaces = self.read();
        let mut names = Vec::with_capacity(namespaces.values().map(HashMap::len).sum());
        for (namespace, accounts) in &*namespaces {
            let namespace: Arc<str> = Arc::from(&**namespace);
            names.extend(accounts.keys().map(|name| (Arc::clone(&namespace), name.clone())));
        }
        names
    }

    fn read(&self) -> RwLockReadGuard<'_, Namespaces> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Namespaces> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Keeper ===

impl Keeper {
    pub(super) fn new(prefix: &str, metrics: &AccountsMetrics) -> Self {
        Self {
            prefix: prefix.into(),
            cache: Cache::default(),
            list: List::default(),
            counts: Named::ALL.map(|named| (named, metrics.service_accounts(named.name()))).into(),
        }
    }

    pub(super) fn cache(&self) -> Cache {
        self.cache.clone()
    }

    /// Takes what the watch says, and says what changed by that. While a new list comes in, what
    /// it has not said yet stands as it was.
    pub(super) fn take(
        &mut self,
        event: Event<PartialObjectMeta<ServiceAccount>>,
    ) -> Option<Change> {
        match event {
            Event::Apply(object) => {
                let read = Read::of(&self.prefix, object)?;
                self.put(read)
            }
            // What the list says is told at its end, of all accounts at once.
            Event::InitApply(object) => {
                let read = Read::of(&self.prefix, object)?;
                self.put(read);
                None
            }
            Event::Delete(object) => {
                let Read { namespace, name, .. } = Read::of(&self.prefix, object)?;
                self.remove(&namespace, &name)
            }
            Event::Init => {
                self.begin();
                None
            }
            Event::InitDone => {
                self.sweep();
                Some(Change::Listed)
            }
        }
    }

    fn put(&mut self, read: Read) -> Option<Change> {
        let Read { namespace, name, account } = read;
        let list = self.list;
        let mut namespaces = self.cache.write();
        let accounts = match namespaces.get_mut(namespace.as_str()) {
            Some(accounts) => accounts,
            None => namespaces.entry(namespace.as_str().into()).or_default(),
        };
        let named = account.named();
        let before = match accounts.entry(name.as_str().into()) {
            Entry::Occupied(mut held) if held.get().account == account => {
                held.get_mut().list = list;
                return None;
            }
            Entry::Occupied(mut held) => Some(held.insert(Held { account: account.clone(), list })),
            Entry::Vacant(vacant) => {
                vacant.insert(Held { account: account.clone(), list });
                None
            }
        };
        drop(namespaces);
        self.count(named, 1);
        if let Some(Held { account: before, .. }) = &before {
            self.count(before.named(), -1);
        }
        let nothing = Annotations::default();
        let said = before.as_ref().map_or(&nothing, |held| held.account.annotations());
        change(&namespace, &name, said, account.annotations())
    }

    fn remove(&mut self, namespace: &str, name: &str) -> Option<Change> {
        let mut namespaces = self.cache.write();
        let accounts = namespaces.get_mut(namespace)?;
        let Held { account, .. } = accounts.remove(name)?;
        if accounts.is_empty() {
            namespaces.remove(namespace);
        }
        drop(namespaces);
        self.count(account.named(), -1);
        change(namespace, name, account.annotations(), &Annotations::default())
    }

    /// A list begins. If the last one broke off, part of what is held has its mark: all of it gets
    /// the other one.
    fn begin(&mut self) {
        let old = self.list;
        for accounts in self.cache.write().values_mut() {
            for held in accounts.values_mut() {
                held.list = old;
            }
        }
        self.list = old.other();
    }

    /// A list is complete: what it did not have is gone. One namespace at a time, so that nobody
    /// who looks an account up waits for all of them.
    fn sweep(&mut self) {
        let list = self.list;
        let namespaces: Vec<Box<str>> = self.cache.read().keys().cloned().collect();
        for namespace in namespaces {
            let mut all = self.cache.write();
            let Entry::Occupied(mut entry) = all.entry(namespace) else { continue };
            let accounts = entry.get_mut();
            let mut gone = Vec::new();
            accounts.retain(|_, held| {
                let stays = held.list == list;
                if !stays {
                    gone.push(held.account.named());
                }
                stays
            });
            accounts.shrink_to_fit();
            if accounts.is_empty() {
                entry.remove();
            }
            drop(all);
            for named in gone {
                self.count(named, -1);
            }
        }
    }

    fn count(&self, named: Named, by: i64) {
        if let Some(gauge) = self.counts.get(&named) {
            gauge.inc_by(by);
        }
    }
}

/// Whether some account in the cache names an identity.
pub(super) fn in_use(metrics: &AccountsMetrics) -> bool {
    [Named::WebIdentity, Named::ContainerCredentials]
        .into_iter()
        .any(|named| metrics.service_accounts(named.name()).get() > 0)
}

fn change(
    namespace: &str,
    name: &str,
    before: &Annotations,
    after: &Annotations,
) -> Option<Change> {
    let change = || Change::Account { namespace: namespace.into(), name: name.into() };
    (before != after).then(change)
}

// === impl List ===

impl List {
    fn other(self) -> Self {
        match self {
            Self::Even => Self::Odd,
            Self::Odd => Self::Even,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const PREFIX: &str = "eks.amazonaws.com";

    fn object(name: &str, annotations: &Value) -> PartialObjectMeta<ServiceAccount> {
        serde_json::from_value(json!({"metadata": {
            "namespace": "ns", "name": name, "annotations": annotations,
            "creationTimestamp": "2026-01-02T03:04:05Z", "labels": {"secret": "x"}
        }}))
        .unwrap()
    }

    fn irsa() -> Value {
        json!({"eks.amazonaws.com/role-arn": "arn"})
    }

    fn agent() -> Value {
        json!({"eks.amazonaws.com/pod-identity": "enabled", "eks.amazonaws.com/role-arn": "arn"})
    }

    fn of(name: &str) -> Change {
        Change::Account { namespace: "ns".into(), name: name.into() }
    }

    fn counts(metrics: &AccountsMetrics) -> [i64; 3] {
        Named::ALL.map(|named| metrics.service_accounts(named.name()).get())
    }

    #[test]
    fn a_change_is_told_if_the_annotations_are_others() {
        let mut keeper = Keeper::new(PREFIX, &AccountsMetrics::default());
        assert_eq!(keeper.take(Event::Init), None);
        assert_eq!(keeper.take(Event::InitApply(object("a", &irsa()))), None);
        assert_eq!(keeper.take(Event::InitDone), Some(Change::Listed));
        assert_eq!(keeper.take(Event::Apply(object("a", &irsa()))), None);
        assert_eq!(keeper.take(Event::Apply(object("a", &json!({"x": "y"})))), Some(of("a")));
        assert_eq!(keeper.take(Event::Apply(object("b", &json!({})))), None);
        assert_eq!(keeper.take(Event::Apply(object("b", &irsa()))), Some(of("b")));
        assert_eq!(keeper.take(Event::Delete(object("b", &irsa()))), Some(of("b")));
        assert_eq!(keeper.take(Event::Delete(object("a", &json!({})))), None);
    }

    /// F5: a deletion is an event like any other, also of an account that is not held.
    #[test]
    fn the_counts_follow_the_events() {
        let metrics = AccountsMetrics::default();
        let mut keeper = Keeper::new(PREFIX, &metrics);
        keeper.take(Event::Init);
        assert!(!in_use(&metrics));
        keeper.take(Event::InitApply(object("a", &irsa())));
        keeper.take(Event::InitApply(object("a", &irsa())));
        keeper.take(Event::InitApply(object("b", &json!({}))));
        keeper.take(Event::InitDone);
        assert_eq!(counts(&metrics), [1, 0, 1]);
        assert!(in_use(&metrics));
        keeper.take(Event::Apply(object("b", &agent())));
        assert_eq!(counts(&metrics), [1, 1, 0]);
        keeper.take(Event::Delete(object("a", &json!({}))));
        keeper.take(Event::Delete(object("never-seen", &irsa())));
        assert_eq!(counts(&metrics), [0, 1, 0]);
        assert!(!keeper.cache().holds("ns", "a"));
    }

    #[test]
    fn a_new_list_replaces_the_old_one_and_what_was_known_is_served_meanwhile() {
        let metrics = AccountsMetrics::default();
        let mut keeper = Keeper::new(PREFIX, &metrics);
        let cache = keeper.cache();
        keeper.take(Event::Init);
        for name in ["stays", "changes", "goes"] {
            keeper.take(Event::InitApply(object(name, &irsa())));
        }
        keeper.take(Event::InitDone);
        keeper.take(Event::Apply(object("came-by-the-watch", &irsa())));
        keeper.take(Event::Init);
        keeper.take(Event::InitApply(object("stays", &irsa())));
        keeper.take(Event::InitApply(object("changes", &agent())));
        assert!(cache.holds("ns", "goes") && cache.holds("ns", "came-by-the-watch"));
        assert_eq!(counts(&metrics), [3, 1, 0]);
        keeper.take(Event::InitDone);
        assert_eq!(counts(&metrics), [1, 1, 0]);
        let mut names = cache.names();
        names.sort_unstable();
        let names: Vec<_> = names.iter().map(|(namespace, name)| (&**namespace, &**name)).collect();
        assert_eq!(names, [("ns", "changes"), ("ns", "stays")]);
        keeper.take(Event::Init);
        keeper.take(Event::InitDone);
        assert_eq!(counts(&metrics), [0, 0, 0]);
        assert!(cache.names().is_empty());
    }

    /// What a list that broke off had said does not count for the next one.
    #[test]
    fn a_list_that_broke_off_is_no_list() {
        let mut keeper = Keeper::new(PREFIX, &AccountsMetrics::default());
        let cache = keeper.cache();
        keeper.take(Event::Init);
        keeper.take(Event::InitApply(object("gone-since", &irsa())));
        keeper.take(Event::Init);
        keeper.take(Event::InitApply(object("a", &irsa())));
        keeper.take(Event::InitDone);
        assert!(cache.holds("ns", "a") && !cache.holds("ns", "gone-since"));
        keeper.take(Event::Init);
        keeper.take(Event::InitApply(object("a", &irsa())));
        keeper.take(Event::Init);
        keeper.take(Event::InitDone);
        assert!(!cache.holds("ns", "a"));
    }
}
