//! The chart's audit: told what the webhook is told, granted what it needs and nothing else.
//!
//! Its Deployment's Pod runs the real binary with the rendered arguments, probes, user and account.

use anyhow::{Context, Result, ensure};
use cluster::{PodRun, eventually};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Event, Pod, ServiceAccount};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::rules::{Right, Rules};
use super::shop::{Method, ROLE, Shop};
use super::stage::{HOME, METRICS, NAME, SOON, Stage};

/// Its name, with the release's name in front.
const AUDIT: &str = "pod-identity-webhook-audit";

/// Values that make the chart render every rule of the audit.
const EVERY_RULE: [&str; 2] = [
    "--set=replicaCount=1,podDisruptionBudget.enabled=false,config.podIdentityWebhookMap.enabled=true",
    "--set=audit.enabled=true,audit.evict.enabled=true,audit.evict.perMinute=600",
];

/// Makes an account, and a Pod of it that has a controller, before the account has its role.
async fn miss(stage: &Stage) -> String {
    let params = PostParams::default();
    let accounts: Api<ServiceAccount> = Api::namespaced(stage.client.clone(), "shop");
    let account = json!({ "metadata": { "generateName": "late-" } });
    let account: ServiceAccount = serde_json::from_value(account).unwrap();
    let name = accounts.create(&params, &account).await.unwrap().name_any();

    let mut template = Method::Irsa.pod();
    template["metadata"] = json!({ "labels": { "app": name } });
    template["spec"]["serviceAccountName"] = name.as_str().into();
    let set: ReplicaSet = serde_json::from_value(json!({
        "metadata": { "name": name },
        "spec": {
            "replicas": 1, "template": template, "selector": { "matchLabels": { "app": name } },
        },
    }))
    .unwrap();
    let sets: Api<ReplicaSet> = Api::namespaced(stage.client.clone(), "shop");
    sets.create(&params, &set).await.unwrap();
    eventually("it has its Pod", SOON, || async {
        pod_of(stage, &name).await?.context("it has none")
    })
    .await
    .unwrap();
    let role = json!({ "metadata": { "annotations": { "eks.amazonaws.com/role-arn": ROLE } } });
    accounts.patch(&name, &PatchParams::default(), &Patch::Merge(role)).await.unwrap();
    name
}

async fn pod_of(stage: &Stage, app: &str) -> Result<Option<Value>> {
    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), "shop");
    let mut found = pods.list(&ListParams::default().labels(&format!("app={app}"))).await?.items;
    found.retain(|pod| pod.metadata.deletion_timestamp.is_none());
    Ok(found.pop().map(|pod| json!(pod)))
}

/// Waits until the Pod that came instead has its identity.
async fn is_healed(stage: &Stage, app: &str) {
    eventually("it was made anew", SOON, || async {
        let pod = pod_of(stage, app).await?.context("it has no Pod")?;
        let method = Method::of(&pod)?;
        ensure!(method == Some(Method::Irsa), "it has {method:?}");
        Ok(())
    })
    .await
    .with_context(|| stage.nodes().log_tails())
    .unwrap();
}

/// Where the audit says that a right is missing.
fn complaint(right: &Right) -> (&'static str, String) {
    let Right { verb, resource, name: _ } = right;
    match (verb.as_str(), resource.as_str()) {
        // It does not begin without.
        ("get", _) => ("", format!("cannot {verb} {resource}")),
        ("list" | "watch", "pods" | "serviceaccounts" | "configmaps") => {
            ("/readyz", format!("grant list and watch on {resource}"))
        }
        (_, "events") => ("/readyz", format!("cannot {verb} events.events.k8s.io")),
        _ => ("/readyz", format!("cannot {verb} {resource}")),
    }
}

async fn says(run: &PodRun, place: &str, sentence: &str) -> Result<()> {
    if place.is_empty() {
        let lines = run.logs();
        ensure!(lines.iter().any(|line| line.contains(sentence)), "{lines:#?}");
    } else {
        let (_, text) = run.get(METRICS, place).await?;
        let says = |line: &str| line.starts_with("[-] ") && line.contains(sentence);
        ensure!(text.lines().any(says), "no {sentence:?} in\n{text}");
    }
    Ok(())
}

/// Every rule, one verb at a time. The API server refuses streaming lists, so that `list` counts, too.
#[test]
fn the_audit_of_the_chart_tells_and_heals_and_needs_each_of_its_rules() {
    cluster::apart(the_audit_of_the_chart_tells_and_heals_and_needs_each_of_its_rules, async {
        let stage = Stage::set_with(|plane| plane.feature_gate("WatchList", false)).await;
        let shop = Shop::open(&stage.client, "shop", &json!({})).await;
        stage.install(&EVERY_RULE).await;
        shop.is_served().await;
        stage.settled_as(AUDIT).await;

        let app = miss(&stage).await;
        is_healed(&stage, &app).await;
        // As the chart's notes ask for them.
        let events: Api<Event> = Api::all(stage.client.clone());
        let ours = ListParams::default().fields(&format!("reportingComponent={AUDIT}"));
        let told = events.list(&ours).await.unwrap().items;
        let kinds: Vec<_> =
            told.iter().filter_map(|event| event.involved_object.kind.as_deref()).collect();
        assert!(kinds.contains(&"Pod") && kinds.contains(&"ReplicaSet"), "{kinds:?}");
        let run = stage.restart("audit").await;
        stage.settled_as(AUDIT).await;
        let lines = run.logs();
        assert!(!lines.iter().any(|line| line.contains("the API server refuses")), "{lines:#?}");

        let rules = Rules::installed(&stage, AUDIT).await;
        // That they are those of README is seen where the chart is rendered.
        assert_eq!(rules.rights().len(), 10, "{rules:#?}");
        for right in rules.rights() {
            rules.without(&right).grant(&stage).await;
            let run = stage.restart("audit").await;
            let app = match right.verb.as_str() {
                "create" => Some(miss(&stage).await),
                _ => None,
            };
            let (place, sentence) = complaint(&right);
            let what = format!("it says what it lacks without {right:?}");
            eventually(&what, SOON, || says(&run, place, &sentence))
                .await
                .with_context(|| stage.nodes().log_tails())
                .unwrap();

            // And it is well again without a restart.
            rules.grant(&stage).await;
            stage.settled_as(AUDIT).await;
            if let Some(app) = app {
                is_healed(&stage, &app).await;
            }
            println!("{} on {}: {sentence}", right.verb, right.resource);
        }

        // In one namespace it does with the rights of that.
        stage.install(&[&EVERY_RULE[..], &["--set=audit.namespace=shop"]].concat()).await;
        stage.settled_as(AUDIT).await;
        let app = miss(&stage).await;
        is_healed(&stage, &app).await;
        stage.helm(&["uninstall", NAME, "--namespace", HOME, "--wait"]).await;
    });
}
