//! The mappings: a JSON document that gives accounts a role without touching the account.
//!
//! ```text
//! {"ns/name": {"RoleARN", "Audience", "UseRegionalSTS", "TokenExpiration"}, "team-*/app": …}
//! ```
//!
//! An exact key beats every pattern, and the patterns stand in the order in which they count, so
//! that the first that fits is the one. Any bytes end in a document or an error, never in a panic.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::error::{AccountsError, Document, EntryError};
use super::pairs::Pairs;
use crate::identity::glob::{self, Glob};
use crate::identity::{Mapping, bound_expiration};

/// The form of the document, for messages.
const FORM: &str = r#"{"namespace/name": {"RoleARN": "…"}}"#;

/// The entries of the mappings ConfigMap.
#[derive(Clone, Debug, Default)]
pub struct Mappings {
    /// By namespace, then by name.
    exact: BTreeMap<Box<str>, BTreeMap<Box<str>, Arc<Mapping>>>,
    /// In the order in which they count.
    patterns: Vec<Pattern>,
}

/// A key with at least one `*`.
#[derive(Clone, Debug)]
struct Pattern {
    namespace: Glob,
    name: Glob,
    mapping: Arc<Mapping>,
}

/// An entry, as it was written.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The side of its key in front of the slash.
    pub namespace: &'a str,
    /// The side behind.
    pub name: &'a str,
    /// What it gives.
    pub mapping: &'a Mapping,
}

/// The entry that fits an account best.
enum Fit<'a> {
    Exact(&'a Arc<Mapping>),
    Pattern(&'a Pattern),
}

// === impl Mappings ===

impl Mappings {
    /// Reads the document; a blank one has no entries. An entry that cannot be used is dropped
    /// and returned as an error beside the others.
    pub fn parse(json: &str) -> Result<(Self, Vec<EntryError>), AccountsError> {
        if json.trim().is_empty() {
            return Ok((Self::default(), Vec::new()));
        }
        let document: Pairs<'_> =
            serde_json::from_str(json).map_err(|e| Document::Mappings.error(&e, FORM))?;
        let mut entries = BTreeMap::new();
        let mut dropped = Vec::new();
        for (key, value) in document.iter() {
            match split(key).and_then(|sides| Ok((sides, read(value)?))) {
                Ok(((namespace, name), mapping)) => {
                    entries.insert((namespace, name), Arc::new(mapping));
                }
                Err(reason) => dropped.push(EntryError::new(key, reason)),
            }
        }
        Ok((Self::of(entries), dropped))
    }

    fn of(entries: BTreeMap<(&str, &str), Arc<Mapping>>) -> Self {
        let mut exact = BTreeMap::<_, BTreeMap<_, _>>::new();
        let mut patterns = Vec::new();
        for ((namespace, name), mapping) in entries {
            if namespace.contains('*') || name.contains('*') {
                patterns.push(Pattern {
                    namespace: Glob::new(namespace),
                    name: Glob::new(name),
                    mapping,
                });
            } else {
                exact.entry(namespace.into()).or_default().insert(name.into(), mapping);
            }
        }
        patterns.sort_by_cached_key(Pattern::rank);
        Self { exact, patterns }
    }

    /// The entry that fits an account best: the exact one, else the pattern with the most literal
    /// characters, ties by an exact namespace and then bytewise. An entry without a role is an
    /// entry: it hides those behind it.
    pub fn find(&self, namespace: &str, name: &str) -> Option<&Arc<Mapping>> {
        self.fitting(namespace, name).map(|fit| match fit {
            Fit::Exact(mapping) => mapping,
            Fit::Pattern(pattern) => &pattern.mapping,
        })
    }

    /// The key of the entry that [`Self::find`] finds, as it stands in the document.
    pub fn key(&self, namespace: &str, name: &str) -> Option<String> {
        self.fitting(namespace, name).map(|fit| match fit {
            Fit::Exact(_) => format!("{namespace}/{name}"),
            Fit::Pattern(pattern) => pattern.key(),
        })
    }

    fn fitting(&self, namespace: &str, name: &str) -> Option<Fit<'_>> {
        let exact = self.exact.get(namespace).and_then(|names| names.get(name));
        let pattern = || self.patterns.iter().find(|pattern| pattern.fits(namespace, name));
        exact.map(Fit::Exact).or_else(|| pattern().map(Fit::Pattern))
    }

    /// Every entry: the exact ones by name, then the patterns in the order in which they count.
    pub fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        let exact = self.exact.iter().flat_map(|(namespace, names)| {
            names.iter().map(move |(name, mapping)| Entry { namespace, name, mapping })
        });
        exact.chain(self.patterns.iter().map(|Pattern { namespace, name, mapping }| Entry {
            namespace: namespace.as_str(),
            name: name.as_str(),
            mapping,
        }))
    }

    /// The accounts that have an entry of their own, by namespace and name.
    pub fn exact(&self) -> impl Iterator<Item = (&str, &str)> {
        self.exact
            .iter()
            .flat_map(|(namespace, names)| names.keys().map(|name| (&**namespace, &**name)))
    }

    /// The entries with a `*` in their key, in the order in which they count.
    pub fn patterns(&self) -> impl Iterator<Item = (String, &Mapping)> {
        self.patterns.iter().map(|pattern| (pattern.key(), &*pattern.mapping))
    }

    /// Whether some entry gives an identity.
    pub fn name_an_identity(&self) -> bool {
        let exact = self.exact.values().flat_map(BTreeMap::values);
        let patterns = self.patterns.iter().map(|pattern| &pattern.mapping);
        exact.chain(patterns).any(|mapping| mapping.role_arn.is_some())
    }
}

