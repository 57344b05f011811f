//! The rights that README documents: they are enough, and none is there for nothing.

use anyhow::ensure;
use cluster::{Webhook, eventually};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding};
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};

use super::stage::{REPAIR, SECRET, SOON, Stage, address};
use crate::plane::plane;

/// The account that the webhook runs as.
const RUNNER: &str = "pod-identity-webhook";

/// The rules of README, those of the cluster first.
struct Rules {
    cluster: Vec<PolicyRule>,
    namespace: Vec<PolicyRule>,
}

// === impl Rules ===

impl Rules {
    /// As documented, but for the name of the configuration, which is each test's own.
    fn documented(stage: &Stage) -> Self {
        let readme = include_str!("../../../README.md");
        let install = readme.split_once("\n## Install\n").unwrap().1;
        let yaml = install.split_once("```yaml\n").unwrap().1.split_once("```").unwrap().0;
        let mut rules = yaml.split("\n---\n").map(|document| {
            let document: Value = serde_saphyr::from_str(document).unwrap();
            (document["kind"].clone(), document["rules"].clone())
        });
        let mut take = |kind: &str| -> Vec<PolicyRule> {
            let (found, rules) = rules.next().unwrap();
            assert_eq!(found, kind);
            serde_json::from_value(rules).unwrap()
        };
        let (mut cluster, namespace) = (take("ClusterRole"), take("Role"));
        for rule in &mut cluster {
            if rule.resources.iter().flatten().any(|it| it == "mutatingwebhookconfigurations") {
                assert_eq!(rule.resource_names, Some(vec!["pod-identity-webhook".to_owned()]));
                rule.resource_names = Some(vec![stage.configuration.clone()]);
            }
        }
        Self { cluster, namespace }
    }

    /// Without one verb on one resource.
    fn without(mut self, verb: &str, resource: &str) -> Self {
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

    /// Grants them to an account of the stage, and starts a replica that runs as that.
    async fn run(self, stage: &Stage) -> Webhook {
        let (client, namespace) = (&stage.client, &stage.namespace);
        let params = PostParams::default();
        let account: ServiceAccount =
            serde_json::from_value(json!({ "metadata": { "name": RUNNER } })).unwrap();
        let accounts = Api::namespaced(client.clone(), namespace);
        accounts.create(&params, &account).await.unwrap();

        // Objects of the cluster need a name of their own.
        let name = &stage.configuration;
        let role: ClusterRole =
            serde_json::from_value(json!({ "metadata": { "name": name }, "rules": self.cluster }))
                .unwrap();
        Api::all(client.clone()).create(&params, &role).await.unwrap();
        let role: Role = serde_json::from_value(
            json!({ "metadata": { "name": name }, "rules": self.namespace }),
        )
        .unwrap();
        Api::namespaced(client.clone(), namespace).create(&params, &role).await.unwrap();
        let binding = |kind: &str| {
            json!({
                "metadata": { "name": name },
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name },
                "subjects": [{ "kind": "ServiceAccount", "name": RUNNER, "namespace": namespace }],
            })
        };
        let bound: ClusterRoleBinding = serde_json::from_value(binding("ClusterRole")).unwrap();
        Api::all(client.clone()).create(&params, &bound).await.unwrap();
        let bound: RoleBinding = serde_json::from_value(binding("Role")).unwrap();
        Api::namespaced(client.clone(), namespace).create(&params, &bound).await.unwrap();

        let kubeconfig = plane().await.service_account_kubeconfig(namespace, RUNNER).await.unwrap();
        let replica = stage.replica().await.kubeconfig(kubeconfig).do_not_wait();
        let replica = replica.start().await.unwrap();
        stage.balancer.add(address(&replica));
        replica
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_rights_are_enough() {
    let stage = Stage::set("rights").await;
    stage.register().await;
    let replica = Rules::documented(&stage).run(&stage).await;
    replica.ready(SOON).await.unwrap();
    stage.settled(SOON).await.unwrap();
    stage.injects(SOON).await;
    // With all of them nothing is left to be said.
    eventually("nothing is noted", SOON, || async {
        let (_, text) = replica.get("/readyz").await?;
        ensure!(!text.contains("[!]") && !text.contains("[-]"), "{text}");
        Ok(())
    })
    .await
    .unwrap();
    stage.overwrite("").await;
    stage.settled(REPAIR).await.unwrap();
}

/// Readiness and the log name what to grant, and where it is `ready` that is not lost.
async fn names_the_missing_right(verb: &str, resource: &str) {
    let stage = Stage::set("right").await;
    stage.register().await;
    if (verb, resource) == ("patch", "secrets") {
        // As a chart would install it.
        let empty = serde_json::from_value(json!({ "metadata": { "name": SECRET } })).unwrap();
        stage.secrets().create(&PostParams::default(), &empty).await.unwrap();
    }
    let replica = Rules::documented(&stage).without(verb, resource).run(&stage).await;
    let name = if resource == "secrets" { SECRET } else { stage.configuration.as_str() };
    let advice = format!("grant {verb} on {resource}/{name}");
    let mark = if verb == "watch" { "[!] certificate: " } else { "[-] certificate: " };
    eventually("readiness names the right", SOON, || async {
        let (status, text) = replica.get("/readyz").await?;
        ensure!(status.is_success() == (verb == "watch"), "{status}: {text}");
        let names = |line: &str| line.starts_with(mark) && line.contains(&advice);
        ensure!(text.lines().any(names), "no {advice:?} in {text}");
        Ok(())
    })
    .await
    .unwrap();
    replica.wait_for_log(&advice, SOON).await.unwrap();
}

macro_rules! rights {
    ($($name:ident: $verb:literal $resource:literal,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                names_the_missing_right($verb, $resource).await;
            }
        )*
    };
}

rights! {
    without_create_on_secrets_that_is_named: "create" "secrets",
    without_get_on_secrets_that_is_named: "get" "secrets",
    without_watch_on_secrets_that_is_named: "watch" "secrets",
    without_patch_on_secrets_that_is_named: "patch" "secrets",
    without_get_on_configurations_that_is_named: "get" "mutatingwebhookconfigurations",
    without_watch_on_configurations_that_is_named: "watch" "mutatingwebhookconfigurations",
    without_patch_on_configurations_that_is_named: "patch" "mutatingwebhookconfigurations",
}
