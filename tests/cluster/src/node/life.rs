//! One Pod from its binding to its removal.

use std::{net::Ipv4Addr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use k8s_openapi::{api::core::v1::Pod, jiff::Timestamp};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, interval, sleep, timeout_at},
};

use super::{
    PodRun, Shared,
    container::Container,
    env::environment,
    probe::{Probe, Verdict},
    process::Start,
    status::{Readiness, State, Status},
    volumes::{Owner, Volumes},
};
use crate::process::{Process, Signal};

/// How often a start that is not possible yet is tried again.
const RETRY: Duration = Duration::from_millis(200);
/// How soon a container that ended is started again. kubelet begins with ten seconds.
const BACKOFF: Duration = Duration::from_secs(1);
/// How often it is asked whether the process runs.
const LOOK: Duration = Duration::from_millis(50);
/// How often volumes are refreshed, once they are laid out.
const REFRESH: Duration = Duration::from_secs(1);
/// The grace period of a Pod that names none, in seconds.
const GRACE: i64 = 30;

/// What the API server wants of a Pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Running,
    /// Deleted, with so many seconds to end.
    Ending {
        grace: i64,
    },
    /// Deleted, and not there any more.
    Gone,
}

/// See the module.
pub(super) struct Life {
    shared: Arc<Shared>,
    pod: Pod,
    wanted: watch::Receiver<Wanted>,
    reported: Option<Status>,
}

/// A Pod that has an address and files.
#[derive(Debug)]
struct Settled {
    container: Container,
    volumes: Volumes,
    address: Ipv4Addr,
    log: PathBuf,
    image: PathBuf,
}

/// Why watching a process is over.
#[derive(Debug, PartialEq, Eq)]
enum Over {
    /// It has ended, or has to: this is why.
    Restart(String),
    /// The Pod was deleted.
    Deleted,
}

/// A probe's verdict, and which probe's.
#[derive(Debug)]
enum Heard {
    Startup(Verdict),
    Liveness(Verdict),
    Readiness(Verdict),
}

// === impl Wanted ===

impl Wanted {
    /// What the object says.
    pub(super) fn of(pod: &Pod) -> Self {
        match pod.metadata.deletion_timestamp {
            None => Self::Running,
            Some(_) => {
                Self::Ending { grace: pod.metadata.deletion_grace_period_seconds.unwrap_or(GRACE) }
            }
        }
    }
}

// === impl Life ===

impl Life {
    pub(super) fn new(shared: Arc<Shared>, pod: Pod, wanted: watch::Receiver<Wanted>) -> Self {
        Self { shared, pod, wanted, reported: None }
    }

    /// All of it.
    pub(super) async fn live(mut self) {
        // Whoever deletes it while it cannot run wants it gone all the same.
        let mut wanted = self.wanted.clone();
        if let Err(error) = self.run().await {
            let message = format!("{error:#}");
            self.report(&Status::waiting("CreateContainerConfigError", message, 0), None).await;
            let _ = wanted.wait_for(|wanted| *wanted != Wanted::Running).await;
        }
        self.remove().await;
    }

    async fn run(&mut self) -> Result<()> {
        let Some(mut settled) = self.settle().await? else { return Ok(()) };
        let mut restarts = 0;
        loop {
            let mut process = self.start(&settled, restarts).await?;
            let over = self.watch(&mut process, &mut settled, restarts).await;
            self.end(process, settled.container.stop_sleep).await;
            let Over::Restart(why) = over else { return Ok(()) };
            restarts += 1;
            let waiting = Status::waiting("CrashLoopBackOff", why, restarts);
            self.report(&waiting, Some(settled.address)).await;
            let deleted = self.wanted.wait_for(|wanted| *wanted != Wanted::Running);
            if timeout_at(Instant::now() + BACKOFF, deleted).await.is_ok() {
                return Ok(());
            }
        }
    }

    /// Lays out the volumes, as soon as everything is there that they are made of. None: the Pod
    /// was deleted before.
    async fn settle(&mut self) -> Result<Option<Settled>> {
        let container = Container::of(&self.pod, &self.shared.images)?;
        let address = self.shared.address()?;
        let (namespace, name) = (self.pod.namespace().unwrap_or_default(), self.pod.name_any());
        let uid = self.pod.uid().context("a Pod without a uid")?;
        let folder = self.shared.folder.path().join(uid);
        std::fs::create_dir(&folder)?;
        let log = folder.join("log");
        let run = PodRun { namespace, name, address, log: log.clone() };
        self.shared.runs().push(run);
        let volumes = Volumes::beneath(folder.join("volumes"));
        let image = folder.join("image");
        let mut settled = Settled { container, volumes, address, log, image };
        loop {
            if *self.wanted.borrow() != Wanted::Running {
                return Ok(None);
            }
            match self.refresh(&mut settled).await {
                Ok(()) => return Ok(Some(settled)),
                Err(missing) => {
                    let creating = Status::creating(format!("{missing:#}"));
                    self.report(&creating, Some(address)).await;
                    sleep(RETRY).await;
                }
            }
        }
    }

    async fn refresh(&self, settled: &mut Settled) -> Result<()> {
        let owner = Owner {
            client: &self.shared.client,
            pod: &self.pod,
            user: &settled.container.user,
            privileged: self.shared.privileged,
            address: settled.address,
        };
        settled.volumes.refresh(&owner).await
    }

