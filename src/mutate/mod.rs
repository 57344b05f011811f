//! `mutate`: the webhook's decision offline, about documents instead of requests.
//!
//! ```text
//! files, stdin --> offline --> Given (accounts, mappings, credentials) --+
//!                     |                                                  v
//!                     +-----> Workload (its Pod template) ----------> judgement
//!                                                                        |
//!         stdout <-- output <-- changed documents <-- patches <----------+
//!         stderr <-- report <--------------------------------------------+
//! ```
//!
//! Everything is collected before anything is decided, since a workload may stand before its
//! ServiceAccount; everything is decided before anything is written, so bad input leaves stdout
//! empty. The decision is [`plan::decide`](crate::plan::decide), never a copy of it.
//! stderr has names and reasons, never the value of a variable.

mod diff;
mod error;
mod judgement;
mod output;
mod report;

use std::io::{self, Read, Write};
use std::process::ExitCode;

use crate::cli::{Check, MutateSettings};
use crate::documents::Stream;
use crate::offline::{self, Given, Place, Workload};

pub use error::{MutateError, PatchError};

use judgement::Judgement;

/// The exit code of bad input.
const BAD_INPUT: u8 = 2;

/// What `--check` found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Nothing that it was asked to look for.
    Passed,
    /// A workload that would not get its identity.
    Failed,
}

/// Runs the command on the process's own streams. The exit code is 1 if `--check` found
/// something, 2 if there was bad input, which is told in one sentence on stderr.
pub fn main(settings: &MutateSettings) -> ExitCode {
    let (stdout, stderr) = (io::stdout(), io::stderr());
    match run(settings, &mut io::stdin().lock(), &mut stdout.lock(), &mut stderr.lock()) {
        Ok(Verdict::Passed) => ExitCode::SUCCESS,
        Ok(Verdict::Failed) => ExitCode::FAILURE,
        Err(error) => {
            // There is nobody left to tell if stderr is closed.
            let _ = writeln!(stderr.lock(), "pod-identity-webhook: {}", error.sentence());
            ExitCode::from(BAD_INPUT)
        }
    }
}

/// Reads the inputs, decides about every workload, writes documents to `stdout` and one line per
/// workload to `stderr`. A reader of `stdout` that has gone away is not an error.
///
/// # Errors
///
/// The first input that cannot be used; nothing was written then. Or that `stdout` does not take
/// what is written.
pub fn run(
    settings: &MutateSettings,
    stdin: &mut impl Read,
    stdout: &mut impl Write,
    stderr: &mut impl Write,
) -> Result<Verdict, MutateError> {
    let mut streams = offline::streams(&settings.files, stdin)?;
    let given = Given::collect(
        &streams,
        &settings.injection.settings.defaults.annotation_prefix,
        &settings.default_namespace,
        settings.credentials_file.as_deref(),
        settings.injection.role_policy.as_deref(),
    )?;
    let judgements = judge(settings, &streams, &given)?;
    apply(&mut streams, &judgements)?;
    let text = output::text(settings.output, &streams, &judgements)?;
    let (report, verdict) = report::text(settings, &given, &streams, &judgements);
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    // There is nobody left to tell if stderr is closed.
    let _ = stderr.write_all(report.as_bytes()).and_then(|()| stderr.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(MutateError::Write(error)),
        _ => Ok(verdict),
    }
}

/// A workload's judgement and the place of its document: the stream's index, then its own.
struct Judged {
    stream: usize,
    document: usize,
    judgement: Judgement,
}

fn judge(
    settings: &MutateSettings,
    streams: &[Stream],
    given: &Given,
) -> Result<Vec<Judged>, MutateError> {
    let mut judged = Vec::new();
    for (stream, documents) in streams.iter().enumerate() {
        for (document, source) in documents.documents().enumerate() {
            for object in source.objects() {
                let Some(workload) = Workload::of(&object, &settings.default_namespace) else {
                    continue;
                };
                let injection = &settings.injection.settings;
                let judgement = judgement::judge(&workload, &Place::of(source), given, injection)?;
                judged.push(Judged { stream, document, judgement });
            }
        }
    }
    Ok(judged)
}

fn apply(streams: &mut [Stream], judged: &[Judged]) -> Result<(), MutateError> {
    let mut ahead = judged.iter().peekable();
    for (stream, documents) in streams.iter_mut().enumerate() {
        for (document, target) in documents.documents_mut().enumerate() {
            let mut changed = None;
            let here = |judged: &&Judged| judged.stream == stream && judged.document == document;
            while let Some(Judged { judgement, .. }) = ahead.next_if(here) {
                if judgement.patch.is_empty() {
                    continue;
                }
                let value = changed.get_or_insert_with(|| target.value().clone());
                judgement.apply(value)?;
            }
            if let Some(value) = changed {
                target.replace(value)?;
            }
        }
    }
    Ok(())
}

/// Whether what was found fails the check.
fn verdict(check: Check, lacking: usize, not_given: usize) -> Verdict {
    let found = match check {
        Check::Off => 0,
        Check::Identities => lacking,
        Check::All => lacking + not_given,
    };
    if found == 0 { Verdict::Passed } else { Verdict::Failed }
}
