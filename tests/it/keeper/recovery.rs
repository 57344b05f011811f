//! What becomes of a Secret or a configuration that somebody deletes, breaks or replaces.
//!
//! Pods are created all the while, under `failurePolicy: Fail`: the last good certificate serves.

use std::time::{Duration, SystemTime};

use anyhow::ensure;
use cluster::{Signal, eventually};
use pod_identity_webhook::authority::{Ca, Validity};

use super::load::{Load, Report};
use super::stage::{REPAIR, SOON, Stage, address};

/// A short overlap, with everything else as long as it is.
const OVERLAP: &str = "--ca-overlap=1s";

fn load(stage: &Stage) -> Load {
    Load::start(stage, 2, Duration::from_millis(100))
}

fn assert_flawless(load: Load) {
    let Report { lasted: _, created, failures } = load.end();
    assert!(created > 0);
    assert!(failures.is_empty(), "{failures:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_deleted_or_broken_is_written_again_with_the_same_ca() {
    let stage = Stage::set("lost").await;
    stage.register().await;
    let replica = stage.start(&[OVERLAP]).await;
    let ca = stage.settled(SOON).await.unwrap();
    stage.injects(SOON).await;
    let load = load(&stage);
    let is_back = || async {
        let found = stage.ledger().await?;
        ensure!(found.get("ca.crt") == Some(&ca), "another CA, or none");
        ensure!(found.contains_key("ca.key"), "no key");
        Ok(found)
    };

    stage.delete_secret().await;
    eventually("the Secret is back", SOON, is_back).await.unwrap();

    stage.scribble(&[("ca.crt", "nonsense"), ("note", "of somebody")]).await;
    let found = eventually("the Secret is mended", SOON, is_back).await.unwrap();
    assert_eq!(found["note"], "of somebody", "what is not ours stays");

    // A key on one line, as it comes out of careless copying, is not repeated in the log.
    let on_one_line = found["ca.key"].replace('\n', "");
    for broken in [on_one_line.as_str(), ""] {
        stage.scribble(&[("ca.key", broken)]).await;
        eventually("the key is mended", SOON, || async {
            ensure!(stage.ledger().await?["ca.key"] == found["ca.key"], "it is not");
            Ok(())
        })
        .await
        .unwrap();
    }
    assert_eq!(stage.settled(SOON).await.unwrap(), ca);
    assert_flawless(load);
    let log = replica.logs().join("\n");
    assert!(log.contains("the Secret makes no sense") && !log.contains("PRIVATE KEY"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_from_somebody_else_becomes_the_next_one_and_no_pod_is_lost() {
    let stage = Stage::set("foreign").await;
    stage.register().await;
    let _replica = stage.start(&[OVERLAP]).await;
    let ca = stage.settled(SOON).await.unwrap();
    stage.injects(SOON).await;
    let load = load(&stage);

    let validity = Validity::starting(SystemTime::now(), Duration::from_hours(1000));
    let foreign = Ca::make(validity).unwrap();
    let certificate = foreign.certificate().pem();
    let key = String::from_utf8(foreign.key().pem().to_vec()).unwrap();
    stage.scribble(&[("ca.crt", &certificate), ("ca.key", &key)]).await;
    eventually("the strange CA is the current one, ours is retired", SOON, || async {
        let found = stage.ledger().await?;
        ensure!(found.get("ca.crt") == Some(&certificate), "not yet current");
        ensure!(found.get("retired.crt") == Some(&ca), "not yet retired");
        ensure!(stage.ca_bundle().await? == format!("{certificate}{ca}"), "the bundle lags");
        Ok(())
    })
    .await
    .unwrap();
    let so_far = load.created();
    eventually("Pods are created on", SOON, || async {
        ensure!(load.created() > so_far + 10, "{}", load.created());
        Ok(())
    })
    .await
    .unwrap();
    assert_flawless(load);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_is_deleted_and_made_again_is_filled_in() {
    let stage = Stage::set("again").await;
    stage.register().await;
    let replica = stage.start(&[OVERLAP]).await;
    let ca = stage.settled(SOON).await.unwrap();
    stage.delete_configuration().await;
    replica.ready(SOON).await.unwrap();
    stage.register().await;
    assert_eq!(stage.settled(REPAIR).await.unwrap(), ca);
    stage.injects(SOON).await;
    replica.ready(SOON).await.unwrap();
}

/// Nobody remembers: what the `caBundle` trusts stays trusted, since somebody may serve it.
/// The replicas that come after it may have certificates from elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_stopping_leaves_the_ca_bundle_to_others() {
    let stage = Stage::set("stopping").await;
    stage.register().await;
    let replica = stage.start(&["--shutdown-delay=3s"]).await;
    let ca = stage.settled(SOON).await.unwrap();
    // While it runs it needs a moment to put it right, while it stops it has three seconds.
    stage.overwrite("").await;
    assert_eq!(stage.settled(REPAIR).await.unwrap(), ca);
    replica.signal(Signal::Terminate).unwrap();
    replica.wait_for_log("stopping: unready", SOON).await.unwrap();
    stage.overwrite("").await;
    assert!(replica.ended(SOON).await.unwrap().success(), "{:#?}", replica.logs());
    assert_eq!(stage.ca_bundle().await.unwrap(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_lost_with_all_replicas_is_replaced_by_a_new_ca_beside_the_old() {
    let stage = Stage::set("amnesia").await;
    stage.register().await;
    let replica = stage.start(&[OVERLAP]).await;
    let old = stage.settled(SOON).await.unwrap();
    stage.balancer.remove(address(&replica));
    replica.signal(Signal::Kill).unwrap();
    replica.ended(SOON).await.unwrap();
    stage.delete_secret().await;

    let _replica = stage.start(&[OVERLAP]).await;
    let new = stage.settled(SOON).await.unwrap();
    assert_ne!(new, old);
    assert_eq!(stage.ca_bundle().await.unwrap(), format!("{new}{old}"));
    stage.injects(SOON).await;
}
