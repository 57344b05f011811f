//! Where a Pod asks to run: Linux, Windows or Fargate.
//!
//! Windows is told by a node selector, by `spec.os.name`, or by a required node affinity in which
//! every term allows Windows alone: terms are alternatives, so one that says nothing of the
//! operating system leaves Linux possible.

use serde::Deserialize;

use super::{Spec, Text, from_object};

/// The scheduler that EKS gives to Pods of a Fargate profile.
const FARGATE_SCHEDULER: &str = "fargate-scheduler";

/// The labels by which nodes say their operating system; the second is the old one.
const OS_LABELS: [&str; 2] = ["kubernetes.io/os", "beta.kubernetes.io/os"];

const WINDOWS: &str = "windows";

/// Where a Pod asks to run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Platform {
    /// A Linux node.
    Linux,
    /// A Windows node.
    Windows,
    /// Fargate.
    Fargate,
}

/// `spec.os`.
#[derive(Debug, Default, Deserialize)]
#[serde(remote = "Self")]
pub struct Os<'a> {
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
}

/// `spec.affinity`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Affinity<'a> {
    #[serde(borrow, default)]
    node_affinity: Option<NodeAffinity<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(remote = "Self")]
struct NodeAffinity<'a> {
    #[serde(borrow, default, rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    required: Option<NodeSelector<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
struct NodeSelector<'a> {
    #[serde(borrow, default)]
    node_selector_terms: Option<Vec<Term<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
struct Term<'a> {
    #[serde(borrow, default)]
    match_expressions: Option<Vec<Requirement<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(remote = "Self")]
struct Requirement<'a> {
    #[serde(borrow, default)]
    key: Option<Text<'a>>,
    #[serde(borrow, default)]
    operator: Option<Text<'a>>,
    #[serde(borrow, default)]
    values: Option<Vec<Text<'a>>>,
}

from_object!(Os, Affinity, NodeAffinity, NodeSelector, Term, Requirement);

pub(super) fn of(spec: &Spec<'_>) -> Platform {
    if spec.scheduler_name.as_deref() == Some(FARGATE_SCHEDULER) {
        return Platform::Fargate;
    }
    let selected = || {
        spec.node_selector
            .as_ref()
            .is_some_and(|s| OS_LABELS.iter().any(|label| s.value(label) == Some(WINDOWS)))
    };
    let named = || spec.os.as_ref().is_some_and(|os| os.name.as_deref() == Some(WINDOWS));
    let required = || spec.affinity.as_ref().is_some_and(Affinity::requires_windows);
    if selected() || named() || required() { Platform::Windows } else { Platform::Linux }
}

impl Affinity<'_> {
    fn requires_windows(&self) -> bool {
        let terms = (self.node_affinity.as_ref())
            .and_then(|affinity| affinity.required.as_ref()?.node_selector_terms.as_deref())
            .unwrap_or_default();
        !terms.is_empty() && terms.iter().all(Term::requires_windows)
    }
}

impl Term<'_> {
    fn requires_windows(&self) -> bool {
        self.match_expressions.iter().flatten().any(|requirement| {
            let Requirement { key, operator, values } = requirement;
            key.as_deref().is_some_and(|key| OS_LABELS.contains(&key))
                && operator.as_deref() == Some("In")
                && matches!(values.as_deref(), Some([only]) if only.as_ref() == WINDOWS)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Pod;
    use super::*;

    fn platform(spec: &str) -> Platform {
        Pod::read(&format!(r#"{{"spec":{spec}}}"#)).unwrap().platform()
    }

    fn affinity(terms: &str) -> Platform {
        platform(&format!(
            r#"{{"affinity":{{"nodeAffinity":{{"requiredDuringSchedulingIgnoredDuringExecution":
                {{"nodeSelectorTerms":{terms}}}}}}}}}"#
        ))
    }

    #[test]
    fn windows_is_told_by_selector_or_os() {
        assert_eq!(
            platform(r#"{"nodeSelector":{"kubernetes.io/os":"windows"}}"#),
            Platform::Windows
        );
        assert_eq!(
            platform(r#"{"nodeSelector":{"beta.kubernetes.io/os":"windows"}}"#),
            Platform::Windows
        );
        assert_eq!(platform(r#"{"os":{"name":"windows"}}"#), Platform::Windows);
        assert_eq!(platform(r#"{"nodeSelector":{"kubernetes.io/os":"linux"}}"#), Platform::Linux);
        assert_eq!(platform("{}"), Platform::Linux);
        assert_eq!(platform("null"), Platform::Linux);
    }

    #[test]
    fn an_affinity_means_windows_only_if_every_term_does() {
        let windows = r#"{"matchExpressions":[{"key":"kubernetes.io/os","operator":"In","values":["windows"]}]}"#;
        let both = r#"{"matchExpressions":[{"key":"kubernetes.io/os","operator":"In","values":["windows","linux"]}]}"#;
        let not = r#"{"matchExpressions":[{"key":"kubernetes.io/os","operator":"NotIn","values":["windows"]}]}"#;
        assert_eq!(affinity(&format!("[{windows}]")), Platform::Windows);
        assert_eq!(affinity(&format!("[{windows},{windows}]")), Platform::Windows);
        assert_eq!(affinity(&format!("[{windows},{both}]")), Platform::Linux);
        assert_eq!(affinity(&format!("[{windows},{{}}]")), Platform::Linux);
        assert_eq!(affinity(&format!("[{not}]")), Platform::Linux);
        assert_eq!(affinity("[]"), Platform::Linux);
    }

    #[test]
    fn fargate_is_told_by_its_scheduler() {
        assert_eq!(platform(r#"{"schedulerName":"fargate-scheduler"}"#), Platform::Fargate);
    }
}
