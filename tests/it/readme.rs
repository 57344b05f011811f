//! What README says is what the program does: flags, annotations, reason codes, make targets.
//!
//! The table of flags is made from clap; `UPDATE_GOLDEN=1` writes it anew.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use pod_identity_webhook::audit::{Cause, Missed};
use pod_identity_webhook::cli;
use pod_identity_webhook::drift::Verdict;
use pod_identity_webhook::plan::Reason;

const BEGIN: &str = "<!-- flags: made by `UPDATE_GOLDEN=1 cargo test --test it readme` -->\n";
const END: &str = "<!-- end of flags -->\n";

/// Held by whoever writes a part of it anew, from the reading on.
static WRITING: Mutex<()> = Mutex::new(());

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

/// The tables of all flags: the server's, and for each command those that the server does not have.
fn flags() -> String {
    let server = cli::command();
    let mut text = String::new();
    tables(&server, |_| true, &mut text);
    let has = |arg: &clap::Arg| server.get_arguments().any(|a| a.get_long() == arg.get_long());
    let mut of_command = |name: String, command: &clap::Command| {
        let mut own = String::new();
        tables(command, |arg| !has(arg), &mut own);
        if !own.is_empty() {
            write!(text, "\n**`{name}`**, beside those of the server that it shares\n{own}")
                .unwrap();
        }
    };
    for command in server.get_subcommands() {
        of_command(command.get_name().to_owned(), command);
        for kind in command.get_subcommands() {
            of_command(format!("{} {}", command.get_name(), kind.get_name()), kind);
        }
    }
    text.push('\n');
    text
}

/// A table a heading, as `--help` has them; hidden flags are klog's and are named in the text.
fn tables(command: &clap::Command, which: impl Fn(&clap::Arg) -> bool, text: &mut String) {
    let mut heading = Some("");
    let mut args: Vec<_> = command
        .get_arguments()
        .filter(|arg| arg.get_long().is_some_and(|long| long != "help" && long != "version"))
        .filter(|arg| !arg.is_hide_set() && which(arg))
        .collect();
    args.sort_by_key(|arg| arg.get_help_heading().map(str::to_owned));
    for arg in args {
        if heading != arg.get_help_heading() {
            heading = arg.get_help_heading();
            if let Some(heading) = heading {
                writeln!(text, "\n**{heading}**").unwrap();
            }
            writeln!(text).unwrap();
            writeln!(text, "| flag | default | meaning |\n|---|---|---|").unwrap();
        }
        let long = arg.get_long().unwrap_or_default();
        let defaults: Vec<_> =
            arg.get_default_values().iter().map(|v| format!("`{}`", v.display())).collect();
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let help = help.replace('|', "\\|");
        writeln!(text, "| `--{long}` | {} | {help} |", defaults.join(" ")).unwrap();
    }
}

