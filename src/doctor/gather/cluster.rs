//! The cluster, walked page by page: namespaces, ServiceAccounts, Pods, the agent.
//!
//! Of namespaces and ServiceAccounts the metadata is asked for alone. A page of Pods is read where
//! it stands, examined and dropped: no value of a variable outlives it, nor does memory grow with
//! the number of Pods.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, ServiceAccount};
use kube::api::{ListParams, ObjectList, PartialObjectMeta};
use kube::{Api, Client};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::doctor::observed::{Accounts, Agent, Place, Pods, examine};
use crate::identity::{Annotations, DEFAULT_ANNOTATION_PREFIX};
use crate::installation::{Entry, Installation, Labels, Look, Reach, What};

/// How many objects a page has.
const PAGE: u32 = 500;

/// Where the agent runs, and how it is known there (AWS's add-on `eks-pod-identity-agent`).
pub(super) const AGENT_NAMESPACE: &str = "kube-system";
const AGENT: &str = "eks-pod-identity-agent";
const AGENT_LABEL: &str = "app.kubernetes.io/name=eks-pod-identity-agent";

/// The nodes that bring the agent along: those of EKS Auto Mode.
const AUTO_MODE: &str = "eks.amazonaws.com/compute-type=auto";

/// How far a walk is.
#[derive(Clone, Copy, Debug)]
pub struct Walked {
    /// What is walked.
    pub resource: &'static str,
    /// How many objects have been looked at.
    pub done: u64,
    /// How many are left at least.
    pub left: u64,
}

type Page<K> = ObjectList<PartialObjectMeta<K>>;

pub(super) async fn namespaces(client: &Client) -> Look<BTreeMap<Box<str>, Labels>> {
    let api: Api<Namespace> = Api::all(client.clone());
    let mut all = BTreeMap::new();
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page: Page<Namespace> =
            What::all("namespaces").ask("list", api.list_metadata(&params)).await?;
        all.extend(page.items.into_iter().filter_map(|namespace| {
            let metadata = namespace.metadata;
            Some((metadata.name?.into(), metadata.labels.unwrap_or_default()))
        }));
        let Some(next) = next(page.metadata.continue_) else { return Ok(all) };
        params.continue_token = Some(next);
    }
}

pub(super) async fn accounts(
    client: &Client,
    within: Option<&str>,
    installation: Option<&Installation>,
    pace: &impl Fn(Walked),
) -> Look<BTreeMap<(Box<str>, Box<str>), Annotations>> {
    let api: Api<ServiceAccount> = scoped(client, within);
    let prefix = installation.map_or(DEFAULT_ANNOTATION_PREFIX, |installation| {
        &installation.flags().settings.injection.settings.defaults.annotation_prefix
    });
    let mut all = BTreeMap::new();
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page: Page<ServiceAccount> =
            what("serviceaccounts", within).ask("list", api.list_metadata(&params)).await?;
        all.extend(page.items.into_iter().filter_map(|account| {
            let metadata = account.metadata;
            let annotations = metadata.annotations.unwrap_or_default();
            let pairs = annotations.iter().map(|(key, value)| (key.as_str(), value.as_str()));
            let annotations = Annotations::read(prefix, pairs);
            Some(((metadata.namespace?.into(), metadata.name?.into()), annotations))
        }));
        pace(Walked {
            resource: "serviceaccounts",
            done: count(all.len()),
            left: left(page.metadata.remaining_item_count),
        });
        let Some(next) = next(page.metadata.continue_) else { return Ok(all) };
        params.continue_token = Some(next);
    }
}

/// A page of Pods, with each Pod as it stands there.
#[derive(Deserialize)]
struct PodPage<'a> {
    metadata: PageMetadata,
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMetadata {
    #[serde(rename = "continue", default)]
    next: Option<String>,
    #[serde(default)]
    remaining_item_count: Option<i64>,
}

/// What of a Pod the decision does not read.
#[derive(Deserialize)]
struct Running {
    metadata: RunningMetadata,
    #[serde(default)]
    spec: RunningSpec,
    #[serde(default)]
    status: RunningStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RunningMetadata {
    name: String,
    namespace: String,
    #[serde(default)]
    deletion_timestamp: Option<String>,
    #[serde(default)]
    labels: Option<Labels>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RunningSpec {
    #[serde(default)]
    node_name: Option<String>,
}

#[derive(Default, Deserialize)]
struct RunningStatus {
    #[serde(default)]
    phase: Option<String>,
}

/// Who is called for a Pod.
pub(super) struct Called<'a> {
    pub(super) entries: &'a [Entry],
    pub(super) namespaces: Option<&'a BTreeMap<Box<str>, Labels>>,
}

impl Called<'_> {
    /// How near an entry comes to being called; where nobody can tell, it is.
    fn reach(&self, namespace: &str, pod: &Labels) -> Reach {
        let labels = self.namespaces.and_then(|all| all.get(namespace));
        let Some(labels) = labels.filter(|_| !self.entries.is_empty()) else {
            return Reach::Called;
        };
        let all: Vec<_> = self.entries.iter().map(|entry| entry.reach(labels, pod)).collect();
        let nearest = [Reach::Called, Reach::NotByLabels].into_iter().find(|r| all.contains(r));
        nearest.unwrap_or(Reach::NotByNamespace)
    }
}

