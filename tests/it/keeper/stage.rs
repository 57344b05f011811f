//! A namespace, a configuration with entries of ours and of somebody else, replicas behind a
//! balancer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cluster::{LABEL, Webhook, WebhookBuilder, eventually, namespace};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::{Pod, Secret, Service, ServiceAccount};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::balancer::Balancer;
use crate::plane::plane;

/// The account whose Pods get an identity.
pub(super) const ACCOUNT: &str = "app";

/// How long things may take that have no limit of their own.
pub(crate) const SOON: Duration = Duration::from_mins(1);

/// How long it may take until a `caBundle` that somebody overwrote is right again: 5 s are
/// promised, and the rest is a machine's that has other things to do.
pub(crate) const REPAIR: Duration = Duration::from_secs(15);

/// The name of the Service: the default of `--service-name`.
const SERVICE: &str = "pod-identity-webhook";

/// The name of the Secret.
pub(super) const SECRET: &str = "pod-identity-webhook";

/// See the module.
pub(crate) struct Stage {
    pub(super) client: Client,
    pub(super) namespace: String,
    /// The name of the configuration, which is the test's own.
    pub(super) configuration: String,
    pub(super) balancer: Balancer,
    by: By,
}

/// How our entry names the server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum By {
    /// The URL of the balancer, which `--webhook-url` tells.
    Url,
    /// A Service in front of it, as installations have it.
    Service,
}

// === impl Stage ===

impl Stage {
    /// A namespace with an account, and nothing else so far.
    pub(crate) async fn set(name: &str) -> Self {
        Self::registered_by(By::Url, name).await
    }

    /// The same, with a Service in front: one without endpoints of its own, since those may not be
    /// on loopback.
    pub(super) async fn behind_a_service(name: &str) -> Self {
        let stage = Self::registered_by(By::Service, name).await;
        let service: Service = serde_json::from_value(json!({
            "metadata": { "name": SERVICE },
            "spec": { "type": "ExternalName", "externalName": "localhost" },
        }))
        .unwrap();
        let services = Api::namespaced(stage.client.clone(), &stage.namespace);
        services.create(&PostParams::default(), &service).await.unwrap();
        stage
    }

    async fn registered_by(by: By, name: &str) -> Self {
        let plane = plane().await;
        let client = plane.client().unwrap();
        let namespace = namespace(plane, name).await.unwrap();
        let account: ServiceAccount = serde_json::from_value(json!({
            "metadata": {
                "name": ACCOUNT,
                "annotations": {
                    "eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/app",
                },
            },
        }))
        .unwrap();
        let accounts = Api::namespaced(client.clone(), &namespace);
        accounts.create(&PostParams::default(), &account).await.unwrap();
        let configuration = format!("keeper-{namespace}");
        Self { client, namespace, configuration, balancer: Balancer::start().await, by }
    }

    /// The URL of our entry.
    pub(super) fn url(&self) -> String {
        format!("https://{}/mutate", self.balancer.address())
    }

    /// A replica that is to be started.
    pub(super) async fn replica(&self) -> WebhookBuilder {
        let builder = Webhook::builder(plane().await)
            .binary(env!("CARGO_BIN_EXE_pod-identity-webhook"))
            .arg("--in-cluster=true")
            .arg(format!("--namespace={}", self.namespace))
            .arg(format!("--webhook-configuration={}", self.configuration))
            .arg("--service-account-lookup-grace-period=5s");
        match self.by {
            By::Url => builder.arg(format!("--webhook-url={}", self.url())),
            By::Service => builder,
        }
    }

    /// A replica that is ready, and gets connections.
    pub(crate) async fn start(&self, args: &[&str]) -> Webhook {
        let mut builder = self.replica().await;
        for arg in args {
            builder = builder.arg(*arg);
        }
        let replica = builder.start().await.unwrap();
        self.balancer.add(address(&replica));
        replica
    }

