//! What a person sees, case by case: a folder of `tests/golden-explain` is what was given and what is
//! told.
//!
//! ```text
//! why               what the case holds, in a line or two
//! documents.yaml    what -f reads
//! flags             one flag a line
//! credentials.json  the file of --watch-container-credentials-config
//! policy.yaml       the file of --role-policy
//! text              what is written for a person, 100 columns wide
//! ```
//!
//! `UPDATE_GOLDEN=1` rewrites `text`: read it as the person who has the trouble.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use pod_identity_webhook::plan::Reason;
use similar::TextDiff;

use super::{explain, text};

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden-explain");
    let mut cases: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

fn read(case: &Path, file: &str) -> String {
    fs::read_to_string(case.join(file)).unwrap_or_default()
}

#[test]
fn every_case_is_told_as_its_files_say() {
    let mut failures = Vec::new();
    for case in cases() {
        assert!(!read(&case, "why").trim().is_empty(), "{} says why", case.display());
        let flags = read(&case, "flags");
        let args: Vec<_> = ["-f", "documents.yaml"].into_iter().chain(flags.lines()).collect();
        let output = explain(&case, &args);
        let told = text(&output.stdout);
        let wanted = i32::from(told.lines().any(|line| line.starts_with('✗')));
        if output.status.code() != Some(wanted) {
            failures.push(format!("{}: {}, {told}", case.display(), output.status));
        }
        let file = case.join("text");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&file, told).unwrap();
        }
        let expected = read(&case, "text");
        if expected != told {
            let diff = TextDiff::from_lines(expected.as_str(), told);
            failures.push(format!("{}\n{}", file.display(), diff.unified_diff()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn every_reason_that_a_file_can_give_has_a_case() {
    let told: String = cases().iter().map(|case| read(case, "text")).collect();
    let cases: BTreeSet<_> = cases()
        .iter()
        .map(|case| case.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    let of_no_file = [
        // Workloads alone are among the files.
        Reason::NotApplicable,
        // Of a webhook that asks an API server.
        Reason::LookupFailed,
        // An input that cannot be read is no explanation.
        Reason::UnreadablePod,
        // A case of over 16 MiB; `plan::decide` has its test.
        Reason::TooLarge,
    ];
    let silent = [Reason::Injected, Reason::AlreadyInjected, Reason::NoTokenVolume];
    let unseen: Vec<_> = Reason::ALL
        .into_iter()
        .filter(|reason| !of_no_file.contains(reason))
        .filter(|reason| {
            let code = reason.code();
            if silent.contains(reason) { !cases.contains(code) } else { !told.contains(code) }
        })
        .collect();
    assert!(unseen.is_empty(), "no case shows {unseen:?}");
}

/// The first line says how it stands, and the last what to do.
#[test]
fn every_text_begins_with_the_verdict_and_ends_with_the_next_step() {
    for case in cases() {
        let told = read(&case, "text");
        for told in told.split("\n\n✓").flat_map(|part| part.split("\n\n✗")) {
            let last = told.trim_end().lines().rfind(|line| !line.starts_with(' ')).unwrap();
            assert!(last.starts_with("next  "), "{}: {last}", case.display());
        }
        assert!(told.starts_with(['✓', '✗', '-']), "{}", case.display());
    }
}

/// A terminal of 24 to 40 lines is a screen.
#[test]
fn what_everybody_hopes_to_see_fits_a_screen() {
    for case in ["injected", "already-injected", "injected-pod-identity", "no-identity"] {
        let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden-explain").join(case);
        assert!(read(&case, "text").lines().count() <= 22, "{}", case.display());
    }
}
