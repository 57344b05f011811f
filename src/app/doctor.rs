//! `doctor`, run: a client, the observations, the report, the exit code.
//!
//! What depends on who looks is settled here: marks by the locale, the width by the terminal. Colours
//! are for terminals without `NO_COLOR`, and so is the bar.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{anyhow, bail};
use indicatif::{ProgressBar, ProgressStyle};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use tokio::time::timeout;

use super::{api_server, command};
use crate::cli::{DoctorForm, DoctorSettings, Progress};
use crate::doctor::{
    Health, Marks, Question, Report, Selection, Standpoint, Style, Walked, gather,
};

/// How long the first answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// Writes the report: 0 if nothing is wrong, 1 if something is, 2 if not everything could be looked
/// at, or nothing.
pub fn doctor(settings: DoctorSettings) -> ExitCode {
    let form = settings.form;
    let report = match command::run(look(settings)) {
        Ok(report) => report,
        Err(error) => return command::unseen(&error),
    };
    // A reader that has gone away has read enough.
    let _gone = match form {
        DoctorForm::Text => anstream::stdout().write_all(report.text(style()).as_bytes()),
        DoctorForm::Json => {
            let text = serde_json::to_string_pretty(&report).unwrap_or_default() + "\n";
            std::io::stdout().write_all(text.as_bytes())
        }
    };
    match report.health() {
        Health::Good => ExitCode::SUCCESS,
        Health::Bad => ExitCode::FAILURE,
        Health::Unknown => ExitCode::from(command::UNSEEN),
    }
}

async fn look(settings: DoctorSettings) -> anyhow::Result<Report> {
    let DoctorSettings {
        kubeconfig,
        kube_api,
        webhook_configuration,
        namespace,
        only,
        skip,
        form: _,
        progress,
    } = settings;
    let config = api_server::config(kubeconfig, kube_api).await?;
    let question = Question {
        configuration: webhook_configuration,
        namespace,
        api_server: config.cluster_url.clone(),
        // The kubelet sets it in every Pod.
        standpoint: match std::env::var_os("KUBERNETES_SERVICE_HOST") {
            Some(_) => Standpoint::Inside,
            None => Standpoint::Outside,
        },
    };
    let client = api_server::of_config(config)?;
    answers(&client, &question).await?;
    let selection = Selection::of(&only, &skip);
    let bar = Bar::new(progress);
    let observed = gather(&client, &question, &selection, &|walked| bar.moves(walked)).await;
    drop(bar);
    Ok(Report::new(&observed, &selection))
}

/// Whether there is an API server at all, and the namespace that is asked about: nothing else makes
/// sense without them.
async fn answers(client: &kube::Client, question: &Question) -> anyhow::Result<()> {
    let asked = async {
        match client.apiserver_version().await {
            Err(kube::Error::Api(status)) if status.code == 401 => bail!(
                "the API server at {} does not know you: log in, or name another kubeconfig",
                question.api_server
            ),
            Ok(_) | Err(kube::Error::Api(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let Some(namespace) = &question.namespace else { return Ok(()) };
        match Api::<Namespace>::all(client.clone()).get_opt(namespace).await {
            Ok(None) => bail!("there is no namespace {namespace}: see kubectl get namespaces"),
            // Who may not see it may still see what is in it.
            Ok(Some(_)) | Err(_) => Ok(()),
        }
    };
    let silent = || format!("the API server at {} does not answer", question.api_server);
    match timeout(ANSWER_WITHIN, asked).await {
        Ok(Err(error)) if error.is::<kube::Error>() => Err(error.context(silent())),
        Ok(answered) => answered,
        Err(_) => Err(anyhow!("{} within {} s", silent(), ANSWER_WITHIN.as_secs())),
    }
}

/// As whoever looks can read it.
fn style() -> Style {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    // The first of these that is set names the locale (POSIX, Environment Variables).
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default();
    let locale = locale.to_uppercase();
    let is_utf8 = locale.contains("UTF-8") || locale.contains("UTF8");
    // Of standard output, or nothing if that is no terminal.
    let columns = terminal_size::terminal_size_of(std::io::stdout());
    Style {
        marks: if is_utf8 { Marks::Unicode } else { Marks::Ascii },
        width: columns.map(|(width, _)| usize::from(width.0)),
    }
}

/// A bar on a terminal, from the second page of something on.
struct Bar(ProgressBar);

// === impl Bar ===

impl Bar {
    fn new(progress: Progress) -> Self {
        // Hidden by itself where standard error is no terminal.
        let bar = match progress {
            Progress::Shown => ProgressBar::no_length(),
            Progress::Hidden => ProgressBar::hidden(),
        };
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}") {
            bar.set_style(style);
        }
        Self(bar)
    }

    fn moves(&self, Walked { resource, done, left }: Walked) {
        let Self(bar) = self;
        // One page is quick.
        if left > 0 {
            bar.set_message(resource);
            bar.set_length(done + left);
            bar.set_position(done);
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
