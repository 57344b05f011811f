//! `make demo`: the main job, on a real control plane, told as it happens.
//!
//! Starts etcd and kube-apiserver, runs the webhook that was built, registers it, and creates a
//! ServiceAccount and a Pod for each path. What each Pod got is shown as a diff against what the
//! API server would have stored without the webhook; then a token is fetched with the injected
//! volume's own settings, and its claims are printed. Everything is ended, however it ends;
//! `--keep` waits for Ctrl-C first.

mod show;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use cluster::{ControlPlane, Registration, Webhook, register};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use kube::api::{Api, PostParams};
use serde_json::{Value, json};

/// The namespaces that the webhook is registered for carry this label.
const REGISTERED: &str = "demo";

/// One path: a ServiceAccount and how it asks for its identity.
struct Path {
    title: &'static str,
    account: &'static str,
    annotation: (&'static str, &'static str),
}

const PATHS: [Path; 2] = [
    Path {
        title: "IRSA: the SDK exchanges a token for the role's credentials at STS",
        account: "s3-reader",
        annotation: ("eks.amazonaws.com/role-arn", "arn:aws:iam::111122223333:role/s3-reader"),
    },
    Path {
        title: "EKS Pod Identity: the SDK shows a token to the agent on the node",
        account: "s3-writer",
        annotation: ("eks.amazonaws.com/pod-identity", "true"),
    },
];

#[tokio::main]
async fn main() -> Result<()> {
    let mut binary = None;
    let mut keep = Keep::No;
    for arg in std::env::args().skip(1) {
        match arg.as_str() {
            "--keep" => keep = Keep::UntilInterrupted,
            path => binary = Some(PathBuf::from(path)),
        }
    }
    let binary = binary.context("usage: demo PATH-OF-POD-IDENTITY-WEBHOOK [--keep]")?;
    tokio::select! {
        told = tell(binary, keep) => told,
        _ = tokio::signal::ctrl_c() => {
            println!("\nInterrupted: everything is ended.");
            Ok(())
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Keep {
    No,
    UntilInterrupted,
}

async fn tell(binary: PathBuf, keep: Keep) -> Result<()> {
    show::chapter("A control plane of its own: etcd and kube-apiserver, on loopback");
    let began = Instant::now();
    let plane = ControlPlane::start().await?;
    let client = plane.client()?;
    let version = client.apiserver_version().await?;
    show::line(&format!(
        "kube-apiserver {} at {}, ready after {:.1} s",
        version.git_version,
        plane.url(),
        began.elapsed().as_secs_f32()
    ));

    // What the API server stores when nothing is registered yet.
    namespace(&client, "shop").await?;
    let mut without = Vec::new();
    for path in &PATHS {
        account(&client, path).await?;
        without.push(create(&client, path.account, DryRun::Yes).await?);
    }

    show::chapter("The webhook, registered for the Pods of namespace shop");
    let webhook = Webhook::builder(&plane).binary(binary).start().await?;
    let namespaces = Some(REGISTERED.to_owned());
    register(
        &plane,
        "pod-identity-webhook",
        &webhook,
        Registration { namespaces, ..Registration::default() },
    )
    .await?;
    show::line(&format!(
        "listening at {}, AdmissionReview v1, failurePolicy Ignore",
        webhook.url()
    ));

    for (path, without) in PATHS.iter().zip(without) {
        show::chapter(path.title);
        show::yaml(&account_object(path))?;
        let pod = create(&client, path.account, DryRun::No).await?;
        show::line("What its Pod got (+), against what is stored without the webhook:");
        show::diff(&without, &pod)?;
        show::line("A token with the settings of the injected volume has these claims:");
        show::object(&claims(&client, path.account, &pod).await?)?;
    }

    show::chapter("A Pod of an account without an identity");
    let pod = create(&client, "default", DryRun::No).await?;
    let injected = serde_json::to_string(&pod)?.contains("AWS_");
    if injected {
        bail!("the Pod of the default account was injected, which it must not be");
    }
    show::line("Created as it was sent: no patch, no token, no warning.");

    if keep == Keep::UntilInterrupted {
        show::chapter("Left running, until Ctrl-C");
        show::line(&format!("export KUBECONFIG={}", plane.kubeconfig().display()));
        show::line("kubectl get pods -n shop -o yaml");
        show::line(&format!("curl {}/metrics", webhook.metrics_url()));
        std::future::pending::<()>().await;
    }
    show::chapter("The end");
    let status = webhook.terminate().await?;
    show::line(&format!("the webhook stopped on SIGTERM ({status}); the control plane is ended"));
    Ok(())
}

async fn namespace(client: &kube::Client, name: &str) -> Result<()> {
    let object: Namespace = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {(cluster::LABEL): REGISTERED}}
    }))?;
    Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &object).await?;
    // Without kube-controller-manager nobody else makes the account of Pods that name none.
    let object: ServiceAccount = serde_json::from_value(json!({"metadata": {"name": "default"}}))?;
    accounts(client).create(&PostParams::default(), &object).await?;
    Ok(())
}

fn accounts(client: &kube::Client) -> Api<ServiceAccount> {
    Api::namespaced(client.clone(), "shop")
}

fn account_object(path: &Path) -> Value {
    let (annotation, value) = path.annotation;
    json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {
            "name": path.account,
            "namespace": "shop",
            "annotations": {(annotation): value},
        }
    })
}

async fn account(client: &kube::Client, path: &Path) -> Result<()> {
    let object: ServiceAccount = serde_json::from_value(account_object(path))?;
    accounts(client).create(&PostParams::default(), &object).await?;
    Ok(())
}

#[derive(PartialEq)]
enum DryRun {
    Yes,
    No,
}

/// Creates a Pod of `account` and gives it as it is stored, or would be.
async fn create(client: &kube::Client, account: &str, dry_run: DryRun) -> Result<Value> {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": format!("{account}-pod")},
        "spec": {
            "serviceAccountName": account,
            "automountServiceAccountToken": false,
            "containers": [{
                "name": "app",
                "image": "registry.example/app:1",
                "env": [{"name": "LOG_LEVEL", "value": "info"}],
            }],
        }
    }))?;
    let params = PostParams { dry_run: dry_run == DryRun::Yes, ..PostParams::default() };
    let stored = Api::<Pod>::namespaced(client.clone(), "shop").create(&params, &pod).await?;
    Ok(serde_json::to_value(stored)?)
}

/// The claims of a token for the Pod, asked for as the kubelet does for the injected volume.
async fn claims(client: &kube::Client, account: &str, pod: &Value) -> Result<Value> {
    let projection = pod
        .pointer("/spec/volumes/0/projected/sources/0/serviceAccountToken")
        .context("the Pod has no token volume: it was not injected")?;
    let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let request = TokenRequest {
        spec: TokenRequestSpec {
            audiences: projection["audience"].as_str().map(str::to_owned).into_iter().collect(),
            expiration_seconds: projection["expirationSeconds"].as_i64(),
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: text("/metadata/name"),
                uid: text("/metadata/uid"),
            }),
        },
        ..TokenRequest::default()
    };
    let request =
        accounts(client).create_token_request(account, &PostParams::default(), &request).await?;
    show::claims(&request.status.context("the API server gave no token")?.token)
}
