//! The document of a role policy.
//!
//! ```text
//! default: deny                 # or allow: what namespaces may have that no rule is for
//! rules:
//!   - namespaces: [shop, "shop-*"]
//!     roles: ["arn:aws:iam::111122223333:role/shop/*"]
//! ```
//!
//! A key that is not known is an error, not a remark: a misspelled one would widen a rule. Everything
//! that is wrong is named by its place, never by what stands there.

use serde_json::{Map, Value};

use super::PolicyError;
use crate::documents::{Document, Stream};
use crate::identity::glob::Glob;
use crate::identity::{RolePolicy, Rule, Unruled};

/// The most problems that one error names.
const NAMED: usize = 5;

/// What the role of every partition begins with.
const ARN: &str = "arn:aws";

/// Reads the policy in `text`, YAML or JSON; `name` is what messages call it.
///
/// # Errors
///
/// If any part of it cannot be used.
pub fn parse(name: &str, text: &str) -> Result<RolePolicy, PolicyError> {
    let stream = Stream::parse(name, text)?;
    let documents: Vec<_> =
        stream.documents().map(Document::value).filter(|value| !value.is_null()).collect();
    let [document] = documents.as_slice() else {
        return Err(PolicyError::NotOne { name: name.into(), count: documents.len() });
    };
    let mut problems = Problems::default();
    let policy = policy(document, &mut problems);
    problems
        .none()
        .map(|()| policy)
        .map_err(|problems| PolicyError::Form { name: name.into(), problems })
}

/// What is wrong so far.
#[derive(Default)]
struct Problems {
    named: Vec<String>,
    more: usize,
}

fn policy(document: &Value, problems: &mut Problems) -> RolePolicy {
    let mut policy = RolePolicy::default();
    let Some(object) = document.as_object() else {
        problems.add("", "it is not an object with rules");
        return policy;
    };
    problems.keys("", object, &["default", "rules"]);
    policy.default = match object.get("default").map(Value::as_str) {
        None | Some(Some("deny")) => Unruled::Deny,
        Some(Some("allow")) => Unruled::Allow,
        Some(_) => {
            problems.add("default", "write deny or allow");
            Unruled::Deny
        }
    };
    match object.get("rules").map(Value::as_array) {
        Some(Some(rules)) => {
            let rules = rules.iter().enumerate();
            policy.rules =
                rules.map(|(at, value)| rule(&format!("rules[{at}]"), value, problems)).collect();
        }
        Some(None) => problems.add("rules", "it is not a list"),
        None => problems.add("", "it has no rules; write `rules: []` to have none"),
    }
    policy
}

fn rule(place: &str, value: &Value, problems: &mut Problems) -> Rule {
    let Some(object) = value.as_object() else {
        problems.add(place, "it is not an object with namespaces and roles");
        return Rule { namespaces: Vec::new(), roles: Vec::new() };
    };
    problems.keys(place, object, &["namespaces", "roles"]);
    let namespaces = globs(place, "namespaces", object, problems, |glob| {
        (!is_of_namespaces(glob)).then_some("no namespace fits it")
    });
    if object.get("namespaces").and_then(Value::as_array).is_some_and(Vec::is_empty) {
        problems.add(place, "it is for no namespace; write \"*\" for every one");
    }
    let roles = globs(place, "roles", object, problems, |glob| {
        (!is_of_roles(glob)).then_some("no role's ARN fits it; begin with arn: or *")
    });
    Rule { namespaces, roles }
}

/// The globs of one list, each of which `wrong` finds nothing wrong with.
fn globs(
    place: &str,
    key: &str,
    object: &Map<String, Value>,
    problems: &mut Problems,
    wrong: impl Fn(&str) -> Option<&'static str>,
) -> Vec<Glob> {
    let place = format!("{place}.{key}");
    let Some(list) = object.get(key).and_then(Value::as_array) else {
        problems.add(&place, "it is not a list of texts");
        return Vec::new();
    };
    let mut globs = Vec::new();
    for (at, value) in list.iter().enumerate() {
        match value.as_str() {
            Some(glob) => match wrong(glob) {
                None => globs.push(Glob::new(glob)),
                Some(why) => problems.add(&format!("{place}[{at}]"), why),
            },
            None => problems.add(&format!("{place}[{at}]"), "it is not text"),
        }
    }
    globs
}

/// Whether a namespace can fit: an RFC 1123 label has nothing but these.
fn is_of_namespaces(glob: &str) -> bool {
    !glob.is_empty()
        && glob
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'*'))
}

/// Whether a role's ARN can fit, as far as its beginning tells.
fn is_of_roles(glob: &str) -> bool {
    let head = glob.split('*').next().unwrap_or_default();
    let begins = head.starts_with(ARN) || (ARN.starts_with(head) && head.len() < glob.len());
    begins && glob.bytes().all(|b| b.is_ascii_graphic())
}

// === impl Problems ===

impl Problems {
    fn add(&mut self, place: &str, what: &str) {
        if self.named.len() == NAMED {
            self.more += 1;
        } else if place.is_empty() {
            self.named.push(what.to_owned());
        } else {
            self.named.push(format!("{place}: {what}"));
        }
    }

