//! `certificate`, run: a client, the report, the exit code.

use std::io::{self, Write as _};
use std::process::ExitCode;

use super::{client, command};
use crate::certificate::{self, Question, Report};
use crate::cli::{Form, InspectSettings};
use crate::keeper::{SecretRef, Target};

/// Writes the report: 0 if everything fits, 1 if it does not, 2 and a sentence if the cluster cannot
/// be asked.
pub fn certificate(settings: InspectSettings) -> ExitCode {
    let form = settings.form;
    let report = match command::run(look(settings)) {
        Ok(report) => report,
        Err(error) => return command::unseen(&error),
    };
    let text = match form {
        Form::Table => report.to_string(),
        Form::Json => serde_json::to_string_pretty(&report).unwrap_or_default() + "\n",
    };
    // A reader that has gone away has read enough.
    let _gone = io::stdout().write_all(text.as_bytes());
    if report.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn look(settings: InspectSettings) -> anyhow::Result<Report> {
    let InspectSettings {
        kubeconfig,
        kube_api,
        namespace,
        secret,
        webhook_configuration,
        service_name,
        webhook_url,
        address,
        form: _,
    } = settings;
    let client = client(kubeconfig, kube_api).await?;
    let question = Question {
        secret: SecretRef { namespace: namespace.clone(), name: secret },
        target: Target {
            configuration: webhook_configuration,
            service: service_name,
            namespace,
            url: webhook_url,
        },
        address,
    };
    Ok(certificate::look(&client, &question).await?)
}
