//! What an audit of 20,000 Pods and 5,000 ServiceAccounts costs: `make audit-scale`.
//!
//! `AUDIT_SCALE` names the binary. Pods are created by requests as any others, in a control plane of
//! the test's own without controllers; one in twenty has slipped by. Memory is what the kernel says
//! of the process.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use cluster::{ControlPlane, eventually, namespace};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::time::interval;

use super::stage::ROLE;

const PODS: usize = 20_000;
const ACCOUNTS: usize = 5_000;
const NAMESPACES: usize = 50;

/// One in so many has slipped by.
const MISSED: usize = 20;

/// Requests at the same time.
const AT_ONCE: usize = 32;

/// How often a process is looked at that ends by itself: seldom enough to leave it the machine.
const LOOK: Duration = Duration::from_millis(20);

/// What a Pod may cost a watch, in bytes.
const A_POD: u64 = 200;

const LONG: Duration = Duration::from_mins(20);

/// What the kernel says of a process.
#[derive(Clone, Copy, Default)]
struct Usage {
    peak_kib: u64,
    now_kib: u64,
}

/// A row of the table.
struct Row {
    what: &'static str,
    took: Duration,
    usage: Usage,
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: make audit-scale"]
async fn what_an_audit_of_a_large_cluster_costs() {
    let binary = PathBuf::from(std::env::var_os("AUDIT_SCALE").expect("the release binary"));
    let plane = ControlPlane::start().await.unwrap();
    let began = Instant::now();
    let empty = namespace(&plane, "empty").await.unwrap();
    fill(&plane).await.unwrap();
    println!("{PODS} Pods and {ACCOUNTS} accounts were made in {:.0?}", began.elapsed());

    let mut rows = vec![once(&binary, &plane).await.unwrap()];
    let mut base = Watch::start(&binary, &plane, &["-n", &empty]);
    let took = base.ready(0).await.unwrap();
    rows.push(Row { what: "--watch, of no Pod", took, usage: base.usage().unwrap() });
    base.child.kill().await.unwrap();
    let before = base.usage;

    let mut watch = Watch::start(&binary, &plane, &["-A"]);
    let took = watch.ready(PODS / MISSED).await.unwrap();
    let usage = watch.usage().unwrap();
    rows.push(Row { what: "--watch -A, until all are told of", took, usage });
    watch.child.kill().await.unwrap();
    let mut again = Watch::start(&binary, &plane, &["-A"]);
    let took = again.ready(PODS / MISSED).await.unwrap();
    let usage = again.usage().unwrap();
    rows.push(Row { what: "--watch -A, begun again", took, usage });
    again.child.kill().await.unwrap();

    println!("{}", table(&rows));
    let pods = u64::try_from(PODS).unwrap();
    let bytes = usage.now_kib.saturating_sub(before.now_kib) * 1024 / pods;
    println!("a watch of all Pods has {bytes} bytes a Pod more than one of none");
    assert!(bytes < A_POD, "{bytes} bytes a Pod");
}

fn table(rows: &[Row]) -> String {
    let mut text = format!("{:36} {:>9} {:>10} {:>10}\n", "", "time", "peak", "after");
    for Row { what, took, usage } in rows {
        let mib = |kib: u64| format!("{:.1} MiB", f64::from(u32::try_from(kib).unwrap()) / 1024.0);
        let took = format!("{took:.1?}");
        writeln!(
            text,
            "{what:36} {took:>9} {:>10} {:>10}",
            mib(usage.peak_kib),
            mib(usage.now_kib)
        )
        .unwrap();
    }
    text
}

/// Makes accounts and Pods.
async fn fill(plane: &ControlPlane) -> Result<()> {
    let client = plane.client()?;
    let mut namespaces = Vec::new();
    for n in 0..NAMESPACES {
        namespaces.push(namespace(plane, &format!("team-{n}")).await?);
    }
    let accounts = (0..ACCOUNTS).map(|n| account(&client, &namespaces[n % NAMESPACES], n));
    stream::iter(accounts).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
    let pods = (0..PODS).map(|n| pod(&client, &namespaces[n % ACCOUNTS % NAMESPACES], n));
    stream::iter(pods).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
    Ok(())
}

async fn account(client: &Client, namespace: &str, n: usize) -> Result<()> {
    let account: ServiceAccount = serde_json::from_value(json!({
        "metadata": {
            "name": format!("account-{n}"),
            "annotations": { "eks.amazonaws.com/role-arn": ROLE },
        },
    }))?;
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    api.create(&PostParams::default(), &account).await?;
    Ok(())
}

/// A Pod of some 5 KB, as Pods are, injected but for one in [`MISSED`].
async fn pod(client: &Client, namespace: &str, n: usize) -> Result<()> {
    let mount = "/var/run/secrets/eks.amazonaws.com/serviceaccount";
    let variables: Vec<_> = (0..15)
        .map(|v| json!({ "name": format!("SETTING_{v}"), "value": "a value as long as most are" }))
        .collect();
    let mut container =
        json!({ "name": "app", "image": "registry.example/shop/app:1.2.3", "env": variables });
    let mut volumes = json!([]);
    if !n.is_multiple_of(MISSED) {
        let token =
            json!({ "audience": "sts.amazonaws.com", "expirationSeconds": 86400, "path": "token" });
        volumes = json!([{ "name": "aws-iam-token", "projected": { "sources": [
            { "serviceAccountToken": token },
        ] } }]);
        container["volumeMounts"] =
            json!([{ "name": "aws-iam-token", "mountPath": mount, "readOnly": true }]);
        let env = container["env"].as_array_mut().context("no env")?;
        env.push(json!({ "name": "AWS_ROLE_ARN", "value": ROLE }));
        env.push(
            json!({ "name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": format!("{mount}/token") }),
        );
    }
    let owner = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "controller": true,
        "name": format!("checkout-{}-5d9c7b6f4d", n / 4),
        "uid": format!("{:08x}-0000-4000-8000-000000000000", n / 4),
    });
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {
            "name": format!("checkout-{}-5d9c7b6f4d-{n:05}", n / 4),
            "labels": { "app": "checkout", "pod-template-hash": "5d9c7b6f4d" },
            "ownerReferences": [owner],
        },
        "spec": {
            "serviceAccountName": format!("account-{}", n % ACCOUNTS),
            "nodeName": format!("node-{}", n % 500),
            "containers": [container],
            "volumes": volumes,
        },
    }))?;
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    api.create(&PostParams::default(), &pod).await?;
    Ok(())
}

