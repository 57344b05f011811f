//! The workflows against the rules of who may run what: actionlint checks their grammar.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;

use super::{path, text};

/// Name, text and document of every workflow.
fn workflows() -> Vec<(String, String, Value)> {
    let folder = fs::read_dir(path(".github/workflows")).unwrap();
    let mut workflows: Vec<_> = folder
        .map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let text = text(&format!(".github/workflows/{name}"));
            let document = serde_saphyr::from_str(&text).unwrap();
            (name, text, document)
        })
        .collect();
    workflows.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    assert!(!workflows.is_empty());
    workflows
}

/// The jobs of a workflow, by name.
fn jobs(workflow: &Value) -> impl Iterator<Item = (&String, &Value)> {
    workflow["jobs"].as_object().expect("jobs").iter()
}

/// The steps of a job.
fn steps(job: &Value) -> impl Iterator<Item = &Value> {
    job["steps"].as_array().into_iter().flatten()
}

/// A tag can be moved to other code, a digest cannot; the comment is for people and for updates.
#[test]
fn every_action_is_pinned_by_digest_and_says_its_version() {
    let mut pins = BTreeMap::new();
    for (name, text, _) in workflows() {
        for line in text.lines() {
            let Some((_, uses)) = line.split_once("uses: ") else { continue };
            if uses.starts_with("./") {
                continue;
            }
            let parts = uses.split_once(" # v").and_then(|(uses, version)| {
                let (action, digest) = uses.split_once('@')?;
                Some((action, digest, version))
            });
            let Some((action, digest, version)) = parts else {
                panic!("{name}: {uses} is not like `owner/name@DIGEST # v1.2.3`")
            };
            let hex = digest.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
            assert!(hex && digest.len() == 40, "{name}: {uses} has no full digest");
            let numbers: Vec<_> = version.split('.').map(str::parse::<u32>).collect();
            assert!(numbers.len() == 3 && numbers.iter().all(Result::is_ok), "{name}: {uses}");
            let pin = (digest.to_owned(), version.to_owned());
            let before = pins.insert(action.to_owned(), pin.clone());
            assert!(before.is_none_or(|before| before == pin), "{action} is pinned in two ways");
        }
    }
}

#[test]
fn nothing_may_be_written_but_by_the_jobs_that_release() {
    for (name, _, workflow) in workflows() {
        let permissions = workflow["permissions"].as_object().expect("permissions for all jobs");
        assert!(permissions.values().all(|level| level == "read"), "{name}: {permissions:?}");
        for (job, document) in jobs(&workflow) {
            let Some(permissions) = document["permissions"].as_object() else {
                assert_ne!(name, "release.yml", "{job} has no permissions of its own");
                continue;
            };
            let writes: BTreeSet<_> = permissions
                .iter()
                .filter(|(_, level)| *level != "read")
                .map(|(scope, _)| scope.as_str())
                .collect();
            let allowed: &[&str] = match (name.as_str(), job.as_str()) {
                ("release.yml", "image" | "chart") => &["attestations", "id-token", "packages"],
                ("release.yml", "release") => &["contents"],
                _ => &[],
            };
            assert!(
                writes.iter().all(|scope| allowed.contains(scope)),
                "{name}, {job}: {writes:?}"
            );
        }
    }
}

/// What an event brings (a branch's name, a title) is text in the environment, never part of a script.
#[test]
fn no_script_has_an_expression_in_it() {
    for (name, _, workflow) in workflows() {
        for (job, document) in jobs(&workflow) {
            for script in steps(document).filter_map(|step| step["run"].as_str()) {
                assert!(!script.contains("${{"), "{name}, {job}: pass it by env: {script}");
            }
        }
    }
}

#[test]
fn no_checkout_leaves_its_token_behind_and_no_job_runs_for_ever() {
    for (name, _, workflow) in workflows() {
        for (job, document) in jobs(&workflow) {
            assert!(
                document["timeout-minutes"].is_u64() || document["uses"].is_string(),
                "{name}, {job}"
            );
            for step in steps(document) {
                let action = step["uses"].as_str().unwrap_or_default();
                if action.starts_with("actions/checkout@") {
                    assert_eq!(step["with"]["persist-credentials"], false, "{name}, {job}");
                }
            }
        }
    }
}

#[test]
fn every_make_target_of_the_workflows_exists() {
    let makefile = text("Makefile");
    let mut found = 0;
    for (name, text, _) in workflows() {
        for (_, command) in text.lines().filter_map(|line| line.split_once("make ")) {
            let target = command.split(' ').find(|word| !word.starts_with('-')).unwrap_or_default();
            assert!(makefile.contains(&format!("\n{target}:")), "{name}: Makefile has no {target}");
            found += 1;
        }
    }
    assert!(found > 3, "the workflows do their work by make");
}

#[test]
fn what_is_released_is_tested_first_and_signed() {
    let (.., release) =
        workflows().into_iter().find(|(name, ..)| name == "release.yml").expect("release.yml");
    let jobs: BTreeMap<_, _> = jobs(&release).collect();
    let needs = |job: &str| -> Vec<String> {
        serde_json::from_value(jobs[&job.to_owned()]["needs"].clone()).expect("needs")
    };
    assert_eq!(jobs[&"ci".to_owned()]["uses"], "./.github/workflows/ci.yml");
    assert_eq!(needs("image"), ["ci", "version"]);
    assert!(needs("chart").contains(&"image".to_owned()));
    assert_eq!(needs("release"), ["chart"]);
    for job in ["image", "chart"] {
        let all = jobs[&job.to_owned()].to_string();
        assert!(all.contains("cosign sign --yes"), "{job} is signed");
        assert!(all.contains("actions/attest@"), "the provenance of {job} is attested");
    }
}
