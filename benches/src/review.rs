//! The reviews that servers are driven with: Pods of three sizes, with an identity and without.
//!
//! They are `admission.k8s.io/v1beta1`, which both webhooks speak: v0.6.17 of the Go webhook
//! answers v1 without saying that it is v1.

use serde_json::{Value, json};

/// The namespace of all accounts that are asked about: the last of a list, so that whoever knows them
/// knows all.
pub(crate) const NAMESPACE: &str = "z-bench";

/// How large a review is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Size {
    /// 1 KB: a Pod as a person writes it, with one container.
    Small,
    /// 5 KB: three containers, with what a Deployment and its tools put around them.
    Usual,
    /// 100 KB: the same with thousands of variables and a long annotation.
    Large,
}

// === impl Size ===

impl Size {
    pub(crate) const ALL: [Self; 3] = [Self::Small, Self::Usual, Self::Large];

    /// The bytes of a review of this size, to a few bytes.
    fn bytes(self) -> usize {
        match self {
            Self::Small => 1_024,
            Self::Usual => 5 * 1_024,
            Self::Large => 100 * 1_024,
        }
    }

    /// As tables call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Small => "1 KB",
            Self::Usual => "5 KB",
            Self::Large => "100 KB",
        }
    }

    fn containers(self) -> &'static [&'static str] {
        match self {
            Self::Small => &["app"],
            Self::Usual | Self::Large => &["app", "proxy", "logs"],
        }
    }
}

/// The review of a new Pod of `account`.
pub(crate) fn review(account: &str, size: Size) -> Vec<u8> {
    let bare = encode(account, size, &[]);
    let mut variables = Vec::new();
    let mut missing = size.bytes().saturating_sub(bare.len());
    while missing > 60 {
        let variable = json!({
            "name": format!("SETTING_{}", variables.len()),
            "value": "x".repeat(20),
        });
        missing = missing.saturating_sub(variable.to_string().len() + 1);
        variables.push(variable);
    }
    encode(account, size, &variables)
}

/// The review, with these variables spread over its containers.
fn encode(account: &str, size: Size, variables: &[Value]) -> Vec<u8> {
    let names = size.containers();
    let containers: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(index, name)| {
            let own = variables.iter().skip(index).step_by(names.len()).collect::<Vec<_>>();
            json!({
                "name": name,
                "image": format!("registry.example/team/{name}:1.2.3"),
                "env": own,
                "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
                "volumeMounts": [{
                    "name": "kube-api-access-x7k2p",
                    "readOnly": true,
                    "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
                }],
                "terminationMessagePath": "/dev/termination-log",
                "imagePullPolicy": "IfNotPresent",
            })
        })
        .collect();
    let labels = json!({"app": "web", "pod-template-hash": "6d4b75cb6d"});
    let review = json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1beta1",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": NAMESPACE,
            "operation": "CREATE",
            "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller"},
            "object": {
                "kind": "Pod",
                "apiVersion": "v1",
                "metadata": {"generateName": "web-6d4b75cb6d-", "namespace": NAMESPACE, "labels": labels},
                "spec": {
                    "volumes": [{"name": "kube-api-access-x7k2p", "projected": {"sources": []}}],
                    "containers": containers,
                    "serviceAccountName": account,
                    "restartPolicy": "Always",
                },
                "status": {},
            },
            "oldObject": null,
            "dryRun": false,
        },
    });
    review.to_string().into_bytes()
}

/// The same Pod for the API server itself.
pub(crate) fn pod(account: &str) -> Value {
    let review: Value = serde_json::from_slice(&review(account, Size::Usual)).unwrap_or_default();
    let mut pod = review["request"]["object"].clone();
    if let Some(metadata) = pod["metadata"].as_object_mut() {
        metadata.remove("namespace");
    }
    // The API server adds its own.
    if let Some(spec) = pod["spec"].as_object_mut() {
        spec.remove("volumes");
    }
    for container in pod["spec"]["containers"].as_array_mut().into_iter().flatten() {
        if let Some(container) = container.as_object_mut() {
            container.remove("volumeMounts");
        }
    }
    pod
}
