//! `--ca-bundle-from`: the `caBundle` follows a mounted file.

use std::time::Duration;

use anyhow::ensure;
use cluster::{Authority, Mount, Pair, eventually};
use kube::api::ListParams;

use super::load::{Load, Report};
use super::stage::{SOON, Stage, address};

/// How late a swapped file may be seen: it is read every 5 s, the rest is a loaded machine's.
const SEEN: Duration = SOON;

#[tokio::test(flavor = "multi_thread")]
async fn the_ca_bundle_follows_a_file_that_the_kubelet_swaps_and_no_secret_is_touched() {
    let stage = Stage::set("files").await;
    stage.register().await;
    let volume = Mount::new(&[]).unwrap();
    let file = volume.path("ca.crt");
    let swap = |pem: &str| volume.swap(&[("ca.crt", pem)]).unwrap();
    let replica = stage
        .replica()
        .await
        .arg("--in-cluster=false")
        .arg(format!("--ca-bundle-from={}", file.display()))
        .arg("--ca-overlap=3s")
        .do_not_wait()
        .start()
        .await
        .unwrap();
    stage.balancer.add(address(&replica));
    eventually("the missing file is named", SOON, || async {
        let (_, text) = replica.get("/readyz").await?;
        ensure!(text.contains("[-] caBundle: ") && text.contains("--ca-bundle-from"), "{text}");
        Ok(())
    })
    .await
    .unwrap();

    let is = |pem: String| {
        let stage = &stage;
        async move {
            eventually("the caBundle is the file's", SEEN, || async {
                ensure!(stage.ca_bundle().await? == pem, "it is not");
                Ok(())
            })
            .await
            .unwrap();
        }
    };
    let ours = replica.ca_pem().to_owned();
    swap(&ours);
    is(ours.clone()).await;
    replica.ready(SOON).await.unwrap();
    stage.injects(SOON).await;

    let both = format!("{ours}{}", Authority::new("the-next").unwrap().pem());
    swap(&both);
    is(both.clone()).await;
    stage.overwrite("").await;
    is(both.clone()).await;

    // What somebody else had trusted stays for the overlap, beside ours.
    let other = Authority::new("of somebody else").unwrap().pem().to_owned();
    stage.overwrite(&other).await;
    is(format!("{both}{other}")).await;
    is(both.clone()).await;

    // A file without a CA changes nothing.
    swap("nonsense\n");
    replica.wait_for_log("holds no certificate of a CA", SEEN).await.unwrap();
    is(both).await;
    stage.injects(SOON).await;
    assert!(stage.secrets().list(&ListParams::default()).await.unwrap().items.is_empty());
}

/// The Secret of a cert-manager Certificate has its CA beside the pair, and all three files change at
/// once. A new CA goes into the bundle first, and signs with the next change: that is what
/// certs/README.md tells people to do, and no Pod is lost by it.
#[tokio::test(flavor = "multi_thread")]
async fn no_pod_fails_while_a_secret_of_cert_managers_layout_is_replaced() {
    let stage = Stage::set("cert-manager").await;
    stage.register().await;
    let (old, new) = (Authority::new("old").unwrap(), Authority::new("new").unwrap());
    let signed = |authority: &Authority| authority.serving(&["127.0.0.1"]).unwrap();
    let both = format!("{}{}", old.pem(), new.pem());
    let (first, renewed, turned) = (signed(&old), signed(&old), signed(&new));
    let secret = Mount::new(&files(old.pem(), &first)).unwrap();
    let replica = stage
        .start(&[
            "--in-cluster=false",
            "--ca-overlap=1s",
            &format!("--ca-bundle-from={}", secret.path("ca.crt").display()),
            &format!("--tls-cert={}", secret.path("tls.crt").display()),
            &format!("--tls-key={}", secret.path("tls.key").display()),
        ])
        .await;
    stage.injects(SOON).await;

    for (ca, pair, replaced) in [
        (old.pem(), &renewed, 1),
        (&both, &renewed, 1),
        (&both, &turned, 2),
        (new.pem(), &turned, 2),
    ] {
        // Of new connections, so that the pair meets an API server that has the bundle.
        stage.balancer.cut();
        let load = Load::start(&stage, 2, Duration::from_millis(100));
        secret.swap(&files(ca, pair)).unwrap();
        eventually("bundle and pair are the new ones", SEEN, || async {
            ensure!(stage.ca_bundle().await? == ca, "the bundle is not");
            let logs = replica.logs();
            let seen = logs.iter().filter(|line| line.contains("certificate replaced")).count();
            ensure!(seen == replaced, "{seen} pairs were replaced");
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
        let Report { lasted: _, created: _, failures } = load.end();
        assert!(failures.is_empty(), "{failures:#?}");
    }
    stage.balancer.cut();
    stage.injects(SOON).await;
}

fn files<'a>(ca: &'a str, pair: &'a Pair) -> [(&'static str, &'a str); 3] {
    [("ca.crt", ca), ("tls.crt", &pair.certificate), ("tls.key", &pair.key)]
}
