//! The chart grants what README documents, per option, and nothing more.

use serde_json::{Value, json};

use super::helm::{NAMESPACE, Set, documents, only};

/// The rules of a kind; none if there is no such object.
fn rules(objects: &[Value], kind: &str) -> Vec<Value> {
    if objects.iter().all(|object| object["kind"] != kind) {
        return Vec::new();
    }
    only(objects, kind)["rules"].as_array().unwrap().clone()
}

/// The rules of README, those of the cluster first, without comments.
fn documented() -> [Vec<Value>; 2] {
    let readme = include_str!("../../../README.md");
    let install = readme.split_once("\n## Install\n").unwrap().1;
    let yaml = install.split_once("```yaml\n").unwrap().1.split_once("```").unwrap().0;
    let objects = documents(yaml);
    [rules(&objects, "ClusterRole"), rules(&objects, "Role")]
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
    let [cluster, namespace] = documented();
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

/// The community chart's binding ignores the account's name.
#[test]
fn the_bindings_name_the_account_that_the_pods_use() {
    for set in Set::all() {
        let objects = set.render(NAMESPACE);
        let deployment = only(&objects, "Deployment");
        let account = &deployment["spec"]["template"]["spec"]["serviceAccountName"];
        let expected = json!([{
            "kind": "ServiceAccount",
            "name": account,
            "namespace": deployment["metadata"]["namespace"],
        }]);
        let mut bindings = 0;
        for object in &objects {
            let kind = object["kind"].as_str().unwrap();
            if let Some(role) = kind.strip_suffix("Binding") {
                bindings += 1;
                assert_eq!(object["subjects"], expected, "{}", set.name);
                let named = &object["roleRef"]["name"];
                assert_eq!(*named, only(&objects, role)["metadata"]["name"], "{}", set.name);
            }
        }
        assert!(bindings > 0, "{}", set.name);
    }
}
