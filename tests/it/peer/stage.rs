//! One control plane, both webhooks, and four namespaces: under ours, under the peer, and under
//! both, once with ours in front and once with the peer.
//!
//! An API server calls webhooks in the order of their configurations' names, and again those that
//! a later one has changed the Pod behind (`reinvocationPolicy: IfNeeded`). All Pods are created
//! once, by dry run, for all tests that look at them.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use cluster::{ControlPlane, Peer, Registration, Webhook, eventually, namespace, register};
use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::Client;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::differences;
use super::kinds::{self, ACCOUNTS};
use super::sketch::{Account, ROLE, Sketch};
use crate::plane::plane;

/// How long anything may take that is waited for, on a machine that has other things to do.
const SOON: Duration = Duration::from_mins(1);
/// How many Pods are created at once.
const LANES: usize = 6;

/// What both webhooks are started with.
#[derive(Debug)]
pub(super) struct Flags {
    name: &'static str,
    args: &'static [&'static str],
    audience: &'static str,
}

/// None, and those of kOps.
pub(super) const FLAGS: [Flags; 2] = [
    Flags { name: "plain", args: &[], audience: "sts.amazonaws.com" },
    Flags {
        name: "kops",
        args: &[
            "--token-audience=amazonaws.com",
            "--sts-regional-endpoint",
            "--aws-default-region=eu-central-1",
        ],
        audience: "amazonaws.com",
    },
];

/// A kind of Pod, and what became of it.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) name: String,
    /// What it is made of, for the message of a failed test.
    pub(super) made_of: String,
    pub(super) ours: Seen,
    pub(super) peer: Seen,
    pub(super) ours_first: Seen,
    pub(super) peer_first: Seen,
}

/// What became of it in one namespace.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) made: Made,
    /// Who was called, in order.
    pub(super) calls: Vec<Call>,
}

/// What the API server made of a Pod.
#[derive(Debug)]
pub(super) enum Made {
    /// This would be stored.
    Pod(Value),
    /// It was refused, and this was said.
    Refused(String),
}

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Ours,
    Peer,
}

/// A call of a webhook, as the API server has it in its audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) who: Who,
    pub(super) changed: Changed,
}

/// Whether a call has changed the Pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Changed {
    Yes,
    No,
}

/// The namespaces, as they are labelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Under {
    Ours,
    Peer,
    OursFirst,
    PeerFirst,
}

// === impl Under ===

impl Under {
    const ALL: [Self; 4] = [Self::Ours, Self::Peer, Self::OursFirst, Self::PeerFirst];

    fn label(self, flags: &Flags) -> String {
        let under = match self {
            Self::Ours => "ours",
            Self::Peer => "peer",
            Self::OursFirst => "ours-first",
            Self::PeerFirst => "peer-first",
        };
        format!("{}-{under}", flags.name)
    }

    /// Who is called, in this order.
    fn order(self) -> &'static [Who] {
        match self {
            Self::Ours => &[Who::Ours],
            Self::Peer => &[Who::Peer],
            Self::OursFirst => &[Who::Ours, Who::Peer],
            Self::PeerFirst => &[Who::Peer, Who::Ours],
        }
    }
}

/// What became of all kinds, for each of [`FLAGS`].
pub(super) async fn outcomes() -> [&'static [Outcome]; 2] {
    static PLAIN: OnceCell<Vec<Outcome>> = OnceCell::const_new();
    static KOPS: OnceCell<Vec<Outcome>> = OnceCell::const_new();
    let [plain, kops] = &FLAGS;
    [PLAIN.get_or_init(|| run(plain)).await, KOPS.get_or_init(|| run(kops)).await]
}

