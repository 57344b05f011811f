//! The rights that README documents: they are enough, and none is there for nothing.

use anyhow::ensure;
use cluster::{Webhook, eventually};
use kube::api::PostParams;
use serde_json::json;

use super::stage::{REPAIR, SECRET, SOON, Stage, address};
use crate::plane::plane;
use crate::rights::{OF_WEBHOOK, Rules};

/// The account that the webhook runs as, and the name of the configuration in README.
const RUNNER: &str = "pod-identity-webhook";

/// As documented, but for the name of the configuration, which is each test's own.
fn documented(stage: &Stage) -> Rules {
    Rules::documented(OF_WEBHOOK).renamed(RUNNER, &stage.configuration)
}

/// Grants these to an account of the stage, and starts a replica that runs as that.
async fn run(rules: Rules, stage: &Stage) -> Webhook {
    let namespace = &stage.namespace;
    rules.grant(&stage.client, namespace, RUNNER, &stage.configuration).await;
    let kubeconfig = plane().await.service_account_kubeconfig(namespace, RUNNER).await.unwrap();
    let replica = stage.replica().await.kubeconfig(kubeconfig).do_not_wait();
    let replica = replica.start().await.unwrap();
    stage.balancer.add(address(&replica));
    replica
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_rights_are_enough() {
    let stage = Stage::set("rights").await;
    stage.register().await;
    let replica = run(documented(&stage), &stage).await;
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
    let replica = run(documented(&stage).without(verb, resource), &stage).await;
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
