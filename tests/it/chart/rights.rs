//! The chart grants what README documents, per option, and nothing more.

use serde_json::{Value, json};

use super::helm::{NAMESPACE, Set, component, documents, only_of, template};
use crate::rights::{OF_AUDIT, OF_WEBHOOK, documented};

/// The rules of a component's objects of a kind.
fn rules_of(objects: &[Value], of: &str, kind: &str) -> Vec<Value> {
    let found = objects.iter().filter(|object| object["kind"] == kind && component(object) == of);
    found.flat_map(|object| object["rules"].as_array().unwrap().clone()).collect()
}

/// The rules of the webhook's object of a kind; none if there is no such object.
fn rules(objects: &[Value], kind: &str) -> Vec<Value> {
    rules_of(objects, "webhook", kind)
}

/// In any order.
fn same(found: &[Value], expected: &[&Value], set: &str) {
    assert_eq!(found.len(), expected.len(), "{set}: {found:#?}");
    for rule in expected {
        assert!(found.contains(rule), "{set}: {rule} is not in {found:#?}");
    }
}

/// README's rules are: accounts, Events, the configuration; creating Secrets, the Secret, the mappings.
#[test]
fn each_option_is_granted_its_documented_rules_and_no_others() {
    let [cluster, namespace] = documented(OF_WEBHOOK);
    let [accounts, events, configuration] = &cluster[..] else { panic!("{cluster:#?}") };
    let [create, secret, mappings] = &namespace[..] else { panic!("{namespace:#?}") };
    for (set, of_cluster, of_namespace) in [
        ("defaults", &[accounts, configuration][..], &[secret][..]),
        ("strict", &[accounts, events, configuration], &[secret]),
        ("role-policy", &[accounts, events, configuration], &[secret]),
        ("mappings-elsewhere", &[accounts, configuration], &[create, secret, mappings]),
        ("mappings", &[accounts, configuration], &[secret, mappings]),
        ("existing-secret", &[accounts, configuration], &[]),
        ("existing-secret-injected", &[accounts], &[]),
        ("cert-manager", &[accounts, events], &[]),
        ("files", &[accounts, configuration], &[]),
    ] {
        let objects = Set::named(set).render(NAMESPACE);
        same(&rules(&objects, "ClusterRole"), of_cluster, set);
        same(&rules(&objects, "Role"), of_namespace, set);
    }
}

/// README's rules of the audit are: Pods, accounts, Events, evictions; the mappings.
#[test]
fn the_audit_is_granted_its_documented_rules_and_no_others() {
    let [cluster, namespace] = documented(OF_AUDIT);
    let [pods, accounts, events, evictions] = &cluster[..] else { panic!("{cluster:#?}") };
    let [mappings] = &namespace[..] else { panic!("{namespace:#?}") };
    let mapped = "config.podIdentityWebhookMap.enabled=true";
    for (values, of_cluster, of_namespace) in [
        ("", &[pods, accounts, events][..], &[][..]),
        (mapped, &[pods, accounts, events], &[mappings]),
        ("audit.evict.enabled=true", &[pods, accounts, events, evictions], &[]),
        ("audit.namespace=shop", &[accounts], &[pods, events]),
        (
            "audit.namespace=eks,audit.evict.enabled=true,config.podIdentityWebhookMap.enabled=true",
            &[accounts],
            &[pods, events, evictions, mappings],
        ),
    ] {
        let values = format!("audit.enabled=true,{values}");
        let objects = documents(&template(NAMESPACE, &["--set", &values]).unwrap());
        same(&rules_of(&objects, "audit", "ClusterRole"), of_cluster, &values);
        same(&rules_of(&objects, "audit", "Role"), of_namespace, &values);
    }
    let none = ["--set", "audit.enabled=true,rbac.create=false"];
    let objects = documents(&template(NAMESPACE, &none).unwrap());
    assert!(objects.iter().all(|object| object.get("rules").is_none()));
}

/// The community chart's binding ignores the account's name.
#[test]
fn the_bindings_name_the_account_that_the_pods_use() {
    for set in Set::all() {
        let objects = set.render(NAMESPACE);
        let mut bindings = 0;
        for object in &objects {
            let kind = object["kind"].as_str().unwrap();
            if let Some(role) = kind.strip_suffix("Binding") {
                bindings += 1;
                let deployment = only_of(&objects, component(object), "Deployment");
                let account = &deployment["spec"]["template"]["spec"]["serviceAccountName"];
                let expected = json!([{
                    "kind": "ServiceAccount",
                    "name": account,
                    "namespace": deployment["metadata"]["namespace"],
                }]);
                assert_eq!(object["subjects"], expected, "{}", set.name);
                let is_meant = |meant: &&Value| {
                    meant["kind"] == role
                        && meant["metadata"]["name"] == object["roleRef"]["name"]
                        && meant["metadata"]["namespace"] == object["metadata"]["namespace"]
                };
                assert_eq!(objects.iter().filter(is_meant).count(), 1, "{}", set.name);
            }
        }
        assert!(bindings > 0, "{}", set.name);
    }
}
