//! A namespace with accounts and Pods, a kubelet that is none, and the command run on them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cluster::{ControlPlane, eventually, namespace};
use futures::{StreamExt, stream};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use crate::plane::plane;

/// How long anything may take that is waited for, on a machine that has other things to do.
pub(crate) const SOON: Duration = Duration::from_mins(2);

/// A role.
pub(crate) const ROLE: &str = "arn:aws:iam::111122223333:role/app";

/// What the containers of the stage have in a variable, and nobody may ever repeat.
pub(crate) const MARKER: &str = "marker-of-a-secret";

/// The binary.
const BINARY: &str = env!("CARGO_BIN_EXE_pod-identity-webhook");

/// See the module.
pub(crate) struct Stage {
    pub(crate) plane: &'static ControlPlane,
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

/// A running `audit pods --watch`, ended when this is dropped.
pub(crate) struct Watch {
    child: Child,
    log: PathBuf,
    url: String,
    _folder: tempfile::TempDir,
}

/// Says of Pods what a kubelet would, until it is dropped: they run and are ready, and they end when
/// they are deleted.
pub(crate) struct Kubelet(JoinSet<()>);

// === impl Stage ===

impl Stage {
    /// A namespace that a webhook registered under `name` serves.
    pub(crate) async fn set(name: &str) -> Self {
        let plane = plane().await;
        let namespace = namespace(plane, name).await.unwrap();
        Self { plane, client: plane.client().unwrap(), namespace }
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(crate) fn accounts(&self) -> Api<ServiceAccount> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Makes an object.
    pub(crate) async fn create<K>(&self, object: &Value)
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + serde::Serialize
            + serde::de::DeserializeOwned,
    {
        let object: K = serde_json::from_value(object.clone()).unwrap();
        self.api().create(&PostParams::default(), &object).await.unwrap();
    }

    /// Makes an account with these annotations.
    pub(crate) async fn account(&self, name: &str, annotations: &Value) {
        let account = json!({ "metadata": { "name": name, "annotations": annotations } });
        let account = serde_json::from_value(account).unwrap();
        self.accounts().create(&PostParams::default(), &account).await.unwrap();
    }

    /// Sets annotations of an account; `null` removes one.
    pub(crate) async fn annotate(&self, name: &str, annotations: &Value) {
        let patch = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
        self.accounts().patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Makes a Pod of `account` that nobody makes anew.
    pub(crate) async fn pod(&self, name: &str, account: &str) -> Pod {
        let pod = json!({ "metadata": { "name": name }, "spec": spec(account) });
        self.pod_of(&pod).await
    }

    /// Makes this Pod.
    pub(crate) async fn pod_of(&self, pod: &Value) -> Pod {
        let pod = serde_json::from_value(pod.clone()).unwrap();
        self.pods().create(&PostParams::default(), &pod).await.unwrap()
    }

    /// Makes a Deployment of `account`, and waits for its Pods.
    pub(crate) async fn deployment(&self, name: &str, account: &str, replicas: usize) {
        let labels = json!({ "app": name });
        let deployment: Deployment = serde_json::from_value(json!({
            "metadata": { "name": name },
            "spec": {
                "replicas": replicas,
                "selector": { "matchLabels": labels },
                "template": { "metadata": { "labels": labels }, "spec": spec(account) },
            },
        }))
        .unwrap();
        self.api().create(&PostParams::default(), &deployment).await.unwrap();
        eventually("the Deployment has its Pods", SOON, || async {
            let there = self.of(name).await?.len();
            ensure!(there == replicas, "{there} of {replicas}");
            Ok(())
        })
        .await
        .unwrap();
    }

    /// Allows evictions of the Pods of a Deployment only while so many are ready.
    pub(crate) async fn budget(&self, name: &str, available: usize) {
        let budget: PodDisruptionBudget = serde_json::from_value(json!({
            "metadata": { "name": name },
            "spec": { "minAvailable": available, "selector": { "matchLabels": { "app": name } } },
        }))
        .unwrap();
        self.api().create(&PostParams::default(), &budget).await.unwrap();
    }

    /// Allows them while another number is.
    pub(crate) async fn change_budget(&self, name: &str, available: usize) {
        let patch = Patch::Merge(json!({ "spec": { "minAvailable": available } }));
        let budgets = self.api::<PodDisruptionBudget>();
        budgets.patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// The Pods of a Deployment that are not being deleted.
    pub(crate) async fn of(&self, name: &str) -> Result<Vec<Pod>> {
        let params = ListParams::default().labels(&format!("app={name}"));
        let pods = self.pods().list(&params).await?.items;
        Ok(pods.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect())
    }

    /// The Events of the audit, by name.
    pub(crate) async fn events(&self) -> Result<BTreeMap<String, Event>> {
        let params = ListParams::default().fields("reportingController=pod-identity-webhook-audit");
        let events = self.api::<Event>().list(&params).await?.items;
        Ok(events.into_iter().map(|e| (e.metadata.name.clone().unwrap(), e)).collect())
    }

    /// The names of the Pods, or of other objects, that Events of this action are about.
    pub(crate) async fn told(&self, kind: &str, action: &str) -> Result<BTreeSet<String>> {
        let mut told = BTreeSet::new();
        for event in self.events().await?.into_values() {
            let regarding = event.regarding.context("an Event about nothing")?;
            if regarding.kind.as_deref() == Some(kind) && event.action.as_deref() == Some(action) {
                let name = regarding.name.context("an Event about nobody")?;
                ensure!(told.insert(name.clone()), "{name} is told of twice");
            }
        }
        Ok(told)
    }

    /// Runs `audit pods` once, in the namespace, with `--flags-from=given`.
    pub(crate) async fn look(&self, args: &[&str]) -> Output {
        let mut all = vec!["-n", &self.namespace, "--flags-from=given"];
        all.extend(args);
        self.run(self.plane.kubeconfig(), &all).await
    }

    /// Runs `audit pods`.
    pub(crate) async fn run(&self, kubeconfig: &Path, args: &[&str]) -> Output {
        let output = Command::new(BINARY)
            .args(["audit", "pods"])
            .arg(format!("--kubeconfig={}", kubeconfig.display()))
            .args(args)
            .output()
            .await
            .unwrap();
        for text in [&output.stdout, &output.stderr] {
            assert!(!String::from_utf8_lossy(text).contains(MARKER), "a value is told");
        }
        output
    }

    /// What the command finds: names of Pods and reasons.
    pub(crate) async fn findings(&self) -> BTreeMap<String, String> {
        let output = self.look(&["--output=json"]).await;
        let report: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let findings = report["findings"].as_array().unwrap();
        assert_eq!(output.status.code(), Some(i32::from(!findings.is_empty())));
        findings.iter().map(|found| (text(&found["pod"]), text(&found["reason"]))).collect()
    }

    /// Starts `audit pods --watch` in the namespace.
    pub(crate) async fn watch(&self, args: &[&str]) -> Watch {
        self.watch_as(self.plane.kubeconfig(), args).await
    }

    /// The same by another kubeconfig.
    pub(crate) async fn watch_as(&self, kubeconfig: &Path, args: &[&str]) -> Watch {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("watch.log");
        let child = Command::new(BINARY)
            .args(["audit", "pods", "--watch", "--flags-from=given", "-n", &self.namespace])
            .args(["--metrics-port=0", "--bind-address=127.0.0.1", "--log-format=json"])
            .arg(format!("--kubeconfig={}", kubeconfig.display()))
            .args(args)
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let url = eventually("the watch listens", SOON, || async {
            let log = std::fs::read_to_string(&log)?;
            let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let mut listening = lines.filter(|line| line["message"] == "listening");
            let line = listening.next().with_context(|| log.clone())?;
            Ok(format!("http://{}", line["address"].as_str().context("no address")?))
        })
        .await
        .unwrap();
        Watch { child, log, url, _folder: folder }
    }
}

/// What all Pods of the stage are like. They name a node, so no scheduler is needed.
pub(crate) fn spec(account: &str) -> Value {
    json!({
        "serviceAccountName": account,
        "nodeName": "a-node",
        "terminationGracePeriodSeconds": 1,
        "containers": [{
            "name": "app", "image": "app",
            "env": [{ "name": "SECRET", "value": MARKER }],
        }],
    })
}

/// Whether a Pod has the identity of IRSA.
pub(crate) fn has_irsa(pod: &Pod) -> bool {
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default();
    volumes.iter().any(|volume| volume.name == "aws-iam-token")
}

pub(crate) fn name(pod: &Pod) -> String {
    pod.metadata.name.clone().unwrap()
}

pub(crate) fn is_ready(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

// === impl Kubelet ===

impl Kubelet {
    /// Sees to the Pods of the stage.
    pub(crate) fn start(stage: &Stage) -> Self {
        const PERIOD: Duration = Duration::from_millis(200);

        let pods = stage.pods();
        let mut set = JoinSet::new();
        set.spawn(async move {
            let mut ticks = tokio::time::interval(PERIOD);
            loop {
                ticks.tick().await;
                let Ok(list) = pods.list(&ListParams::default()).await else { continue };
                let work = list.into_iter().map(|pod| see_to(&pods, pod));
                stream::iter(work).for_each_concurrent(16, |work| work).await;
            }
        });
        Self(set)
    }

    /// Waits until every Pod of the stage is ready.
    pub(crate) async fn has_started_all(&self, stage: &Stage) {
        assert!(!self.0.is_empty());
        eventually("every Pod is ready", SOON, || async {
            let pods = stage.pods().list(&ListParams::default()).await?.items;
            let waiting = pods.iter().filter(|pod| !is_ready(pod)).count();
            ensure!(waiting == 0, "{waiting} of {} are not", pods.len());
            Ok(())
        })
        .await
        .unwrap();
    }
}

async fn see_to(pods: &Api<Pod>, pod: Pod) {
    let name = name(&pod);
    // Whatever fails is tried in the next round.
    if pod.metadata.deletion_timestamp.is_some() {
        let _again = pods.delete(&name, &DeleteParams::default().grace_period(0)).await;
    } else if !is_ready(&pod) {
        let running = Patch::Merge(json!({ "status": {
            "phase": "Running",
            "conditions": [{ "type": "Ready", "status": "True" }],
        } }));
        let _again = pods.patch_status(&name, &PatchParams::default(), &running).await;
    }
}

// === impl Watch ===

impl Watch {
    /// GET on its port.
    pub(crate) async fn get(&self, path: &str) -> Result<String> {
        let client =
            hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
                .build_http::<String>();
        let answer = client.get(format!("{}{path}", self.url).parse()?).await?;
        let body = http_body_util::BodyExt::collect(answer.into_body()).await?.to_bytes();
        let text = String::from_utf8(body.to_vec())?;
        assert!(!text.contains(MARKER), "a value is told");
        Ok(text)
    }

    /// Waits until it is ready.
    pub(crate) async fn ready(&self) {
        eventually("the watch is ready", SOON, || async {
            let text = self.get("/readyz").await?;
            ensure!(text.ends_with("\nready\n"), "{text}");
            Ok(())
        })
        .await
        .unwrap();
    }

    /// The value of a series, 0 if there is none.
    pub(crate) async fn metric(&self, series: &str) -> Result<u64> {
        let text = self.get("/metrics").await?;
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        Ok(value.unwrap_or("0").parse()?)
    }

    /// Waits until a series has a value.
    pub(crate) async fn metric_is(&self, series: &str, wanted: u64) {
        eventually(&format!("{series} is {wanted}"), SOON, || async {
            let value = self.metric(series).await?;
            ensure!(value == wanted, "it is {value}");
            Ok(())
        })
        .await
        .unwrap();
    }

    /// What it has logged.
    pub(crate) fn logged(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap();
        assert!(!log.contains(MARKER), "a value is logged");
        log
    }

    /// Kills it, as a node that loses its power would.
    pub(crate) async fn kill(mut self) -> String {
        self.child.kill().await.unwrap();
        self.logged()
    }
}
