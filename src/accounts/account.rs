//! A ServiceAccount as the cache holds it, and how many there are of each kind.
//!
//! What the API server sends is reduced to this at the edge: no label, no managed field and no
//! annotation that is not ours is ever stored. The counts follow the events, nothing is walked
//! when they are read.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{Lookup, ObjectRef, Store, store::Writer};
use kube::runtime::watcher::Event;
use prometheus_client::metrics::gauge::Gauge;

use crate::identity::{Annotations, Key, switch};
use crate::telemetry::accounts::AccountsMetrics;

/// A ServiceAccount: its name, its age and what its annotations say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Account {
    namespace: Box<str>,
    name: Box<str>,
    /// Seconds since 1970.
    created: i64,
    annotations: Annotations,
}

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

/// The method that an account's own annotations name.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Named {
    WebIdentity,
    ContainerCredentials,
    Nothing,
}

/// The writing end of the cache, and the counts of what is in it.
pub(super) struct Keeper {
    prefix: Box<str>,
    writer: Writer<Account>,
    store: Store<Account>,
    counts: HashMap<Named, Gauge>,
}

// === impl Account ===

impl Account {
    /// Keeps of `object` what counts; `None` for one without a namespace or a name.
    pub(super) fn read(prefix: &str, object: PartialObjectMeta<ServiceAccount>) -> Option<Self> {
        let metadata = object.metadata;
        let annotations = metadata.annotations.unwrap_or_default();
        let pairs = annotations.iter().map(|(k, v)| (k.as_str(), v.as_str()));
        Some(Self {
            namespace: metadata.namespace?.into(),
            name: metadata.name?.into(),
            created: metadata.creation_timestamp.map_or(0, |time| time.0.as_second()),
            annotations: Annotations::read(prefix, pairs),
        })
    }

    /// The account's namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The account's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the annotations say.
    pub fn annotations(&self) -> &Annotations {
        &self.annotations
    }

    /// How long ago the account was made, by this machine's clock; nothing for one from the future.
    pub(super) fn age(&self) -> Duration {
        let created = UNIX_EPOCH + Duration::from_secs(self.created.try_into().unwrap_or(0));
        SystemTime::now().duration_since(created).unwrap_or_default()
    }

    fn change(&self, before: &Annotations, after: &Annotations) -> Option<Change> {
        let Self { namespace, name, .. } = self;
        let change = || Change::Account { namespace: namespace.clone(), name: name.clone() };
        (before != after).then(change)
    }

    fn named(&self) -> Named {
        if !self.annotations.names_an_identity() {
            return Named::Nothing;
        }
        match self.annotations.value(Key::PodIdentity).map(switch) {
            Some(Ok(true)) => Named::ContainerCredentials,
            _ => Named::WebIdentity,
        }
    }
}

impl Lookup for Account {
    type DynamicType = ();

    fn kind(&(): &()) -> Cow<'_, str> {
        "ServiceAccount".into()
    }

    fn group(&(): &()) -> Cow<'_, str> {
        "".into()
    }

    fn version(&(): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural(&(): &()) -> Cow<'_, str> {
        "serviceaccounts".into()
    }

    fn name(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.name))
    }

    fn namespace(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.namespace))
    }

    fn resource_version(&self) -> Option<Cow<'_, str>> {
        None
    }

    fn uid(&self) -> Option<Cow<'_, str>> {
        None
    }
}

// === impl Named ===

impl Named {
    const ALL: [Self; 3] = [Self::WebIdentity, Self::ContainerCredentials, Self::Nothing];

    const fn name(self) -> &'static str {
        match self {
            Self::WebIdentity => "sts_web_identity",
            Self::ContainerCredentials => "container_credentials",
            Self::Nothing => "none",
        }
    }
}

// === impl Keeper ===

impl Keeper {
    pub(super) fn new(prefix: &str, metrics: &AccountsMetrics) -> Self {
        let writer = Writer::<Account>::default();
        Self {
            prefix: prefix.into(),
            store: writer.as_reader(),
            writer,
            counts: Named::ALL.map(|named| (named, metrics.service_accounts(named.name()))).into(),
        }
    }

    pub(super) fn store(&self) -> Store<Account> {
        self.store.clone()
    }

    /// Takes what the watch says, and says what changed by that. While a new list comes in the old
    /// one is served.
    pub(super) fn take(
        &mut self,
        event: Event<PartialObjectMeta<ServiceAccount>>,
    ) -> Option<Change> {
        let read = |object| Account::read(&self.prefix, object);
        let event = match event {
            Event::Apply(object) => read(object).map(Event::Apply),
            Event::Delete(object) => read(object).map(Event::Delete),
            Event::InitApply(object) => read(object).map(Event::InitApply),
            Event::Init => Some(Event::Init),
            Event::InitDone => Some(Event::InitDone),
        };
        let event = event?;
        let mut before = None;
        if let Event::Apply(account) | Event::Delete(account) = &event {
            before = self.store.get(&account.to_object_ref(()));
            if let Some(held) = &before {
                self.count(held.named(), -1);
            }
        }
        self.writer.apply_watcher_event(&event);
        let nothing = Annotations::default();
        let before = before.as_ref().map_or(&nothing, |held| held.annotations());
        match &event {
            Event::Apply(account) => {
                self.count(account.named(), 1);
                account.change(before, account.annotations())
            }
            Event::Delete(account) => account.change(before, &nothing),
            Event::InitDone => {
                self.recount();
                Some(Change::Listed)
            }
            Event::Init | Event::InitApply(_) => None,
        }
    }

