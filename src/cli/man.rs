//! The flags of `man`, and the page that it writes.

use clap::Args;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

/// The flags as they are typed.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  pod-identity-webhook man | man -l -                      to read it
  pod-identity-webhook man > /usr/local/share/man/man1/pod-identity-webhook.1
  pod-identity-webhook man mutate > /usr/local/share/man/man1/pod-identity-webhook-mutate.1")]
pub(super) struct ManFlags {
    /// The command that the page is of; of all of it by default
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
}

// === impl ManFlags ===

impl ManFlags {
    /// The page in roff, or one sentence.
    pub(super) fn page(&self, mut command: clap::Command) -> Result<String, String> {
        command = command.disable_help_subcommand(true);
        // Gives every command its whole name.
        command.build();
        let mut found = &command;
        for word in &self.command {
            found = found.find_subcommand(word).ok_or_else(|| {
                let there: Vec<_> = found.get_subcommands().map(clap::Command::get_name).collect();
                match there.as_slice() {
                    [] => format!("unknown command {word:?}: {} has none", found.get_name()),
                    there => format!("unknown command {word:?}: there are {}", there.join(", ")),
                }
            })?;
        }
        let after = found.get_after_help().map(ToString::to_string).unwrap_or_default();
        let source = format!("{} {}", command.get_name(), env!("CARGO_PKG_VERSION"));
        let mut page = Vec::new();
        Man::new(found.clone().after_help(None::<&str>))
            .source(source)
            .render(&mut page)
            .and_then(|()| sections(&after).to_writer(&mut page))
            .map_err(|error| format!("the page cannot be written: {error}"))?;
        Ok(String::from_utf8_lossy(&page).into_owned())
    }
}

/// What stands below the flags in `--help`: notes, examples and exit codes, each as a section.
fn sections(after: &str) -> Roff {
    const NOTES: &str = "NOTES";
    let mut roff = Roff::new();
    let mut section = "";
    for paragraph in after.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
        let (heading, text) = match paragraph.split_once(':') {
            Some(("Examples", examples)) => ("EXAMPLES", examples.trim_start_matches('\n')),
            Some(("Exit codes", codes)) => ("EXIT STATUS", codes.trim_start()),
            _ => (NOTES, paragraph),
        };
        if heading == section {
            roff.control("PP", []);
        } else {
            roff.control("SH", [heading]);
        }
        section = heading;
        if heading == NOTES {
            roff.text([roman(text)]);
        } else {
            // As it stands, line by line.
            roff.control("nf", []).text([roman(text)]).control("fi", []);
        }
    }
    roff
}
