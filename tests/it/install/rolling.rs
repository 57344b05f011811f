//! Replicas that are replaced while Pods are created without pause, under `failurePolicy: Fail`.
//!
//! Every call that is lost is a Pod that is refused, and counted. `make rolling` runs the long form,
//! with the Go webhook beside it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, ensure};
use cluster::eventually;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::community::Community;
use super::shop::{Method, Run, Shop};
use super::stage::{HOME, NAME, SOON, Stage};

/// Clients, each of which creates a Pod in every period: 50 a second altogether.
const CLIENTS: usize = 5;
const PERIOD: Duration = Duration::from_millis(100);

/// Clients that create Pods without pause, ended when this is dropped.
pub(super) struct Load {
    begun: Instant,
    count: Arc<Count>,
    _clients: JoinSet<()>,
}

#[derive(Default)]
struct Count {
    created: AtomicUsize,
    failed: Mutex<BTreeMap<String, usize>>,
}

/// What came of a load.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) lasted: Duration,
    pub(super) created: usize,
    /// How many failed, by what the API server said.
    pub(super) failed: BTreeMap<String, usize>,
}

// === impl Load ===

impl Load {
    /// That many clients, ten Pods a second each.
    pub(super) fn start(shop: &Shop, number: usize) -> Self {
        let count = Arc::<Count>::default();
        let mut clients = JoinSet::new();
        for client in 0..number {
            let (shop, count) = (shop.clone(), Arc::clone(&count));
            clients.spawn(async move {
                let method = shop.method(client);
                let mut ticks = interval(PERIOD);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
                loop {
                    ticks.tick().await;
                    match shop.injects(method, Run::Dry).await {
                        Ok(()) => _ = count.created.fetch_add(1, Ordering::Relaxed),
                        Err(error) => {
                            let mut failed = count.failed.lock().unwrap();
                            *failed.entry(format!("{error:#}")).or_default() += 1;
                        }
                    }
                }
            });
        }
        Self { begun: Instant::now(), count, _clients: clients }
    }

    fn created(&self) -> usize {
        self.count.created.load(Ordering::Relaxed)
    }

    /// Waits for so many more Pods.
    async fn goes_on_for(&self, pods: usize) {
        let enough = self.created() + pods;
        eventually("Pods are created", SOON, || async {
            ensure!(self.created() >= enough, "{} of {enough}", self.created());
            Ok(())
        })
        .await
        .unwrap();
    }

    pub(super) fn end(self) -> Outcome {
        let created = self.created();
        let failed = self.count.failed.lock().unwrap().clone();
        Outcome { lasted: self.begun.elapsed(), created, failed }
    }
}

// === impl Outcome ===

impl Outcome {
    pub(super) fn failures(&self) -> usize {
        self.failed.values().sum()
    }

    fn rate(&self) -> usize {
        let total = u128::try_from(self.created + self.failures()).unwrap();
        usize::try_from(total * 1_000 / self.lasted.as_millis()).unwrap()
    }
}

/// Replaces every replica, as `kubectl rollout restart` does, and waits until the old ones are gone.
async fn restart(stage: &Stage, round: usize) {
    let names = async || -> anyhow::Result<Vec<String>> {
        Ok(stage.pods().await?.iter().map(ResourceExt::name_any).collect())
    };
    let before = names().await.unwrap();
    let deployments: Api<Deployment> = Api::namespaced(stage.client.clone(), HOME);
    let restarted = json!({ "kubectl.kubernetes.io/restartedAt": round.to_string() });
    let patch = json!({ "spec": { "template": { "metadata": { "annotations": restarted } } } });
    deployments.patch(NAME, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    stage.settled().await;
    eventually("the old replicas are gone", SOON, || async {
        let now = names().await?;
        ensure!(now.len() == before.len(), "{now:?}");
        ensure!(!now.iter().any(|name| before.contains(name)), "{before:?} {now:?}");
        Ok(())
    })
    .await
    .with_context(|| stage.nodes().log_tails())
    .unwrap();
}

/// Replaces all replicas so many times, under load.
async fn replace(stage: &Stage, shop: &Shop, rounds: usize) -> Outcome {
    shop.is_served().await;
    let load = Load::start(shop, CLIENTS);
    load.goes_on_for(50).await;
    for round in 0..rounds {
        restart(stage, round).await;
        load.goes_on_for(50).await;
    }
    load.end()
}

/// Three replicas of ours, installed by the chart, and what came of replacing them.
async fn ours(rounds: usize) -> Outcome {
    let stage = Stage::set().await;
    let shop = Shop::open(&stage.client, "shop", &json!({})).await;
    let values = ["--set", "replicaCount=3", "--set", "mutatingWebhook.failurePolicy=Fail"];
    stage.install(&values).await;
    stage.settled().await;
    let outcome = replace(&stage, &shop, rounds).await;
    let runs = stage.nodes().runs();
    assert_eq!(runs.len(), 3 * (rounds + 1), "{runs:?}");
    outcome
}

/// Three replicas of an image in the community chart's Deployment.
async fn of_the_community(image: &str, rounds: usize) -> Outcome {
    let stage = Stage::set().await;
    let shop = Shop::open(&stage.client, "shop", &json!({})).await.only(Method::Irsa);
    Community {
        image: image.to_owned(),
        replicas: 3,
        failure_policy: "Fail",
        ..Community::default()
    }
    .install(&stage)
    .await;
    stage.settled().await;
    replace(&stage, &shop, rounds).await
}

fn report(who: &str, rounds: usize, outcome: &Outcome) {
    let Outcome { lasted, created, failed } = outcome;
    println!(
        "{who}: 3 replicas replaced {rounds} times in {lasted:.0?}: {created} Pods created, {} a \
         second, {} lost",
        outcome.rate(),
        outcome.failures(),
    );
    for (why, count) in failed {
        println!("  {count} × {why}");
    }
}

/// N23.
#[test]
fn no_pod_is_refused_while_every_replica_is_replaced() {
    cluster::apart(no_pod_is_refused_while_every_replica_is_replaced, async {
        let outcome = ours(1).await;
        report("this webhook", 1, &outcome);
        assert_eq!(outcome.failures(), 0, "{outcome:#?}");
    });
}

/// N23, the long form. What the Go webhook loses is told and not judged.
#[test]
#[ignore = "minutes long: `make rolling`"]
fn no_pod_is_refused_while_every_replica_is_replaced_three_times() {
    cluster::apart(no_pod_is_refused_while_every_replica_is_replaced_three_times, async {
        let rounds = 3;
        let by_chart = ours(rounds).await;
        report("this webhook, by its chart", rounds, &by_chart);
        let by_community = of_the_community(&format!("{NAME}:0.1.0"), rounds).await;
        report("this webhook, in the community chart's Deployment", rounds, &by_community);
        let peer = of_the_community("amazon-eks-pod-identity-webhook:latest", rounds).await;
        report("the Go webhook, in the community chart's Deployment", rounds, &peer);
        assert_eq!((by_chart.failures(), by_community.failures()), (0, 0));
    });
}
