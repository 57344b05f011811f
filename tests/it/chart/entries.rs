//! The entries of the webhook configuration, as the API server reads them.

use serde_json::{Value, json};

use super::helm::{NAMESPACE, Set, only};

const STRICT: [&str; 2] = [
    "strict-namespaces.pod-identity-webhook.amazonaws.com",
    "strict-pods.pod-identity-webhook.amazonaws.com",
];

fn entries(set: &str) -> Vec<Value> {
    let objects = Set::named(set).render(NAMESPACE);
    only(&objects, "MutatingWebhookConfiguration")["webhooks"].as_array().unwrap().clone()
}

/// The names that a selector of namespaces leaves out.
fn left_out(entry: &Value) -> Vec<&str> {
    let expressions = entry["namespaceSelector"]["matchExpressions"].as_array();
    let by_name = expressions.into_iter().flatten().filter(|expression| {
        expression["key"] == "kubernetes.io/metadata.name" && expression["operator"] == "NotIn"
    });
    by_name.flat_map(|it| it["values"].as_array().unwrap()).map(|it| it.as_str().unwrap()).collect()
}

/// field.md O8: the native review version comes first.
#[test]
fn the_entry_of_everybody_never_keeps_a_pod_from_starting() {
    let entries = entries("defaults");
    let [entry] = &entries[..] else { panic!("{entries:#?}") };
    assert_eq!(entry["name"], "pod-identity-webhook.amazonaws.com");
    assert_eq!(entry["failurePolicy"], "Ignore");
    assert_eq!(entry["admissionReviewVersions"], json!(["v1", "v1beta1"]));
    assert_eq!(entry["reinvocationPolicy"], "IfNeeded");
    assert_eq!(entry["timeoutSeconds"], 5);
    assert_eq!(entry["matchPolicy"], "Equivalent");
    assert_eq!(entry["sideEffects"], "NoneOnDryRun");
    let service = json!({
        "service": {
            "name": "pod-identity-webhook", "namespace": "eks", "path": "/mutate", "port": 443,
        },
    });
    // No caBundle: the webhook fills it in.
    assert_eq!(entry["clientConfig"], service);
    assert_eq!(left_out(entry), ["eks"]);
    let skipped = json!({ "matchExpressions": [
        { "key": "eks.amazonaws.com/skip-pod-identity-webhook", "operator": "DoesNotExist" },
    ] });
    assert_eq!(entry["objectSelector"], skipped);
    let rule = |resource: &str, operation: &str| {
        json!({
            "apiGroups": [""], "apiVersions": ["v1"],
            "resources": [resource], "operations": [operation], "scope": "Namespaced",
        })
    };
    let rules = json!([rule("pods", "CREATE"), rule("pods/ephemeralcontainers", "UPDATE")]);
    assert_eq!(entry["rules"], rules);
    let conditions = entry["matchConditions"].as_array().unwrap();
    let names: Vec<_> = conditions.iter().map(|condition| &condition["name"]).collect();
    assert_eq!(names, ["not-a-mirror-pod", "not-the-webhook-itself"]);
}

/// It can block neither the webhook nor the control plane, whatever labels there are.
#[test]
fn the_strict_entries_ask_about_labelled_pods_alone_and_never_about_the_cluster_itself() {
    for (set, label, never) in [
        (
            "cert-manager",
            "eks.amazonaws.com/strict-pod-identity-webhook",
            &["eks", "kube-system", "kube-public", "kube-node-lease", "cert-manager"][..],
        ),
        (
            "strict",
            "example.com/strict",
            &["eks", "kube-system", "kube-public", "kube-node-lease", "flux-system"],
        ),
    ] {
        let entries = entries(set);
        let names: Vec<_> = entries.iter().map(|entry| entry["name"].as_str().unwrap()).collect();
        assert_eq!(names[1..], STRICT);
        for entry in &entries[1..] {
            assert_eq!(entry["failurePolicy"], "Fail");
            assert_eq!(entry["clientConfig"]["service"]["path"], "/mutate/strict");
            assert_eq!(left_out(entry), never);
            for field in ["rules", "matchConditions", "sideEffects", "timeoutSeconds"] {
                assert_eq!(entry[field], entries[0][field], "{field}");
            }
        }
        let carries = |selector: &Value, operator: &str| {
            let expressions = selector["matchExpressions"].as_array().unwrap();
            let wanted = json!({ "key": label, "operator": operator });
            expressions.contains(&wanted)
        };
        // A Pod is asked about once, whether namespace, Pod or both carry the label.
        assert!(carries(&entries[1]["namespaceSelector"], "Exists"));
        assert!(!carries(&entries[1]["objectSelector"], "Exists"));
        assert!(carries(&entries[2]["namespaceSelector"], "DoesNotExist"));
        assert!(carries(&entries[2]["objectSelector"], "Exists"));
    }
}

#[test]
fn conditions_of_the_values_are_added_to_ours() {
    let entries = entries("everything");
    let entry = &entries[0];
    assert_eq!(entry["failurePolicy"], "Fail");
    assert_eq!(left_out(entry), ["eks", "kube-system", "flux-system"]);
    let namespaces = &entry["namespaceSelector"];
    assert_eq!(namespaces["matchLabels"], json!({ "example.com/aws": "true" }));
    assert_eq!(namespaces["matchExpressions"][1]["key"], "example.com/no-aws");
    let objects = &entry["objectSelector"];
    assert_eq!(objects["matchExpressions"][0]["operator"], "DoesNotExist");
    assert_eq!(objects["matchExpressions"][1]["key"], "example.com/plain");
    assert_eq!(entry["matchConditions"][2]["name"], "not-an-update-of-a-robot");
}

#[test]
fn who_writes_the_ca_bundle_is_never_in_doubt() {
    for (set, annotation, given) in [
        ("defaults", None, false),
        ("cert-manager", Some("cert-manager.io/inject-ca-from"), false),
        ("existing-secret", None, false),
        ("existing-secret-injected", Some("cert-manager.io/inject-ca-from-secret"), false),
        ("files", None, true),
    ] {
        let objects = Set::named(set).render(NAMESPACE);
        let configuration = only(&objects, "MutatingWebhookConfiguration");
        let annotations = configuration["metadata"]["annotations"].as_object();
        let found = annotations.and_then(|all| all.keys().next()).map(String::as_str);
        assert_eq!(found, annotation, "{set}");
        for entry in configuration["webhooks"].as_array().unwrap() {
            assert_eq!(entry["clientConfig"].get("caBundle").is_some(), given, "{set}");
        }
    }
}
