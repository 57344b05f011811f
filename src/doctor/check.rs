//! What a check is, and all of them, in the order in which people ask.
//!
//! Names and questions of checks stand in `cli`, which has to know them for `--help`, `--only` and
//! `--skip`; a test holds the two lists together.

use super::checks::{
    accounts, called, certificates, configuration, mappings, pods, policy, rights, service, tokens,
};
use super::line::Line;
use super::observed::Observed;

/// A check: one small value.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Its name, kebab-case.
    pub id: &'static str,
    /// What has to be observed for it, besides the installation.
    pub needs: &'static [Need],
    /// The checks whose findings explain those of this one: then they are not told again.
    pub explained_by: &'static [&'static str],
    /// The checks whose findings explain, besides, why something could not be looked at for it:
    /// what it finds of the rest is told.
    pub unseen_by: &'static [&'static str],
    /// The judgement; at least one line.
    pub judge: fn(&Observed) -> Vec<Line>,
}

/// Something that is observed only if a check needs it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Need {
    /// Namespaces and their labels.
    Namespaces,
    /// ServiceAccounts, and the documents that give them identities.
    Accounts,
    /// Pods that run.
    Pods,
    /// What the webhook serves.
    Served,
    /// The rights of the webhook.
    Rights,
    /// The API server's own count of calls that failed open.
    FailOpen,
    /// A Pod, by dry run.
    Probe,
    /// A token of a ServiceAccount.
    Token,
    /// What the issuer publishes.
    Issuer,
    /// The Pod Identity agent.
    Agent,
}

