//! The chart's rules are enough, and none is there for nothing: without any one verb the webhook,
//! running as the chart's account, says which.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use cluster::{PodRun, eventually};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::{Pod, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::shop::{Method, Run, Shop};
use super::stage::{HOME, METRICS, NAME, SOON, Stage};

/// Values that make the chart render every rule that it has.
const EVERY_RULE: [&str; 8] = [
    "--set",
    "replicaCount=1",
    "--set",
    "podDisruptionBudget.enabled=false",
    "--set",
    "config.podIdentityWebhookMap.enabled=true",
    "--set",
    "certificates.self.recreateSecret=true",
];

/// One verb on one resource, of one object if it names that.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Right {
    verb: String,
    resource: String,
    name: Option<String>,
}

/// The chart's rules, of the cluster and of the namespace.
#[derive(Clone, Debug)]
struct Rules {
    cluster: Vec<PolicyRule>,
    namespace: Vec<PolicyRule>,
}

// === impl Right ===

impl Right {
    /// Where the webhook says that this is missing, and how.
    fn complaint(&self) -> Complaint {
        let Self { verb, resource, name } = self;
        match resource.as_str() {
            "serviceaccounts" if verb == "get" => {
                Complaint::Log("live look-ups are refused".to_owned())
            }
            "serviceaccounts" | "configmaps" => Complaint::Readyz {
                mark: if resource == "configmaps" {
                    "[-] mappings: "
                } else {
                    "[-] service accounts: "
                },
                advice: format!("grant list and watch on {resource}"),
                logged: format!("cannot {verb} resource"),
            },
            _ => {
                let name = name.as_deref().unwrap_or(NAME);
                // Without a watch it is slower to see changes, and serves all the same.
                let mark = if verb == "watch" { "[!] certificate: " } else { "[-] certificate: " };
                let advice = format!("grant {verb} on {resource}/{name}");
                Complaint::Readyz { mark, advice: advice.clone(), logged: advice }
            }
        }
    }
}

/// How the webhook says what it lacks.
#[derive(Debug)]
enum Complaint {
    /// A line of `/readyz` with this beginning and this in it, and a line of the log.
    Readyz { mark: &'static str, advice: String, logged: String },
    /// A line of the log.
    Log(String),
}

// === impl Complaint ===

impl Complaint {
    async fn is_heard_from(&self, run: &PodRun) -> Result<()> {
        let logged = match self {
            Self::Readyz { mark, advice, logged } => {
                let (_, text) = run.get(METRICS, "/readyz").await?;
                let says = |line: &str| line.starts_with(mark) && line.contains(advice.as_str());
                ensure!(text.lines().any(says), "no {mark}… {advice:?} in\n{text}");
                logged
            }
            Self::Log(text) => text,
        };
        let lines = run.logs();
        ensure!(lines.iter().any(|line| line.contains(logged)), "no {logged:?} in {lines:#?}");
        Ok(())
    }
}

// === impl Rules ===

impl Rules {
    /// As they are installed.
    async fn installed(stage: &Stage) -> Self {
        let cluster: Api<ClusterRole> = Api::all(stage.client.clone());
        let namespace: Api<Role> = Api::namespaced(stage.client.clone(), HOME);
        Self {
            cluster: cluster.get(NAME).await.unwrap().rules.unwrap(),
            namespace: namespace.get(NAME).await.unwrap().rules.unwrap(),
        }
    }

    /// Each verb of each.
    fn rights(&self) -> BTreeSet<Right> {
        rights(self.cluster.iter().chain(&self.namespace))
    }

    /// All but one.
    fn without(&self, right: &Right) -> Self {
        let remove = |rules: &[PolicyRule]| {
            let rules = rules.iter().cloned().filter_map(|mut rule| {
                let is_its = rights([&rule]).contains(right);
                rule.verbs.retain(|verb| !(is_its && *verb == right.verb));
                (!rule.verbs.is_empty()).then_some(rule)
            });
            rules.collect()
        };
        let less = Self { cluster: remove(&self.cluster), namespace: remove(&self.namespace) };
        assert_eq!(less.rights().len() + 1, self.rights().len(), "{right:?}");
        less
    }

