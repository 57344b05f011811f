//! `explain`: what a person is told, from files and of a real cluster, and what a program is.

mod cluster;
mod golden;
mod schema;
mod secrecy;
mod stage;

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The command with a clean environment; its output is no terminal.
fn explain(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pod-identity-webhook"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("PODIDENTITY_") || name == "NO_COLOR" {
            command.env_remove(name);
        }
    }
    command
        .env("LC_ALL", "C.UTF-8")
        .arg("explain")
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("what is written is UTF-8")
}