    async fn start(&self, settled: &Settled, restarts: u32) -> Result<Process> {
        let Settled { container, volumes, address, log, image } = settled;
        let environment =
            environment(&self.shared.client, &self.pod, *address, &container.env).await?;
        let [.., last] = address.octets();
        let start = Start {
            name: &self.pod.name_any(),
            address: *address,
            link: &format!("pod{last}-{restarts}"),
            image: image.clone(),
            environment: &environment,
            volumes,
            privileged: self.shared.privileged,
            log,
        };
        start.start(container)
    }

    /// Until the process ends, fails its probes, or is not wanted any more.
    async fn watch(&mut self, process: &mut Process, settled: &mut Settled, restarts: u32) -> Over {
        let (sender, mut heard) = mpsc::channel(8);
        let mut asking = JoinSet::new();
        let probes = &settled.container.probes;
        let (startup, liveness, readiness) =
            (probes.startup.clone(), probes.liveness.clone(), probes.readiness.clone());
        let address = settled.address;
        let mut begin = |probe: Option<Probe>, name: fn(Verdict) -> Heard| {
            let Some(probe) = probe else { return false };
            let sender = sender.clone();
            let (verdicts, mut said) = mpsc::channel(1);
            asking.spawn(probe.ask(address, verdicts));
            asking.spawn(async move {
                while let Some(verdict) = said.recv().await {
                    if sender.send(name(verdict)).await.is_err() {
                        return;
                    }
                }
            });
            true
        };
        let mut started = !begin(startup, Heard::Startup);
        let mut pending = Some((liveness, readiness));
        let mut status = Status {
            state: State::Running { since: Timestamp::now() },
            readiness: Readiness::NotReady,
            restarts,
        };
        let mut looks = interval(LOOK);
        let mut refreshed = Instant::now();
        loop {
            if started && let Some((liveness, readiness)) = pending.take() {
                begin(liveness, Heard::Liveness);
                if !begin(readiness, Heard::Readiness) {
                    status.readiness = Readiness::Ready;
                }
            }
            self.report(&status, Some(address)).await;
            tokio::select! {
                _ = self.wanted.wait_for(|wanted| *wanted != Wanted::Running) => {
                    return Over::Deleted;
                }
                Some(heard) = heard.recv() => match heard {
                    Heard::Startup(Verdict::Good) => started = true,
                    Heard::Startup(Verdict::Bad(why)) => {
                        return Over::Restart(format!("startupProbe: {why}"));
                    }
                    Heard::Liveness(Verdict::Bad(why)) => {
                        return Over::Restart(format!("livenessProbe: {why}"));
                    }
                    Heard::Liveness(Verdict::Good) => {}
                    Heard::Readiness(Verdict::Good) => status.readiness = Readiness::Ready,
                    Heard::Readiness(Verdict::Bad(_)) => status.readiness = Readiness::NotReady,
                },
                _ = looks.tick() => {
                    if let Ok(Some(status)) = process.exit_status() {
                        return Over::Restart(format!("the container ended: {status}"));
                    }
                }
            }
            if refreshed.elapsed() >= REFRESH {
                // What cannot be had now stays as it was, as on a real node.
                let _ = self.refresh(settled).await;
                refreshed = Instant::now();
            }
        }
    }

    /// Ends the process as kubelet does: the hook, SIGTERM, and SIGKILL after the grace period.
    async fn end(&mut self, mut process: Process, stop_sleep: i64) {
        let begun = Instant::now();
        let mut terminated = false;
        let mut looks = interval(LOOK);
        let spec_grace =
            self.pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
        loop {
            let wanted = *self.wanted.borrow();
            let grace = match wanted {
                Wanted::Running => spec_grace.unwrap_or(GRACE),
                Wanted::Ending { grace } => grace,
                Wanted::Gone => 0,
            };
            if begun.elapsed() >= seconds(grace) {
                break;
            }
            if !terminated && begun.elapsed() >= seconds(stop_sleep) {
                terminated = process.signal(Signal::Terminate).is_ok();
            }
            if matches!(process.exit_status(), Ok(Some(_))) {
                break;
            }
            looks.tick().await;
        }
        // What is left of it is killed here, which takes no time worth a thread of its own.
        drop(process);
    }

    /// Says that nothing of it runs any more: only then does the object go.
    async fn remove(&self) {
        if *self.wanted.borrow() == Wanted::Gone {
            return;
        }
        let pods = self.pods();
        let preconditions = Preconditions { uid: self.pod.uid(), resource_version: None };
        let params = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(preconditions),
            ..DeleteParams::default()
        };
        for _ in 0..50 {
            match pods.delete(&self.pod.name_any(), &params).await {
                Ok(_) => return,
                // Gone, or another one of that name.
                Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => return,
                Err(_) => sleep(RETRY).await,
            }
        }
    }

    /// Writes the status, if it is news. A write that fails is tried again with the next one.
    async fn report(&mut self, status: &Status, address: Option<Ipv4Addr>) {
        if self.reported.as_ref() == Some(status) {
            return;
        }
        let address = address.unwrap_or(Ipv4Addr::UNSPECIFIED);
        let patch = Patch::Merge(status.patch(&self.pod, address));
        let (pods, name) = (self.pods(), self.pod.name_any());
        if pods.patch_status(&name, &PatchParams::default(), &patch).await.is_ok() {
            self.reported = Some(status.clone());
        }
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.shared.client.clone(), &self.pod.namespace().unwrap_or_default())
    }
}

fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(seconds.try_into().unwrap_or(0))
}