async fn run(flags: &Flags) -> Vec<Outcome> {
    let plane = plane().await;
    let client = plane.client().unwrap();
    let mut namespaces = HashMap::new();
    for under in Under::ALL {
        namespaces.insert(under, namespace(plane, &under.label(flags)).await.unwrap());
    }
    let stage = Stage::set(plane, &client, flags, &namespaces).await;

    let mut kinds = kinds::kinds(flags.audience);
    kinds.extend(differences::kinds(flags.audience));
    let everywhere = kinds.iter().flat_map(|kind| Under::ALL.map(|under| (kind, under)));
    let mut made: HashMap<_, _> = stream::iter(everywhere)
        .map(|((sketch, _), under)| {
            let (client, namespace) = (&client, &namespaces[&under]);
            let key = (under, sketch.name());
            async move { (key, create(client, namespace, &sketch.pod).await) }
        })
        .buffer_unordered(LANES)
        .collect()
        .await;
    let mut calls = stage.calls(&namespaces, kinds.len()).await;
    let outcome = |(sketch, made_of): &(Sketch, String)| {
        let mut seen = |under| {
            let key = (under, sketch.name());
            Seen { made: made.remove(&key).unwrap(), calls: calls.remove(&key).unwrap() }
        };
        Outcome {
            name: sketch.name(),
            made_of: format!("{}: {made_of}", flags.name),
            ours: seen(Under::Ours),
            peer: seen(Under::Peer),
            ours_first: seen(Under::OursFirst),
            peer_first: seen(Under::PeerFirst),
        }
    };
    kinds.iter().map(outcome).collect()
}

/// Creates a Pod by dry run.
async fn create(client: &Client, namespace: &str, pod: &Value) -> Made {
    let path = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All&fieldValidation=Strict");
    let request = http::Request::post(path)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(pod.to_string().into_bytes())
        .unwrap();
    match client.request(request).await {
        Ok(pod) => Made::Pod(pod),
        Err(kube::Error::Api(status)) => Made::Refused(status.message),
        Err(error) => panic!("{error}"),
    }
}

/// Both webhooks, registered.
struct Stage<'a> {
    plane: &'a ControlPlane,
    // They run until the last Pod is made.
    _ours: Webhook,
    _peer: Peer,
    _folder: tempfile::TempDir,
}

// === impl Stage ===

impl<'a> Stage<'a> {
    async fn set(
        plane: &'a ControlPlane,
        client: &Client,
        flags: &Flags,
        namespaces: &HashMap<Under, String>,
    ) -> Self {
        let home = &namespaces[&Under::Ours];
        map(client, home, namespaces.values()).await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("container-credentials.json");
        std::fs::write(&file, listed(namespaces.values()).to_string()).unwrap();
        let mut args = vec![
            "--watch-config-map".to_owned(),
            format!("--namespace={home}"),
            format!("--watch-container-credentials-config={}", file.display()),
        ];
        args.extend(flags.args.iter().map(|&arg| arg.to_owned()));

        let mut ours = Webhook::builder(plane).binary(env!("CARGO_BIN_EXE_pod-identity-webhook"));
        let mut peer = Peer::builder(plane);
        for arg in args {
            (ours, peer) = (ours.arg(&arg), peer.arg(&arg));
        }
        let (ours, peer) = tokio::join!(ours.start(), peer.start());
        let (ours, peer) = (ours.unwrap(), peer.unwrap());
        for namespace in namespaces.values() {
            for account in accounts() {
                make(client, namespace, account).await;
            }
            // One watch tells of them in order.
            let last = accounts().last().unwrap().name;
            peer.knows(namespace, last, SOON).await.unwrap();
        }
        for account in ["mapped", "listed"] {
            injects(&peer, home, account).await;
        }

        for under in Under::ALL {
            for (place, who) in under.order().iter().enumerate() {
                let label = under.label(flags);
                let name = format!("{label}-{place}");
                let namespaces = Some(label);
                match who {
                    Who::Ours => {
                        let registration = Registration { namespaces, ..Registration::default() };
                        register(plane, &name, &ours, registration).await
                    }
                    Who::Peer => {
                        let registration =
                            Registration { namespaces, ..Registration::of_the_peer() };
                        register(plane, &name, &peer, registration).await
                    }
                }
                .unwrap();
            }
        }
        Self { plane, _ours: ours, _peer: peer, _folder: folder }
    }

    /// Who was called for each Pod of `kinds` kinds, in order.
    async fn calls(
        &self,
        namespaces: &HashMap<Under, String>,
        kinds: usize,
    ) -> HashMap<(Under, String), Vec<Call>> {
        let wait = eventually("every Pod is in the audit log", SOON, || async {
            let mut calls = HashMap::new();
            for event in self.plane.audit_events()? {
                let object = &event["objectRef"];
                let under = namespaces.iter().find(|(_, name)| object["namespace"] == ***name);
                let (Some((under, _)), Some(pod)) = (under, object["name"].as_str()) else {
                    continue;
                };
                calls.insert((*under, pod.to_owned()), calls_of(&event, *under));
            }
            ensure!(calls.len() == Under::ALL.len() * kinds, "{} so far", calls.len());
            Ok(calls)
        });
        wait.await.unwrap()
    }
}

