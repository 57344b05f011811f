//! The rights that README documents, granted to an account but for what is to be missed.

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding};
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::{Value, json};

/// What stands in README before the rights of the webhook.
pub(crate) const OF_WEBHOOK: &str = "\n## Install\n";

/// The same of `audit pods --watch`.
pub(crate) const OF_AUDIT: &str = "<!-- rights of audit -->\n";

/// The rules of a `ClusterRole` and a `Role`.
pub(crate) struct Rules {
    cluster: Vec<PolicyRule>,
    namespace: Vec<PolicyRule>,
}

/// The rules of the two roles that come after `mark`, as they stand there.
pub(crate) fn documented(mark: &str) -> [Vec<Value>; 2] {
    let readme = include_str!("../../README.md");
    let rest = readme.split_once(mark).unwrap().1;
    let yaml = rest.split_once("```yaml\n").unwrap().1.split_once("```").unwrap().0;
    let roles: Vec<Value> = serde_saphyr::from_multiple(yaml).unwrap();
    ["ClusterRole", "Role"].map(|kind| {
        let role = roles.iter().find(|role| role["kind"] == kind).unwrap();
        role["rules"].as_array().unwrap().clone()
    })
}

// === impl Rules ===

impl Rules {
    /// Those that come after `mark`.
    pub(crate) fn documented(mark: &str) -> Self {
        let [cluster, namespace] = documented(mark).map(|rules| {
            rules.into_iter().map(|rule| serde_json::from_value(rule).unwrap()).collect()
        });
        Self { cluster, namespace }
    }

    /// The same, where an object of the cluster has another name.
    pub(crate) fn renamed(mut self, from: &str, to: &str) -> Self {
        for name in self.cluster.iter_mut().filter_map(|rule| rule.resource_names.as_mut()) {
            assert_eq!(*name, [from]);
            *name = vec![to.to_owned()];
        }
        self
    }

    /// Without one verb on one resource.
    pub(crate) fn without(mut self, verb: &str, resource: &str) -> Self {
        let mut removed = 0;
        for rule in self.cluster.iter_mut().chain(&mut self.namespace) {
            if rule.resources.iter().flatten().any(|named| named == resource) {
                let before = rule.verbs.len();
                rule.verbs.retain(|named| named != verb);
                removed += before - rule.verbs.len();
            }
        }
        assert_eq!(removed, 1, "{verb} on {resource} is documented once");
        let all = |rules: Vec<PolicyRule>| {
            rules.into_iter().filter(|rule| !rule.verbs.is_empty()).collect()
        };
        Self { cluster: all(self.cluster), namespace: all(self.namespace) }
    }

    /// Makes an account in a namespace, and roles and bindings of another name by which it has
    /// these: those of the cluster need one of their own.
    pub(crate) async fn grant(self, client: &Client, namespace: &str, account: &str, name: &str) {
        let Self { cluster, namespace: within } = self;
        let params = PostParams::default();
        let made: ServiceAccount =
            serde_json::from_value(json!({ "metadata": { "name": account } })).unwrap();
        Api::namespaced(client.clone(), namespace).create(&params, &made).await.unwrap();
        let role = |rules: Vec<PolicyRule>| json!({ "metadata": { "name": name }, "rules": rules });
        let of_cluster: ClusterRole = serde_json::from_value(role(cluster)).unwrap();
        Api::all(client.clone()).create(&params, &of_cluster).await.unwrap();
        let of_namespace: Role = serde_json::from_value(role(within)).unwrap();
        Api::namespaced(client.clone(), namespace).create(&params, &of_namespace).await.unwrap();
        let binding = |kind: &str| {
            json!({
                "metadata": { "name": name },
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name },
                "subjects": [{ "kind": "ServiceAccount", "name": account, "namespace": namespace }],
            })
        };
        let bound: ClusterRoleBinding = serde_json::from_value(binding("ClusterRole")).unwrap();
        Api::all(client.clone()).create(&params, &bound).await.unwrap();
        let bound: RoleBinding = serde_json::from_value(binding("Role")).unwrap();
        Api::namespaced(client.clone(), namespace).create(&params, &bound).await.unwrap();
    }
}
