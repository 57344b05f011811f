//! The container-credentials document: the accounts whose Pods use EKS Pod Identity.
//!
//! ```text
//! {"identities": [{"namespace": "…", "serviceAccount": "…"}]}
//! ```
//!
//! It lists names and nothing else; there are no patterns here. Any bytes end in a list or an
//! error, never in a panic.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use super::error::{AccountsError, Document, EntryError};
use super::pairs::Pairs;
use crate::identity::{AccountRef, Listed};

/// The form of the document, for messages.
const FORM: &str = r#"{"identities": [{"namespace": "…", "serviceAccount": "…"}]}"#;

/// The accounts that the container-credentials file lists.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// By namespace, then by name.
    accounts: BTreeMap<Box<str>, BTreeSet<Box<str>>>,
}

// === impl Credentials ===

impl Credentials {
    /// Reads the document; a blank one lists nobody. An entry that cannot be used is dropped and
    /// returned as an error beside the others.
    pub fn parse(json: &[u8]) -> Result<(Self, Vec<EntryError>), AccountsError> {
        let mut dropped = Vec::new();
        let mut listed = Self::default();
        if json.trim_ascii().is_empty() {
            return Ok((listed, dropped));
        }
        let wrong = |e| Document::Credentials.error(&e, FORM);
        let document: Pairs<'_> = serde_json::from_slice(json).map_err(wrong)?;
        let entries: Vec<&RawValue> = match document.raw("identities") {
            Some(list) => {
                serde_json::from_str::<Option<_>>(list.get()).map_err(wrong)?.unwrap_or_default()
            }
            None => Vec::new(),
        };
        for (place, entry) in entries.into_iter().enumerate() {
            match read(entry) {
                Ok(account) => {
                    listed
                        .accounts
                        .entry(account.namespace().into())
                        .or_default()
                        .insert(account.name().into());
                }
                Err(reason) => {
                    dropped.push(EntryError::new(&format!("identities[{place}]"), reason));
                }
            }
        }
        Ok((listed, dropped))
    }

    /// Whether the account is listed.
    pub fn listed(&self, namespace: &str, name: &str) -> Listed {
        match self.accounts.get(namespace) {
            Some(names) if names.contains(name) => Listed::Yes,
            _ => Listed::No,
        }
    }

    /// Namespace and name of each account that is listed, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.accounts
            .iter()
            .flat_map(|(namespace, names)| names.iter().map(move |name| (&**namespace, &**name)))
    }

    /// How many accounts are listed.
    pub fn len(&self) -> usize {
        self.accounts.values().map(BTreeSet::len).sum()
    }

    /// Whether nobody is listed.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }
}

fn read(entry: &RawValue) -> Result<AccountRef, &'static str> {
    let entry: Pairs<'_> = serde_json::from_str(entry.get())
        .map_err(|_| "it is not an object with namespace and serviceAccount")?;
    let text = |key| {
        entry
            .value::<Box<str>>(key)
            .map(Option::unwrap_or_default)
            .map_err(|_| "namespace and serviceAccount are not both strings")
    };
    AccountRef::new(&text("namespace")?, &text("serviceAccount")?)
        .map_err(|_| "namespace and serviceAccount are not both valid Kubernetes names")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_accounts_of_the_document_are_listed() {
        let (listed, dropped) = Credentials::parse(
            br#"{"Identities": [
                {"namespace": "a", "serviceAccount": "x"}, {"namespace": "a", "serviceaccount": "y"},
                {"namespace": "b", "serviceAccount": "x", "more": 1}, {"namespace": "b", "serviceAccount": "x"}
            ], "version": 2}"#,
        )
        .unwrap();
        assert_eq!(dropped, []);
        assert_eq!(listed.len(), 3);
        assert_eq!(listed.listed("a", "y"), Listed::Yes);
        assert_eq!(listed.listed("b", "y"), Listed::No);
        assert_eq!(listed.listed("*", "x"), Listed::No);
    }

    #[test]
    fn a_bad_entry_is_dropped_and_named_by_its_place() {
        let (listed, dropped) = Credentials::parse(
            br#"{"identities": [null, 7, {"namespace": "a"}, {"namespace": "a", "serviceAccount": 7},
                {"namespace": "A", "serviceAccount": "x"}, {"namespace": "a", "serviceAccount": "x"}]}"#,
        )
        .unwrap();
        assert_eq!(listed.len(), 1);
        let places: Vec<_> = dropped.iter().map(EntryError::entry).collect();
        assert_eq!(
            places,
            ["identities[0]", "identities[1]", "identities[2]", "identities[3]", "identities[4]"]
        );
    }

    #[test]
    fn a_blank_document_lists_nobody_and_a_bad_one_is_an_error() {
        for blank in ["", "\n", "{}", "null", r#"{"identities": null}"#] {
            assert!(Credentials::parse(blank.as_bytes()).unwrap().0.is_empty());
        }
        for bad in ["{", "[]", r#"{"identities": {}}"#, "\u{feff}{}", "{\"a\": \"\u{0}\"}"] {
            assert!(Credentials::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_list_or_an_error(bytes in any::<Vec<u8>>()) {
            let _ = Credentials::parse(&bytes);
        }
    }
}
