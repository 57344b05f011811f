//! What the chart grants, taken away one verb at a time.

use std::collections::BTreeSet;

use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::stage::{HOME, Stage};

/// One verb on one resource, of one object if it names that.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Right {
    pub(super) verb: String,
    pub(super) resource: String,
    pub(super) name: Option<String>,
}

/// The rules of a role of the cluster and one of the webhook's namespace that have one name.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    name: String,
    cluster: Vec<PolicyRule>,
    namespace: Vec<PolicyRule>,
}

// === impl Rules ===

impl Rules {
    /// As they are installed.
    pub(super) async fn installed(stage: &Stage, name: &str) -> Self {
        let cluster: Api<ClusterRole> = Api::all(stage.client.clone());
        let namespace: Api<Role> = Api::namespaced(stage.client.clone(), HOME);
        Self {
            name: name.to_owned(),
            cluster: cluster.get(name).await.unwrap().rules.unwrap(),
            namespace: namespace.get(name).await.unwrap().rules.unwrap(),
        }
    }

    /// Each verb of each.
    pub(super) fn rights(&self) -> BTreeSet<Right> {
        rights(self.cluster.iter().chain(&self.namespace))
    }

    /// All but one.
    pub(super) fn without(&self, right: &Right) -> Self {
        let remove = |rules: &[PolicyRule]| {
            let rules = rules.iter().cloned().filter_map(|mut rule| {
                let is_its = rights([&rule]).contains(right);
                rule.verbs.retain(|verb| !(is_its && *verb == right.verb));
                (!rule.verbs.is_empty()).then_some(rule)
            });
            rules.collect()
        };
        let less = Self {
            name: self.name.clone(),
            cluster: remove(&self.cluster),
            namespace: remove(&self.namespace),
        };
        assert_eq!(less.rights().len() + 1, self.rights().len(), "{right:?}");
        less
    }

    /// Puts these in force.
    pub(super) async fn grant(&self, stage: &Stage) {
        let Self { name, cluster, namespace } = self;
        let params = PatchParams::default();
        let roles: Api<ClusterRole> = Api::all(stage.client.clone());
        let patch = Patch::Merge(json!({ "rules": cluster }));
        roles.patch(name, &params, &patch).await.unwrap();
        let roles: Api<Role> = Api::namespaced(stage.client.clone(), HOME);
        let patch = Patch::Merge(json!({ "rules": namespace }));
        roles.patch(name, &params, &patch).await.unwrap();
    }
}

fn rights<'a>(rules: impl IntoIterator<Item = &'a PolicyRule>) -> BTreeSet<Right> {
    let mut rights = BTreeSet::new();
    for rule in rules {
        for resource in rule.resources.iter().flatten() {
            for verb in &rule.verbs {
                let names = rule.resource_names.iter().flatten().cloned().map(Some);
                let names: Vec<_> = names.collect();
                for name in if names.is_empty() { vec![None] } else { names } {
                    let (verb, resource) = (verb.clone(), resource.clone());
                    rights.insert(Right { verb, resource, name });
                }
            }
        }
    }
    rights
}
