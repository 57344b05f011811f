//! The chart's rules are enough, and none is there for nothing: without any one verb the webhook,
//! running as the chart's account, says which.

use anyhow::{Context, Result, ensure};
use cluster::{PodRun, eventually};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::rules::{Right, Rules};
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

/// Where the webhook says that this is missing, and how.
fn complaint(right: &Right) -> Complaint {
    let Right { verb, resource, name } = right;
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

        let rules = Rules::installed(&stage, NAME).await;
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
            let complaint = complaint(&right);
            rules.without(&right).grant(&stage).await;
            give_work(&stage, &right).await;
            let run = stage.restart("webhook").await;
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
