//! The binary: parse, set up telemetry, run, exit code.
//!
//! Exit codes: 0 done, 1 failed (or a command that looks found something), 2 the command line or the
//! input cannot be used. What a person sees is one sentence; the log has the chain.

use std::io::Write as _;
use std::process::ExitCode;

use pod_identity_webhook::cli::{self, Command, Exit};
use pod_identity_webhook::{app, mutate};

/// Measured by `make bench`: a call costs a tenth less than with glibc's, and an idle process holds a
/// little less, but only without huge pages (`no_thp`), which cost 11 MB.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(Command::Serve(settings)) => app::main(*settings),
        Ok(Command::Explain(settings)) => app::explain(&settings),
        Ok(Command::Certificate(settings)) => app::certificate(*settings),
        Ok(Command::AuditPods(settings)) => app::audit_pods(*settings),
        Ok(Command::Doctor(settings)) => app::doctor(*settings),
        Ok(Command::Mutate(settings)) => mutate::main(&settings),
        Err(Exit::Answered(text)) => {
            // A reader that has gone away has read enough.
            let _gone = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(Exit::Refused(sentence)) => {
            eprintln!("pod-identity-webhook: {sentence}");
            ExitCode::from(2)
        }
    }
}
