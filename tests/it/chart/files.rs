//! What is made of the chart and kept in the repository: plain manifests, the base and overlays of
//! kustomize, the chart's README. `make manifests` writes them anew.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

use super::helm::{Key, NAMESPACE, Set, by_key, documents, path, run, template};

/// The first line of what is made.
const MADE: &str = "# Made of manifests/chart by `make manifests`.\n";

/// The files in `manifests/` that are made, and what they have to say; written once, if told to.
static FILES: LazyLock<BTreeMap<&str, String>> = LazyLock::new(|| {
    let files = BTreeMap::from([
        ("kustomize/base/webhook.yaml", format!("{MADE}{}", plain(&[]))),
        ("install.yaml", format!("{MADE}---\n{}{}", namespace(), plain(&[]))),
        ("kustomize/overlays/strict/webhook.yaml", strict()),
        ("kustomize/overlays/cert-manager/certificate.yaml", certificate()),
        ("kustomize/overlays/cert-manager/webhook.yaml", cert_manager()),
        ("chart/README.md", readme()),
        ("chart/files/rules.yaml", source("monitoring/rules.yaml")),
        ("chart/files/dashboard.json", source("monitoring/dashboard.json")),
        ("monitoring/prometheusrule.yaml", prometheus_rule()),
    ]);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        for (file, text) in &files {
            std::fs::write(path("manifests").join(file), text).unwrap();
        }
    }
    files
});

const STRICT: &[&str] = &["--set", "strict.enabled=true"];
const CERT_MANAGER: &[&str] = &["--set", "certificates.mode=cert-manager"];

/// The chart's objects without what only helm has use for.
fn plain(values: &[&str]) -> String {
    let rendered = template(NAMESPACE, values).unwrap();
    let kept = rendered.lines().filter(|line| {
        let line = line.trim_start();
        !["# Source: ", "app.kubernetes.io/managed-by: ", "helm.sh/chart: "]
            .iter()
            .any(|start| line.starts_with(start))
    });
    kept.collect::<Vec<_>>().join("\n") + "\n"
}

/// Some templates of it.
fn shown(values: &[&str], templates: &[&str]) -> String {
    let of = |template: &&str| {
        let template = format!("templates/{template}");
        plain(&[values, &["--show-only", &template]].concat())
    };
    templates.iter().map(of).collect()
}

fn namespace() -> String {
    std::fs::read_to_string(path("manifests/kustomize/base/namespace.yaml")).unwrap()
}

// The patches of the overlays are whole objects, so that none can miss a change of the chart.

fn strict() -> String {
    format!("{MADE}{}---\n{}", shown(STRICT, &["webhook.yaml"]), cluster_role(STRICT))
}

fn certificate() -> String {
    format!("{MADE}{}", shown(CERT_MANAGER, &["certificate.yaml", "secret.yaml"]))
}

fn cert_manager() -> String {
    let others = shown(CERT_MANAGER, &["deployment.yaml", "webhook.yaml"]);
    format!("{MADE}{others}---\n{}", cluster_role(CERT_MANAGER))
}

fn cluster_role(values: &[&str]) -> String {
    let objects = documents(&shown(values, &["rbac.yaml"]));
    let role = objects.iter().find(|object| object["kind"] == "ClusterRole").unwrap();
    pod_identity_webhook::documents::to_yaml(role).unwrap()
}

/// What helm can only read where it stands in the chart.
fn source(file: &str) -> String {
    std::fs::read_to_string(path("manifests").join(file)).unwrap()
}

fn prometheus_rule() -> String {
    let values = ["--set", "monitoring.prometheusRule.enabled=true"];
    format!("{MADE}{}", shown(&values, &["monitoring.yaml"]))
}

fn readme() -> String {
    let args = ["--chart-search-root", "manifests/chart", "--dry-run"];
    let readme = run("helm-docs", &[&args[..], &["--sort-values-order", "file"]].concat()).unwrap();
    format!("{}\n", readme.trim())
}

#[test]
fn what_is_made_of_the_chart_is_not_stale() {
    for (file, expected) in &*FILES {
        let found = std::fs::read_to_string(path("manifests").join(file)).unwrap_or_default();
        assert!(found == *expected, "manifests/{file} is stale: run `make manifests`");
    }
}

/// What kustomize makes is what helm makes.
#[test]
fn kustomize_builds_what_helm_renders() {
    LazyLock::force(&FILES);
    let built = |folder: &str| {
        let text = run("kustomize", &["build", &format!("manifests/kustomize/{folder}")]).unwrap();
        by_key(documents(&text))
    };
    let rendered = |values: &[&str]| by_key(documents(&(namespace() + &plain(values))));
    for (what, built, values) in [
        ("install.yaml", by_key(documents(&FILES["install.yaml"])), &[][..]),
        ("base", built("base"), &[]),
        ("strict", built("overlays/strict"), STRICT),
        ("cert-manager", built("overlays/cert-manager"), CERT_MANAGER),
    ] {
        let rendered = rendered(values);
        let keys = |all: &BTreeMap<Key, Value>| all.keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&built), keys(&rendered), "{what}");
        for (key, object) in rendered {
            assert_eq!(built[&key], object, "{what}: {key:?}");
        }
    }
}

/// Every set says what it is for.
#[test]
fn every_set_of_values_begins_with_a_comment() {
    for set in Set::all() {
        let text = std::fs::read_to_string(&set.path).unwrap();
        assert!(text.starts_with("# "), "{}", set.name);
    }
}
