//! Everything a chain runs through: the API server, the webhook, the two endpoints, a namespace.
//!
//! The control plane is shared; the rest is each test's own, since the paths at which tokens are
//! mounted are flags of the webhook and have to be folders that the test can write.

use std::sync::Arc;

use cluster::{FailurePolicy, Registration, Webhook, WebhookPath, namespace, register};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::agent::Agent;
use super::kubelet;
use super::sdk::{self, Found};
use super::sts::Sts;
use super::trust::Trust;
use crate::plane::plane;

/// The account whose tokens the endpoints take.
pub(super) const ACCOUNT: &str = "app";

/// A value in the Pod's own environment that the webhook has no business to repeat.
const AUTHORS_VALUE: &str = "of-the-author-alone";

/// See the module.
pub(super) struct Stage {
    pub(super) client: Client,
    pub(super) namespace: String,
    pub(super) trust: Arc<Trust>,
    pub(super) sts: Sts,
    pub(super) agent: Agent,
    webhook: Webhook,
    folder: TempDir,
}

// === impl Stage ===

impl Stage {
    /// A stage on which the account is in the container-credentials file if `listed` names it.
    pub(super) async fn set(name: &str, listed: Option<&str>) -> Self {
        let plane = plane().await;
        let folder = tempfile::tempdir().unwrap();
        let namespace = namespace(plane, name).await.unwrap();
        let trust = Arc::new(Trust::discover(plane, &namespace, ACCOUNT).await);
        let sts = Sts::start(Arc::clone(&trust)).await;
        let agent = Agent::start(Arc::clone(&trust)).await;

        let identities: Vec<_> = listed
            .iter()
            .map(|account| json!({ "namespace": namespace, "serviceAccount": account }))
            .collect();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let file = path("container-credentials.json");
        std::fs::write(&file, json!({ "identities": identities }).to_string()).unwrap();
        let webhook = Webhook::builder(plane)
            .binary(env!("CARGO_BIN_EXE_pod-identity-webhook"))
            .arg(format!("--token-mount-path={}", path("web-identity")))
            .arg(format!("--container-credentials-token-mount-path={}", path("pod-identity")))
            .arg(format!("--container-credentials-full-uri={}", agent.full_uri()))
            .arg(format!("--watch-container-credentials-config={file}"))
            .arg("--aws-default-region=eu-central-1")
            .arg("--sts-regional-endpoint")
            .arg("--service-account-lookup-grace-period=5s")
            .arg("--log-level=trace")
            .start()
            .await
            .unwrap();
        let registration = Registration {
            path: WebhookPath::Strict,
            failure_policy: FailurePolicy::Fail,
            timeout_seconds: 30,
            ..Registration::default()
        };
        register(plane, name, &webhook, registration).await.unwrap();
        let client = plane.client().unwrap();
        Self { client, namespace, trust, sts, agent, webhook, folder }
    }

    /// Makes the account, with annotations and whatever fields it is to have.
    pub(super) async fn account(&self, annotations: &[(&str, &str)], fields: Value) {
        let mut account: ServiceAccount = serde_json::from_value(fields).unwrap();
        account.metadata.name = Some(ACCOUNT.to_owned());
        let annotations = annotations
            .iter()
            .map(|(name, value)| (format!("eks.amazonaws.com/{name}"), (*value).to_owned()));
        account.metadata.annotations = Some(annotations.collect());
        let accounts = Api::namespaced(self.client.clone(), &self.namespace);
        accounts.create(&PostParams::default(), &account).await.unwrap();
    }

    /// Makes a Pod of an account, and reads it back from the API server.
    pub(super) async fn pod(&self, account: &str, fields: Value) -> Pod {
        let mut spec = json!({
            "serviceAccountName": account,
            "containers": [{
                "name": "app",
                "image": "app",
                "env": [{ "name": "AUTHORS", "value": AUTHORS_VALUE }],
            }],
        });
        for (field, value) in fields.as_object().unwrap() {
            spec[field] = value.clone();
        }
        let pod = json!({ "metadata": { "generateName": "app-" }, "spec": spec });
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let made = pods.create(&PostParams::default(), &pod).await.unwrap();
        pods.get(made.metadata.name.as_ref().unwrap()).await.unwrap()
    }

    /// Runs the application in a Pod whose volume holds `token`, and sees that nobody tells it.
    pub(super) async fn application(&self, pod: &Pod, token: &str) -> Found {
        kubelet::write(&kubelet::projection(pod), token);
        let found = sdk::run(kubelet::environment(pod), &self.sts.url(), self.folder.path()).await;
        // A signature alone is no token, but has no business anywhere either.
        let [_, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else {
            panic!("three parts")
        };
        let logs = self.webhook.logs();
        assert!(!logs.is_empty());
        for secret in [payload, signature, AUTHORS_VALUE] {
            assert!(!found.output.contains(secret), "{}", found.output);
            assert!(!logs.iter().any(|line| line.contains(secret)), "{logs:#?}");
        }
        found
    }

    /// The chain as it is meant to run: the token that the Pod's volume asks for.
    pub(super) async fn run(&self, pod: &Pod) -> Found {
        let source = kubelet::projection(pod).source;
        let audience = source.audience.clone().unwrap();
        let token = kubelet::token(&self.client, pod, &source, &audience).await;
        self.application(pod, &token).await
    }
}