/// The two sides of a key.
fn split(key: &str) -> Result<(&str, &str), &'static str> {
    match key.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
            if name.contains('/') {
                return Err("its key has more than one slash; write namespace/name");
            }
            Ok((namespace, name))
        }
        _ => Err("its key is not namespace/name"),
    }
}

/// The settings of one entry. Empty and zero are unset, as the Go webhook writes them.
fn read(value: &RawValue) -> Result<Mapping, &'static str> {
    if value.get() == "null" {
        return Err("it is null; write an object with a RoleARN");
    }
    let entry: Pairs<'_> =
        serde_json::from_str(value.get()).map_err(|_| "it is not an object with a RoleARN")?;
    let text = |key| {
        entry.value::<Box<str>>(key).map(|value| value.filter(|text| !text.trim().is_empty()))
    };
    Ok(Mapping {
        role_arn: text("RoleARN").map_err(|_| "RoleARN is not a string")?,
        audience: text("Audience").map_err(|_| "Audience is not a string")?,
        sts_regional_endpoints: entry
            .value("UseRegionalSTS")
            .map_err(|_| "UseRegionalSTS is not true or false")?,
        token_expiration: entry
            .value::<i64>("TokenExpiration")
            .map_err(|_| "TokenExpiration is not a whole number of seconds")?
            .filter(|seconds| *seconds != 0)
            .map(bound_expiration),
    })
}

// === impl Entry ===

impl Entry<'_> {
    /// Whether the entry is one for this account, if none that is more exact is.
    pub fn fits(&self, namespace: &str, name: &str) -> bool {
        glob::fits(self.namespace, namespace) && glob::fits(self.name, name)
    }
}

// === impl Pattern ===

impl Pattern {
    /// Where the pattern stands among the others: the smallest counts first.
    fn rank(&self) -> (Reverse<usize>, bool, Box<[u8]>) {
        let Self { namespace, name, mapping: _ } = self;
        (
            Reverse(namespace.literals() + name.literals()),
            namespace.as_str().contains('*'),
            [namespace.as_str().as_bytes(), b"/", name.as_str().as_bytes()].concat().into(),
        )
    }

    fn key(&self) -> String {
        format!("{}/{}", self.namespace.as_str(), self.name.as_str())
    }

