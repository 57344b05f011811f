//! `explain`, run: facts from a cluster or from files, the explanation, the exit code.

mod cluster;
mod files;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use super::command;
use crate::cli::{ExplainSettings, Form, Question};
use crate::explain::{Colour, Explanation, Marks, Page, Verdict};

/// How wide text is where nobody says how wide the terminal is.
const WIDTH: usize = 100;

/// How wide text is at most: longer lines are hard to read.
const MAX_WIDTH: usize = 120;

/// How narrow text is at least.
const MIN_WIDTH: usize = 60;

/// Writes what was explained: 0 if all identities are complete or none is meant, 1 if something is
/// wrong with one, 2 and a sentence if it cannot be looked at.
pub fn explain(settings: &ExplainSettings) -> ExitCode {
    let form = settings.form;
    let explained = match &settings.question {
        Question::Cluster(question) => command::run(cluster::look(settings, question))
            .map(|explanation| (vec![explanation], Vec::new())),
        Question::Files { files, default_namespace } => {
            files::read(settings, files, default_namespace, &mut io::stdin().lock())
        }
    };
    let (explanations, notes) = match explained {
        Ok(explained) => explained,
        Err(error) => return command::unseen(&error),
    };
    for note in notes {
        eprintln!("note: {note}");
    }
    // A reader that has gone away has read enough.
    let _gone = io::stdout().write_all(text(form, &explanations).as_bytes());
    let is_wrong = |explanation: &Explanation| explanation.verdict == Verdict::Wrong;
    if explanations.iter().any(is_wrong) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn text(form: Form, explanations: &[Explanation]) -> String {
    match form {
        Form::Json => explanations
            .iter()
            .map(|e| serde_json::to_string_pretty(e).unwrap_or_default() + "\n")
            .collect(),
        Form::Table => {
            let page = page();
            let texts: Vec<_> = explanations.iter().map(|e| e.text(page)).collect();
            texts.join("\n")
        }
    }
}

/// The terminal, if standard output is one, and what its reader can read.
fn page() -> Page {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    // The first of these that is set names the locale (POSIX, Environment Variables).
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default();
    let locale = locale.to_uppercase();
    let is_utf8 = locale.contains("UTF-8") || locale.contains("UTF8");
    let is_terminal = io::stdout().is_terminal();
    let columns = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    let is_colourful = is_terminal && set("NO_COLOR").is_none();
    Page {
        width: columns
            .filter(|_| is_terminal)
            .map_or(WIDTH, |columns| columns.clamp(MIN_WIDTH, MAX_WIDTH)),
        colour: if is_colourful { Colour::Ansi } else { Colour::None },
        marks: if is_utf8 { Marks::Unicode } else { Marks::Ascii },
    }
}