    /// Puts these in force.
    async fn grant(&self, stage: &Stage) {
        let params = PatchParams::default();
        let cluster: Api<ClusterRole> = Api::all(stage.client.clone());
        let patch = Patch::Merge(json!({ "rules": self.cluster }));
        cluster.patch(NAME, &params, &patch).await.unwrap();
        let namespace: Api<Role> = Api::namespaced(stage.client.clone(), HOME);
        let patch = Patch::Merge(json!({ "rules": self.namespace }));
        namespace.patch(NAME, &params, &patch).await.unwrap();
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

/// Replaces the one replica, without its grace period, and waits until the next one answers.
async fn restart(stage: &Stage) -> PodRun {
    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), HOME);
    let before = stage.replicas().await.unwrap();
    let before: Vec<_> = before.iter().map(ResourceExt::name_any).collect();
    let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    for name in &before {
        pods.delete(name, &at_once).await.unwrap();
    }
    let answers = eventually("the next replica answers", SOON, || async {
        let runs = stage.runs().await?;
        let run = runs.into_iter().find(|run| !before.contains(&run.name)).context("none yet")?;
        run.get(METRICS, "/livez").await?;
        Ok(run)
    });
    answers.await.with_context(|| stage.nodes().log_tails()).unwrap()
}

/// Makes something wrong that takes this right to put right, where the webhook has no work for it
/// otherwise.
async fn give_work(stage: &Stage, right: &Right) {
    let secrets: Api<Secret> = Api::namespaced(stage.client.clone(), HOME);
    let configurations: Api<MutatingWebhookConfiguration> = Api::all(stage.client.clone());
    let params = PatchParams::default();
    match (right.verb.as_str(), right.resource.as_str()) {
        ("create", "secrets") => {
            secrets.delete(NAME, &DeleteParams::default()).await.unwrap();
        }
        ("patch", "secrets") => {
            let empty = Patch::Merge(json!({ "data": null }));
            secrets.patch(NAME, &params, &empty).await.unwrap();
        }
        ("patch", _) => {
            let bundle = "/webhooks/0/clientConfig/caBundle";
            let without = json!([{ "op": "remove", "path": bundle }]);
            let without = Patch::<()>::Json(serde_json::from_value(without).unwrap());
            configurations.patch(NAME, &params, &without).await.unwrap();
        }
        _ => {}
    }
}

/// Has the webhook look up an account of which nobody says yet that it has no identity.
async fn ask_about_a_new_account(stage: &Stage, shop: &Shop) {
    let account: ServiceAccount =
        serde_json::from_value(json!({ "metadata": { "generateName": "new-" } })).unwrap();
    let accounts: Api<ServiceAccount> = Api::namespaced(stage.client.clone(), "shop");
    let made = accounts.create(&PostParams::default(), &account).await.unwrap();
    let mut pod = Method::Irsa.pod();
    pod["spec"]["serviceAccountName"] = made.name_any().into();
    shop.create(&pod, Run::Dry).await.unwrap();
}

/// N5: every rule of the chart, one verb at a time. The API server refuses streaming lists, so that
/// `list` counts, too.
#[test]
fn the_rules_of_the_chart_are_enough_and_each_is_needed() {
    cluster::apart(the_rules_of_the_chart_are_enough_and_each_is_needed, async {
        let stage = Stage::set_with(|plane| plane.feature_gate("WatchList", false)).await;
        let shop = Shop::open(&stage.client, "shop", &json!({})).await;
        stage.install(&EVERY_RULE).await;
        shop.is_served().await;

        let rules = Rules::installed(&stage).await;
        // That they are those of README is seen where the chart is rendered.
        assert_eq!(rules.rights().len(), 12, "{rules:#?}");

        // All of them: nothing is missed.
        let [run] = stage.runs().await.unwrap().try_into().unwrap();
        eventually("nothing is noted", SOON, || async {
            let (_, text) = run.get(METRICS, "/readyz").await?;
            ensure!(!text.contains("[!]") && !text.contains("[-]"), "{text}");
            Ok(())
        })
        .await
        .unwrap();
        let lines = run.logs();
        assert!(!lines.iter().any(|line| line.contains("forbidden")), "{lines:#?}");

        for right in rules.rights() {
            let complaint = right.complaint();
            rules.without(&right).grant(&stage).await;
            give_work(&stage, &right).await;
            let run = restart(&stage).await;
            let what = format!("it says what it lacks without {right:?}");
            eventually(&what, SOON, || async {
                if let Complaint::Log(_) = &complaint {
                    ask_about_a_new_account(&stage, &shop).await;
                }
                complaint.is_heard_from(&run).await
            })
            .await
            .with_context(|| stage.nodes().log_tails())
            .unwrap();

            // And it is well again without a restart.
            rules.grant(&stage).await;
            stage.settled().await;
            println!("{} on {}: {complaint:?}", right.verb, right.resource);
        }
        shop.is_served().await;
    });
}
