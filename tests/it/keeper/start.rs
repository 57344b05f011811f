//! Replicas that start, together or alone, and what they make of an empty cluster.

use std::collections::BTreeSet;

use anyhow::ensure;
use cluster::eventually;
use serde_json::Value;

use super::stage::{REPAIR, SECRET, SOON, Stage, address, certificate, metric};

#[tokio::test(flavor = "multi_thread")]
async fn three_replicas_that_start_together_make_one_ca_and_serve_under_fail() {
    let stage = Stage::set("together").await;
    let (one, two, three) = tokio::join!(stage.replica(), stage.replica(), stage.replica());
    // Without a configuration nobody verifies: they are ready before there is one.
    let (one, two, three) = tokio::join!(one.start(), two.start(), three.start());
    let replicas = [one.unwrap(), two.unwrap(), three.unwrap()];
    let secret = stage.secrets().get(SECRET).await.unwrap();
    let keys: BTreeSet<_> = secret.data.unwrap().into_keys().collect();
    assert_eq!(keys, ["ca.crt", "ca.key"].map(str::to_owned).into());
    let created = |replica: &cluster::Webhook| {
        replica.logs().iter().filter(|line| line.contains("the Secret is created")).count()
    };
    assert_eq!(replicas.iter().map(created).sum::<usize>(), 1);

    stage.register().await;
    for replica in &replicas {
        stage.balancer.add(address(replica));
    }
    let ca = stage.settled(REPAIR).await.unwrap();
    assert_eq!(stage.ca_bundle().await.unwrap(), ca, "one CA, and nothing else");
    stage.injects(SOON).await;
    // Round robin over new connections: each of them is taken as a server by the API server.
    for replica in &replicas {
        eventually("it is ready and says so", SOON, || async {
            let line = certificate(replica).await?;
            ensure!(line == "[+] certificate: ok", "{line}");
            let matches = metric(replica, "pod_identity_webhook_ca_bundle_matches").await?;
            ensure!((matches - 1.0).abs() < 0.1, "{matches}");
            Ok(())
        })
        .await
        .unwrap();
        for sample in [
            "pod_identity_webhook_certificate_not_after_seconds{kind=\"ca\"}",
            "pod_identity_webhook_certificate_not_after_seconds{kind=\"leaf\"}",
        ] {
            assert!(metric(replica, sample).await.unwrap() > 1.7e9, "{sample}");
        }
        let made = "pod_identity_webhook_rotations_total{kind=\"leaf\",result=\"ok\"}";
        assert!(metric(replica, made).await.unwrap() >= 1.0);
        assert_no_key(replica, &stage).await;
    }
}

/// What can mend is no failed start: it listens, says why it is not ready, and refuses handshakes.
#[tokio::test(flavor = "multi_thread")]
async fn without_an_api_server_it_listens_says_so_and_refuses_handshakes() {
    let stage = Stage::set("alone").await;
    // A port that is held, so that nobody else listens there.
    let held = tokio::net::TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nobody = held.local_addr().unwrap();
    let replica = stage.replica().await.arg(format!("--kube-api=https://{nobody}"));
    let replica = replica.do_not_wait().start().await.unwrap();
    eventually("readiness says why", SOON, || async {
        let line = certificate(&replica).await?;
        let says = line.starts_with("[-] certificate: there is no certificate yet: ");
        ensure!(says && line.contains("the API server cannot be reached"), "{line}");
        Ok(())
    })
    .await
    .unwrap();
    assert!(replica.get_tls("/healthz").await.is_err());
    assert!(replica.get("/livez").await.unwrap().0.is_success());
}

/// What is ours in the configuration is `caBundle` of our entry, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_ca_bundle_of_our_entry_is_written_and_it_is_right_again_within_five_seconds() {
    let stage = Stage::set("overwritten").await;
    stage.register().await;
    let before = stage.registered().await.unwrap();
    let replica = stage.start(&["--ca-overlap=1s", "--certificate-validity=6s"]).await;
    let ca = stage.settled(SOON).await.unwrap();
    stage.injects(SOON).await;
    // A replica that has just started takes a strange CA for one that others may use. When it makes
    // its second certificate it knows better.
    eventually("a second certificate is served", SOON, || async {
        let is_leaf = |line: &&String| line.contains("a new certificate is served");
        ensure!(replica.logs().iter().filter(is_leaf).count() > 1, "not yet");
        Ok(())
    })
    .await
    .unwrap();

    let foreign = cluster::Authority::new("somebody-else").unwrap();
    for wrong in [foreign.pem(), "", "not PEM at all"] {
        stage.overwrite(wrong).await;
        eventually("the caBundle is right again", REPAIR, || async {
            ensure!(stage.ca_bundle().await? == ca, "it is wrong");
            Ok(())
        })
        .await
        .unwrap_or_else(|error| panic!("{error:#}: {:#?}", replica.logs()));
    }
    stage.injects(SOON).await;

    let after = stage.registered().await.unwrap();
    let mut webhooks = after.webhooks.unwrap();
    webhooks[1].client_config.ca_bundle = None;
    assert_eq!(Some(webhooks), before.webhooks, "everything else is as it was");
    assert_eq!(after.metadata.labels, before.metadata.labels);
    let fields = after.metadata.managed_fields.unwrap();
    let ours: Vec<Value> = fields
        .iter()
        .filter(|entry| entry.manager.as_deref() == Some("pod-identity-webhook"))
        .map(|entry| entry.fields_v1.as_ref().unwrap().0.clone())
        .collect();
    assert_eq!(
        ours,
        [serde_json::json!({ "f:webhooks": {
            "k:{\"name\":\"ours.pod-identity.test\"}": {
                "f:clientConfig": { "f:caBundle": {} },
            },
        } })]
    );
}

/// Neither log nor metrics nor readiness say anything of what the Secret's keys hold.
async fn assert_no_key(replica: &cluster::Webhook, stage: &Stage) {
    let key = stage.ledger().await.unwrap().remove("ca.key").unwrap();
    let secret = key.lines().nth(1).unwrap();
    assert!(secret.len() > 40);
    let mut said = replica.logs().join("\n");
    said += &replica.get("/metrics").await.unwrap().1;
    said += &replica.get("/readyz").await.unwrap().1;
    assert!(!said.contains(secret) && !said.contains("PRIVATE KEY"), "a key was told");
}