    fn count(&self, named: Named, by: i64) {
        if let Some(gauge) = self.counts.get(&named) {
            gauge.inc_by(by);
        }
    }

    /// Counts everything anew: once for each list.
    fn recount(&self) {
        let mut counts = HashMap::<Named, i64>::new();
        for account in self.store.state() {
            *counts.entry(account.named()).or_default() += 1;
        }
        for (named, gauge) in &self.counts {
            gauge.set(counts.get(named).copied().unwrap_or_default());
        }
    }
}

/// The key of an account in the cache.
pub(super) fn key(namespace: &str, name: &str) -> ObjectRef<Account> {
    ObjectRef::new(name).within(namespace)
}

/// Whether some account in the cache names an identity.
pub(super) fn in_use(metrics: &AccountsMetrics) -> bool {
    [Named::WebIdentity, Named::ContainerCredentials]
        .into_iter()
        .any(|named| metrics.service_accounts(named.name()).get() > 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PREFIX: &str = "eks.amazonaws.com";

    fn object(name: &str, annotations: &serde_json::Value) -> PartialObjectMeta<ServiceAccount> {
        serde_json::from_value(json!({"metadata": {
            "namespace": "ns", "name": name, "annotations": annotations,
            "creationTimestamp": "2026-01-02T03:04:05Z", "labels": {"secret": "x"}
        }}))
        .unwrap()
    }

    fn counts(metrics: &AccountsMetrics) -> [i64; 3] {
        Named::ALL.map(|named| metrics.service_accounts(named.name()).get())
    }

    /// F12: name, namespace, age and our annotations are all that is held.
    #[test]
    fn an_account_is_reduced_at_the_edge() {
        let annotations = json!({"eks.amazonaws.com/role-arn": "arn", "other": "secret"});
        let account = Account::read(PREFIX, object("app", &annotations)).unwrap();
        assert_eq!(account.created, 1_767_323_045);
        assert_eq!(account.annotations().value(Key::RoleArn), Some("arn"));
        assert!(!format!("{account:?}").contains("secret"));
        assert_eq!(Account::read(PREFIX, PartialObjectMeta::default()), None);
    }

    #[test]
    fn a_change_is_told_if_the_annotations_are_others() {
        let mut keeper = Keeper::new(PREFIX, &AccountsMetrics::default());
        let irsa = json!({"eks.amazonaws.com/role-arn": "arn"});
        let told = |name: &str| Some(Change::Account { namespace: "ns".into(), name: name.into() });
        assert_eq!(keeper.take(Event::Init), None);
        assert_eq!(keeper.take(Event::InitApply(object("a", &irsa))), None);
        assert_eq!(keeper.take(Event::InitDone), Some(Change::Listed));
        assert_eq!(keeper.take(Event::Apply(object("a", &irsa))), None);
        assert_eq!(keeper.take(Event::Apply(object("a", &json!({"x": "y"})))), told("a"));
        assert_eq!(keeper.take(Event::Apply(object("b", &json!({})))), None);
        assert_eq!(keeper.take(Event::Apply(object("b", &irsa))), told("b"));
        assert_eq!(keeper.take(Event::Delete(object("b", &irsa))), told("b"));
        assert_eq!(keeper.take(Event::Delete(object("a", &json!({})))), None);
    }

    /// F5: a deletion is an event like any other, also of an account that is not held.
    #[test]
    fn the_counts_follow_the_events() {
        let metrics = AccountsMetrics::default();
        let mut keeper = Keeper::new(PREFIX, &metrics);
        let irsa = json!({"eks.amazonaws.com/role-arn": "arn"});
        let agent = json!({"eks.amazonaws.com/pod-identity": "enabled", "eks.amazonaws.com/role-arn": "arn"});
        keeper.take(Event::Init);
        keeper.take(Event::InitApply(object("a", &irsa)));
        keeper.take(Event::InitApply(object("a", &irsa)));
        keeper.take(Event::InitApply(object("b", &json!({}))));
        assert_eq!(counts(&metrics), [0, 0, 0], "the list is not complete");
        assert!(!in_use(&metrics));
        keeper.take(Event::InitDone);
        assert_eq!(counts(&metrics), [1, 0, 1]);
        assert!(in_use(&metrics));
        keeper.take(Event::Apply(object("b", &agent)));
        assert_eq!(counts(&metrics), [1, 1, 0]);
        keeper.take(Event::Delete(object("a", &json!({}))));
        keeper.take(Event::Delete(object("never-seen", &irsa)));
        assert_eq!(counts(&metrics), [0, 1, 0]);
        assert!(keeper.store().get(&key("ns", "a")).is_none());
        keeper.take(Event::Init);
        assert!(keeper.store().get(&key("ns", "b")).is_some(), "served meanwhile");
        keeper.take(Event::InitDone);
        assert_eq!(counts(&metrics), [0, 0, 0]);
    }
}
