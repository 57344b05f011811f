//! One number: Cargo.toml's. All else follows it.

use std::process::Command;

use pod_identity_webhook::telemetry::Metrics;
use pod_identity_webhook::version;

use super::{channel, image, quoted, text};

const VERSION: &str = env!("CARGO_PKG_VERSION");

#[test]
fn version_and_build_info_say_the_same() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_pod-identity-webhook")).arg("--version").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let revision = version::REVISION.map_or(String::new(), |revision| format!(" ({revision})"));
    assert_eq!(said, format!("pod-identity-webhook {VERSION}{revision}\n"));

    let metrics = Metrics::new().encode().unwrap();
    let labels = format!(
        "{{version=\"{VERSION}\",revision=\"{}\",rustc=\"{}\"}}",
        version::REVISION.unwrap_or("unknown"),
        channel(),
    );
    assert!(metrics.contains(&format!("pod_identity_webhook_build_info{labels} 1")), "{metrics}");
}

#[test]
fn the_image_has_the_version_of_the_program() {
    let label = image::label("org.opencontainers.image.version");
    assert_eq!(label, VERSION, "Dockerfile's label and Cargo.toml's version");
}

/// The chart is released with the program: one number for both, and for the image that it installs.
#[test]
fn the_chart_has_the_version_of_the_program() {
    let chart = text("manifests/chart/Chart.yaml");
    for key in ["version: ", "appVersion: "] {
        assert_eq!(quoted(&chart, key).as_deref(), Some(VERSION), "Chart.yaml's {key}");
    }
}

/// `make release-notes` and readers find a version by its heading.
#[test]
fn the_changelog_has_what_comes_first_and_then_versions_downwards() {
    let changelog = text("CHANGELOG.md");
    let headings: Vec<_> = changelog.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let [first, versions @ ..] = headings.as_slice() else { panic!("no headings") };
    assert_eq!(*first, "Unreleased", "what is not released yet stands first");
    let mut before = None;
    for heading in versions {
        let parts = heading
            .strip_suffix(')')
            .and_then(|heading| heading.split_once(" ("))
            .and_then(|(version, date)| Some((numbers(version, '.')?, numbers(date, '-')?)));
        let Some((version, _)) = parts else {
            panic!("the heading {heading:?} is not like `1.2.3 (2026-01-31)`")
        };
        assert!(before.is_none_or(|before| version < before), "{heading:?} is not in order");
        before = Some(version);
    }
    let ours = numbers(VERSION, '.').expect("three numbers");
    let newest = versions.first().and_then(|heading| heading.split(' ').next());
    let newest = newest.and_then(|version| numbers(version, '.'));
    assert!(newest.is_none_or(|newest| newest <= ours), "Cargo.toml's version is an older one");
}

fn numbers(text: &str, separator: char) -> Option<[u32; 3]> {
    let numbers: Option<Vec<u32>> = text.split(separator).map(|part| part.parse().ok()).collect();
    numbers?.try_into().ok()
}
