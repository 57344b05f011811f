//! The specification, case by case: a folder of `tests/golden` is one review and what it gets.
//!
//! ```text
//! why               which rule or which row of the field list the case holds, in a line or two
//! review.json       what the API server sends
//! flags             one flag a line, as the server takes them
//! accounts.yaml     ServiceAccounts, and the ConfigMap of --watch-config-map
//! credentials.json  the file of --watch-container-credentials-config
//! policy.yaml       the file of --role-policy
//! lookup            `unknown: …` if accounts cannot be looked up
//! patch.json        the operations of the patch; absent if there is none
//! reply.json        the rest of the reply, from /mutate and from /mutate/strict
//! ```
//!
//! An account that `accounts.yaml` does not hold does not exist. `UPDATE_GOLDEN=1` rewrites
//! `patch.json` and `reply.json`: a case that merely records is worthless, so read them.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use pod_identity_webhook::accounts::{Credentials, Mappings};
use pod_identity_webhook::admission::Endpoint;
use pod_identity_webhook::cli::{self, Command};
use pod_identity_webhook::identity::Annotations;
use pod_identity_webhook::policy;
use serde_json::{Value, json};
use similar::TextDiff;

use crate::oracle::{World, check_patch, text};

/// The flags of the server that `mutate` does not have and that concern a decision.
const WATCH_CONFIG_MAP: [&str; 2] = ["--watch-config-map", "--watch-config-map=true"];

/// The rows of the field list that concern the decision.
const FIELD: [&str; 26] = [
    "F1", "F2", "F3", "F4", "F6", "F7", "F8", "F11", "F13", "F15", "O1", "O2", "O3", "O4", "O6",
    "N1", "N2", "N3", "N8", "N11", "N12", "N13", "N17", "N18", "N24", "N26",
];

#[test]
fn every_case_is_answered_as_its_files_say() {
    let mut failures = Vec::new();
    let cases = cases();
    for case in &cases {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(case))) {
            let message = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("it panicked");
            failures.push(format!("=== {}\n{message}", name(case)));
        }
    }
    let (failed, all) = (failures.len(), cases.len());
    assert!(failures.is_empty(), "{failed} of {all} cases\n\n{}\n", failures.join("\n\n"));
}