/// The calls that an audit event names, in order.
fn calls_of(event: &Value, under: Under) -> Vec<Call> {
    let told = event["annotations"].as_object().into_iter().flatten().filter_map(|(key, told)| {
        // The index counts all webhooks that there are.
        let key = key.strip_prefix("mutation.webhook.admission.k8s.io/round_")?;
        let (round, index) = key.split_once("_index_")?;
        let place: (u32, u32) = (round.parse().unwrap(), index.parse().unwrap());
        Some((place, serde_json::from_str::<Value>(told.as_str()?).unwrap()))
    });
    let call = |told: &Value| {
        let changed = if told["mutated"] == true { Changed::Yes } else { Changed::No };
        let configuration = told["configuration"].as_str().unwrap();
        let place: usize = configuration.rsplit_once('-').unwrap().1.parse().unwrap();
        Call { who: under.order()[place], changed }
    };
    let told: BTreeMap<_, _> = told.collect();
    told.values().map(call).collect()
}

/// Every account: those of the kinds, and those that only a difference needs.
fn accounts() -> impl Iterator<Item = Account> {
    ACCOUNTS.into_iter().chain(differences::ACCOUNTS)
}

async fn make(client: &Client, namespace: &str, account: Account) {
    let annotations: serde_json::Map<_, _> = account
        .annotations
        .iter()
        .map(|(key, value)| (format!("eks.amazonaws.com/{key}"), json!(value)))
        .collect();
    let object: ServiceAccount = serde_json::from_value(json!({
        "metadata": { "name": account.name, "annotations": annotations },
    }))
    .unwrap();
    let accounts = Api::namespaced(client.clone(), namespace);
    accounts.create(&PostParams::default(), &object).await.unwrap();
}

/// Writes the mappings ConfigMap.
async fn map(client: &Client, home: &str, namespaces: impl Iterator<Item = &String>) {
    let mapping = json!({
        "RoleARN": ROLE,
        "Audience": "mapped.example",
        "UseRegionalSTS": true,
        "TokenExpiration": 5400,
    });
    let mut config = json!({ "*/anywhere": mapping });
    for namespace in namespaces {
        config[format!("{namespace}/mapped")] = mapping.clone();
        for (name, mapping) in differences::mappings() {
            config[format!("{namespace}/{name}")] = mapping;
        }
    }
    config["*-*/globbed"] = mapping;
    let object: ConfigMap = serde_json::from_value(json!({
        "metadata": { "name": "pod-identity-webhook" },
        "data": { "config": config.to_string() },
    }))
    .unwrap();
    let maps = Api::namespaced(client.clone(), home);
    maps.create(&PostParams::default(), &object).await.unwrap();
}

/// The container-credentials file: every account whose name says so, in all namespaces.
fn listed<'a>(namespaces: impl Iterator<Item = &'a String>) -> Value {
    let identities = namespaces.flat_map(|namespace| {
        let listed = accounts().filter(|account| account.name.starts_with("listed"));
        listed.map(move |account| json!({ "namespace": namespace, "serviceAccount": account.name }))
    });
    json!({ "identities": identities.collect::<Vec<_>>() })
}

/// Waits until the peer gives a Pod of the account its identity.
async fn injects(peer: &Peer, namespace: &str, account: &str) {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1beta1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "0",
            "namespace": namespace,
            "operation": "CREATE",
            "object": { "metadata": {}, "spec": { "serviceAccountName": account, "containers": [] } },
        },
    });
    let wait = eventually("the peer injects", SOON, || async {
        let (status, body) = peer.post("/mutate", review.to_string()).await?;
        ensure!(status == http::StatusCode::OK, "{status}: {body}");
        let answer: Value = serde_json::from_str(&body)?;
        answer["response"].get("patch").map(|_| ()).context("not so far")
    });
    wait.await.unwrap_or_else(|error| panic!("{account}: {error:#}"));
}
