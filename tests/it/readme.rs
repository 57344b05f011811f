//! What README says is what the program does: flags, annotations, reason codes, make targets.
//!
//! The table of flags is made from clap; `UPDATE_GOLDEN=1` writes it anew.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use pod_identity_webhook::cli;
use pod_identity_webhook::plan::Reason;

const BEGIN: &str = "<!-- flags: made by `UPDATE_GOLDEN=1 cargo test --test it readme` -->\n";
const END: &str = "<!-- end of flags -->\n";

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

/// The tables of all flags: the server's, and for each command those that the server does not have.
fn flags() -> String {
    let server = cli::command();
    let mut text = String::new();
    tables(&server, |_| true, &mut text);
    let has = |arg: &clap::Arg| server.get_arguments().any(|a| a.get_long() == arg.get_long());
    for command in server.get_subcommands() {
        let mut own = String::new();
        tables(command, |arg| !has(arg), &mut own);
        if !own.is_empty() {
            let name = command.get_name();
            write!(text, "\n**`{name}`**, beside those of the server that it shares\n{own}")
                .unwrap();
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

#[test]
fn every_make_target_that_the_readme_names_exists() {
    let makefile =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Makefile")).unwrap();
    for target in ["demo", "test", "check", "run"] {
        assert!(readme().contains(&format!("make {target}")), "README does not show {target}");
        assert!(makefile.contains(&format!("\n{target}:")), "Makefile has no {target}");
    }
}
