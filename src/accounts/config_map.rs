//! The ConfigMap of mappings, followed: what counts is what it says now.
//!
//! A document that cannot be read leaves the last good one in force; a ConfigMap that is gone, or
//! that has no key `config`, leaves none. What is wrong is counted and named, never quoted.

use std::sync::Arc;

use arc_swap::ArcSwap;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::watcher::Event;
use prometheus_client::metrics::counter::Counter;

use super::error::{AccountsError, Document};
use super::mappings::Mappings;

/// The name of the ConfigMap, which the Go webhook fixed.
pub const CONFIG_MAP: &str = "pod-identity-webhook";

/// The key in it, which the Go webhook fixed.
pub const CONFIG_KEY: &str = "config";

/// Keeps the mappings that are in force.
pub(super) struct Keeper {
    current: Arc<ArcSwap<Mappings>>,
    errors: Counter,
    /// The object of the list that is coming in.
    listed: Option<ConfigMap>,
}

// === impl Keeper ===

impl Keeper {
    pub(super) fn new(current: Arc<ArcSwap<Mappings>>, errors: Counter) -> Self {
        Self { current, errors, listed: None }
    }

    pub(super) fn take(&mut self, event: Event<ConfigMap>) {
        match event {
            Event::Init => self.listed = None,
            Event::InitApply(object) => self.listed = Some(object),
            Event::InitDone => match self.listed.take() {
                Some(object) => self.read(&object),
                None => self.clear(),
            },
            Event::Apply(object) => self.read(&object),
            Event::Delete(_) => self.clear(),
        }
    }

    fn clear(&self) {
        self.current.store(Arc::default());
    }

    fn read(&self, object: &ConfigMap) {
        match document(object).and_then(Mappings::parse) {
            Ok((mappings, dropped)) => {
                for entry in dropped {
                    self.errors.inc();
                    tracing::warn!(
                        entry = entry.entry(),
                        reason = entry.reason(),
                        "an entry of the mappings was dropped"
                    );
                }
                self.current.store(Arc::new(mappings));
            }
            Err(error) => {
                self.errors.inc();
                tracing::warn!(
                    reason = %error,
                    "the mappings cannot be read: the last good ones stay in force"
                );
            }
        }
    }
}

/// The document in the ConfigMap, blank if there is none.
fn document(object: &ConfigMap) -> Result<&str, AccountsError> {
    if let Some(text) = object.data.as_ref().and_then(|data| data.get(CONFIG_KEY)) {
        return Ok(text);
    }
    // Bytes that are no text end up here when a ConfigMap is made from a file.
    match object.binary_data.as_ref().and_then(|d| d.get(CONFIG_KEY)) {
        Some(_) => Err(AccountsError::Shape {
            document: Document::Mappings,
            expected: "of text, under data and not binaryData",
        }),
        None => Ok(""),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(data: &serde_json::Value) -> ConfigMap {
        serde_json::from_value(json!({"metadata": {"name": CONFIG_MAP}, "data": data})).unwrap()
    }

    fn config(document: &str) -> ConfigMap {
        object(&json!({ CONFIG_KEY: document }))
    }

    fn keeper() -> (Keeper, impl Fn() -> Option<Box<str>>) {
        let current = Arc::<ArcSwap<Mappings>>::default();
        let keeper = Keeper::new(Arc::clone(&current), Counter::default());
        (keeper, move || current.load().find("a", "b")?.role_arn.clone())
    }

    /// N9: a bad document keeps the last good one, and is counted.
    #[test]
    fn a_bad_document_keeps_the_last_good_one() {
        let (mut keeper, role) = keeper();
        keeper.take(Event::Apply(config(r#"{"a/b": {"RoleARN": "one"}}"#)));
        keeper.take(Event::Apply(config(r#"{"a/b": {"#)));
        assert_eq!(role().as_deref(), Some("one"));
        assert_eq!(keeper.errors.get(), 1);
        let mut binary = object(&json!({}));
        binary.binary_data = serde_json::from_value(json!({ CONFIG_KEY: "/w==" })).unwrap();
        keeper.take(Event::Apply(binary));
        assert_eq!(role().as_deref(), Some("one"));
        keeper.take(Event::Apply(config(r#"{"a/b": {"RoleARN": "two"}, "bad": {}}"#)));
        assert_eq!(role().as_deref(), Some("two"));
        assert_eq!(keeper.errors.get(), 3);
    }

    /// N10: a deleted ConfigMap clears its mappings, seen as an event or missed altogether.
    #[test]
    fn a_config_map_that_is_gone_clears_its_mappings() {
        let good = || config(r#"{"a/b": {"RoleARN": "one"}}"#);
        let (mut keeper, role) = keeper();
        keeper.take(Event::Apply(good()));
        keeper.take(Event::Delete(good()));
        assert_eq!(role(), None);
        keeper.take(Event::Apply(good()));
        keeper.take(Event::Init);
        assert!(role().is_some(), "the new list is not complete");
        keeper.take(Event::InitDone);
        assert_eq!(role(), None);
        keeper.take(Event::Init);
        keeper.take(Event::InitApply(good()));
        keeper.take(Event::InitDone);
        assert!(role().is_some());
        keeper.take(Event::Apply(object(&json!({"other": "key"}))));
        assert_eq!(role(), None);
    }
}
