//! The webhook is away, Pods slip by, it comes back: they are listed, told of, and healed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use anyhow::{Result, ensure};
use cluster::{Registration, Webhook, eventually, register};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, PostParams};
use serde_json::{Value, json};

use super::stage::{Kubelet, MARKER, ROLE, SOON, Stage, has_irsa, is_ready, name, spec};
use crate::plane::alone;

const MISSED: &str = "pod_identity_webhook_missed_pods{reason=\"missing-identity\"}";
const BLOCKED: &str = "pod_identity_webhook_audit_evictions_total{result=\"blocked\"}";
const EVICTED: &str = "pod_identity_webhook_audit_evictions_total{result=\"evicted\"}";

/// A webhook where another one was: the API server does not notice.
async fn in_place_of(stage: &Stage, gone: &Webhook) -> Webhook {
    let port = gone.url().rsplit_once(':').unwrap().1;
    let certificate = gone.cert_dir();
    Webhook::builder(stage.plane)
        .binary(env!("CARGO_BIN_EXE_pod-identity-webhook"))
        .arg(format!("--port={port}"))
        .arg(format!("--tls-cert={}", certificate.join("tls.crt").display()))
        .arg(format!("--tls-key={}", certificate.join("tls.key").display()))
        .do_not_wait()
        .start()
        .await
        .unwrap()
}

/// Waits until new Pods are injected.
async fn injects(stage: &Stage) {
    let pod = json!({ "metadata": { "generateName": "probe-" }, "spec": spec("app") });
    let pod: Pod = serde_json::from_value(pod).unwrap();
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    eventually("Pods are injected", SOON, || async {
        ensure!(has_irsa(&stage.pods().create(&dry, &pod).await?), "it was not");
        Ok(())
    })
    .await
    .unwrap();
}

/// A webhook, a Deployment that it has injected, and then, the webhook being away, Pods that it has
/// not: pairs of Deployments, another one of an account without an identity, and bare Pods.
async fn outage(stage: &Stage, kubelet: &Kubelet, name_of_it: &str, size: Size) -> Webhook {
    stage.account("app", &json!({ "eks.amazonaws.com/role-arn": ROLE })).await;
    stage.account("agent", &json!({ "eks.amazonaws.com/pod-identity": "true" })).await;
    stage.account("plain", &json!({})).await;
    let webhook = Webhook::builder(stage.plane)
        .binary(env!("CARGO_BIN_EXE_pod-identity-webhook"))
        .start()
        .await
        .unwrap();
    register(stage.plane, name_of_it, &webhook, Registration::default()).await.unwrap();
    injects(stage).await;
    stage.deployment("before", "app", 2).await;
    webhook.terminate().await.unwrap();
    for n in 0..size.pairs {
        stage.deployment(&format!("shop-{n}"), "app", size.replicas).await;
        stage.deployment(&format!("cart-{n}"), "agent", size.replicas).await;
    }
    stage.deployment("plain", "plain", 2).await;
    for n in 0..3 {
        stage.pod(&format!("bare-{n}"), "app").await;
        stage.pod(&format!("bare-plain-{n}"), "plain").await;
    }
    kubelet.has_started_all(stage).await;
    webhook
}

/// How many Deployments have how many Pods.
#[derive(Clone, Copy)]
struct Size {
    pairs: usize,
    replicas: usize,
}

// === impl Size ===

impl Size {
    /// As many Pods as `AUDIT_PODS` asks for, ten in a Deployment.
    fn asked() -> Self {
        let pods = std::env::var("AUDIT_PODS").ok().and_then(|n| n.parse().ok()).unwrap_or(40);
        Self { pairs: (pods / 20).max(1), replicas: 10 }
    }

    fn names(self) -> Vec<String> {
        (0..self.pairs).flat_map(|n| [format!("shop-{n}"), format!("cart-{n}")]).collect()
    }