/// The checks that are asked for.
#[derive(Clone, Debug)]
pub struct Selection(Vec<&'static Check>);

use Need::{Accounts, Agent, FailOpen, Issuer, Namespaces, Pods, Probe, Rights, Served, Token};

/// All checks.
pub const CHECKS: &[Check] = &[
    Check {
        id: "configuration",
        needs: &[],
        explained_by: &[],
        unseen_by: &[],
        judge: configuration::present,
    },
    Check {
        id: "review-versions",
        needs: &[],
        explained_by: &[],
        unseen_by: &[],
        judge: configuration::review_versions,
    },
    Check {
        id: "failure-policy",
        needs: &[Namespaces],
        explained_by: &[],
        unseen_by: &[],
        judge: configuration::failure_policy,
    },
    Check {
        id: "timeout",
        needs: &[],
        explained_by: &[],
        unseen_by: &[],
        judge: configuration::timeout,
    },
    Check {
        id: "reinvocation",
        needs: &[],
        explained_by: &[],
        unseen_by: &[],
        judge: configuration::reinvocation,
    },
    Check {
        id: "selectors",
        needs: &[Namespaces, Accounts],
        explained_by: &[],
        unseen_by: &[],
        judge: configuration::selectors,
    },
    Check {
        id: "overlap",
        needs: &[Namespaces],
        explained_by: &[],
        unseen_by: &[],
        judge: configuration::overlap,
    },
    Check { id: "service", needs: &[], explained_by: &[], unseen_by: &[], judge: service::exists },
    Check {
        id: "endpoints",
        needs: &[],
        explained_by: &["service"],
        unseen_by: &[],
        judge: service::endpoints,
    },
    Check {
        id: "reachable",
        needs: &[Served],
        explained_by: &["service", "endpoints"],
        unseen_by: &[],
        judge: service::reachable,
    },
    Check {
        id: "certificate",
        needs: &[Served],
        explained_by: &[],
        unseen_by: &["service", "endpoints", "reachable"],
        judge: certificates::trusted,
    },
    Check {
        id: "expiry",
        needs: &[Served],
        explained_by: &[],
        unseen_by: &["service", "endpoints", "reachable", "certificate"],
        judge: certificates::expiry,
    },
    Check {
        id: "rights",
        needs: &[Rights],
        explained_by: &[],
        unseen_by: &[],
        judge: rights::of_webhook,
    },
    Check {
        id: "ready",
        needs: &[Served],
        explained_by: &["certificate", "expiry", "rights"],
        unseen_by: &["service", "endpoints", "reachable"],
        judge: service::ready,
    },
    Check { id: "own-rights", needs: &[], explained_by: &[], unseen_by: &[], judge: rights::own },
    Check {
        id: "fail-open",
        needs: &[FailOpen],
        explained_by: &["service", "endpoints", "reachable", "certificate", "expiry"],
        unseen_by: &[],
        judge: called::fail_open,
    },
    Check {
        id: "probe",
        needs: &[Namespaces, Accounts, Probe],
        explained_by: &[
            "configuration",
            "service",
            "endpoints",
            "reachable",
            "certificate",
            "expiry",
            "rights",
            "ready",
        ],
        unseen_by: &[],
        judge: called::probe,
    },
    Check {
        id: "role-arns",
        needs: &[Accounts],
        explained_by: &[],
        unseen_by: &[],
        judge: accounts::role_arns,
    },
    Check {
        id: "annotations",
        needs: &[Accounts],
        explained_by: &[],
        unseen_by: &[],
        judge: accounts::annotations,
    },
    Check {
        id: "mappings",
        needs: &[Namespaces, Accounts],
        explained_by: &[],
        unseen_by: &["service", "endpoints"],
        judge: mappings::mappings,
    },
    Check {
        id: "credentials-file",
        needs: &[Namespaces, Accounts],
        explained_by: &[],
        unseen_by: &["service", "endpoints"],
        judge: mappings::credentials,
    },
    Check {
        id: "role-policy",
        needs: &[Namespaces, Accounts],
        explained_by: &[],
        unseen_by: &["service", "endpoints"],
        judge: policy::role_policy,
    },
    Check {
        id: "missed-pods",
        needs: &[Namespaces, Accounts, Pods],
        explained_by: &[],
        unseen_by: &[],
        judge: pods::missed,
    },
    Check {
        id: "shadowing",
        needs: &[Accounts, Pods],
        explained_by: &[],
        unseen_by: &[],
        judge: pods::shadowing,
    },
    Check {
        id: "containers",
        needs: &[Accounts, Pods],
        explained_by: &[],
        unseen_by: &[],
        judge: pods::containers,
    },
    Check {
        id: "issuer",
        needs: &[Accounts, Token, Issuer],
        explained_by: &[],
        unseen_by: &[],
        judge: tokens::issuer,
    },
    Check {
        id: "token-lifetime",
        needs: &[Accounts, Token],
        explained_by: &[],
        unseen_by: &[],
        judge: tokens::lifetime,
    },
    Check {
        id: "agent",
        needs: &[Accounts, Pods, Agent],
        explained_by: &[],
        unseen_by: &[],
        judge: pods::agent,
    },
    Check {
        id: "versions",
        needs: &[],
        explained_by: &[],
        unseen_by: &[],
        judge: service::versions,
    },
    Check {
        id: "flags",
        needs: &[],
        explained_by: &[],
        unseen_by: &["service", "endpoints"],
        judge: service::flags,
    },
];

// === impl Selection ===

impl Selection {
    /// Those of `only`, or all if there is none, without those of `skip`.
    pub fn of(only: &[&str], skip: &[&str]) -> Self {
        let is_wanted = |check: &&Check| {
            (only.is_empty() || only.contains(&check.id)) && !skip.contains(&check.id)
        };
        Self(CHECKS.iter().filter(is_wanted).collect())
    }

    /// The checks, in order.
    pub fn iter(&self) -> impl Iterator<Item = &'static Check> {
        self.0.iter().copied()
    }

    /// Whether one of them needs that.
    pub fn needs(&self, need: Need) -> bool {
        self.0.iter().any(|check| check.needs.contains(&need))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checks_are_those_that_the_command_line_knows() {
        let known: Vec<_> = crate::cli::CHECKS.iter().map(|(id, _)| *id).collect();
        assert_eq!(CHECKS.iter().map(|check| check.id).collect::<Vec<_>>(), known);
    }

    #[test]
    fn a_check_is_explained_only_by_those_before_it() {
        for (place, check) in CHECKS.iter().enumerate() {
            for cause in check.explained_by.iter().chain(check.unseen_by) {
                let before = CHECKS.iter().take(place).any(|before| before.id == *cause);
                assert!(before, "{} by {cause}", check.id);
            }
        }
    }

    #[test]
    fn only_and_skip_choose() {
        let ids = |only: &[&str], skip: &[&str]| {
            Selection::of(only, skip).iter().map(|check| check.id).collect::<Vec<_>>()
        };
        assert_eq!(ids(&[], &[]).len(), CHECKS.len());
        assert_eq!(ids(&["probe", "service"], &[]), ["service", "probe"]);
        assert_eq!(ids(&["probe", "service"], &["probe"]), ["service"]);
        assert!(!Selection::of(&["timeout"], &[]).needs(Need::Pods));
    }
}
