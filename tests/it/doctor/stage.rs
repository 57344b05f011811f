//! A healthy cluster, of which each set-up breaks one thing.
//!
//! One control plane of its own, since most of what is broken is the whole cluster's; set-ups take
//! turns. The webhook is called through a Service, an `ExternalName` since endpoints may not be on
//! loopback, and a Pod stands for the process that runs: its account, its flags, its image.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, ensure};
use cluster::{ControlPlane, Issuer, Webhook, eventually};
use http::{Method, StatusCode};
use kube::Client;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use super::objects::{ask, clear, create, create_in, furnish, pod};

/// How long anything may take that is waited for.
pub(super) const SOON: Duration = Duration::from_mins(1);

pub(super) const ROLE: &str = "arn:aws:iam::111122223333:role/s3-reader";

/// The namespace of the webhook, and its name there.
pub(super) const HOME: &str = "eks";
pub(super) const NAME: &str = "pod-identity-webhook";

/// The namespace whose Pods get an identity, and the account that has one.
pub(super) const SHOP: &str = "shop";
pub(super) const READER: &str = "s3-reader";

/// The control plane of these tests.
static PLANE: OnceCell<ControlPlane> = OnceCell::const_new();

/// Held by the set-up whose turn it is.
static TURN: Mutex<()> = Mutex::const_new(());

/// How a stage is to be set.
pub(super) struct Setting {
    name: &'static str,
    args: Vec<String>,
    rights: Rights,
    registered: Registered,
}

/// Whether the webhook is registered from the beginning.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Registered {
    Yes,
    Later,
}

/// Whether the webhook's account has its rights.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Rights {
    Granted,
    Missing,
}

/// A cluster with a webhook.
pub(super) struct Stage {
    pub(super) plane: &'static ControlPlane,
    pub(super) webhook: Webhook,
    client: Client,
    name: &'static str,
    _turn: MutexGuard<'static, ()>,
}

/// Whether Pods come back with their identity.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Injected {
    Yes,
    No,
}

/// What a person sees.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) code: Option<i32>,
    pub(super) text: String,
}

async fn plane() -> &'static ControlPlane {
    // An issuer that can be followed from here.
    let start = || ControlPlane::builder().issuer(Issuer::Apiserver).start();
    PLANE.get_or_try_init(start).await.unwrap()
}

// === impl Setting ===

impl Setting {
    /// The set-up `name`: a healthy cluster so far.
    pub(super) fn of(name: &'static str) -> Self {
        let registered = Registered::Yes;
        Self { name, args: Vec::new(), rights: Rights::Granted, registered }
    }

    /// With one more argument of the webhook.
    pub(super) fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Without the rights of the webhook's account.
    pub(super) fn without_rights(mut self) -> Self {
        self.rights = Rights::Missing;
        self
    }

    /// Without a registration.
    pub(super) fn unregistered(mut self) -> Self {
        self.registered = Registered::Later;
        self
    }

    /// Sets it, and waits until Pods are injected, if ever they will be.
    pub(super) async fn set(self) -> Stage {
        let Self { name, args, rights, registered } = self;
        let turn = TURN.lock().await;
        let plane = plane().await;
        let client = plane.client().unwrap();
        clear(&client).await;
        furnish(&client, rights).await;
        let kubeconfig = plane.service_account_kubeconfig(HOME, NAME).await.unwrap();
        let mut builder = Webhook::beside(kubeconfig)
            .binary(env!("CARGO_BIN_EXE_pod-identity-webhook"))
            .arg(format!("--namespace={HOME}"));
        for arg in &args {
            builder = builder.arg(arg);
        }
        if rights == Rights::Missing {
            builder = builder.do_not_wait();
        }
        let webhook = builder.start().await.unwrap();
        let stage = Stage { plane, webhook, client, name, _turn: turn };
        stage.stand_in(&args).await;
        if registered == Registered::Later {
            return stage;
        }
        stage.register(&json!({})).await;
        if rights == Rights::Granted {
            stage.becomes(Injected::Yes).await;
        }
        stage
    }
}

// === impl Stage ===

impl Stage {
    /// The name of the entry: each set-up has its own, since API servers count calls by it.
    pub(super) fn entry(&self) -> String {
        format!("{}.pod-identity.example", self.name)
    }

    pub(super) fn port(&self) -> u16 {
        self.webhook.url().rsplit_once(':').unwrap().1.parse().unwrap()
    }

    /// The Service, and the Pod that stands for the process.
    async fn stand_in(&self, args: &[String]) {
        let labels = json!({ "app": NAME });
        let service = json!({
            "metadata": { "name": NAME },
            "spec": { "type": "ExternalName", "externalName": "localhost", "selector": labels },
        });
        self.create(HOME, "services", &service).await;
        let mut all = vec!["--in-cluster=false".to_owned(), format!("--namespace={HOME}")];
        all.extend(args.iter().cloned());
        let name = format!("{NAME}-0");
        let pod = json!({
            "metadata": { "name": name, "labels": labels },
            "spec": {
                "serviceAccountName": NAME,
                "containers": [{
                    "name": "webhook",
                    "image": "registry.example/pod-identity-webhook:0.1.0",
                    "args": all,
                }],
            },
        });
        self.create(HOME, "pods", &pod).await;
        let path = format!("/api/v1/namespaces/{HOME}/pods/{name}/status");
        let conditions = json!([{ "type": "Ready", "status": "True" }]);
        self.patch(&path, &json!({ "status": { "phase": "Running", "conditions": conditions } }))
            .await;
    }

