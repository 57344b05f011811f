//! A namespace whose Pods want an identity, and whether they get it.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use cluster::eventually;
use http::Request;
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client, client::Body};
use serde_json::{Value, json};

use super::stage::SOON;

/// A role.
pub(super) const ROLE: &str = "arn:aws:iam::111122223333:role/shop";

/// See the module.
#[derive(Clone)]
pub(super) struct Shop {
    client: Client,
    name: String,
    /// What is wanted here.
    methods: Vec<Method>,
}

/// How a Pod gets its identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Irsa,
    PodIdentity,
}

/// Whether a request is to have an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Run {
    Real,
    Dry,
}

// === impl Shop ===

impl Shop {
    /// Opens one, with an account for each method.
    pub(super) async fn open(client: &Client, name: &str, labels: &Value) -> Self {
        let params = PostParams::default();
        let metadata = json!({ "metadata": { "name": name, "labels": labels } });
        let namespace: Namespace = serde_json::from_value(metadata).unwrap();
        Api::all(client.clone()).create(&params, &namespace).await.unwrap();
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), name);
        for method in Method::BOTH {
            let annotation = match method {
                Method::Irsa => json!({ "eks.amazonaws.com/role-arn": ROLE }),
                Method::PodIdentity => json!({ "eks.amazonaws.com/pod-identity": "true" }),
            };
            let account: ServiceAccount = serde_json::from_value(json!({
                "metadata": { "name": method.account(), "annotations": annotation },
            }))
            .unwrap();
            accounts.create(&params, &account).await.unwrap();
        }
        Self { client: client.clone(), name: name.to_owned(), methods: Method::BOTH.to_vec() }
    }

    /// One that is there already, without accounts of ours.
    pub(super) fn of(client: &Client, name: &str) -> Self {
        Self { client: client.clone(), name: name.to_owned(), methods: Method::BOTH.to_vec() }
    }

    /// The same shop, where only this is wanted.
    pub(super) fn only(mut self, method: Method) -> Self {
        self.methods = vec![method];
        self
    }

    /// What the client of that number wants.
    pub(super) fn method(&self, client: usize) -> Method {
        self.methods[client % self.methods.len()]
    }

    /// Removes every Pod.
    pub(super) async fn clear(&self) {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.name);
        let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        pods.delete_collection(&at_once, &ListParams::default()).await.unwrap();
    }

    /// Creates a Pod. An error if it is refused; what was stored, or would be, otherwise.
    pub(super) async fn create(&self, pod: &Value, run: Run) -> Result<Value> {
        let dry = match run {
            Run::Real => "",
            Run::Dry => "?dryRun=All",
        };
        let request = Request::post(format!("/api/v1/namespaces/{}/pods{dry}", self.name))
            .header("content-type", "application/json")
            .body(Body::from(pod.to_string().into_bytes()))?;
        let answer = self.client.send(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect_bytes().await?;
        let body: Value = serde_json::from_slice(&body)?;
        ensure!(status == 201, "{status}: {}", body["message"].as_str().unwrap_or_default());
        Ok(body)
    }

    /// Creates a Pod that must be refused, and returns what the API server says.
    pub(super) async fn refusal(&self, pod: &Value) -> String {
        match self.create(pod, Run::Dry).await {
            Ok(pod) => panic!("a Pod of {} was not refused: {pod:#}", self.name),
            Err(refusal) => refusal.to_string(),
        }
    }

    /// Creates a Pod, and has it got its identity?
    pub(super) async fn injects(&self, method: Method, run: Run) -> Result<()> {
        let pod = self.create(&method.pod(), run).await?;
        let got = Method::of(&pod)?;
        ensure!(got == Some(method), "the Pod of {method:?} got {got:?}");
        Ok(())
    }

    /// Waits until Pods are injected by both methods, then creates some for good, all of which
    /// have to be.
    pub(super) async fn is_served(&self) {
        self.is_served_within(SOON).await;
    }

    /// The same, with a limit for the wait.
    pub(super) async fn is_served_within(&self, within: Duration) {
        for &method in &self.methods {
            let what = format!("{method:?} in {}", self.name);
            let wait = eventually(&what, within, || self.injects(method, Run::Dry));
            wait.await.unwrap();
            for _ in 0..5 {
                self.injects(method, Run::Real).await.unwrap();
            }
        }
    }
}

// === impl Method ===

impl Method {
    pub(super) const BOTH: [Self; 2] = [Self::Irsa, Self::PodIdentity];

    fn account(self) -> &'static str {
        match self {
            Self::Irsa => "irsa",
            Self::PodIdentity => "pod-identity",
        }
    }

    /// A Pod of the account that has it. No node is to run it.
    pub(super) fn pod(self) -> Value {
        json!({
            "metadata": { "generateName": format!("{}-", self.account()) },
            "spec": {
                "serviceAccountName": self.account(),
                "schedulingGates": [{ "name": "pod-identity.test/never" }],
                "containers": [{ "name": "app", "image": "app" }],
            },
        })
    }

    /// What a stored Pod got: all of one, or nothing. An error if it got a part.
    pub(super) fn of(pod: &Value) -> Result<Option<Self>> {
        let spec = &pod["spec"];
        let has = |list: &Value, name: &str| {
            let items = list.as_array().into_iter().flatten();
            items.into_iter().any(|item| item["name"] == name)
        };
        let container = &spec["containers"][0];
        let of = |volume: &str, file: &str| {
            [
                has(&container["env"], file),
                has(&container["volumeMounts"], volume),
                has(&spec["volumes"], volume),
            ]
        };
        let irsa = of("aws-iam-token", "AWS_WEB_IDENTITY_TOKEN_FILE");
        let pod_identity = of("eks-pod-identity-token", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
        match (irsa, pod_identity) {
            ([true, true, true], [false, false, false]) => Ok(Some(Self::Irsa)),
            ([false, false, false], [true, true, true]) => Ok(Some(Self::PodIdentity)),
            ([false, false, false], [false, false, false]) => Ok(None),
            _ => bail!("half an identity: {spec:#}"),
        }
    }
}
