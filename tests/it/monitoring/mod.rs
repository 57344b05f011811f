//! The dashboard and the alerts of `manifests/monitoring`: that they are what Prometheus can read,
//! that each alert fires when it has to, and that every metric they name is there.
//!
//! `make promtool` fetches promtool; where it cannot be had, it says so, and what needs it is left
//! out. What the chart and the operator get is compared with the source in `chart::files`.

mod names;
mod promql;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use promql::{Selector, selectors};

/// A query, and where it stands.
#[derive(Clone, Debug)]
struct Query {
    place: String,
    expr: String,
}

fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

fn read(relative: &str) -> String {
    std::fs::read_to_string(path(relative)).unwrap()
}

fn dashboard() -> Value {
    serde_json::from_str(&read("manifests/monitoring/dashboard.json")).unwrap()
}

/// The queries of the alerts.
fn rules() -> Vec<Query> {
    let rules: Value = serde_saphyr::from_str(&read("manifests/monitoring/rules.yaml")).unwrap();
    let groups = rules["groups"].as_array().unwrap().iter();
    groups
        .flat_map(|group| group["rules"].as_array().unwrap())
        .map(|rule| Query {
            place: format!("alert {}", rule["alert"].as_str().unwrap()),
            expr: rule["expr"].as_str().unwrap().to_owned(),
        })
        .collect()
}

/// The queries of the panels, as Grafana would send them.
fn panels() -> Vec<Query> {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    panels
        .filter(|panel| panel["type"] != "row")
        .flat_map(|panel| {
            let title = panel["title"].as_str().unwrap().to_owned();
            panel["targets"].as_array().unwrap().iter().map(move |target| Query {
                place: format!("panel {title}"),
                expr: target["expr"].as_str().unwrap().replace("$__rate_interval", "5m"),
            })
        })
        .collect()
}

/// Everything that is named, by any query.
fn named() -> Vec<(String, Selector)> {
    let queries = rules().into_iter().chain(panels());
    queries
        .flat_map(|Query { place, expr }| {
            selectors(&expr).into_iter().map(move |selector| (place.clone(), selector))
        })
        .collect()
}

/// Runs promtool in the repository, if it is there; its output must be a success.
fn promtool(args: &[&str]) {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| path("target"), PathBuf::from);
    let fetched = path("").join(target).join("tools/promtool");
    let program = if fetched.is_file() { fetched } else { PathBuf::from("promtool") };
    let output = match Command::new(program).args(args).current_dir(path("")).output() {
        Ok(output) => output,
        Err(error) => {
            eprintln!("promtool is not here ({error}): {args:?} is left out; see make promtool");
            return;
        }
    };
    let told = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&told));
}

#[test]
fn the_alerts_are_what_prometheus_reads_and_fire_when_they_have_to() {
    promtool(&["check", "rules", "manifests/monitoring/rules.yaml"]);
    promtool(&["test", "rules", "tests/monitoring/alerts.yaml"]);
}

#[test]
fn every_query_of_the_dashboard_is_promql() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("panels.yaml");
    let rules = panels().into_iter().enumerate().map(|(place, query)| {
        serde_json::json!({"record": format!("panel:{place}"), "expr": query.expr})
    });
    let rules =
        serde_json::json!({"groups": [{"name": "panels", "rules": rules.collect::<Vec<_>>()}]});
    std::fs::write(&file, rules.to_string()).unwrap();
    promtool(&["check", "rules", file.to_str().unwrap()]);
}

/// What a person reads of an alert: a sentence on what is wrong, and what to do.
#[test]
fn every_alert_says_what_is_wrong_and_what_to_do() {
    let rules: Value = serde_saphyr::from_str(&read("manifests/monitoring/rules.yaml")).unwrap();
    let tested = read("tests/monitoring/alerts.yaml");
    let readme = read("README.md");
    let mut names = BTreeSet::new();
    for rule in rules["groups"][0]["rules"].as_array().unwrap() {
        let name = rule["alert"].as_str().unwrap();
        assert!(names.insert(name), "{name} twice");
        assert!(name.starts_with("PodIdentityWebhook"), "{name}");
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning", "info"].contains(&severity), "{name}: {severity}");
        for key in ["summary", "description"] {
            let text = rule["annotations"][key].as_str().unwrap();
            assert!(text.ends_with('.'), "{name}: {text}");
        }
        assert!(tested.contains(name), "{name} is not in tests/monitoring/alerts.yaml");
        let short = name.replace("PodIdentityWebhook", "…");
        let is_named = [name, &short].iter().any(|name| readme.contains(&format!("`{name}`")));
        assert!(is_named, "{name} is not in README.md");
    }
}

#[test]
fn the_panels_of_the_dashboard_are_titled_explained_and_apart() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    let mut places = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: id");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
        assert!(x + w <= 24, "{title} is beyond the edge");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(places.insert(cell), "{title} covers another panel");
        }
        if panel["type"] != "row" {
            assert!(panel["description"].as_str().unwrap().ends_with('.'), "{title}");
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        }
    }
}
