//! From outside a cluster, replicas behind a Service are asked through the API server's port-forward.
//!
//! The address of the endpoint is one of those that documentation uses: nobody connects to it, and the
//! entry selects no namespace, so that the API server does not either.

use serde_json::json;

use super::kubelet::Kubelet;
use super::stage::{HOME, NAME, Setting, Stage};

const NODE: &str = "node-0";
const CHECKS: &str = "--only=service,endpoints,reachable,certificate,expiry,ready";

/// Whether the node has a kubelet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Node {
    WithKubelet,
    Alone,
}

/// A Service with one ready endpoint, a Pod on a node.
async fn behind_a_service(name: &'static str, node: Node) -> (Stage, Option<Kubelet>) {
    let stage = Setting::of(name).unregistered().set().await;
    let address = stage.webhook.url().trim_start_matches("https://").parse().unwrap();
    let kubelet = match node {
        Node::WithKubelet => Some(Kubelet::start(address).await),
        Node::Alone => None,
    };
    // Nobody listens on port 1.
    let kubelet_port = kubelet.as_ref().map_or(1, |kubelet| kubelet.port);
    let core = format!("/api/v1/namespaces/{HOME}");
    stage.delete(&format!("{core}/services/{NAME}")).await;
    stage.delete(&format!("{core}/pods/{NAME}-0")).await;
    stage.create_at("/api/v1/nodes", &json!({ "metadata": { "name": NODE } })).await;
    let status = json!({
        "addresses": [{ "type": "InternalIP", "address": "127.0.0.1" }],
        "daemonEndpoints": { "kubeletEndpoint": { "Port": kubelet_port } },
    });
    stage.patch(&format!("/api/v1/nodes/{NODE}/status"), &json!({ "status": status })).await;
    let labels = json!({ "app": NAME });
    let port = stage.port();
    let service = json!({
        "metadata": { "name": NAME },
        "spec": { "selector": labels, "ports": [{ "port": 443, "targetPort": port }] },
    });
    stage.create(HOME, "services", &service).await;
    let pod = json!({
        "metadata": { "name": format!("{NAME}-0"), "labels": labels },
        "spec": {
            "serviceAccountName": NAME,
            "nodeName": NODE,
            "containers": [{ "name": "webhook", "image": "pod-identity-webhook" }],
        },
    });
    stage.create(HOME, "pods", &pod).await;
    let slice = json!({
        "metadata": { "name": NAME, "labels": { "kubernetes.io/service-name": NAME } },
        "addressType": "IPv4",
        "ports": [{ "port": port }],
        "endpoints": [{
            "addresses": ["192.0.2.1"],
            "conditions": { "ready": true },
            "targetRef": { "kind": "Pod", "namespace": HOME, "name": format!("{NAME}-0") },
        }],
    });
    let slices = format!("/apis/discovery.k8s.io/v1/namespaces/{HOME}/endpointslices");
    stage.create_at(&slices, &slice).await;
    let nobody = json!({ "matchExpressions": null, "matchLabels": { "nobody": "has-this" } });
    let over = json!({
        "clientConfig": { "service": { "port": 443 } },
        "namespaceSelector": nobody,
    });
    stage.register(&over).await;
    (stage, kubelet)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_asked_by_port_forward() {
    let (stage, _kubelet) = behind_a_service("port-forward", Node::WithKubelet).await;
    let seen = stage.doctor(&[CHECKS]).await;
    assert_eq!(seen.code, Some(0), "{}", seen.text);
    for line in [
        "✓ service      eks/pod-identity-webhook, port 443".to_owned(),
        "✓ endpoints    1 of 1 replica ready".to_owned(),
        format!("✓ reachable    Pod eks/pod-identity-webhook-0, port {}", stage.port()),
        "✓ certificate  the caBundle vouches for what is served".to_owned(),
        "✓ ready        it says so itself".to_owned(),
    ] {
        assert!(seen.text.contains(&line), "no {line:?} in\n{}", seen.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_forward_that_fails_is_not_looked_at() {
    let (stage, _) = behind_a_service("no-port-forward", Node::Alone).await;
    let seen = stage.doctor(&[CHECKS]).await;
    assert_eq!(seen.code, Some(2), "{}", seen.text);
    let line = format!(
        "– reachable    not looked at: Pod eks/pod-identity-webhook-0, port {}: by port-forward: ",
        stage.port()
    );
    assert!(seen.text.contains(&line), "no {line:?} in\n{}", seen.text);
    assert!(!seen.text.contains("✓ certificate"), "{}", seen.text);
}
