//! `--ca-bundle-from`: the `caBundle` follows a mounted file.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use cluster::eventually;
use kube::api::ListParams;

use super::stage::{SOON, Stage, address};

/// How late a swapped file may be seen.
const SEEN: Duration = Duration::from_secs(10);

/// Writes `ca.crt` as the kubelet does: into a folder of its own, to which `..data` then points.
fn swap(volume: &Path, version: &str, pem: &str) {
    let (data, next) = (volume.join(version), volume.join("..data_tmp"));
    fs::create_dir(&data).unwrap();
    fs::write(data.join("ca.crt"), pem).unwrap();
    symlink(version, &next).unwrap();
    fs::rename(next, volume.join("..data")).unwrap();
    if !volume.join("ca.crt").is_symlink() {
        symlink("..data/ca.crt", volume.join("ca.crt")).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ca_bundle_follows_a_file_that_the_kubelet_swaps_and_no_secret_is_touched() {
    let stage = Stage::set("files").await;
    stage.register().await;
    let volume = tempfile::tempdir().unwrap();
    let file = volume.path().join("ca.crt");
    let replica = stage
        .replica()
        .await
        .arg("--in-cluster=false")
        .arg(format!("--ca-bundle-from={}", file.display()))
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
    swap(volume.path(), "..1", &ours);
    is(ours.clone()).await;
    replica.ready(SOON).await.unwrap();
    stage.injects(SOON).await;

    let both = format!("{ours}{}", cluster::Authority::new("the-next").unwrap().pem());
    swap(volume.path(), "..2", &both);
    is(both.clone()).await;
    stage.overwrite("").await;
    is(both.clone()).await;

    // A file without a CA changes nothing.
    swap(volume.path(), "..3", "nonsense\n");
    replica.wait_for_log("holds no certificate of a CA", SEEN).await.unwrap();
    is(both).await;
    stage.injects(SOON).await;
    assert!(stage.secrets().list(&ListParams::default()).await.unwrap().items.is_empty());
}