    fn pods(self) -> usize {
        2 * self.pairs * self.replicas
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_slipped_by_are_listed_told_of_once_and_healed_within_their_budget() {
    let _alone = alone().await;
    let stage = Stage::set("audit-healing").await;
    let kubelet = Kubelet::start(&stage);
    let size = Size::asked();
    let gone = outage(&stage, &kubelet, "audit-healing", size).await;
    let _webhook = in_place_of(&stage, &gone).await;
    injects(&stage).await;

    let mut missed = BTreeSet::new();
    for workload in size.names() {
        missed.extend(stage.of(&workload).await.unwrap().iter().map(name));
    }
    missed.extend((0..3).map(|n| format!("bare-{n}")));
    assert_eq!(missed.len(), size.pods() + 3);
    let listed: BTreeMap<_, _> =
        missed.iter().map(|pod| (pod.clone(), "missing-identity".to_owned())).collect();
    assert_eq!(stage.findings().await, listed);

    // Each is told of, and so are the controllers.
    let began = Instant::now();
    let watch = stage.watch(&[]).await;
    eventually("each has an Event", SOON, || async {
        let told = stage.told("Pod", "Audit").await?;
        ensure!(told == missed, "{} of {}", told.len(), missed.len());
        Ok(())
    })
    .await
    .unwrap();
    println!("{} Pods were told of {:.1?} after the start", missed.len(), began.elapsed());
    watch.metric_is(MISSED, missed.len().try_into().unwrap()).await;
    let controllers = stage.told("ReplicaSet", "Audit").await.unwrap();
    assert_eq!(controllers.len(), size.names().len(), "{controllers:?}");
    watch.ready().await;
    let events = stage.events().await.unwrap();
    let text = serde_json::to_string(&events).unwrap();
    assert!(!text.contains(MARKER) && text.contains(ROLE), "a value is told, or no role");

    // It is killed, and begins again: nothing is told twice.
    watch.kill().await;
    let watch = stage.watch(&[]).await;
    watch.metric_is(MISSED, missed.len().try_into().unwrap()).await;
    watch.ready().await;
    let written = watch.metric("pod_identity_webhook_audit_events_total{result=\"written\"}").await;
    assert_eq!(written.unwrap(), 0);
    watch.kill().await;
    assert_eq!(stage.events().await.unwrap(), events);

    // It is allowed to evict, but not the Pods of one Deployment, for now.
    stage.budget("shop-0", size.replicas).await;
    let evicting = ["--evict", "--evict-per-minute=3000"];
    let watch = stage.watch(&evicting).await;
    eventually("the other Deployments are healed", 4 * SOON, || async {
        let wanted = size.pods() - size.replicas;
        let healed = healed(&stage).await?;
        ensure!(healed == wanted, "{healed} of {wanted}");
        ensure!(watch.metric(BLOCKED).await? > 0, "no eviction was refused");
        Ok(())
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}\n{}", watch.logged()));
    assert!(!stage.of("shop-0").await.unwrap().iter().any(has_irsa), "the budget was not kept");
    let available = size.replicas - 2;
    stage.change_budget("shop-0", available).await;
    eventually("the Deployments are healed", 4 * SOON, || async {
        let shop = stage.of("shop-0").await?;
        let ready = shop.iter().filter(|pod| is_ready(pod)).count();
        assert!(ready >= available, "{ready} are ready, but the budget is {available}");
        let healed = healed(&stage).await?;
        ensure!(healed == size.pods(), "{healed} of {}", size.pods());
        Ok(())
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}\n{}", watch.logged()));
    let bare: BTreeMap<_, _> =
        (0..3).map(|n| (format!("bare-{n}"), "missing-identity".to_owned())).collect();
    assert_eq!(stage.findings().await, bare, "bare Pods are reported, and stay");
    watch.metric_is(MISSED, 3).await;
    assert_eq!(watch.metric(EVICTED).await.unwrap(), u64::try_from(size.pods()).unwrap());
    assert_eq!(stage.told("ReplicaSet", "Evict").await.unwrap(), controllers);
    let before = stage.of("before").await.unwrap();
    assert!(before.iter().all(has_irsa) && before.len() == 2);
    let log = watch.kill().await;
    assert_eq!(evicted(&log).len(), size.pods(), "each was evicted once:\n{log}");
}

/// How many Pods of the pairs of Deployments are ready and have their identity.
async fn healed(stage: &Stage) -> Result<usize> {
    let pods = stage.pods().list(&ListParams::default()).await?;
    let of_pairs = pods.iter().filter(|pod| {
        let labels = pod.metadata.labels.as_ref();
        let app = labels.and_then(|labels| labels.get("app")).map_or("", String::as_str);
        app.starts_with("shop-") || app.starts_with("cart-")
    });
    let stays = of_pairs.filter(|pod| pod.metadata.deletion_timestamp.is_none());
    Ok(stays.filter(|pod| is_healed(pod)).count())
}

fn is_healed(pod: &Pod) -> bool {
    let labels = pod.metadata.labels.clone().unwrap_or_default();
    let by_agent = labels.get("eks.amazonaws.com/pod-identity").is_some_and(|v| v == "enabled");
    is_ready(pod) && (has_irsa(pod) || by_agent)
}

/// The Pods that a log says were evicted, each once.
fn evicted(log: &str) -> Vec<String> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let evicted = lines.filter(|line| line["message"] == "evicted a Pod without its identity");
    let mut pods: Vec<_> = evicted.map(|line| line["pod"].as_str().unwrap().to_owned()).collect();
    pods.sort();
    pods.dedup();
    pods
}

/// Healing must not do what the webhook's absence has not: while it is away, one Pod pays.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_webhook_is_away_one_pod_is_tried_and_no_other_also_not_after_a_restart() {
    let stage = Stage::set("audit-away").await;
    let kubelet = Kubelet::start(&stage);
    outage(&stage, &kubelet, "audit-away", Size { pairs: 1, replicas: 3 }).await;
    let evicting = ["--evict", "--evict-per-minute=3000"];
    let watch = stage.watch(&evicting).await;
    eventually("one Pod was tried", SOON, || async {
        ensure!(watch.logged().contains("nothing is evicted for a while"), "not yet");
        Ok(())
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}\n{}", watch.logged()));
    assert_eq!(watch.metric(EVICTED).await.unwrap(), 1);
    let tried = stage.told("ReplicaSet", "Evict").await.unwrap();
    assert_eq!(tried.len(), 1);
    let log = watch.kill().await;
    assert_eq!(evicted(&log).len(), 1);

    // The one that was tried is remembered: the other Deployment's turn it is, once.
    let watch = stage.watch(&evicting).await;
    eventually("another Pod was tried", SOON, || async {
        ensure!(watch.logged().contains("nothing is evicted for a while"), "not yet");
        Ok(())
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}\n{}", watch.logged()));
    let evicted_now = watch.metric(EVICTED).await.unwrap();
    let log = watch.kill().await;
    assert!(evicted_now <= 1, "{log}");
    let pods = stage.pods().list(&ListParams::default()).await.unwrap();
    assert_eq!(pods.iter().filter(|pod| has_irsa(pod)).count(), 2, "those of before");
}