/// field.md N25: the documentation and the program cannot part.
#[test]
fn the_flags_of_the_readme_are_those_of_the_program() {
    let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let readme = readme();
    let (before, rest) = readme.split_once(BEGIN).expect("README has the flags' first mark");
    let (table, after) = rest.split_once(END).expect("README has the flags' last mark");
    let flags = flags();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        fs::write(path, format!("{before}{BEGIN}{flags}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(table, flags, "run UPDATE_GOLDEN=1 cargo test --test it readme");
}

#[test]
fn every_reason_code_is_explained_in_the_readme() {
    let readme = readme();
    for reason in Reason::ALL {
        assert!(readme.contains(&format!("`{reason}`")), "{reason} is not in README.md");
    }
}

/// What an audit says besides, of Pods that run.
#[test]
fn every_finding_of_an_audit_is_explained_in_the_readme() {
    let readme = readme();
    let of_drift = [
        Verdict::Missing,
        Verdict::Partial,
        Verdict::OtherMethod,
        Verdict::OtherRole,
        Verdict::OtherAudience,
        Verdict::OtherTokenPath,
        Verdict::OtherEndpoint,
    ];
    let not_called = Cause::NotCalled(Missed::Namespace);
    for cause in of_drift.map(Cause::Drift).into_iter().chain([not_called]) {
        assert!(readme.contains(&format!("| `{}` |", cause.code())), "{cause:?} has no row");
    }
}

#[test]
fn every_annotation_is_in_the_readme() {
    let readme = readme();
    for key in [
        "role-arn",
        "pod-identity",
        "audience",
        "token-expiration",
        "sts-regional-endpoints",
        "skip-containers",
        "include-containers",
        "region",
        "role-session-name",
    ] {
        assert!(readme.contains(&format!("| `{key}` |")), "{key} has no row in README.md");
    }
}

#[test]
fn the_taste_of_the_readme_is_what_the_command_prints() {
    const SHOWN: &str = "$ cargo run -q -- mutate -f examples/s3-echoer.yaml --output diff\n";

    let readme = readme();
    let (_, rest) = readme.split_once(SHOWN).expect("README shows the command");
    let (shown, _) = rest.split_once("```").expect("the block ends");
    let output = Command::new(env!("CARGO_BIN_EXE_pod-identity-webhook"))
        .args(["mutate", "-f", "examples/s3-echoer.yaml", "--output", "diff"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8(output.stdout), String::from_utf8(output.stderr));
    assert_eq!(shown, out.unwrap() + &err.unwrap());
}

/// What the case holds is what the command prints: `explain::golden`.
#[test]
fn the_explanation_of_the_readme_is_what_the_command_prints() {
    const SHOWN: &str =
        "$ pod-identity-webhook explain -f pod.yaml --issuer=https://oidc.example\n";

    let readme = readme();
    let (_, rest) = readme.split_once(SHOWN).expect("README shows the command");
    let (shown, _) = rest.split_once("```").expect("the block ends");
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden-explain/missing-identity");
    assert_eq!(fs::read_to_string(case.join("flags")).unwrap(), "--issuer=https://oidc.example\n");
    assert_eq!(shown, fs::read_to_string(case.join("text")).unwrap());
}

#[test]
fn every_make_target_that_the_readme_names_exists() {
    let makefile =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Makefile")).unwrap();
    for target in ["demo", "test", "check", "run"] {
        assert!(readme().contains(&format!("make {target}")), "README does not show {target}");
        assert!(makefile.contains(&format!("\n{target}:")), "Makefile has no {target}");
    }
}

/// Run `make session` for those of a terminal.
#[test]
fn every_picture_of_the_readme_is_there_and_keeps_its_columns() {
    let readme = readme();
    let pictures: Vec<_> = readme
        .split("![")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once("](")?.1.split_once(')')?.0))
        .collect();
    assert!(!pictures.is_empty(), "README shows no picture");
    for file in pictures {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let picture = fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(picture.len() < 200_000, "{file} has {} bytes", picture.len());
        for text in picture.lines().filter(|line| line.starts_with("<text")) {
            assert!(!text.contains("  "), "{file}: a browser draws these spaces as one: {text}");
        }
    }
}

const CHECKS_BEGIN: &str =
    "<!-- checks: made by `UPDATE_GOLDEN=1 cargo test --test it readme` -->\n";
const CHECKS_END: &str = "<!-- end of checks -->\n";

#[test]
fn the_checks_of_the_readme_are_those_of_doctor() {
    let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let readme = readme();
    let (before, rest) =
        readme.split_once(CHECKS_BEGIN).expect("README has the checks' first mark");
    let (table, after) = rest.split_once(CHECKS_END).expect("README has the checks' last mark");
    let mut checks = "\n| check | what it asks |\n|---|---|\n".to_owned();
    for (id, asks) in cli::CHECKS {
        writeln!(checks, "| `{id}` | {asks} |").unwrap();
    }
    checks.push('\n');
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        fs::write(path, format!("{before}{CHECKS_BEGIN}{checks}{CHECKS_END}{after}")).unwrap();
        return;
    }
    assert_eq!(table, checks, "run UPDATE_GOLDEN=1 cargo test --test it readme");
    let counted = format!("\n{} checks: ", cli::CHECKS.len());
    assert!(readme.contains(&counted), "README says how many checks there are");
}
