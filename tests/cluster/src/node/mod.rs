//! Nodes that run Pods: what kubelet and a container runtime do, as far as a webhook can tell.
//!
//! The Pods that the scheduler binds to these nodes get an address and namespaces of their own, the
//! files of their volumes at the mounted paths, exactly the rendered arguments and environment, the
//! user, groups and capabilities of their security contexts, and their probes; their status is
//! written back, so that Deployments, Services and `helm --wait` see what they would see of a real
//! node. On deletion they get SIGTERM and their grace period.
//!
//! The image is a binary of this machine. A field that changes what runs and is not known here is
//! an error in the Pod's status, never ignored: what runs here runs on a real node, too.
//! Known differences, all of them openly: readiness is asked every 200 ms until it is reached, then
//! as rendered; volumes are refreshed every second, not every minute; a container that ended is
//! started again after one second; network policies, resources and seccomp profiles do nothing.

mod container;
mod env;
mod life;
mod machine;
mod probe;
mod process;
mod status;
mod volumes;

use std::{
    collections::{HashMap, HashSet},
    net::Ipv4Addr,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
};

use anyhow::{Context, Result};
use futures::{StreamExt, pin_mut};
use http::{Method, StatusCode};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt,
    runtime::{
        WatchStreamExt,
        watcher::{Config, Event, watcher},
    },
};
use tokio::{sync::watch, task::JoinSet};

use crate::{
    assets,
    folder::Folder,
    http::{Trust, ask},
    log,
    plane::ControlPlane,
};

use life::{Life, Wanted};

/// A container image: a binary of this machine under the names that it has there.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its name without a tag, `registry.example/webhook`.
    pub repository: String,
    /// The binary.
    pub binary: PathBuf,
    /// The paths of the binary within the image. The first one is the entry point.
    pub paths: Vec<String>,
    /// The user that the image runs as where the Pod names none.
    pub user: i64,
}

/// Three nodes in three zones. They are switched off when this is dropped: what ran on them is
/// killed, and the Pods stay as they were last reported. [`Nodes::start`] switches on new ones of
/// the same names, which start those Pods' containers again.
pub struct Nodes {
    // Dropped in this order: who writes into the folder ends before it.
    _following: JoinSet<()>,
    shared: Arc<Shared>,
}

/// A Pod that runs, or has run, on the nodes.
#[derive(Clone, Debug)]
pub struct PodRun {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its address, in the namespace of [`apart`](crate::apart()).
    pub address: Ipv4Addr,
    log: PathBuf,
}

/// Whether this process may act as any user, or only as the one that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Privileged {
    Root,
    /// Root of a user namespace with one user: Pods run as that, whatever they say.
    OneUser,
}

/// What all Pods share.
struct Shared {
    privileged: Privileged,
    client: Client,
    images: Vec<Image>,
    addresses: AtomicU8,
    runs: Mutex<Vec<PodRun>>,
    folder: Folder,
}

// === impl Image ===

impl Image {
    /// The Go webhook, which `make peer` builds, under the name `amazon-eks-pod-identity-webhook`.
    pub fn of_the_peer() -> Result<Self> {
        Ok(Self {
            repository: "amazon-eks-pod-identity-webhook".to_owned(),
            binary: assets::peer()?,
            paths: vec!["/webhook".to_owned()],
            user: 65_534,
        })
    }
}

// === impl Nodes ===

impl Nodes {
    /// Registers the nodes and runs the Pods that are bound to them.
    ///
    /// The control plane has to be that of a [`whole_cluster`](crate::Builder::whole_cluster).
    pub async fn start(plane: &ControlPlane, images: Vec<Image>) -> Result<Self> {
        let client = plane.client()?;
        machine::register(&client).await?;
        let shared = Arc::new(Shared {
            privileged: Privileged::of_this_process()?,
            client,
            images,
            addresses: AtomicU8::new(0),
            runs: Mutex::default(),
            folder: Folder::new("pod-identity-nodes-")?,
        });
        let mut following = JoinSet::new();
        following.spawn(follow(Arc::clone(&shared)));
        Ok(Self { _following: following, shared })
    }

