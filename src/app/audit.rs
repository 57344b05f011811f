//! `audit pods`: run once, a client, the look, the report, the exit code; or on and on (`watch.rs`).
//!
//! Progress is shown on standard error where that is a terminal, and colours where standard output
//! is one and `NO_COLOR` is not set.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};

use kube::Client;

use super::{client, command, watch};
use crate::audit::{self, Ended, Expectation, Report, Scope};
use crate::cli::{Errand, Form, Namespaces, PodsSettings, Progress, Whose};

/// Writes the report: 0 if no Pod lacks its identity, 1 if some do, 2 and a sentence if the cluster
/// cannot be looked at.
pub fn audit_pods(settings: PodsSettings) -> ExitCode {
    let PodsSettings { kubeconfig, kube_api, namespaces, whose, errand } = settings;
    let (form, progress) = match errand {
        Errand::Once { form, progress } => (form, progress),
        Errand::Watch(settings) => {
            return watch::main(settings, move || bind(kubeconfig, kube_api, namespaces, whose));
        }
    };
    let look = async {
        let (client, scope, expectation) = bind(kubeconfig, kube_api, namespaces, whose).await?;
        let bar = Bar::new(progress);
        let report = audit::once(&client, &scope, expectation, |looked, remaining| {
            bar.moves(looked, remaining);
        });
        anyhow::Ok(report.await?)
    };
    match command::run(look) {
        Ok(report) => write(&report, form),
        Err(error) => command::unseen(&error),
    }
}

/// Where to look, and what Pods are held against.
async fn bind(
    kubeconfig: Option<PathBuf>,
    kube_api: Option<::http::Uri>,
    namespaces: Namespaces,
    whose: Whose,
) -> anyhow::Result<(Client, Scope, Expectation)> {
    let client = client(kubeconfig, kube_api).await?;
    let scope = match namespaces {
        Namespaces::All => Scope::All,
        Namespaces::Named(namespace) => Scope::Namespace(namespace),
        Namespaces::Current => Scope::Namespace(client.default_namespace().into()),
    };
    let expectation = Expectation::settle(&client, &whose).await?;
    Ok((client, scope, expectation))
}

fn write(report: &Report, form: Form) -> ExitCode {
    // A reader that has gone away has read enough.
    let _gone = match form {
        Form::Table => anstream::stdout().write_all(report.table().as_bytes()),
        Form::Json => std::io::stdout().write_all(report.json().as_bytes()),
    };
    match report.ended() {
        Ended::Clean => ExitCode::SUCCESS,
        Ended::Found => ExitCode::FAILURE,
        Ended::Unread => ExitCode::from(command::UNSEEN),
    }
}

/// How far the look is.
struct Bar(ProgressBar);

// === impl Bar ===

impl Bar {
    fn new(progress: Progress) -> Self {
        // Hidden by itself where standard error is no terminal.
        Self(match progress {
            Progress::Shown => ProgressBar::new_spinner(),
            Progress::Hidden => ProgressBar::hidden(),
        })
    }

    fn moves(&self, looked: u64, remaining: Option<u64>) {
        let Self(bar) = self;
        if let Some(remaining) = remaining {
            bar.set_length(looked + remaining);
            if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} Pods, {eta}") {
                bar.set_style(style);
            }
        }
        bar.set_position(looked);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
