//! As it is installed: our entry names a Service, and nobody tells the webhook a URL.

use anyhow::ensure;
use cluster::{Signal, eventually};

use super::stage::{SOON, Stage, address};

/// A second certificate and a second CA within the minute.
const SHORT: [&str; 3] = ["--certificate-validity=12s", "--ca-validity=24s", "--ca-overlap=2s"];

/// Go verifies the certificate for `<service>.<namespace>.svc`.
#[tokio::test(flavor = "multi_thread")]
async fn an_entry_with_our_service_is_kept_and_every_certificate_is_taken_for_its_name() {
    let stage = Stage::behind_a_service("service").await;
    stage.register().await;
    let replica = stage.start(&SHORT).await;
    let first = stage.settled(SOON).await.unwrap();
    stage.injects(SOON).await;

    eventually("a second certificate is served", SOON, || async {
        let is_leaf = |line: &&String| line.contains("a new certificate is served");
        ensure!(replica.logs().iter().filter(is_leaf).count() > 1, "not yet");
        Ok(())
    })
    .await
    .unwrap();
    stage.balancer.cut();
    stage.injects(SOON).await;

    eventually("the CA has turned", SOON, || async {
        let now = stage.ledger().await?.remove("ca.crt");
        ensure!(now.is_some_and(|now| now != first), "it has not");
        Ok(())
    })
    .await
    .unwrap();
    // Another replica, of which the API server has seen nothing so far.
    let next = stage.start(&SHORT).await;
    stage.balancer.remove(address(&replica));
    replica.signal(Signal::Terminate).unwrap();
    replica.ended(SOON).await.unwrap();
    stage.balancer.cut();
    stage.injects(SOON).await;
    next.ready(SOON).await.unwrap();
}