    /// Registers our entry, for the Pods of the namespace, and one of somebody else that matches
    /// nothing; both without `caBundle`.
    pub(crate) async fn register(&self) {
        let ours = match self.by {
            By::Url => json!({ "url": self.url() }),
            By::Service => json!({ "service": {
                "name": SERVICE,
                "namespace": self.namespace,
                "port": self.balancer.address().port(),
                "path": "/mutate",
            } }),
        };
        let other = json!({ "url": "https://other.example/mutate" });
        let entry = |name: &str, client_config: &Value, label: &str| {
            json!({
                "name": name,
                "admissionReviewVersions": ["v1"],
                "sideEffects": "NoneOnDryRun",
                "failurePolicy": "Fail",
                "timeoutSeconds": 10,
                "clientConfig": client_config,
                "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": label } },
                "rules": [{
                    "apiGroups": [""], "apiVersions": ["v1"],
                    "resources": ["pods"], "operations": ["CREATE"],
                }],
            })
        };
        let configuration: MutatingWebhookConfiguration = serde_json::from_value(json!({
            "metadata": { "name": self.configuration, "labels": { LABEL: "kept" } },
            "webhooks": [
                entry("other.pod-identity.test", &other, "none"),
                entry("ours.pod-identity.test", &ours, &self.namespace),
            ],
        }))
        .unwrap();
        let params = PostParams { field_manager: Some("helm".to_owned()), ..PostParams::default() };
        self.configurations().create(&params, &configuration).await.unwrap();
    }

    pub(super) fn configurations(&self) -> Api<MutatingWebhookConfiguration> {
        Api::all(self.client.clone())
    }

    pub(super) fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The configuration as it is.
    pub(super) async fn registered(&self) -> Result<MutatingWebhookConfiguration> {
        Ok(self.configurations().get(&self.configuration).await?)
    }

    /// The `caBundle` of our entry, PEM; empty if it has none.
    pub(super) async fn ca_bundle(&self) -> Result<String> {
        let configuration = self.registered().await?;
        let webhooks = configuration.webhooks.context("no entries")?;
        let ours = webhooks.get(1).context("no entry of ours")?;
        let bundle = ours.client_config.ca_bundle.clone().unwrap_or_default();
        Ok(String::from_utf8(bundle.0)?)
    }

    /// Writes that `caBundle`, as a person would.
    pub(super) async fn overwrite(&self, pem: &str) {
        let patch = json!([{
            "op": "add",
            "path": "/webhooks/1/clientConfig/caBundle",
            "value": ByteString(pem.as_bytes().to_vec()),
        }]);
        let patch = Patch::<()>::Json(serde_json::from_value(patch).unwrap());
        let params =
            PatchParams { field_manager: Some("kubectl".to_owned()), ..Default::default() };
        self.configurations().patch(&self.configuration, &params, &patch).await.unwrap();
    }

    /// What the Secret holds, by key.
    pub(super) async fn ledger(&self) -> Result<BTreeMap<String, String>> {
        let secret = self.secrets().get(SECRET).await?;
        let data = secret.data.unwrap_or_default();
        data.into_iter().map(|(key, value)| Ok((key, String::from_utf8(value.0)?))).collect()
    }

    /// Writes keys of the Secret, as somebody who has no business there.
    pub(super) async fn scribble(&self, data: &[(&str, &str)]) {
        let data: BTreeMap<_, _> =
            data.iter().map(|(key, value)| (*key, ByteString(value.as_bytes().to_vec()))).collect();
        let patch = Patch::Merge(json!({ "data": data }));
        self.secrets().patch(SECRET, &PatchParams::default(), &patch).await.unwrap();
    }

    pub(super) async fn delete_secret(&self) {
        self.secrets().delete(SECRET, &DeleteParams::default()).await.unwrap();
    }

    pub(super) async fn delete_configuration(&self) {
        let params = DeleteParams::default();
        self.configurations().delete(&self.configuration, &params).await.unwrap();
    }

    /// The current CA, once the bundle begins with it.
    pub(crate) async fn settled(&self, within: Duration) -> Result<String> {
        eventually("the bundle is the ledger's", within, || async {
            let ca = self.ledger().await?.remove("ca.crt").context("no ca.crt")?;
            let bundle = self.ca_bundle().await?;
            ensure!(bundle.starts_with(&ca), "the bundle is {bundle:?}, the CA {ca:?}");
            Ok(ca)
        })
        .await
    }

    /// Creates a Pod; an error unless it was injected.
    pub(super) async fn pod(&self) -> Result<()> {
        create(&self.client, &self.namespace).await
    }

    /// Creates Pods until one is injected: the API server learns of a configuration late.
    pub(crate) async fn injects(&self, within: Duration) {
        eventually("a Pod is injected", within, || self.pod()).await.unwrap();
    }
}

/// Creates a Pod of the account; an error unless it was injected.
pub(super) async fn create(client: &Client, namespace: &str) -> Result<()> {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": { "generateName": "app-" },
        "spec": {
            "serviceAccountName": ACCOUNT,
            "containers": [{ "name": "app", "image": "app" }],
        },
    }))?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let made = pods.create(&PostParams::default(), &pod).await?;
    let volumes = made.spec.and_then(|spec| spec.volumes).unwrap_or_default();
    ensure!(volumes.iter().any(|volume| volume.name == "aws-iam-token"), "it was not injected");
    Ok(())
}

/// Where a replica takes Pods.
pub(super) fn address(replica: &Webhook) -> SocketAddr {
    replica.url().trim_start_matches("https://").parse().unwrap()
}

/// One line of what a replica says of its readiness.
pub(super) async fn certificate(replica: &Webhook) -> Result<String> {
    let (_, text) = replica.get("/readyz").await?;
    let line = text.lines().find(|line| line.contains("certificate:")).context("no line")?;
    Ok(line.to_owned())
}

/// A sample of a replica's metrics.
pub(super) async fn metric(replica: &Webhook, sample: &str) -> Result<f64> {
    let (_, text) = replica.get("/metrics").await?;
    let line = text.lines().find_map(|line| line.strip_prefix(sample)).context("no such sample")?;
    Ok(line.trim().parse()?)
}
