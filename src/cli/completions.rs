//! The flags of `completions`, and what it writes.

use clap::Args;
use clap_complete::Shell;

use super::value::choice;

const SHELLS: &[(&str, Shell)] =
    &[("bash", Shell::Bash), ("zsh", Shell::Zsh), ("fish", Shell::Fish)];

/// The flags as they are typed.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  pod-identity-webhook completions bash > /etc/bash_completion.d/pod-identity-webhook
  source <(pod-identity-webhook completions bash)          in this shell only
  pod-identity-webhook completions zsh > \"${fpath[1]}/_pod-identity-webhook\"
  pod-identity-webhook completions fish > ~/.config/fish/completions/pod-identity-webhook.fish")]
pub(super) struct CompletionsFlags {
    /// The shell that is to complete commands and flags: `bash`, `zsh` or `fish`
    #[arg(value_name = "bash|zsh|fish", required = true)]
    shell: String,
}

// === impl CompletionsFlags ===

impl CompletionsFlags {
    /// The shell's script for `command`, or one sentence.
    pub(super) fn script(&self, mut command: clap::Command) -> Result<String, String> {
        let shell = choice(SHELLS, "bash, zsh or fish")(&self.shell)
            .map_err(|allowed| format!("unknown shell {:?}: give {allowed}", self.shell))?;
        let name = command.get_name().to_owned();
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut command, &name, &mut script);
        // For bash, clap_complete writes the dashes of a name in two ways, and finds no flag of a
        // command then (clap-rs/clap#6421).
        let (wrong, right) = (name.replace('-', "__subcmd__"), name.replace('-', "__"));
        Ok(String::from_utf8_lossy(&script).replace(&wrong, &right))
    }
}
