//! From nothing to injected Pods, through every mode of certificates, and back to nothing.

use serde_json::json;

use super::shop::Shop;
use super::stage::{NAME, Stage};

#[test]
fn a_default_installation_injects_pods_through_its_service() {
    cluster::apart(a_default_installation_injects_pods_through_its_service, async {
        let stage = Stage::set().await;
        let shop = Shop::open(&stage.client, "shop", &json!({})).await;
        let said = stage.install(&[]).await;
        assert!(said.contains(NAME), "{said}");
        stage.settled().await;
        shop.is_served().await;
        println!("{}", stage.nodes.log_tails());
    });
}