fn command(binary: &PathBuf, plane: &ControlPlane) -> Command {
    let mut command = Command::new(binary);
    command
        .args(["audit", "pods", "--flags-from=given"])
        .arg(format!("--kubeconfig={}", plane.kubeconfig().display()))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

async fn once(binary: &PathBuf, plane: &ControlPlane) -> Result<Row> {
    let folder = tempfile::tempdir()?;
    let report = folder.path().join("report.json");
    let began = Instant::now();
    let mut child = command(binary, plane)
        .args(["-A", "--output=json"])
        .stdout(std::fs::File::create(&report)?)
        .spawn()?;
    let mut usage = Usage::default();
    // The last look before its end has its peak.
    let mut looks = interval(LOOK);
    let ended = loop {
        tokio::select! {
            ended = child.wait() => break ended?,
            _ = looks.tick() => usage = read(&child).unwrap_or(usage),
        }
    };
    let took = began.elapsed();
    ensure!(ended.code() == Some(1), "{ended}");
    let report: Value = serde_json::from_slice(&std::fs::read(&report)?)?;
    ensure!(report["looked"] == json!(PODS), "{}", report["looked"]);
    let findings = report["findings"].as_array().context("no findings")?.len();
    ensure!(findings == PODS / MISSED, "{findings} findings");
    Ok(Row { what: "once, -A", took, usage })
}

struct Watch {
    child: Child,
    log: PathBuf,
    began: Instant,
    usage: Usage,
    _folder: tempfile::TempDir,
}

// === impl Watch ===

impl Watch {
    fn start(binary: &PathBuf, plane: &ControlPlane, args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let child = command(binary, plane)
            .args(["--watch", "--metrics-port=0", "--bind-address=127.0.0.1", "--log-format=json"])
            .args(args)
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let (began, usage) = (Instant::now(), Usage::default());
        Self { child, log, began, usage, _folder: folder }
    }

    /// Waits until so many Pods are told of, and says how long that took.
    async fn ready(&self, missed: usize) -> Result<Duration> {
        eventually("all are told of", LONG, || async {
            let log = std::fs::read_to_string(&self.log)?;
            let lists = log.matches("the first list is complete").count();
            let told = log.matches("a Pod runs without the identity").count();
            ensure!(lists == 2 && told == missed, "{lists} lists, {told} of {missed}");
            Ok(self.began.elapsed())
        })
        .await
    }

    fn usage(&mut self) -> Result<Usage> {
        self.usage = read(&self.child).context("it has ended")?;
        Ok(self.usage)
    }
}

fn read(child: &Child) -> Option<Usage> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()?)).ok()?;
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some(Usage { peak_kib: kib("VmHWM:")?, now_kib: kib("VmRSS:")? })
}
