//! Telling the API server to call a webhook, and knowing that it does.
//!
//! An API server learns of a new configuration from a watch, some time after the create has been
//! answered. It counts its own calls per webhook: when the count for ours has moved, it knows it,
//! whatever the webhook answers.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::{
    ByteString,
    api::{
        admissionregistration::v1::{
            MutatingWebhook, MutatingWebhookConfiguration, RuleWithOperations, WebhookClientConfig,
        },
        core::v1::{Namespace, Pod},
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::{
    Api, Client,
    api::{DeleteParams, ObjectMeta, PostParams},
};
use serde_json::json;

use crate::{
    eventually,
    namespace::{LABEL, namespace},
    peer::Peer,
    plane::ControlPlane,
    webhook::Webhook,
};

/// How long the API server may take to notice a configuration.
const NOTICE: Duration = Duration::from_mins(1);
/// The API server's stable histogram of calls to webhooks; it has a series for each that was
/// called: <https://kubernetes.io/docs/reference/instrumentation/metrics/>.
const CALLS: &str = "apiserver_admission_webhook_admission_duration_seconds_count";

/// How a webhook is registered. The default is what our manifests register first: `/mutate`,
/// `Ignore`, ten seconds.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The path that Pods are sent to.
    pub path: WebhookPath,
    /// What an unanswered call means for the Pod.
    pub failure_policy: FailurePolicy,
    /// How long the API server waits for an answer, 1 to 30.
    pub timeout_seconds: i32,
    /// The `prefix` of the [`namespace`]s to serve. None: the same as the registration's name.
    pub namespaces: Option<String>,
    /// The one version of AdmissionReview that the webhook is sent.
    pub review_version: ReviewVersion,
    /// What it is called for.
    pub calls: Calls,
    /// Where it is called, without a path, if not at its own URL: something in between, such as
    /// `https://127.0.0.1:PORT`.
    pub url: Option<String>,
}

/// Whom the API server calls: one of the webhooks that this crate runs.
#[derive(Clone, Copy, Debug)]
pub struct Callee<'a> {
    url: &'a str,
    ca_pem: &'a str,
}

/// What a webhook is called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    /// Pods that are created, and ephemeral containers that are added.
    PodsAndEphemeralContainers,
    /// Pods that are created, as in the manifests of the Go webhook.
    Pods,
}

/// The versions of AdmissionReview that API servers speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReviewVersion {
    /// `v1`.
    V1,
    /// `v1beta1`, which the manifests of the Go webhook ask for.
    V1Beta1,
}

/// The two paths of the webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookPath {
    /// `/mutate`: what cannot be done is a warning.
    Mutate,
    /// `/mutate/strict`: what cannot be done is a rejection.
    Strict,
}

/// What the API server does with a Pod whose call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailurePolicy {
    /// Takes the Pod as it is.
    Ignore,
    /// Rejects it.
    Fail,
}

/// Registers `callee`, a [`Webhook`] or a [`Peer`], as the `MutatingWebhookConfiguration` called `name`, for Pods that are
/// created and ephemeral containers that are added in the namespaces that
/// [`namespace`]`(plane, name)` makes, and waits until the API server calls it.
///
/// To know that, Pods of the account `default` are created by dry run in a namespace of their own:
/// the webhook has seen a few reviews without an identity when this returns.
pub async fn register(
    plane: &ControlPlane,
    name: &str,
    callee: impl Into<Callee<'_>>,
    registration: Registration,
) -> Result<()> {
    let Registration {
        path,
        failure_policy,
        timeout_seconds,
        namespaces,
        review_version,
        calls: called_for,
        url,
    } = registration;
    let callee = callee.into();
    let url = url.unwrap_or_else(|| callee.url.to_owned());
    let namespaces = namespaces.unwrap_or_else(|| name.to_owned());
    let hook = format!("{name}.pod-identity.test");
    let configuration = MutatingWebhookConfiguration {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        webhooks: Some(vec![MutatingWebhook {
            name: hook.clone(),
            admission_review_versions: vec![review_version.text().to_owned()],
            client_config: WebhookClientConfig {
                url: Some(format!("{url}{}", path.text())),
                ca_bundle: Some(ByteString(callee.ca_pem.as_bytes().to_vec())),
                service: None,
            },
            rules: Some(called_for.rules()),
            failure_policy: Some(failure_policy.text().to_owned()),
            namespace_selector: Some(LabelSelector {
                match_labels: Some([(LABEL.to_owned(), namespaces.clone())].into()),
                match_expressions: None,
            }),
            reinvocation_policy: Some("IfNeeded".to_owned()),
            side_effects: "NoneOnDryRun".to_owned(),
            timeout_seconds: Some(timeout_seconds),
            ..MutatingWebhook::default()
        }]),
    };
    let client = plane.client()?;
    let before = calls(&client, &hook).await?;
    Api::all(client.clone())
        .create(&PostParams::default(), &configuration)
        .await
        .with_context(|| format!("cannot register {name}"))?;

    let probed = namespace(plane, &namespaces).await?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), &probed);
    let pod: Pod = serde_json::from_value(json!({
        "metadata": { "generateName": "registered-" },
        "spec": { "containers": [{ "name": "probe", "image": "probe" }] },
    }))?;
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    eventually("the API server calls the webhook", NOTICE, || async {
        // A strict webhook may reject the Pod, and has been called then.
        let created = pods.create(&dry, &pod).await;
        let calls = calls(&client, &hook).await?;
        ensure!(calls > before, "no call so far; the last Pod: {:?}", created.map(|_| "created"));
        Ok(())
    })
    .await?;
    let namespaces: Api<Namespace> = Api::all(client);
    namespaces.delete(&probed, &DeleteParams::default()).await?;
    Ok(())
}

