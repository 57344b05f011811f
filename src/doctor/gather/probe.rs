//! A Pod that is created by dry run, and the API server's count of calls that failed open.
//!
//! The Pod asks for nothing that the strictest Pod security standard or a quota would refuse. Who
//! refuses it all the same is told by what the API server says, which is kept. What comes back is
//! judged by `plan::decide`, as every Pod is.

use std::collections::BTreeMap;

use http::Request;
use http::header::{CONTENT_TYPE, HeaderMap, WARNING};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use crate::doctor::observed::{Accounts, Injection, Path, Probe, Told};
use crate::installation::{Installation, Labels, Look, Reach, What};
use crate::plan::{self, Ask, Outcome, Reason, Spread};
use crate::pod::Pod;

/// The API server's counter (alpha and stable since Kubernetes 1.24, `apiserver_admission_webhook`).
const FAIL_OPEN: &str = "apiserver_admission_webhook_fail_open_count";

/// How much of what an API server says is repeated, in characters.
const MAX_MESSAGE: usize = 300;

/// The account whose Pod is tried: one that the webhook is called for, with IRSA if there is one,
/// and rather one about which there is nothing to say.
pub(super) fn choose(
    accounts: &Accounts,
    installation: Option<&Installation>,
    namespaces: Option<&BTreeMap<Box<str>, Labels>>,
) -> Option<Told> {
    let entries = &installation?.entries;
    let nobody = Labels::new();
    let is_reached = |told: &Told| {
        let labels = namespaces.and_then(|all| all.get(&told.namespace));
        labels.is_none_or(|labels| {
            entries.iter().any(|entry| entry.reach(labels, &nobody) == Reach::Called)
        })
    };
    let is_injected = |told: &Told| told.outcome == Outcome::Injected;
    let rank = |told: &Told| (!told.warnings.is_empty(), told.path != Some(Path::WebIdentity));
    // The first of those that rank alike.
    accounts.told().filter(is_injected).filter(is_reached).min_by_key(rank)
}

/// Creates a Pod of that account, by dry run.
pub(super) async fn pod(client: &Client, told: &Told, accounts: &Accounts) -> Probe {
    let account: Box<str> = told.account().into();
    let what = What::within("pods", &told.namespace);
    let exchange = async {
        let answer = client.send(request(told)?).await?;
        let (parts, body) = answer.into_parts();
        let body = body.collect_bytes().await?;
        Ok((parts.status, parts.headers, String::from_utf8_lossy(&body).into_owned()))
    };
    let (status, headers, body) = match what.ask("create (dry run)", exchange).await {
        Ok(answer) => answer,
        Err(unseen) => return Probe::NotTried(unseen.to_string()),
    };
    if status.is_success() {
        let Some(injection) = judge(&body, told, accounts) else {
            return Probe::NotTried("the API server's answer cannot be read".to_owned());
        };
        return Probe::Back { account, injection, warnings: warnings(&headers) };
    }
    Probe::Refused { account, message: message(&body) }
}

fn request(told: &Told) -> kube::Result<Request<Body>> {
    let Told { namespace, name, .. } = told;
    let uri = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All");
    // As the strictest Pod security standard wants it, and with what quotas ask for.
    let few = json!({ "cpu": "10m", "memory": "16Mi", "ephemeral-storage": "16Mi" });
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "generateName": "pod-identity-doctor-" },
        "spec": {
            "serviceAccountName": name,
            "restartPolicy": "Never",
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": 65534,
                "seccompProfile": { "type": "RuntimeDefault" },
            },
            "containers": [{
                "name": "app",
                "image": "registry.k8s.io/pause:3.10",
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "capabilities": { "drop": ["ALL"] },
                },
                "resources": { "requests": few, "limits": few },
            }],
        },
    });
    Request::post(uri)
        .header(CONTENT_TYPE, "application/json")
        .body(Body::from(pod.to_string().into_bytes()))
        .map_err(kube::Error::HttpError)
}

/// Whether a Pod came back with all of its identity.
fn judge(pod: &str, told: &Told, accounts: &Accounts) -> Option<Injection> {
    let ask = Ask::Create(Pod::read(pod).ok()?);
    let sources = accounts.sources(&told.namespace, &told.name);
    let decision = plan::decide(&ask, &sources, Spread::by_names(&[]), accounts.settings());
    Some(match decision.outcome {
        Outcome::Unchanged => Injection::Complete,
        _ => Injection::Lacking,
    })
}

/// The warnings that a webhook of this kind gave.
fn warnings(headers: &HeaderMap) -> Vec<String> {
    let ours = |text: &str| {
        Reason::ALL.iter().any(|reason| {
            text.strip_prefix(reason.code()).is_some_and(|rest| rest.starts_with(": "))
        })
    };
    // `299 - "text"` (RFC 7234, section 5.5).
    let text = |value: &http::HeaderValue| {
        let value = value.to_str().ok()?;
        let text = value.split_once('"')?.1.strip_suffix('"')?.replace("\\\"", "\"");
        ours(&text).then_some(text)
    };
    headers.get_all(WARNING).iter().filter_map(text).collect()
}

/// What the API server says in an answer that is no Pod.
fn message(body: &str) -> String {
    let status: Value = serde_json::from_str(body).unwrap_or_default();
    let message = status.get("message").and_then(Value::as_str).unwrap_or("no reason is given");
    message.chars().take(MAX_MESSAGE).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The counts of calls that failed open, by entry.
pub(super) async fn fail_open(client: &Client) -> Look<BTreeMap<String, u64>> {
    let request = async {
        let request = Request::get("/metrics").body(Vec::new()).map_err(kube::Error::HttpError)?;
        client.request_text(request).await
    };
    let text = What::all("/metrics of the API server").ask("get", request).await?;
    let mut counts = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with(FAIL_OPEN)) {
        let name = line.split_once("name=\"").and_then(|(_, rest)| rest.split_once('"'));
        let value = line.rsplit_once(' ').and_then(|(_, value)| value.parse::<f64>().ok());
        if let (Some((name, _)), Some(value)) = (name, value) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
            let value = value.max(0.0) as u64;
            *counts.entry(name.to_owned()).or_default() += value;
        }
    }
    Ok(counts)
}
