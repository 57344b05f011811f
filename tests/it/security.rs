//! SECURITY.md names the test of each of its claims: here is that there is such a test.
//!
//! A claim is a row of a table, and its last cell names tests, by the name of the function, or a
//! folder of `tests/golden`. What the compiler holds for us is looked up where it is told to.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn document() -> String {
    fs::read_to_string(root().join("SECURITY.md")).unwrap()
}

/// All sources in a folder and below it.
fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(fs::read_to_string(path).unwrap());
        }
    }
}

/// The names of all tests.
fn tests() -> BTreeSet<String> {
    let mut texts = Vec::new();
    sources(&root().join("src"), &mut texts);
    sources(&root().join("tests/it"), &mut texts);
    let mut names = BTreeSet::new();
    for text in &texts {
        let mut attributed = false;
        for line in text.lines().map(str::trim) {
            let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
            if line == "#[test]" || line.starts_with("#[tokio::test") {
                attributed = true;
            } else if let Some(function) = function {
                let name = function.split(['(', '<']).next().unwrap_or_default();
                if attributed {
                    names.insert(name.to_owned());
                }
                attributed = false;
            }
        }
        // Those of property tests stand in a macro, with arguments.
        let properties =
            text.split("proptest! {").skip(1).flat_map(|part| part.split("fn ").skip(1));
        names
            .extend(properties.filter_map(|rest| rest.split(['(', '<']).next()).map(str::to_owned));
    }
    names
}

/// The rows of claims, without heads and rules.
fn claims(document: &str) -> Vec<&str> {
    let rows = document.lines().filter(|line| line.starts_with("| "));
    rows.filter(|row| !row.starts_with("| what they")).collect()
}

/// What stands in back quotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Whether a quoted text is the name of a test, and not a flag or a file.
fn is_test(name: &str) -> bool {
    name.matches('_').count() >= 3
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[test]
fn every_claim_names_a_test_that_is_there() {
    let (document, tests) = (document(), tests());
    let claims = claims(&document);
    assert!(claims.len() > 20, "{claims:#?}");
    for claim in claims {
        let by = claim.trim_end_matches(" |").rsplit("| ").next().unwrap();
        assert!(quoted(by).next().is_some(), "nothing holds: {claim}");
        for name in quoted(by) {
            let exists = match name.strip_prefix("tests/golden/") {
                Some(_) => root().join(name).join("review.json").exists(),
                None => tests.contains(name),
            };
            assert!(exists, "there is no test {name}, of: {claim}");
        }
    }
    for name in quoted(&document).filter(|name| is_test(name)) {
        assert!(tests.contains(name), "there is no test {name}");
    }
}

/// The compiler refuses it, and no attribute takes that back: `forbid` cannot be.
#[test]
fn no_unsafe_code_is_ours() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"forbid\""));
    assert!(manifest.contains("\n[lints]\nworkspace = true\n"));
}
