//! The flags of `certificate`.

use std::path::PathBuf;

use clap::Args;

use super::certificates::{CONFIGURATION, TLS_SECRET};
use super::server::{NAMESPACE, SERVICE_NAME};
use super::value::{Flag, FlagError, choice, label, object_name, path, url};

/// The flags as they are typed.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = "\
What the Secret holds, what each caBundle of ours holds, and with --address what is served there, each with when
it turns; then whether they fit. Never a key.

Examples:
  pod-identity-webhook certificate
  kubectl -n eks port-forward service/pod-identity-webhook 8443:443 &
  pod-identity-webhook certificate --address localhost:8443 --output json

Exit codes: 0 everything fits, 1 it does not, 2 the cluster cannot be asked.")]
pub(super) struct InspectFlags {
    /// The kubeconfig of the API server; what kubectl would take by default
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<String>,
    /// The URL of the API server, instead of the kubeconfig's
    #[arg(long, value_name = "URL")]
    kube_api: Option<String>,
    /// The namespace of the webhook and its Secret
    #[arg(long, value_name = "NAMESPACE", default_value = NAMESPACE)]
    namespace: Option<String>,
    /// The Secret with the CA
    #[arg(long, value_name = "NAME", default_value = TLS_SECRET)]
    tls_secret: Option<String>,
    /// The webhook configuration
    #[arg(long, value_name = "NAME", default_value = CONFIGURATION)]
    webhook_configuration: Option<String>,
    /// The Service in front of the webhook
    #[arg(long, value_name = "NAME", default_value = SERVICE_NAME)]
    service_name: Option<String>,
    /// An entry with this `clientConfig.url` is ours as well
    #[arg(long, value_name = "URL")]
    webhook_url: Option<String>,
    /// Ask this address for its certificate, as an API server would
    #[arg(long, value_name = "HOST:PORT")]
    address: Option<String>,
    /// How it is written: a `table` for people, or `json`
    #[arg(short = 'o', long, value_name = "table|json", default_value = "table")]
    output: Option<String>,
}

/// The flags as they are used.
#[derive(Clone, Debug)]
pub struct InspectSettings {
    /// `--kubeconfig`.
    pub kubeconfig: Option<PathBuf>,
    /// `--kube-api`.
    pub kube_api: Option<http::Uri>,
    /// `--namespace`.
    pub namespace: Box<str>,
    /// `--tls-secret`.
    pub secret: Box<str>,
    /// `--webhook-configuration`.
    pub webhook_configuration: Box<str>,
    /// `--service-name`.
    pub service_name: Box<str>,
    /// `--webhook-url`.
    pub webhook_url: Option<Box<str>>,
    /// `--address`.
    pub address: Option<Box<str>>,
    /// `--output`.
    pub form: Form,
}

/// How the report is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// For people.
    Table,
    /// For programs.
    Json,
}

const FORMS: &[(&str, Form)] = &[("table", Form::Table), ("json", Form::Json)];

// === impl InspectFlags ===

impl InspectFlags {
    /// The flags as they are used.
    pub(super) fn settings(&self) -> Result<InspectSettings, FlagError> {
        Ok(InspectSettings {
            kubeconfig: Flag::new("kubeconfig", self.kubeconfig.as_ref()).optional(path)?,
            kube_api: Flag::new("kube-api", self.kube_api.as_ref()).optional(url)?,
            namespace: Flag::new("namespace", self.namespace.as_ref()).or(NAMESPACE, label)?,
            secret: Flag::new("tls-secret", self.tls_secret.as_ref())
                .or(TLS_SECRET, object_name)?,
            webhook_configuration: Flag::new(
                "webhook-configuration",
                self.webhook_configuration.as_ref(),
            )
            .or(CONFIGURATION, object_name)?,
            service_name: Flag::new("service-name", self.service_name.as_ref())
                .or(SERVICE_NAME, label)?,
            webhook_url: Flag::new("webhook-url", self.webhook_url.as_ref())
                .optional(|value| url(value).map(|_| value.into()))?,
            address: Flag::new("address", self.address.as_ref()).optional(host_and_port)?,
            form: Flag::new("output", self.output.as_ref())
                .or("table", choice(FORMS, "table or json"))?,
        })
    }
}

fn host_and_port(value: &str) -> Result<Box<str>, &'static str> {
    match value.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(value.into()),
        _ => Err("a host and a port, such as localhost:8443"),
    }
}