#[test]
fn every_row_of_the_field_list_has_a_case() {
    let held: HashSet<String> = cases()
        .iter()
        .flat_map(|case| {
            why(case)
                .split(|c: char| !c.is_ascii_alphanumeric())
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    let uncovered: Vec<_> = FIELD.iter().filter(|id| !held.contains(**id)).collect();
    assert!(uncovered.is_empty(), "no case holds {uncovered:?}");
}

#[test]
fn every_reason_of_an_outcome_or_a_warning_has_a_case() {
    use pod_identity_webhook::plan::Reason;

    let replies: String = cases()
        .iter()
        .map(|case| fs::read_to_string(case.join("reply.json")).unwrap_or_default())
        .collect();
    let silent = [
        // Nothing is said of these: a case holds each by having neither patch nor annotation.
        Reason::NotApplicable,
        Reason::SkipLabel,
        Reason::MirrorPod,
        Reason::NoIdentity,
        Reason::NoTokenVolume,
        Reason::AlreadyInjected,
        // A case of over 16 MiB; `plan::decide` has its test.
        Reason::TooLarge,
        // Of the command line alone.
        Reason::ServiceAccountNotGiven,
    ];
    let unseen: Vec<_> = Reason::ALL
        .into_iter()
        .filter(|reason| !silent.contains(reason) && !replies.contains(reason.code()))
        .collect();
    assert!(unseen.is_empty(), "no case shows {unseen:?}");
}

fn run(case: &Path) {
    assert!(!why(case).trim().is_empty(), "the file why says nothing");
    let known = [
        "why",
        "review.json",
        "flags",
        "accounts.yaml",
        "credentials.json",
        "policy.yaml",
        "lookup",
        "patch.json",
        "reply.json",
    ];
    for file in fs::read_dir(case).expect("a case is a folder") {
        let file = file.expect("a file").file_name();
        assert!(known.iter().any(|name| file == *name), "{} is not known", file.display());
    }
    let world = world(case);
    let review = fs::read_to_string(case.join("review.json")).expect("a case has a review.json");
    let asked: Value = serde_json::from_str(&review).expect("review.json is JSON");

    let lenient = world.reply(review.as_bytes(), Endpoint::Lenient);
    let strict = world.reply(review.as_bytes(), Endpoint::Strict);
    let replies = json!({ "mutate": lenient.rest(), "strict": strict.rest() });
    if strict.allowed() {
        assert_eq!(strict.patch, lenient.patch, "both endpoints give one patch");
    }

    compare(&case.join("patch.json"), lenient.patch.as_ref());
    compare(&case.join("reply.json"), Some(&replies));
    if let Some(patch) = &lenient.patch {
        check_patch(&world, &asked, patch);
    }
}

/// Asserts that `file` holds `actual`, line by line, or writes it.
fn compare(file: &Path, actual: Option<&Value>) {
    let actual = actual.map(text).unwrap_or_default();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        if actual.is_empty() {
            let _ = fs::remove_file(file);
        } else {
            fs::write(file, &actual).expect("the case can be written");
        }
    }
    let expected = fs::read_to_string(file).unwrap_or_default();
    let expected = if expected.trim() == "null" { String::new() } else { expected };
    let diff = TextDiff::from_lines(&expected, &actual);
    assert!(
        expected == actual,
        "{} is not what came:\n{}",
        name(file),
        diff.unified_diff().context_radius(5).header("expected", "came")
    );
}

fn world(case: &Path) -> World {
    let flags = fs::read_to_string(case.join("flags")).unwrap_or_default();
    let (watches, flags): (Vec<_>, Vec<_>) =
        flags.lines().partition(|flag| WATCH_CONFIG_MAP.contains(flag));
    let args = ["pod-identity-webhook", "mutate", "-f", "-"].into_iter().chain(flags);
    let settings = match cli::parse(args) {
        Ok(Command::Mutate(settings)) => *settings,
        other => panic!("the flags are not the server's: {other:?}"),
    };
    let outage = fs::read_to_string(case.join("lookup")).ok().map(|line| {
        let why = line.trim().strip_prefix("unknown: ").expect("lookup says `unknown: …`");
        &*Box::leak(why.to_owned().into_boxed_str())
    });
    let credentials = settings.credentials_file.as_ref().map(|file| {
        let json = fs::read(case.join(file)).expect("the flag names a file of the case");
        Credentials::parse(&json).expect("it is a list of accounts").0
    });
    let role_policy =
        settings.injection.role_policy.as_ref().map(|file| {
            policy::read(&case.join(file)).expect("the flag names a policy of the case")
        });
    let injection = settings.injection.settings;
    let prefix = injection.defaults.annotation_prefix.clone();
    let mut accounts = HashMap::new();
    let mut mappings = Mappings::default();
    for document in documents(&case.join("accounts.yaml")) {
        let metadata = &document["metadata"];
        match document["kind"].as_str() {
            Some("ServiceAccount") => {
                let annotations = metadata["annotations"].as_object().into_iter().flatten();
                let annotations = annotations.map(|(key, value)| (key.as_str(), value));
                let annotations = Annotations::read(
                    &prefix,
                    annotations.map(|(key, value)| (key, value.as_str().expect("annotations"))),
                );
                accounts.insert(
                    (string(&metadata["namespace"]), string(&metadata["name"])),
                    annotations,
                );
            }
            Some("ConfigMap") => {
                assert_eq!(metadata["name"], "pod-identity-webhook");
                assert_eq!(metadata["namespace"], "eks");
                if !watches.is_empty() {
                    mappings =
                        Mappings::parse(document["data"]["config"].as_str().expect("config"))
                            .expect("the mappings are JSON")
                            .0;
                }
            }
            other => panic!("accounts.yaml holds a {other:?}"),
        }
    }
    World {
        settings: injection,
        accounts,
        outage,
        mappings,
        credentials: credentials.unwrap_or_default(),
        role_policy,
    }
}

fn documents(file: &Path) -> Vec<Value> {
    match fs::read_to_string(file) {
        Err(_) => Vec::new(),
        Ok(yaml) => serde_saphyr::from_multiple(&yaml).expect("accounts.yaml is YAML"),
    }
}

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let entries = fs::read_dir(root).expect("there are cases");
    let mut cases: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    cases.sort();
    cases
}

fn why(case: &Path) -> String {
    fs::read_to_string(case.join("why")).expect("a case has a file why")
}

fn name(path: &Path) -> String {
    path.file_name().expect("a path has a name").to_string_lossy().into_owned()
}

fn string(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
