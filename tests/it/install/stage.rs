//! A cluster with nodes, and helm.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cluster::{Builder, ControlPlane, Image, Nodes, PodRun, eventually};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client, ResourceExt};
use tokio::process::Command;

use crate::chart::tool;

/// How long anything may take that is waited for, on a machine that has other things to do.
pub(super) const SOON: Duration = Duration::from_mins(2);

/// The name of the release, and so of everything in it.
pub(super) const NAME: &str = "pod-identity-webhook";

/// The namespace of the release.
pub(super) const HOME: &str = "eks";

/// Where metrics and health are.
pub(super) const METRICS: u16 = 9999;

/// See the module.
pub(super) struct Stage {
    // Dropped in this order: what runs on the nodes ends before the API server.
    nodes: Option<Nodes>,
    pub(super) client: Client,
    pub(super) plane: ControlPlane,
}

/// What helm said.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) succeeded: bool,
    pub(super) text: String,
}

// === impl Stage ===

impl Stage {
    /// A cluster on which nothing is installed.
    pub(super) async fn set() -> Self {
        Self::set_with(|plane| plane).await
    }

    /// The same, with a control plane of another kind.
    pub(super) async fn set_with(options: impl FnOnce(Builder) -> Builder) -> Self {
        let plane = options(ControlPlane::builder().whole_cluster()).start().await.unwrap();
        let nodes = Some(Nodes::start(&plane, images()).await.unwrap());
        let mut config = plane.config();
        // A refusal is an answer.
        config.default_retry = false;
        let client = Client::try_from(config).unwrap();
        Self { nodes, client, plane }
    }

    /// The nodes.
    pub(super) fn nodes(&self) -> &Nodes {
        self.nodes.as_ref().expect("they are switched on")
    }

    /// Cuts their power: the Pods stay as they were last reported.
    pub(super) fn switch_off_nodes(&mut self) {
        self.nodes = None;
    }

    /// Switches them on again.
    pub(super) async fn switch_on_nodes(&mut self) {
        self.nodes = Some(Nodes::start(&self.plane, images()).await.unwrap());
    }

    /// Runs helm, whatever comes of it.
    pub(super) async fn try_helm(&self, args: &[&str]) -> Said {
        let home = self.plane.folder().join("helm");
        let output = Command::new(tool("helm"))
            .args(args)
            .env("KUBECONFIG", self.plane.kubeconfig())
            .env("HOME", &home)
            .env("HELM_CACHE_HOME", &home)
            .env("HELM_CONFIG_HOME", &home)
            .env("HELM_DATA_HOME", &home)
            .kill_on_drop(true)
            .output()
            .await
            .unwrap();
        let text = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap()).concat();
        Said { succeeded: output.status.success(), text }
    }

    /// Runs helm; it must succeed.
    pub(super) async fn helm(&self, args: &[&str]) -> String {
        let said = self.try_helm(args).await;
        assert!(
            said.succeeded,
            "helm {}\n{}\n{}",
            args.join(" "),
            said.text,
            self.nodes().log_tails()
        );
        said.text
    }

    /// Installs the chart, or changes what is installed, and waits as `helm --wait` does.
    pub(super) async fn install(&self, values: &[&str]) -> String {
        let chart = chart().display().to_string();
        let mut args = vec!["upgrade", "--install", NAME, &chart, "--namespace", HOME];
        // Without values helm would take those of the last time.
        args.extend(["--reset-values", "--create-namespace", "--wait", "--timeout", "120s"]);
        args.extend(values);
        self.helm(&args).await
    }

    /// The Pods of the webhook, those that are being stopped too.
    pub(super) async fn pods(&self) -> Result<Vec<Pod>> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), HOME);
        let labels = format!("app.kubernetes.io/name={NAME}");
        Ok(pods.list(&ListParams::default().labels(&labels)).await?.items)
    }

    /// Those that are meant to stay.
    pub(super) async fn replicas(&self) -> Result<Vec<Pod>> {
        let mut pods = self.pods().await?;
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        Ok(pods)
    }

    /// The runs of those Pods.
    pub(super) async fn runs(&self) -> Result<Vec<PodRun>> {
        let replicas = self.replicas().await?;
        replicas.iter().map(|pod| self.nodes().run(HOME, &pod.name_any())).collect()
    }

    /// Replaces the one Pod of a component, without its grace period, and waits for the next one.
    pub(super) async fn restart(&self, component: &str) -> PodRun {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), HOME);
        let params = ListParams::default().labels(&format!(
            "app.kubernetes.io/name={NAME},app.kubernetes.io/component={component}"
        ));
        let before = pods.list(&params).await.unwrap().items;
        let before: Vec<_> = before.iter().map(ResourceExt::name_any).collect();
        let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        for name in &before {
            pods.delete(name, &at_once).await.unwrap();
        }
        let next = eventually("the next Pod has a node", SOON, || async {
            let after = pods.list(&params).await?.items;
            let mut names = after.iter().map(ResourceExt::name_any);
            let name = names.find(|name| !before.contains(name)).context("none yet")?;
            self.nodes().run(HOME, &name)
        });
        next.await.with_context(|| self.nodes().log_tails()).unwrap()
    }

    /// Waits until the webhook's Deployment has what it wants, and nothing else.
    pub(super) async fn settled(&self) {
        self.settled_as(NAME).await;
    }

    /// The same for another Deployment.
    pub(super) async fn settled_as(&self, name: &str) {
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), HOME);
        eventually("the Deployment is as it should be", SOON, || async {
            let deployment = deployments.get(name).await?;
            let wanted = deployment.spec.and_then(|spec| spec.replicas).unwrap_or(1);
            let status = deployment.status.context("no status")?;
            let is_current = status.observed_generation == deployment.metadata.generation;
            let counts = [status.replicas, status.updated_replicas, status.ready_replicas];
            let all = counts.iter().all(|count| count.unwrap_or(0) == wanted);
            ensure!(is_current && all, "{status:?}");
            Ok(())
        })
        .await
        .with_context(|| self.nodes().log_tails())
        .unwrap();
    }
}

/// The chart.
pub(super) fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/chart")
}

/// The images that the nodes have.
fn images() -> Vec<Image> {
    let ours = Image {
        repository: NAME.to_owned(),
        binary: env!("CARGO_BIN_EXE_pod-identity-webhook").into(),
        paths: vec!["/pod-identity-webhook".to_owned(), "/webhook".to_owned()],
        user: 65_534,
    };
    // Only `make rolling` needs it.
    [ours].into_iter().chain(Image::of_the_peer().ok()).collect()
}