/// Pods that run, or are about to.
pub(super) async fn pods(
    client: &Client,
    within: Option<&str>,
    accounts: &Accounts,
    called: &Called<'_>,
    pace: &impl Fn(Walked),
) -> Look<Pods> {
    let path = match within {
        Some(namespace) => format!("/api/v1/namespaces/{namespace}/pods"),
        None => "/api/v1/pods".to_owned(),
    };
    let mut pods = Pods::default();
    let pages = kube::core::Request::new(path);
    let mut params = ListParams::default().limit(PAGE);
    let mut walked = 0;
    loop {
        let request = pages.list(&params).map_err(kube::Error::BuildRequest);
        let request = async { client.request_text(request?).await };
        let text = what("pods", within).ask("list", request).await?;
        let read = async { serde_json::from_str(&text).map_err(kube::Error::SerdeError) };
        let page: PodPage<'_> = what("pods", within).ask("list", read).await?;
        walked += page.items.len();
        for item in page.items {
            let Ok(Running { metadata, spec, status }) = serde_json::from_str(item.get()) else {
                pods.unread += 1;
                continue;
            };
            let is_over = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
            if is_over || metadata.deletion_timestamp.is_some() {
                continue;
            }
            let place = Place {
                namespace: &metadata.namespace,
                name: &metadata.name,
                node: spec.node_name.as_deref(),
                reach: called.reach(&metadata.namespace, &metadata.labels.unwrap_or_default()),
            };
            examine(&mut pods, place, item.get(), accounts);
        }
        pace(Walked {
            resource: "pods",
            done: count(walked),
            left: left(page.metadata.remaining_item_count),
        });
        match next(page.metadata.next) {
            Some(next) => params.continue_token = Some(next),
            None => return Ok(pods),
        }
    }
}

/// The agent, and the nodes of `pods` that have it.
pub(super) async fn agent(client: &Client, pods: &Pods) -> Look<Agent> {
    let sets: Api<DaemonSet> = Api::namespaced(client.clone(), AGENT_NAMESPACE);
    let agents: Api<Pod> = Api::namespaced(client.clone(), AGENT_NAMESPACE);
    let params = ListParams::default().labels(AGENT_LABEL);
    let every = ListParams::default();
    let (found, agents) = futures::join!(
        What::within("daemonsets", AGENT_NAMESPACE).ask("list", sets.list_metadata(&every)),
        What::within("pods", AGENT_NAMESPACE).ask("list", agents.list(&params)),
    );
    let found: Page<DaemonSet> = found?;
    let names = found.items.into_iter().filter_map(|set| set.metadata.name);
    let daemon_sets = names.filter(|name| name.starts_with(AGENT));
    let daemon_sets = daemon_sets.map(|name| format!("-n {AGENT_NAMESPACE} {name}")).collect();
    let is_ready = |pod: &Pod| {
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
        conditions.into_iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True")
    };
    let mut nodes: BTreeSet<Box<str>> = agents?
        .items
        .into_iter()
        .filter(is_ready)
        .filter_map(|pod| pod.spec?.node_name.map(Into::into))
        .collect();
    if pods.agents_needed.keys().any(|node| !nodes.contains(node)) {
        let api: Api<Node> = Api::all(client.clone());
        let params = ListParams::default().labels(AUTO_MODE);
        let auto: Page<Node> = What::all("nodes").ask("list", api.list_metadata(&params)).await?;
        nodes.extend(auto.items.into_iter().filter_map(|node| node.metadata.name.map(Into::into)));
    }
    Ok(Agent { daemon_sets, nodes })
}

fn scoped<K>(client: &Client, within: Option<&str>) -> Api<K>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
    K::DynamicType: Default,
{
    match within {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

fn what(resource: &'static str, within: Option<&str>) -> What {
    match within {
        Some(namespace) => What::within(resource, namespace),
        None => What::all(resource),
    }
}

/// The token of the next page, if there is one.
fn next(token: Option<String>) -> Option<String> {
    token.filter(|token| !token.is_empty())
}

fn left(remaining: Option<i64>) -> u64 {
    remaining.and_then(|remaining| remaining.try_into().ok()).unwrap_or_default()
}

fn count(number: usize) -> u64 {
    number.try_into().unwrap_or(u64::MAX)
}
