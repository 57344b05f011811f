//! What the program says about itself: help with examples, completions, pages of the manual.
//!
//! All commands are walked, so that a new one cannot be without.

use std::process::Command as Process;

use clap::Command;
use pod_identity_webhook::cli::{self, Exit};

/// Every command that can be run, with the words that call it.
fn commands() -> Vec<(Vec<String>, Command)> {
    fn walk(words: &[String], command: &Command, found: &mut Vec<(Vec<String>, Command)>) {
        let is_group = command.is_subcommand_required_set();
        if !is_group {
            found.push((words.to_vec(), command.clone()));
        }
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            let words = [words, &[inner.get_name().to_owned()]].concat();
            walk(&words, inner, found);
        }
    }
    let mut found = Vec::new();
    walk(&[], &cli::command(), &mut found);
    assert!(found.len() >= 5, "{}", found.len());
    found
}

/// The flags of a command that people are shown.
fn flags(command: &Command) -> impl Iterator<Item = String> {
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    shown
        .filter_map(|arg| arg.get_long().map(|long| format!("--{long}")))
        .collect::<Vec<_>>()
        .into_iter()
}

/// What the program writes, which must be text for standard output.
fn written<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    match cli::parse(["pod-identity-webhook"].into_iter().chain(words)) {
        Err(Exit::Answered(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn refused(words: &[&str]) -> String {
    match cli::parse(["pod-identity-webhook"].iter().chain(words)) {
        Err(Exit::Refused(sentence)) => sentence,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_command_has_help_with_examples() {
    for (words, command) in commands() {
        let help = written(words.iter().map(String::as_str).chain(["--help"]));
        let (_, examples) = help.split_once("\nExamples:\n").expect(&help);
        let call = ["pod-identity-webhook", &words.join(" ")].join(" ");
        assert!(examples.contains(call.trim()), "{call}: {examples}");
        assert!(!help.contains('\u{1b}'), "{help}");
        for flag in flags(&command) {
            assert!(help.contains(&flag), "{flag} of {call} is not in its help");
        }
    }
}

#[test]
fn every_shell_completes_every_command_and_flag() {
    for shell in ["bash", "zsh", "fish"] {
        let script = written(["completions", shell]);
        for (words, command) in commands() {
            for word in words {
                assert!(script.contains(&word), "{shell}: {word}");
            }
            for flag in flags(&command) {
                let flag = if shell == "fish" { flag.trim_start_matches('-') } else { &flag };
                assert!(script.contains(flag), "{shell}: {flag}");
            }
        }
    }
    assert_eq!(
        refused(&["completions", "tcsh"]),
        r#"unknown shell "tcsh": give bash, zsh or fish"#
    );
    assert_eq!(refused(&["completions"]), "<bash|zsh|fish> is missing: see --help for examples");
}

/// What a bash that has sourced the script offers behind these words.
fn offered(words: &[&str]) -> String {
    let script = written(["completions", "bash"]);
    let last = words.len() - 1;
    let asks = format!(
        "{script}\nCOMP_WORDS=({}); COMP_CWORD={last}\n_pod__identity__webhook pod-identity-webhook '{}' '{}'\necho \"${{COMPREPLY[*]}}\"",
        words.join(" "),
        words[last],
        words[last - 1],
    );
    let output = Process::new("bash").args(["-c", &asks]).output().expect("bash runs");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn bash_completes_what_is_typed() {
    assert_eq!(offered(&["pod-identity-webhook", "mut"]), "mutate");
    assert_eq!(offered(&["pod-identity-webhook", "mutate", "--inv"]), "--invalid-role-arn");
    assert_eq!(offered(&["pod-identity-webhook", "--shut"]), "--shutdown-delay");
}

#[test]
fn every_command_has_a_page_of_the_manual() {
    for (words, command) in commands() {
        let page = written(["man"].into_iter().chain(words.iter().map(String::as_str)));
        let name = [&["pod-identity-webhook".to_owned()], words.as_slice()].concat().join("-");
        assert!(page.contains(&format!(".TH {name} 1 ")), "{page:.200}");
        for section in ["NAME", "SYNOPSIS", "OPTIONS", "EXAMPLES"] {
            assert!(page.contains(&format!("\n.SH {section}\n")), "{name} has no {section}");
        }
        for flag in flags(&command) {
            assert!(page.contains(&flag.replace('-', "\\-")), "{flag} is not in {name}(1)");
        }
        assert!(!page.contains(env!("CARGO_MANIFEST_DIR")), "{page}");
    }
    let sentence = refused(&["man", "mutat"]);
    assert!(sentence.starts_with("unknown command \"mutat\": there are "), "{sentence}");
    assert_eq!(refused(&["man", "mutate", "x"]), "unknown command \"x\": mutate has none");
}