    /// Registers the webhook, with `over` laid over its entry.
    pub(super) async fn register(&self, over: &Value) {
        let bundle = k8s_openapi::ByteString(self.webhook.ca_pem().as_bytes().to_vec());
        let mut entry = json!({
            "name": self.entry(),
            "admissionReviewVersions": ["v1"],
            "sideEffects": "NoneOnDryRun",
            "failurePolicy": "Ignore",
            "reinvocationPolicy": "IfNeeded",
            "timeoutSeconds": 10,
            "clientConfig": {
                "caBundle": bundle,
                "service": {
                    "namespace": HOME, "name": NAME, "port": self.port(), "path": "/mutate",
                },
            },
            "namespaceSelector": { "matchExpressions": [
                { "key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": [HOME] },
            ] },
            "rules": [{
                "apiGroups": [""], "apiVersions": ["v1"],
                "operations": ["CREATE"], "resources": ["pods"],
            }],
        });
        json_patch::merge(&mut entry, over);
        let path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
        let one = format!("{path}/{NAME}");
        ask(&self.client, Method::DELETE, &one, &Value::Null).await.unwrap();
        let object = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": { "name": NAME },
            "webhooks": [entry],
        });
        create(&self.client, path, &object).await;
    }

    /// Takes the registration back.
    pub(super) async fn unregister(&self) {
        let path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
        ask(&self.client, Method::DELETE, path, &Value::Null).await.unwrap();
    }

    /// Creates an object of the core API; it must succeed.
    pub(super) async fn create(&self, namespace: &str, resource: &str, object: &Value) {
        create_in(&self.client, namespace, resource, object).await;
    }

    /// Creates an object of any API; it must succeed.
    pub(super) async fn create_at(&self, path: &str, object: &Value) {
        create(&self.client, path, object).await;
    }

    /// Deletes an object; it must succeed.
    pub(super) async fn delete(&self, path: &str) {
        let path = format!("{path}?gracePeriodSeconds=0");
        let (status, body) = ask(&self.client, Method::DELETE, &path, &Value::Null).await.unwrap();
        assert_eq!(status, StatusCode::OK, "{path}: {body:#}");
    }

    /// Changes an object; it must succeed.
    pub(super) async fn patch(&self, path: &str, object: &Value) {
        let (status, body) = ask(&self.client, Method::PATCH, path, object).await.unwrap();
        assert_eq!(status, StatusCode::OK, "{path}: {body:#}");
    }

    /// Waits until a Pod of the account comes back so, from a dry run.
    pub(super) async fn becomes(&self, injected: Injected) {
        let path = format!("/api/v1/namespaces/{SHOP}/pods?dryRun=All");
        let pod = pod(READER, &json!({}));
        eventually("Pods come back as expected", SOON, || async {
            let (status, body) = ask(&self.client, Method::POST, &path, &pod).await?;
            ensure!(status.is_success(), "{body:#}");
            let volumes = body["spec"]["volumes"].as_array().cloned().unwrap_or_default();
            let is = volumes.iter().any(|volume| volume["name"] == "aws-iam-token");
            ensure!(is == (injected == Injected::Yes), "{volumes:?}");
            Ok(())
        })
        .await
        .unwrap();
    }

    /// Runs `doctor`, as `kubeconfig` may.
    pub(super) async fn doctor_as(&self, kubeconfig: &Path, args: &[&str]) -> Seen {
        let output: Output = Command::new(env!("CARGO_BIN_EXE_pod-identity-webhook"))
            .arg("doctor")
            .arg(format!("--kubeconfig={}", kubeconfig.display()))
            .args(args)
            .env("LC_ALL", "C.UTF-8")
            .output()
            .await
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(stderr, "");
        Seen { code: output.status.code(), text: String::from_utf8(output.stdout).unwrap() }
    }

    /// Runs `doctor` as somebody who may do everything.
    pub(super) async fn doctor(&self, args: &[&str]) -> Seen {
        self.doctor_as(self.plane.kubeconfig(), args).await
    }

    /// Runs `doctor`, and holds what a person sees against the golden text of this set-up.
    pub(super) async fn shows(&self, code: i32) {
        let seen = self.doctor(&[]).await;
        let text = mask(&seen.text, self);
        let path = golden(self.name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &text).unwrap();
        } else {
            let golden = std::fs::read_to_string(&path)
                .with_context(|| format!("{}: write it by UPDATE_GOLDEN=1", path.display()));
            assert_eq!(text, golden.unwrap(), "{}", seen.text);
        }
        assert_eq!(seen.code, Some(code), "{text}");
    }
}

fn golden(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/doctor/golden");
    folder.join(format!("{name}.txt"))
}

/// Without what differs from one run to the next.
pub(super) fn mask(text: &str, stage: &Stage) -> String {
    let text = text.replace(&format!("port {}", stage.port()), "port PORT");
    let text = text.replace(&format!(":{}", stage.port()), ":PORT");
    let text = text.replace(stage.plane.url(), "https://API-SERVER");
    let masked = |word: &str| {
        let is_time = word.len() == "2026-01-02T03:04:05Z".len() && word.ends_with('Z');
        if is_time && word.starts_with("20") { "TIME".to_owned() } else { word.to_owned() }
    };
    let line = |line: &str| {
        let line = line.split(' ').map(masked).collect::<Vec<_>>().join(" ");
        match line.split_once("publishes the key ") {
            Some((before, after)) => {
                let behind = after.split_once(' ').map_or("", |(_, behind)| behind);
                format!("{before}publishes the key KEY {behind}")
            }
            None => line,
        }
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}
