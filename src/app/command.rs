//! What the commands that look at something share: one runtime, one look, one sentence if that is in
//! vain.

use std::process::ExitCode;

use anyhow::Context as _;

/// The exit code when it cannot be looked at, or not at everything.
pub(super) const UNSEEN: u8 = 2;

/// What `look` comes to, on a runtime of its own.
///
/// # Errors
///
/// Why nothing was seen, or that there can be no runtime.
pub(super) fn run<T>(look: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime")
        .and_then(|runtime| runtime.block_on(look))
}

/// Says why nothing was seen.
pub(super) fn unseen(error: &anyhow::Error) -> ExitCode {
    eprintln!("pod-identity-webhook: {error:#}");
    ExitCode::from(UNSEEN)
}
