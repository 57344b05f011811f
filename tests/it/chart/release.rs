//! Releases, made by helm on a real API server: what it tells a person, and that what the webhook
//! fills in outlives an upgrade and goes with the release.

use std::process::Command;

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::helm::{NAMESPACE, RELEASE, path, tool};
use crate::plane::plane;

/// Runs helm against the control plane; what it prints.
async fn helm(args: &[&str]) -> String {
    let plane = plane().await;
    let mut command = Command::new(tool("helm"));
    command.args(args).env("KUBECONFIG", plane.kubeconfig()).current_dir(path(""));
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {text}");
    String::from_utf8(output.stdout).unwrap()
}

/// helm patches what the chart says; the chart says nothing of `data` and `caBundle`.
#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_leaves_the_ca_and_the_ca_bundle_alone() {
    let plane = plane().await;
    let client = plane.client().unwrap();
    let namespace = cluster::namespace(plane, "chart-upgrade").await.unwrap();
    // Objects of the cluster need a name of their own, and the shared API server shall not call.
    let release = format!("{namespace}-webhook");
    let name = format!("--set=fullnameOverride={release}");
    let nobody = "--set=mutatingWebhook.namespaceSelector.matchLabels.nobody=nobody";
    let common = ["--namespace", &namespace, &name, nobody];
    let upgrade = |more: &'static [&'static str]| {
        let mut args = vec!["upgrade", "--install", &release, "manifests/chart"];
        args.extend(common);
        args.extend(more);
        args.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let run =
        async |args: Vec<String>| helm(&args.iter().map(String::as_str).collect::<Vec<_>>()).await;
    run(upgrade(&[])).await;

    let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    let configurations: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let params = PatchParams {
        field_manager: Some("pod-identity-webhook".to_owned()),
        ..PatchParams::default()
    };
    let data = json!({ "ca.crt": "b25l", "ca.key": "dHdv" });
    let secret = secrets.get(&release).await.unwrap();
    assert_eq!(secret.data, None, "it is installed empty");
    secrets.patch(&release, &params, &Patch::Merge(json!({ "data": data }))).await.unwrap();
    let bundle = json!([
        { "op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": "YnVuZGxl" },
    ]);
    let bundle = Patch::<()>::Json(serde_json::from_value(bundle).unwrap());
    configurations.patch(&release, &params, &bundle).await.unwrap();

    // Twice: with what changes both objects, and with what changes none.
    for more in [&["--set=strict.enabled=true,commonLabels.team=platform"][..], &[], &[]] {
        run(upgrade(match more {
            [] => &[],
            _ => &["--set=strict.enabled=true,commonLabels.team=platform"],
        }))
        .await;
        let secret = secrets.get(&release).await.unwrap();
        assert_eq!(json!(secret.data), data);
        let labels = secret.metadata.labels.unwrap();
        assert_eq!(labels.contains_key("team"), !more.is_empty());
        let configuration = configurations.get(&release).await.unwrap();
        let webhooks = configuration.webhooks.unwrap();
        assert_eq!(webhooks.len(), if more.is_empty() { 1 } else { 3 });
        let config = json!(webhooks[0].client_config);
        assert_eq!(config["caBundle"], "YnVuZGxl");
    }

    helm(&["uninstall", &release, "--namespace", &namespace, "--wait"]).await;
    assert_eq!(secrets.get_opt(&release).await.unwrap().map(|secret| secret.data), None);
    assert!(configurations.get_opt(&release).await.unwrap().is_none());
}

/// The next step, and a warning of what is silent otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn the_notes_say_the_next_step() {
    let notes = async |namespace: &str, values: &str| {
        let args = ["install", RELEASE, "manifests/chart", "--dry-run=client", "-n", namespace];
        let all = helm(&[&args[..], &["--set", values]].concat()).await;
        all.split_once("\nNOTES:\n").unwrap().1.to_owned()
    };
    let plain = notes(NAMESPACE, "").await;
    assert!(plain.contains("rollout status deployment/pod-identity-webhook"), "{plain}");
    assert!(
        plain.contains("eks.amazonaws.com/role-arn=arn:aws:iam::111122223333:role/"),
        "{plain}"
    );
    assert!(!plain.contains("WARNING"), "{plain}");
    assert!(!plain.contains("reportingComponent"), "{plain}");
    let audited = notes(NAMESPACE, "audit.enabled=true").await;
    assert!(audited.contains("reportingComponent=pod-identity-webhook-audit"), "{audited}");
    let warned = notes("kube-system", "").await;
    assert!(warned.contains("WARNING: Pods of namespace kube-system get no identity"), "{warned}");
    let allowed = notes("kube-system", "mutatingWebhook.excludeOwnNamespace=false").await;
    assert!(!allowed.contains("WARNING"), "{allowed}");
    let fails = notes(NAMESPACE, "mutatingWebhook.failurePolicy=Fail").await;
    assert!(fails.contains("WARNING: with mutatingWebhook.failurePolicy=Fail no Pod"), "{fails}");
}
