//! The role policy: which roles the Pods of which namespaces may have.
//!
//! Rules only allow, and add up: their order says nothing, and none takes away what another gives.
//! Where no rule is for a namespace, the policy says what holds. A role that does not have the form
//! of an ARN is among nobody's roles, whatever the globs say.

use super::Role;
use super::glob::Glob;

/// The rules, and what holds where there is none.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RolePolicy {
    /// What namespaces may have that no rule is for.
    pub default: Unruled,
    /// The rules, in the order in which they were written.
    pub rules: Vec<Rule>,
}

/// What a namespace may have that no rule is for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Unruled {
    /// No role.
    #[default]
    Deny,
    /// Every role.
    Allow,
}

/// The roles of some namespaces.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    /// The namespaces.
    pub namespaces: Vec<Glob>,
    /// The ARNs of the roles; `*` crosses colons and slashes.
    pub roles: Vec<Glob>,
}

/// A policy, and the namespace that it is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Guard<'a> {
    /// The policy.
    pub policy: &'a RolePolicy,
    /// The namespace.
    pub namespace: &'a str,
}

/// What a policy says of a role.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Permission {
    /// This rule allows it, counted from 0: the first that does.
    ByRule(usize),
    /// No rule is for the namespace, and then every role is allowed.
    ByDefault,
    /// There are rules for the namespace, and none of them has the role.
    NotAmong,
    /// No rule is for the namespace, and then no role is allowed.
    Unruled,
}

// === impl Guard ===

impl Guard<'_> {
    /// What the policy says of `role` in the namespace.
    pub fn judge(&self, role: &Role<'_>) -> Permission {
        let Self { policy, namespace } = self;
        let mut of_namespace =
            policy.rules.iter().enumerate().filter(|(_, rule)| rule.is_for(namespace)).peekable();
        if of_namespace.peek().is_none() {
            return match policy.default {
                Unruled::Allow => Permission::ByDefault,
                Unruled::Deny => Permission::Unruled,
            };
        }
        of_namespace
            .find(|(_, rule)| rule.has(role))
            .map_or(Permission::NotAmong, |(index, _)| Permission::ByRule(index))
    }
}

// === impl Permission ===

impl Permission {
    /// Whether the role may be had.
    pub const fn is_granted(self) -> bool {
        match self {
            Self::ByRule(_) | Self::ByDefault => true,
            Self::NotAmong | Self::Unruled => false,
        }
    }
}

// === impl Rule ===

impl Rule {
    /// Whether the rule is for a namespace.
    pub fn is_for(&self, namespace: &str) -> bool {
        self.namespaces.iter().any(|glob| glob.fits(namespace))
    }

    fn has(&self, role: &Role<'_>) -> bool {
        match role {
            Role::Valid(arn) => self.roles.iter().any(|glob| glob.fits(arn)),
            Role::Invalid(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Permission::{ByDefault, ByRule, NotAmong, Unruled as NoRule};
    use super::*;

    fn globs(texts: &[&str]) -> Vec<Glob> {
        texts.iter().map(|text| Glob::new(text)).collect()
    }

    fn policy(default: Unruled, rules: &[(&[&str], &[&str])]) -> RolePolicy {
        let rule = |(namespaces, roles): &(&[&str], &[&str])| Rule {
            namespaces: globs(namespaces),
            roles: globs(roles),
        };
        RolePolicy { default, rules: rules.iter().map(rule).collect() }
    }

    fn judge(policy: &RolePolicy, namespace: &str, role: &str) -> Permission {
        Guard { policy, namespace }.judge(&Role::read(role, None))
    }

    #[test]
    fn a_namespace_may_have_what_any_of_its_rules_has() {
        let policy = policy(
            Unruled::Deny,
            &[
                (&["shop", "shop-*"], &["arn:aws:iam::111122223333:role/shop/*"]),
                (&["*-test"], &["arn:aws:iam::444455556666:role/*"]),
                (&["quiet"], &[]),
            ],
        );
        for (namespace, role, says) in [
            ("shop", "arn:aws:iam::111122223333:role/shop/cart", ByRule(0)),
            ("shop", "arn:aws:iam::111122223333:role/shop/a/b", ByRule(0)),
            ("shop", "arn:aws:iam::111122223333:role/shopping", NotAmong),
            ("shop", "arn:aws:iam::444455556666:role/shop/cart", NotAmong),
            ("shop-eu", "arn:aws:iam::111122223333:role/shop/cart", ByRule(0)),
            ("shop-test", "arn:aws:iam::444455556666:role/any", ByRule(1)),
            ("shop-test", "arn:aws:iam::111122223333:role/any", NotAmong),
            ("quiet", "arn:aws:iam::111122223333:role/any", NotAmong),
            ("shops", "arn:aws:iam::111122223333:role/shop/cart", NoRule),
            ("", "arn:aws:iam::111122223333:role/shop/cart", NoRule),
        ] {
            assert_eq!(judge(&policy, namespace, role), says, "{namespace} {role}");
        }
    }

    #[test]
    fn where_no_rule_is_for_a_namespace_the_policy_says_what_holds() {
        let rules: &[(&[&str], &[&str])] = &[(&["shop"], &["arn:aws:iam::111122223333:role/*"])];
        let role = "arn:aws:iam::444455556666:role/x";
        for (default, elsewhere) in [(Unruled::Allow, ByDefault), (Unruled::Deny, NoRule)] {
            let policy = policy(default, rules);
            assert_eq!(judge(&policy, "other", role), elsewhere);
            assert_eq!(judge(&policy, "shop", role), NotAmong);
        }
        assert_eq!(judge(&RolePolicy::default(), "shop", role), NoRule);
    }

    /// What has not the form of an ARN is injected as it stands by default, and could be made to fit.
    #[test]
    fn what_is_no_arn_is_among_nobodys_roles() {
        let policy = policy(Unruled::Deny, &[(&["*"], &["*"])]);
        for role in [
            "arn:aws:iam::111122223333:role/admin ",
            "\"arn:aws:iam::111122223333:role/admin\"",
            "arn:aws:sts::111122223333:assumed-role/x/y",
            "admin",
        ] {
            assert_eq!(judge(&policy, "shop", role), NotAmong, "{role}");
        }
        assert_eq!(judge(&policy, "shop", "arn:aws:iam::111122223333:role/a"), ByRule(0));
    }

    proptest! {
        /// Rules only allow: one more takes nothing away from the namespaces that had rules.
        #[test]
        fn another_rule_takes_nothing_away(
            rules in prop::collection::vec(("[ab*]{1,3}", "[ab*]{0,3}"), 1..4),
            more in ("[ab*]{1,3}", "[ab*]{0,3}"),
            namespace in "[ab]{1,3}",
            name in "[ab]{1,3}",
        ) {
            let rule = |(namespace, role): &(String, String)| Rule {
                namespaces: globs(&[namespace]),
                roles: globs(&[&format!("arn:aws:iam::111122223333:role/{role}")]),
            };
            let role = format!("arn:aws:iam::111122223333:role/{name}");
            let few = RolePolicy { default: Unruled::Deny, rules: rules.iter().map(rule).collect() };
            let mut all = few.clone();
            all.rules.push(rule(&more));
            let before = judge(&few, &namespace, &role);
            prop_assert!(!before.is_granted() || judge(&all, &namespace, &role) == before);
        }
    }
}
