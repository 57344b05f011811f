//! What the role policy says of the role, and which rule says it.
//!
//! The judgement is `identity`'s; here are the words for it.

use crate::identity::{Method, Permission};

use super::Case;
use super::explanation::{Policy, PolicyStanding};
use super::facts::Document;

// === impl Case ===

impl Case<'_> {
    pub(super) fn role_policy(&self) -> Option<Policy> {
        let identity = self.decision.identity.as_ref()?;
        let Method::WebIdentity { role, .. } = &identity.method else { return None };
        let (standing, says) = match &self.facts.guard {
            // Whether there is one, only the webhook's flags tell.
            Document::Unused | Document::Unknown => return None,
            Document::Unseen(why) => (PolicyStanding::NotRead, why.to_string()),
            Document::Says(guard, place) => {
                let permission = guard.judge(role);
                let standing = if permission.is_granted() {
                    PolicyStanding::Allowed
                } else {
                    PolicyStanding::NotAllowed
                };
                let namespace = guard.namespace;
                let says = match permission {
                    Permission::ByRule(index) => format!("rules[{index}] allows the role"),
                    Permission::ByDefault => {
                        format!("no rule is for namespace {namespace}, and the default is allow")
                    }
                    Permission::NotAmong => {
                        format!("no rule for namespace {namespace} has the role")
                    }
                    Permission::Unruled => {
                        format!("no rule is for namespace {namespace}, and the default is deny")
                    }
                };
                (standing, format!("{says} ({place})"))
            }
        };
        Some(Policy { standing, says })
    }
}
