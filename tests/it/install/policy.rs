//! The role policy as the chart mounts it: a ConfigMap that is changed counts, without a restart.

use anyhow::ensure;
use cluster::eventually;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::shop::{Method, Run, Shop};
use super::stage::{HOME, NAME, SOON, Stage};

#[test]
fn the_chart_s_role_policy_holds_and_a_changed_configmap_counts() {
    cluster::apart(the_chart_s_role_policy_holds_and_a_changed_configmap_counts, async {
        let stage = Stage::set().await;
        let shop = Shop::open(&stage.client, "shop", &json!({})).await;
        let rules = r#"config.rolePolicy.rules=[{"namespaces":["sh*"],"roles":["arn:aws:iam::111122223333:role/s*"]}]"#;
        let on = ["--set", "config.rolePolicy.enabled=true,config.rolePolicy.roleNotAllowed=deny"];
        stage.install(&[on[0], on[1], "--set-json", rules]).await;
        shop.is_served().await;
        let before = replicas(&stage).await;

        let maps: Api<ConfigMap> = Api::namespaced(stage.client.clone(), HOME);
        let nothing = Patch::Merge(json!({ "data": { "policy.yaml": "rules: []" } }));
        let name = format!("{NAME}-role-policy");
        maps.patch(&name, &PatchParams::default(), &nothing).await.unwrap();
        // Each replica reads its own mount.
        for _ in 0..5 {
            eventually("the role is refused", SOON, || async {
                let refusal = shop.create(&Method::Irsa.pod(), Run::Dry).await;
                let refusal = refusal.err().map(|error| error.to_string()).unwrap_or_default();
                ensure!(refusal.contains("role-not-allowed"), "{refusal}");
                Ok(())
            })
            .await
            .unwrap();
        }
        shop.clone().only(Method::PodIdentity).is_served().await;
        assert_eq!(replicas(&stage).await, before, "nothing was restarted");
    });
}

/// The names of the Pods that serve.
async fn replicas(stage: &Stage) -> Vec<String> {
    let mut names: Vec<_> =
        stage.replicas().await.unwrap().iter().map(ResourceExt::name_any).collect();
    names.sort();
    names
}
