//! What is made of the chart and kept in the repository: plain manifests, the base and overlays of
//! kustomize, the chart's README. `make manifests` writes them anew.

use serde_json::Value;

use super::helm::{NAMESPACE, Set, by_key, documents, path, run, template};

/// The first lines of what is made.
const MADE: &str = "# Made of manifests/chart by `make manifests`.\n";

/// Compares a file with what it has to be; writes it if told to.
fn is(file: &str, expected: &str) {
    let at = path("manifests").join(file);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&at, expected).unwrap();
    }
    let found = std::fs::read_to_string(&at).unwrap_or_default();
    assert!(found == expected, "manifests/{file} is stale: run `make manifests`");
}

/// The chart's objects without what only helm has use for.
fn plain(values: &[&str]) -> String {
    let rendered = template(NAMESPACE, values).unwrap();
    let kept = rendered.lines().filter(|line| {
        let line = line.trim_start();
        !["# Source: ", "app.kubernetes.io/managed-by: ", "helm.sh/chart: "]
            .iter()
            .any(|start| line.starts_with(start))
    });
    kept.map(|line| format!("{line}\n")).collect()
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

#[test]
fn the_plain_manifests_are_those_of_the_chart() {
    let webhook = plain(&[]);
    is("kustomize/base/webhook.yaml", &format!("{MADE}{webhook}"));
    is("install.yaml", &format!("{MADE}---\n{}{webhook}", namespace()));
}

/// The patches of the overlays are whole objects, so that none can miss a change of the chart.
#[test]
fn the_overlays_are_those_of_the_chart() {
    let strict = ["--set", "strict.enabled=true"];
    let text = shown(&strict, &["webhook.yaml"]);
    is("kustomize/overlays/strict/webhook.yaml", &format!("{MADE}{text}"));

    let managed = ["--set", "certificates.mode=cert-manager"];
    let text = shown(&managed, &["certificate.yaml", "secret.yaml"]);
    is("kustomize/overlays/cert-manager/certificate.yaml", &format!("{MADE}{text}"));
    let text = shown(&managed, &["deployment.yaml", "webhook.yaml"]);
    let role = documents(&plain(&managed));
    let role = role.iter().find(|object| object["kind"] == "ClusterRole").unwrap();
    let role = pod_identity_webhook::documents::to_yaml(role).unwrap();
    is("kustomize/overlays/cert-manager/webhook.yaml", &format!("{MADE}{text}---\n{role}"));
}

#[test]
fn the_readme_of_the_chart_says_what_its_values_say() {
    let args = ["--chart-search-root", "manifests/chart", "--dry-run"];
    let readme = run("helm-docs", &[&args[..], &["--sort-values-order", "file"]].concat()).unwrap();
    is("chart/README.md", &format!("{}\n", readme.trim()));
}

/// What kustomize makes is what helm makes.
#[test]
fn kustomize_builds_what_helm_renders() {
    let built = |folder: &str| {
        let text = run("kustomize", &["build", &format!("manifests/kustomize/{folder}")]).unwrap();
        by_key(documents(&text))
    };
    let rendered = |values: &[&str]| by_key(documents(&(namespace() + &plain(values))));
    let install = std::fs::read_to_string(path("manifests/install.yaml")).unwrap();
    for (what, built, values) in [
        ("install.yaml", by_key(documents(&install)), &[][..]),
        ("base", built("base"), &[]),
        ("strict", built("overlays/strict"), &["--set", "strict.enabled=true"]),
        ("cert-manager", built("overlays/cert-manager"), &["--set", "certificates.mode=cert-manager"]),
    ] {
        let rendered = rendered(values);
        let keys = |all: &std::collections::BTreeMap<_, Value>| {
            all.keys().cloned().collect::<Vec<super::helm::Key>>()
        };
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