fn rule(operation: &str, resource: &str) -> RuleWithOperations {
    RuleWithOperations {
        api_groups: Some(vec![String::new()]),
        api_versions: Some(vec!["v1".to_owned()]),
        operations: Some(vec![operation.to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        scope: Some("Namespaced".to_owned()),
    }
}

/// How often the API server has called the webhook of that name.
async fn calls(client: &Client, hook: &str) -> Result<f64> {
    let request = http::Request::get("/metrics").body(Vec::new())?;
    let metrics = client.request_text(request).await?;
    let label = format!("name=\"{hook}\"");
    let counts = metrics
        .lines()
        .filter(|line| line.starts_with(CALLS) && line.contains(&label))
        .filter_map(|line| line.rsplit_once(' '))
        .filter_map(|(_, count)| count.parse::<f64>().ok());
    Ok(counts.sum())
}

// === impl Registration ===

impl Registration {
    /// How the manifests of the Go webhook register it, but that it is called again when another
    /// webhook has changed the Pod, as ours is.
    pub fn of_the_peer() -> Self {
        Self { review_version: ReviewVersion::V1Beta1, calls: Calls::Pods, ..Self::default() }
    }
}

impl Default for Registration {
    fn default() -> Self {
        Self {
            path: WebhookPath::Mutate,
            failure_policy: FailurePolicy::Ignore,
            timeout_seconds: 10,
            namespaces: None,
            review_version: ReviewVersion::V1,
            calls: Calls::PodsAndEphemeralContainers,
            url: None,
        }
    }
}

// === impl Callee ===

impl<'a> From<&'a Webhook> for Callee<'a> {
    fn from(webhook: &'a Webhook) -> Self {
        Self { url: webhook.url(), ca_pem: webhook.ca_pem() }
    }
}

impl<'a> From<&'a Peer> for Callee<'a> {
    fn from(peer: &'a Peer) -> Self {
        Self { url: peer.url(), ca_pem: peer.ca_pem() }
    }
}

// === impl Calls ===

impl Calls {
    fn rules(self) -> Vec<RuleWithOperations> {
        let pods = rule("CREATE", "pods");
        match self {
            Self::PodsAndEphemeralContainers => {
                vec![pods, rule("UPDATE", "pods/ephemeralcontainers")]
            }
            Self::Pods => vec![pods],
        }
    }
}

// === impl ReviewVersion ===

impl ReviewVersion {
    fn text(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V1Beta1 => "v1beta1",
        }
    }
}

// === impl WebhookPath ===

impl WebhookPath {
    fn text(self) -> &'static str {
        match self {
            Self::Mutate => "/mutate",
            Self::Strict => "/mutate/strict",
        }
    }
}

// === impl FailurePolicy ===

impl FailurePolicy {
    fn text(self) -> &'static str {
        match self {
            Self::Ignore => "Ignore",
            Self::Fail => "Fail",
        }
    }
}
