//! The strict entries: what is refused and by whom, with replicas and without, and that the webhook
//! comes back by itself.

use anyhow::ensure;
use cluster::eventually;
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::shop::{Method, Run, Shop};
use super::stage::{HOME, SOON, Stage};

/// The label of strict namespaces and Pods.
const STRICT: &str = "eks.amazonaws.com/strict-pod-identity-webhook";

/// A Pod of the account that gets IRSA, with something else where its token belongs.
fn with_its_path_taken() -> Value {
    let mut pod = Method::Irsa.pod();
    let path = "/var/run/secrets/eks.amazonaws.com/serviceaccount";
    pod["spec"]["volumes"] = json!([{ "name": "own", "emptyDir": {} }]);
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{ "name": "own", "mountPath": path }]);
    pod
}

/// The same Pod, with the strict label.
fn strict(mut pod: Value) -> Value {
    pod["metadata"]["labels"] = json!({ STRICT: "" });
    pod
}

/// A Pod that has no account of ours.
fn plain() -> Value {
    let mut pod = Method::Irsa.pod();
    pod["spec"]["serviceAccountName"] = "default".into();
    pod
}

#[test]
fn strict_refuses_what_would_lack_its_identity_and_never_the_webhook() {
    cluster::apart(strict_refuses_what_would_lack_its_identity_and_never_the_webhook, async {
        let mut stage = Stage::set().await;
        let shop = Shop::open(&stage.client, "shop", &json!({})).await;
        let vault = Shop::open(&stage.client, "vault", &json!({ STRICT: "" })).await;
        stage.install(&["--set", "strict.enabled=true"]).await;
        shop.is_served().await;
        vault.is_served().await;

        // With replicas: what would be incomplete is refused with reason and remedy.
        for refusal in [
            vault.refusal(&with_its_path_taken()).await,
            shop.refusal(&strict(with_its_path_taken())).await,
        ] {
            for part in ["403", "mount-path-taken", "mount", "pod-identity-webhook.amazonaws.com"] {
                assert!(refusal.contains(part), "no {part:?} in {refusal}");
            }
            println!("{refusal}");
        }
        let allowed = shop.create(&with_its_path_taken(), Run::Dry).await.unwrap();
        assert_eq!(Method::of(&allowed).unwrap(), None);

        // Without: the nodes lose their power.
        stage.switch_off_nodes();
        is_down(&stage, &shop, &vault).await;

        // Nor is there any endpoint, once the Pods are given up. Others take their place: they are
        // created while nobody answers.
        let pods: Api<Pod> = Api::namespaced(stage.client.clone(), HOME);
        let lost: Vec<_> = stage.pods().await.unwrap().iter().map(ResourceExt::name_any).collect();
        let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        for name in &lost {
            pods.delete(name, &at_once).await.unwrap();
        }
        eventually("others take their place", SOON, || async {
            let replicas = stage.replicas().await?;
            let bound = |pod: &Pod| pod.spec.as_ref().is_some_and(|it| it.node_name.is_some());
            let others = replicas.iter().filter(|pod| !lost.contains(&pod.name_any()));
            ensure!(others.filter(|pod| bound(pod)).count() == 2, "{replicas:#?}");
            Ok(())
        })
        .await
        .unwrap();
        is_down(&stage, &shop, &vault).await;

        // The power is back, and so is everything else.
        stage.switch_on_nodes().await;
        stage.settled().await;
        shop.is_served().await;
        vault.is_served().await;
    });
}

/// While nobody answers: strict namespaces and Pods are refused in the name of our entries, all
/// others start.
async fn is_down(stage: &Stage, shop: &Shop, vault: &Shop) {
    let entry = |which: &str| format!("strict-{which}.pod-identity-webhook.amazonaws.com");
    for (pod, which) in [
        (vault.refusal(&Method::Irsa.pod()).await, "namespaces"),
        (vault.refusal(&strict(Method::PodIdentity.pod())).await, "namespaces"),
        (shop.refusal(&strict(Method::Irsa.pod())).await, "pods"),
    ] {
        assert!(pod.contains(&entry(which)) && pod.contains("failed calling webhook"), "{pod}");
        println!("{pod}");
    }
    let stored = shop.create(&Method::Irsa.pod(), Run::Real).await.unwrap();
    assert_eq!(Method::of(&stored).unwrap(), None);
    for namespace in ["kube-system", HOME] {
        let system = Shop::of(&stage.client, namespace);
        for pod in [plain(), strict(plain())] {
            system.create(&pod, Run::Dry).await.unwrap();
        }
    }
}