    /// Every Pod that has been started so far, the oldest first, also those that are gone.
    pub fn runs(&self) -> Vec<PodRun> {
        self.shared.runs().clone()
    }

    /// The last run of a Pod.
    pub fn run(&self, namespace: &str, name: &str) -> Result<PodRun> {
        let runs = self.shared.runs();
        let found = runs.iter().rfind(|run| run.namespace == namespace && run.name == name);
        found.cloned().with_context(|| format!("Pod {namespace}/{name} has not been started"))
    }

    /// The last lines of every log, for the message of a failed test.
    pub fn log_tails(&self) -> String {
        let tails = self.runs().into_iter().map(|run| {
            format!(
                "--- {}/{} at {}\n{}",
                run.namespace,
                run.name,
                run.address,
                log::tail(&run.log)
            )
        });
        tails.collect::<Vec<_>>().join("\n")
    }
}

// === impl PodRun ===

impl PodRun {
    /// All lines that its container has logged, over all its starts.
    pub fn logs(&self) -> Vec<String> {
        log::lines(&self.log)
    }

    /// GET `path` on a port that speaks plain HTTP.
    pub async fn get(&self, port: u16, path: &str) -> Result<(StatusCode, String)> {
        let base = format!("http://{}:{port}", self.address);
        ask(&base, Trust::Anybody, Method::GET, path, None).await
    }
}

// === impl Privileged ===

impl Privileged {
    fn of_this_process() -> Result<Self> {
        let map = std::fs::read_to_string("/proc/self/uid_map")?;
        let count = map.split_whitespace().nth(2).context("no users in /proc/self/uid_map")?;
        Ok(if count == "1" { Self::OneUser } else { Self::Root })
    }
}

// === impl Shared ===

impl Shared {
    fn runs(&self) -> MutexGuard<'_, Vec<PodRun>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An address that no Pod has had since the nodes were switched on.
    fn address(&self) -> Result<Ipv4Addr> {
        let taken = self
            .addresses
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| last.checked_add(1));
        let last = taken.ok().context("the nodes have run out of addresses")?;
        Ok(Ipv4Addr::new(10, 77, 1, last))
    }
}

/// Watches the Pods, and gives each that is bound to a node a [`Life`].
async fn follow(shared: Arc<Shared>) {
    let pods: Api<Pod> = Api::all(shared.client.clone());
    let events = watcher(pods, Config::default()).default_backoff();
    pin_mut!(events);
    let mut lives = JoinSet::new();
    let mut known: HashMap<String, watch::Sender<Wanted>> = HashMap::new();
    let mut listed = HashSet::new();
    while let Some(event) = events.next().await {
        while lives.try_join_next().is_some() {}
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(pod) | Event::Apply(pod)) => {
                let Some(uid) = pod.uid().filter(|_| machine::is_bound(&pod)) else { continue };
                listed.insert(uid.clone());
                let wanted = Wanted::of(&pod);
                match known.get(&uid) {
                    Some(sender) => _ = sender.send_replace(wanted),
                    None => {
                        let (sender, receiver) = watch::channel(wanted);
                        known.insert(uid, sender);
                        lives.spawn(Life::new(Arc::clone(&shared), pod, receiver).live());
                    }
                }
            }
            Ok(Event::InitDone) => {
                let gone = known.extract_if(|uid, _| !listed.contains(uid));
                gone.for_each(|(_, sender)| _ = sender.send_replace(Wanted::Gone));
            }
            Ok(Event::Delete(pod)) => {
                if let Some(sender) = pod.uid().and_then(|uid| known.remove(&uid)) {
                    sender.send_replace(Wanted::Gone);
                }
            }
            // The watch is begun again by itself.
            Err(_) => {}
        }
    }
}
