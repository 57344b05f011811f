//! Rotation under load: no Pod is lost but by our own doing.
//!
//! `make soak` is the long form: two minutes by `KEEPER_SECONDS`, and at least 40 Pods a second.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::ensure;
use cluster::{Signal, Webhook, eventually};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::load::{Failure, Load, Report};
use super::stage::{SOON, Stage, address, certificate};
use crate::plane::alone;

/// How long without the environment variable, in seconds.
const SECONDS: u64 = 40;

/// Renewal of leaves after 12 s, of the CA after 24 s, and 3 s until the next one signs.
const SHORT: [&str; 4] =
    ["--certificate-validity=18s", "--ca-validity=36s", "--ca-overlap=3s", "--shutdown-delay=4s"];

/// How long failures may follow an overwritten `caBundle`: what repairing it may take.
const EXCUSED: Duration = Duration::from_secs(5);

/// How long a replica that was told to stop keeps its idle connections before it is killed.
const DRAIN: Duration = Duration::from_secs(3);

/// Replicas come and go: out of the balancer first, as endpoints do.
async fn replace(stage: &Stage, replica: &Webhook, end: Signal) -> Webhook {
    stage.balancer.remove(address(replica));
    replica.signal(Signal::Terminate).unwrap();
    if end == Signal::Kill && timeout(DRAIN, replica.ended(SOON)).await.is_err() {
        replica.signal(Signal::Kill).unwrap();
    }
    replica.ended(SOON).await.unwrap();
    stage.start(&SHORT).await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_pod_fails_while_everything_turns_but_where_the_test_itself_broke_the_bundle() {
    let seconds = std::env::var("KEEPER_SECONDS")
        .map_or(SECONDS, |seconds| seconds.parse().expect("KEEPER_SECONDS is a number"));
    let _alone = alone().await;
    let stage = Stage::set("rotation").await;
    stage.register().await;
    let mut replicas: VecDeque<_> =
        [stage.start(&SHORT).await, stage.start(&SHORT).await, stage.start(&SHORT).await].into();
    stage.settled(SOON).await.unwrap();
    stage.injects(SOON).await;
    let somebody = cluster::Authority::new("somebody-else").unwrap();

    let load = Load::start(&stage, 5, Duration::from_millis(100));
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut gone, mut overwritten) = (Vec::new(), Vec::new());
    let mut deleted = 0;
    let mut replaced_at = 0;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(seconds) {
        ticks.tick().await;
        let second = begun.elapsed().as_secs();
        if overwritten.len() < 2 && second >= seconds * (3 + 4 * overwritten.len() as u64) / 10 {
            overwritten.push(Instant::now());
            stage.overwrite(if overwritten.len() == 1 { somebody.pem() } else { "" }).await;
        } else if deleted == 0 && second >= seconds / 2 {
            deleted += 1;
            stage.delete_secret().await;
        } else if second >= replaced_at + (seconds / 8).min(7) {
            replaced_at = second;
            let replica = replicas.pop_front().unwrap();
            let end = if gone.len() % 2 == 0 { Signal::Kill } else { Signal::Terminate };
            replicas.push_back(replace(&stage, &replica, end).await);
            gone.push(replica);
        }
    }
    let Report { lasted, created, failures } = load.end();

    let is_ours = |failure: &&Failure| {
        overwritten.iter().any(|at| (*at..*at + EXCUSED).contains(&failure.at))
    };
    let (ours, lost): (Vec<_>, Vec<_>) = failures.iter().partition(is_ours);
    let logs: Vec<_> = gone.iter().chain(&replicas).flat_map(Webhook::logs).collect();
    let count = |text: &str| logs.iter().filter(|line| line.contains(text)).count();
    let rate = created as u64 / lasted.as_secs().max(1);
    let (turned, leaves) = (count("\"change\":\"Promoted\""), count("a new certificate is served"));
    println!(
        "{:.0} s: {created} Pods ({rate} a second), {} replicas ended and started, {turned} \
         rotations of the CA, {leaves} certificates, {} writes of the Secret, {} of the caBundle; \
         failures: {} within 5 s of the 2 overwritings, {} besides",
        lasted.as_secs_f64(),
        gone.len(),
        count("the Secret is written") + count("the Secret is created"),
        count("the caBundle is put right"),
        ours.len(),
        lost.len(),
    );
    let tell = |failure: &&Failure| {
        let at = failure.at.duration_since(begun);
        println!("  {:.2} s: {}", at.as_secs_f64(), failure.why);
    };
    ours.iter().take(3).for_each(tell);
    if !lost.is_empty() {
        lost.iter().take(10).for_each(tell);
        panic!("{} Pods failed:\n{}", lost.len(), logs.join("\n"));
    }
    assert_eq!((overwritten.len(), deleted), (2, 1));
    assert!(turned as u64 >= (seconds / 30).max(1), "{turned} rotations");
    // The short form runs beside other tests.
    let least = if seconds > SECONDS { 40 } else { 5 };
    assert!(created as u64 >= seconds * least, "{created} Pods are no load");
    for replica in &replicas {
        let (_, metrics) = replica.get("/metrics").await.unwrap();
        let turned = |line: &&str| line.starts_with("pod_identity_webhook_rotations_total{");
        let turned: Vec<_> = metrics.lines().filter(turned).collect();
        let went = |result: &str| turned.iter().any(|line| line.contains(result));
        assert!(went("kind=\"leaf\",result=\"ok\""), "{turned:?}");
        assert!(!went("result=\"failed\""), "{turned:?}");
    }
}

/// Its leaf has ended, and the CA that it knew signs nothing any more, when it goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_was_away_through_a_whole_rotation_comes_back_right() {
    let quick = ["--certificate-validity=12s", "--ca-validity=24s", "--ca-overlap=2s"];
    let stage = Stage::set("away").await;
    stage.register().await;
    let (away, stays) = (stage.start(&quick).await, stage.start(&quick).await);
    let before = stage.settled(SOON).await.unwrap();
    away.signal(Signal::Stop).unwrap();
    stage.balancer.remove(address(&away));
    eventually("the CA has turned", SOON, || async {
        let now = stage.ledger().await?.remove("ca.crt");
        ensure!(now.is_some_and(|now| now != before), "it has not");
        Ok(())
    })
    .await
    .unwrap();

    away.signal(Signal::Continue).unwrap();
    stage.balancer.remove(address(&stays));
    stage.balancer.add(address(&away));
    eventually("it is ready", SOON, || async {
        let line = certificate(&away).await?;
        ensure!(line == "[+] certificate: ok", "{line}");
        Ok(())
    })
    .await
    .unwrap();
    stage.injects(SOON).await;
}
