//! From nothing to injected Pods, through every mode of certificates, and back to nothing.

use std::collections::BTreeSet;
use std::fs;

use anyhow::ensure;
use cluster::{Authority, Pair, eventually};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{DeleteParams, DynamicObject, ListParams, PostParams};
use kube::discovery::{Discovery, verbs};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use super::cert_manager::CertManager;
use super::rolling::Load;
use super::shop::Shop;
use super::stage::{HOME, NAME, SOON, Stage};
use crate::chart;

/// Everything that is in the cluster, but for what only says what has happened.
async fn everything(client: &Client) -> anyhow::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for group in Discovery::new(client.clone()).run().await?.groups() {
        for (resource, capabilities) in group.recommended_resources() {
            let is_told = matches!(resource.kind.as_str(), "Event" | "Lease" | "ComponentStatus");
            if is_told || !capabilities.supports_operation(verbs::LIST) {
                continue;
            }
            let objects: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
            for object in objects.list_metadata(&ListParams::default()).await? {
                let (kind, group) = (&resource.kind, &resource.group);
                let namespace = object.namespace().unwrap_or_default();
                found.insert(format!("{kind}.{group} {namespace}/{}", object.name_any()));
            }
        }
    }
    Ok(found)
}

/// A serving pair as people have one, and its CA.
fn own_pair() -> (Pair, String) {
    let authority = Authority::new("a CA of the people's own").unwrap();
    let pair = authority.serving(&[&format!("{NAME}.{HOME}.svc")]).unwrap();
    (pair, authority.pem().to_owned())
}

/// A Secret of that.
async fn own_secret(stage: &Stage, name: &str) {
    let (pair, ca) = own_pair();
    let secret: Secret = serde_json::from_value(json!({
        "metadata": { "name": name },
        "type": "kubernetes.io/tls",
        "stringData": {
            "tls.crt": pair.certificate, "tls.key": pair.key, "ca.crt": ca,
        },
    }))
    .unwrap();
    let secrets = Api::namespaced(stage.client.clone(), HOME);
    secrets.create(&PostParams::default(), &secret).await.unwrap();
}

async fn own_secret_is_deleted(stage: &Stage, name: &str) {
    let secrets: Api<Secret> = Api::namespaced(stage.client.clone(), HOME);
    secrets.delete(name, &DeleteParams::default()).await.unwrap();
}

/// Values of that.
fn own_files(stage: &Stage) -> Vec<String> {
    let (pair, ca) = own_pair();
    let files = [("cert", pair.certificate), ("key", pair.key), ("caBundle", ca)];
    let mut values = Vec::new();
    for (name, text) in files {
        let path = stage.plane.folder().join(format!("own-{name}.pem"));
        fs::write(&path, text).unwrap();
        values.extend(["--set-file".to_owned(), format!("pki.{name}={}", path.display())]);
    }
    values
}

/// The default mode, with a CA that need not be as patient: a replica that finds another's CA asks
/// nobody for longer than the overlap.
const SELF: [&str; 2] = ["--set", "certificates.self.caOverlap=3s"];

/// Whether Pods may miss their identity while something changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gap {
    None,
    Allowed,
}

#[test]
fn an_installation_goes_through_every_mode_of_certificates_and_leaves_nothing() {
    cluster::apart(
        an_installation_goes_through_every_mode_of_certificates_and_leaves_nothing,
        async {
            let stage = Stage::set().await;
            let shop = Shop::open(&stage.client, "shop", &json!({})).await;
            let home: Namespace =
                serde_json::from_value(json!({ "metadata": { "name": HOME } })).unwrap();
            let namespaces = Api::all(stage.client.clone());
            namespaces.create(&PostParams::default(), &home).await.unwrap();
            chart::define(&stage.client).await;
            let _cert_manager = CertManager::start(&stage.client);
            let before = settled(&stage).await;

            stage.install(&[]).await;
            shop.is_served().await;
            is_spread(&stage).await;

            // What was trusted stays so as long as it is served.
            let files = own_files(&stage);
            let files: Vec<_> = files.iter().map(String::as_str).collect();
            upgrade(&stage, &shop, "files", &files, Gap::None).await;
            upgrade(&stage, &shop, "self", &SELF, Gap::None).await;
            own_secret(&stage, "own").await;
            let existing = ["--set", "pki.existingSecret=own"];
            upgrade(&stage, &shop, "existingSecret", &existing, Gap::None).await;
            // cert-manager's injector does not leave what it finds.
            let cert_manager = ["--set", "certificates.mode=cert-manager"];
            upgrade(&stage, &shop, "cert-manager", &cert_manager, Gap::Allowed).await;
            upgrade(&stage, &shop, "self", &SELF, Gap::None).await;
            own_secret_is_deleted(&stage, "own").await;

            stage.helm(&["uninstall", NAME, "--namespace", HOME, "--wait"]).await;
            shop.clear().await;
            eventually("everything is gone", SOON, || async {
                let after = everything(&stage.client).await?;
                let left: Vec<_> = after.difference(&before).collect();
                let lost: Vec<_> = before.difference(&after).collect();
                ensure!(left.is_empty() && lost.is_empty(), "left: {left:#?}, lost: {lost:#?}");
                Ok(())
            })
            .await
            .unwrap();
        },
    );
}

/// Changes the mode of certificates while Pods are created, after which all of them are injected.
async fn upgrade(stage: &Stage, shop: &Shop, mode: &str, values: &[&str], gap: Gap) {
    let load = Load::start(shop, 2);
    stage.install(values).await;
    stage.settled().await;
    let outcome = load.end();
    let (all, missed) = (outcome.created + outcome.failures(), outcome.failures());
    println!("to {mode}: {missed} of {all} Pods were not injected meanwhile: {:?}", outcome.failed);
    assert!(gap == Gap::Allowed || missed == 0, "to {mode}: {:?}", outcome.failed);
    shop.is_served().await;
    is_spread(stage).await;
}

/// What is there once the control plane has made what it makes by itself.
async fn settled(stage: &Stage) -> BTreeSet<String> {
    eventually("each namespace has its account and its CA", SOON, || async {
        let found = everything(&stage.client).await?;
        for namespace in ["shop", HOME] {
            for made in ["ServiceAccount. shop/default", "ConfigMap. shop/kube-root-ca.crt"] {
                let made = made.replace("shop", namespace);
                ensure!(found.contains(&made), "no {made}");
            }
        }
        Ok(found)
    })
    .await
    .unwrap()
}

/// The replicas are on nodes of their own.
async fn is_spread(stage: &Stage) {
    let replicas = stage.replicas().await.unwrap();
    let nodes: BTreeSet<_> =
        replicas.iter().filter_map(|pod| pod.spec.as_ref()?.node_name.clone()).collect();
    assert_eq!((replicas.len(), nodes.len()), (2, 2), "{nodes:?}");
}
