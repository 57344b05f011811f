//! Mounted files that kubelet replaces: the certificate and the container-credentials file.

use std::time::Duration;

use anyhow::ensure;
use cluster::{Authority, Mount, Pair, eventually};
use http::StatusCode;
use serde_json::json;

use super::{
    connection::Connector,
    support::{Namespace, count, metric_becomes, pod, review, webhook},
};
use crate::plane::plane;

/// Files are read every 10 s; the rest is a loaded machine's.
const ONE_READ: Duration = Duration::from_mins(1);

fn pair(authority: &Authority) -> Pair {
    authority.serving(&["127.0.0.1"]).unwrap()
}

/// F10, N15, N16: both are seen within one read; a pair that does not match is told and not served.
#[tokio::test]
async fn kubelets_swap_of_the_data_symlink_rotates_certificate_and_credentials_file() {
    const ERRORS: &str = "pod_identity_webhook_certificate_errors_total";
    let plane = plane().await;
    let namespace = Namespace::new(plane, "rotated").await;
    namespace.account("app", &json!({})).await;
    let (old, new) = (Authority::new("old").unwrap(), Authority::new("new").unwrap());
    let (first, second) = (pair(&old), pair(&new));
    let certs = Mount::new(&[("tls.crt", &first.certificate), ("tls.key", &first.key)]).unwrap();
    let mappings = Mount::new(&[("config.json", "")]).unwrap();

    let path = |mount: &Mount, name: &str| mount.path(name).display().to_string();
    let webhook = webhook(plane)
        .arg(format!("--tls-cert={}", path(&certs, "tls.crt")))
        .arg(format!("--tls-key={}", path(&certs, "tls.key")))
        .arg(format!("--watch-container-credentials-config={}", path(&mappings, "config.json")))
        .start()
        .await
        .unwrap();
    let connector = Connector::new(webhook.url(), &[old.der(), new.der()]);
    let review = review("v1", &namespace.name, "7f-1", &pod("app")).to_string();
    // This connection is kept throughout: a rotation is no reason to end it.
    let mut kept = connector.connect().await.unwrap();
    let mut patched = async || {
        let answer = kept.post("/mutate", review.clone()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        String::from_utf8_lossy(answer.body()).contains("\"patch\"")
    };
    assert!(!patched().await);
    let certificate = async || connector.connect().await.map(|c| c.certificate().to_vec());
    let before = certificate().await.unwrap();
    let only_new = Connector::new(webhook.url(), &[new.der()]);
    assert!(only_new.connect().await.is_err());

    certs.swap(&[("tls.crt", &second.certificate), ("tls.key", &second.key)]).unwrap();
    let listed = json!({ "identities": [
        { "namespace": namespace.name, "serviceAccount": "app" },
    ]});
    mappings.swap(&[("config.json", &listed.to_string())]).unwrap();
    let after = eventually("the new certificate is served", ONE_READ, || async {
        let after = certificate().await?;
        ensure!(after != before, "it is the old one");
        Ok(after)
    });
    let after = after.await.unwrap();
    only_new.connect().await.unwrap();
    webhook.wait_for_log("the container-credentials file was read", ONE_READ).await.unwrap();
    assert!(patched().await);
    webhook.wait_for_log("certificate replaced", ONE_READ).await.unwrap();
    assert_eq!(count(&webhook, ERRORS, &[]).await, 0);

    // The key of another pair. The first read may have met two files in the middle of a change.
    let third = pair(&new);
    certs.swap(&[("tls.crt", &third.certificate), ("tls.key", &second.key)]).unwrap();
    mappings.swap(&[("config.json", "{")]).unwrap();
    let noted = eventually("readiness notes it", 2 * ONE_READ, || async {
        let (status, text) = webhook.get("/readyz").await?;
        ensure!(status == StatusCode::OK, "{status}: {text}");
        ensure!(text.contains("[!] certificate: "), "{text}");
        Ok(text)
    });
    let noted = noted.await.unwrap();
    assert!(noted.contains("the last good pair is served"), "{noted}");
    metric_becomes(&webhook, ERRORS, &[], |errors| errors >= 1.0).await;
    assert_eq!(certificate().await.unwrap(), after);
    let source = [("source", "credentials_file")];
    assert_eq!(count(&webhook, "pod_identity_webhook_mapping_errors_total", &source).await, 1);
    assert!(patched().await);
    assert!(!webhook.logs().iter().any(|line| line.contains("PRIVATE KEY")));
}
