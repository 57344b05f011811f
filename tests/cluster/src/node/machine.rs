//! The node objects: what the scheduler has to know of a machine.

use anyhow::Result;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::apart;

/// The names of the nodes and of their zones.
const NODES: [(&str, &str); 3] = [("node-a", "zone-a"), ("node-b", "zone-b"), ("node-c", "zone-c")];

/// Whether a Pod is bound to one of the nodes and has not come to its end.
pub(super) fn is_bound(pod: &Pod) -> bool {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    NODES.iter().any(|(name, _)| node == Some(name))
        && !matches!(phase, Some("Succeeded" | "Failed"))
}

/// Creates those that are not there yet, ready and with room for anything.
pub(super) async fn register(client: &Client) -> Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    for (name, zone) in NODES {
        let node: Node = serde_json::from_value(node(name, zone))?;
        match nodes.create(&PostParams::default(), &node).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_already_exists() => continue,
            Err(error) => return Err(error.into()),
        }
        let params = PatchParams::default();
        let ready = Patch::Merge(json!({ "status": node_status() }));
        nodes.patch_status(name, &params, &ready).await?;
        // New nodes are tainted by the API server; the controller that would see that this one is
        // ready would also want it to say so for ever.
        let untainted = Patch::Merge(json!({ "spec": { "taints": null } }));
        nodes.patch(name, &params, &untainted).await?;
    }
    Ok(())
}

fn node(name: &str, zone: &str) -> Value {
    json!({
        "metadata": { "name": name, "labels": {
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
            "topology.kubernetes.io/zone": zone,
        } },
    })
}

fn node_status() -> Value {
    let room = json!({ "cpu": "64", "memory": "256Gi", "ephemeral-storage": "1Ti", "pods": "250" });
    json!({
        "capacity": room,
        "allocatable": room,
        "conditions": [{ "type": "Ready", "status": "True", "reason": "KubeletReady" }],
        "addresses": [{ "type": "InternalIP", "address": apart::NODE }],
    })
}
