//! What is said on stderr: notes about the inputs, one line per workload with its warnings below
//! it, and at last what `--check` found. Names and reasons, never a value.

use std::fmt::Write as _;

use crate::cli::{Check, MutateSettings, Output};
use crate::documents::{Document, Stream};
use crate::offline::{Given, Presence};

use super::judgement::Standing;
use super::{Judged, Verdict, verdict};

/// The text for stderr, and what `--check` found.
pub(super) fn text(
    settings: &MutateSettings,
    given: &Given,
    streams: &[Stream],
    judged: &[Judged],
) -> (String, Verdict) {
    let mut text = String::new();
    // Writing to a string does not fail.
    let mut line = |indent: &str, words: &dyn std::fmt::Display| {
        let _ = writeln!(text, "{indent}{words}");
    };
    for note in given.notes() {
        line("", &format_args!("note: {note}"));
    }
    for Judged { judgement, .. } in judged {
        line("", &format_args!("{}: {}", judgement.subject, judgement.words));
        for warning in &judgement.warnings {
            line("  ", warning);
        }
    }
    if judged.is_empty() {
        line("", &"note: there is no workload among the documents");
    }
    let writes_documents = settings.output != Output::Patch;
    let lost = streams.iter().flat_map(Stream::documents).any(Document::lost_comments);
    if writes_documents && lost {
        line("", &"note: a changed document loses its comments");
    }
    let count = |of: fn(&Judged) -> bool| judged.iter().filter(|judged| of(judged)).count();
    let lacking = count(|judged| judged.judgement.standing == Standing::Lacking);
    let not_given = count(|judged| judged.judgement.presence == Presence::NotGiven);
    let verdict = verdict(settings.check, lacking, not_given);
    if settings.check != Check::Off {
        let result = match verdict {
            Verdict::Passed => "passed",
            Verdict::Failed => "failed",
        };
        let workloads = match judged.len() {
            1 => "1 workload".to_owned(),
            several => format!("{several} workloads"),
        };
        line(
            "",
            &format_args!(
                "check {result}: {workloads}, {lacking} not completely injected, \
                 {not_given} whose ServiceAccount was not given"
            ),
        );
    }
    (text, verdict)
}