    fn fits(&self, namespace: &str, name: &str) -> bool {
        self.namespace.fits(namespace) && self.name.fits(name)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(json: &str) -> Mappings {
        let (mappings, dropped) = Mappings::parse(json).unwrap();
        assert_eq!(dropped, []);
        mappings
    }

    fn keys(keys: &[&str]) -> Mappings {
        let entries =
            keys.iter().map(|key| format!("{key:?}: {{\"RoleARN\": {key:?}}}")).collect::<Vec<_>>();
        parse(&format!("{{{}}}", entries.join(",")))
    }

    fn found<'a>(mappings: &'a Mappings, account: &str) -> Option<&'a str> {
        let (namespace, name) = account.split_once('/').unwrap();
        mappings.find(namespace, name)?.role_arn.as_deref()
    }

    /// N11: an expiration is floored and capped, an empty audience is left to the flag.
    #[test]
    fn an_entry_is_read_as_go_writes_and_reads_it() {
        let mappings = parse(
            r#"{
                "a/full": {"RoleARN": "arn", "Audience": "aud", "UseRegionalSTS": true, "TokenExpiration": 3600},
                "a/zero": {"RoleARN": "arn", "Audience": "", "UseRegionalSTS": false, "TokenExpiration": 0},
                "a/case": {"rolearn": "arn", "AUDIENCE": "aud", "useRegionalSts": true, "tokenexpiration": 1, "Else": []},
                "a/twice": {"RoleARN": "old", "RoleARN": "new", "roleArn": null},
                "a/blank": {"RoleARN": "  ", "TokenExpiration": 99999999999},
                "a/empty": {}
            }"#,
        );
        let entry = |name| mappings.find("a", name).unwrap().as_ref().clone();
        assert_eq!(
            entry("full"),
            Mapping {
                role_arn: Some("arn".into()),
                audience: Some("aud".into()),
                sts_regional_endpoints: Some(true),
                token_expiration: Some(3600),
            }
        );
        assert_eq!(
            entry("zero"),
            Mapping {
                role_arn: Some("arn".into()),
                sts_regional_endpoints: Some(false),
                ..Mapping::default()
            }
        );
        assert_eq!(entry("case"), Mapping { token_expiration: Some(600), ..entry("full") });
        assert_eq!(entry("twice").role_arn.as_deref(), Some("new"));
        assert_eq!(entry("blank").role_arn, None);
        assert_eq!(entry("blank").token_expiration, Some(1 << 32));
        assert_eq!(entry("empty"), Mapping::default());
        assert!(mappings.name_an_identity());
        assert!(!parse(r#"{"a/b": {}, "*/b": {}}"#).name_an_identity());
    }

    /// N9: what ends the Go webhook is dropped here, and named without its content.
    #[test]
    fn a_bad_entry_is_dropped_and_named_and_the_others_stand() {
        let (mappings, dropped) = Mappings::parse(
            r#"{
                "no-slash": {"RoleARN": "secret"}, "a/null": null, "a/list": ["secret"],
                "a/b/c": {}, "/b": {}, "a/": {}, "a/arn": {"RoleARN": 17},
                "a/aud": {"Audience": {}}, "a/sts": {"UseRegionalSTS": "true"},
                "a/exp": {"TokenExpiration": "secret"}, "a/frac": {"TokenExpiration": 600.5},
                "a/good": {"RoleARN": "arn"}
            }"#,
        )
        .unwrap();
        assert_eq!(found(&mappings, "a/good"), Some("arn"));
        let names: Vec<_> = dropped.iter().map(EntryError::entry).collect();
        assert_eq!(
            names,
            [
                "no-slash", "a/null", "a/list", "a/b/c", "/b", "a/", "a/arn", "a/aud", "a/sts",
                "a/exp", "a/frac"
            ]
        );
        assert!(dropped.iter().all(|e| !e.to_string().contains("secret")));
        assert_eq!(
            dropped[9].to_string(),
            "the entry \"a/exp\" was dropped: TokenExpiration is not a whole number of seconds"
        );
    }

    #[test]
    fn a_document_that_cannot_be_read_says_where_and_not_what() {
        let error = |json| Mappings::parse(json).unwrap_err().to_string();
        assert_eq!(
            error("{\n\"a/b\": secret}"),
            "the key config of the ConfigMap pod-identity-webhook is not JSON: \
             look at line 2, column 8"
        );
        assert_eq!(
            error(r#"["secret"]"#),
            "the key config of the ConfigMap pod-identity-webhook is not of the form \
             {\"namespace/name\": {\"RoleARN\": \"…\"}}"
        );
        for blank in ["", " \n", "null", "{}"] {
            let (mappings, dropped) = Mappings::parse(blank).unwrap();
            assert!(mappings.find("a", "b").is_none() && dropped.is_empty());
        }
    }

    /// F8: `*/sa` applies to every namespace, and the exact entry wins.
    #[test]
    fn the_key_that_counts_is_the_most_literal_one() {
        for (account, candidates) in [
            ("prod/app", &["prod/app", "prod/*", "*/app", "*/*"][..]),
            ("prod/app", &["prod/ap*", "prod/*", "*/app", "p*/*"]),
            // As many literals: the exact namespace first, then bytewise.
            ("app/prod", &["app/*d", "*/prod"]),
            ("abc/abc", &["abc/*", "*/abc"]),
            ("abc/abc", &["*bc/*bc", "*bc/ab*", "a*c/*bc", "ab*/*bc"]),
            ("test-1/app", &["test-*/app", "test-*/*", "*/app"]),
            ("a-b-c/d", &["a-*-c/d", "*-*-*/d", "**/d"]),
        ] {
            let mut expected = candidates.to_vec();
            for first in candidates {
                let mut shuffled = expected.clone();
                shuffled.reverse();
                assert_eq!(
                    found(&keys(&shuffled), account),
                    Some(*first),
                    "{account} among {shuffled:?}"
                );
                expected.remove(0);
            }
        }
    }

    #[test]
    fn an_exact_entry_without_a_role_hides_the_patterns() {
        let mappings = parse(r#"{"a/b": {}, "a/*": {"RoleARN": "arn"}}"#);
        assert_eq!(found(&mappings, "a/b"), None);
        assert_eq!(found(&mappings, "a/c"), Some("arn"));
    }

    #[test]
    fn the_key_that_counts_can_be_shown_as_it_was_written() {
        let mappings = keys(&["prod/app", "prod/*", "*/app"]);
        for (account, key) in [
            ("prod/app", Some("prod/app")),
            ("prod/web", Some("prod/*")),
            ("test/app", Some("*/app")),
            ("test/web", None),
        ] {
            let (namespace, name) = account.split_once('/').unwrap();
            assert_eq!(mappings.key(namespace, name).as_deref(), key);
            assert_eq!(found(&mappings, account), key);
        }
        assert_eq!(mappings.exact().collect::<Vec<_>>(), [("prod", "app")]);
        let patterns: Vec<_> = mappings.patterns().map(|(key, _)| key).collect();
        assert_eq!(patterns, ["prod/*", "*/app"]);
    }

    #[test]
    fn a_star_never_crosses_the_slash() {
        assert!(keys(&["a*b/c"]).find("a", "b/c").is_none());
    }

    proptest! {
        /// N9: any ConfigMap: no panic.
        #[test]
        fn any_text_is_a_document_or_an_error(text in any::<String>()) {
            let _ = Mappings::parse(&text);
        }

        #[test]
        fn anything_json_is_a_document_or_an_error(
            key in any::<String>(),
            value in "(null|true|-?[0-9]{1,25}|\"[a-z/*]{0,4}\"|\\{\"(RoleARN|Audience|UseRegionalSTS|TokenExpiration)\":(null|true|-?[0-9]{1,25}|\"x\"|\\[\\]|\\{\\})\\}|\\[|\\{)",
        ) {
            let key = serde_json::to_string(&key).unwrap();
            if let Ok((mappings, _)) = Mappings::parse(&format!("{{{key}:{value}}}")) {
                let _ = mappings.find("a", "b");
            }
        }
    }
}