    fn keys(&mut self, place: &str, object: &Map<String, Value>, known: &[&str]) {
        if object.keys().any(|key| !known.contains(&key.as_str())) {
            self.add(place, &format!("it has a key that is none of {}", known.join(", ")));
        }
    }

    fn none(mut self) -> Result<(), Vec<String>> {
        if self.more > 0 {
            self.named.push(format!("and {} more", self.more));
        }
        if self.named.is_empty() { Ok(()) } else { Err(self.named) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
# who may have what
default: allow
rules:
  - namespaces: [shop, \"shop-*\"]
    roles: [\"arn:aws:iam::111122223333:role/shop/*\", \"*\"]
  - {namespaces: [quiet], roles: []}
";

    fn refused(text: &str) -> String {
        parse("policy.yaml", text).unwrap_err().to_string()
    }

    #[test]
    fn a_policy_is_read_from_yaml_and_from_json() {
        let globs = |texts: &[&str]| texts.iter().map(|text| Glob::new(text)).collect::<Vec<_>>();
        let policy = RolePolicy {
            default: Unruled::Allow,
            rules: vec![
                Rule {
                    namespaces: globs(&["shop", "shop-*"]),
                    roles: globs(&["arn:aws:iam::111122223333:role/shop/*", "*"]),
                },
                Rule { namespaces: globs(&["quiet"]), roles: Vec::new() },
            ],
        };
        let json = serde_json::json!({ "default": "allow", "rules": [
            { "namespaces": ["shop", "shop-*"],
              "roles": ["arn:aws:iam::111122223333:role/shop/*", "*"] },
            { "namespaces": ["quiet"], "roles": [] },
        ]});
        assert_eq!(parse("p", GOOD).unwrap(), policy);
        assert_eq!(parse("p", &json.to_string()).unwrap(), policy);
        assert_eq!(parse("p", "rules: []").unwrap(), RolePolicy::default());
        assert_eq!(parse("p", "rules: []").unwrap().default, Unruled::Deny);
    }

    #[test]
    fn what_is_wrong_is_named_by_its_place_and_not_repeated() {
        let marker = "wJalrXUtnFEMI-marker";
        for (text, says) in [
            ("default: secret\nrules: []".to_owned(), "default: write deny or allow"),
            ("default: 1\nrules: []".to_owned(), "default: write deny or allow"),
            (format!("{marker}: 1\nrules: []"), "it has a key that is none of default, rules"),
            ("default: deny".to_owned(), "it has no rules; write `rules: []` to have none"),
            ("rules: {}".to_owned(), "rules: it is not a list"),
            ("- x".to_owned(), "it is not an object with rules"),
            ("rules: [x]".to_owned(), "rules[0]: it is not an object with namespaces and roles"),
            (
                format!("rules: [{{namespaces: [a], role: [\"{marker}\"], roles: []}}]"),
                "rules[0]: it has a key that is none of namespaces, roles",
            ),
            (
                "rules: [{namespaces: [a]}, {roles: []}]".to_owned(),
                "rules[0].roles: it is not a list of texts; \
                 rules[1].namespaces: it is not a list of texts",
            ),
            (
                "rules: [{namespaces: [], roles: []}]".to_owned(),
                "rules[0]: it is for no namespace; write \"*\" for every one",
            ),
            (
                "rules: [{namespaces: [Shop, 1, \"a/b\", \"\"], roles: []}]".to_owned(),
                "rules[0].namespaces[0]: no namespace fits it; \
                 rules[0].namespaces[1]: it is not text; \
                 rules[0].namespaces[2]: no namespace fits it; \
                 rules[0].namespaces[3]: no namespace fits it",
            ),
            (
                format!(
                    "rules: [{{namespaces: [a], roles: [{marker}, \"arn:aws\", \"arn:aws:x y\"]}}]"
                ),
                "rules[0].roles[0]: no role's ARN fits it; begin with arn: or *; \
                 rules[0].roles[2]: no role's ARN fits it; begin with arn: or *",
            ),
        ] {
            let sentence = refused(&text);
            assert_eq!(sentence, format!("policy.yaml is no role policy: {says}"));
        }
    }

    #[test]
    fn what_is_no_document_is_said_with_its_place() {
        assert_eq!(refused("rules: [\n"), "policy.yaml:1:8: not valid YAML: unclosed bracket '['");
        for (text, count) in [("", 0), ("# nothing\n", 0), ("---\nrules: []\n---\nrules: []\n", 2)]
        {
            assert_eq!(
                refused(text),
                format!(
                    "policy.yaml holds {count} documents: give one role policy, `rules: []` to \
                     allow nothing"
                )
            );
        }
    }

    #[test]
    fn many_problems_are_counted() {
        let rules = "{namespaces: [A], roles: []}, ".repeat(9);
        let sentence = refused(&format!("rules: [{rules}]"));
        assert!(sentence.ends_with("rules[4].namespaces[0]: no namespace fits it; and 4 more"));
    }
}
