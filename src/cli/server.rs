//! The flags of the server, as the Go webhook spells them, and those it does not have.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};
use tracing::level_filters::LevelFilter;

use super::certificates::{CertificateFlags, Certificates};
use super::injection::{Injection, InjectionFlags};
use super::klog::KlogFlags;
use super::value::{
    Allowed, Flag, FlagError, address, boolean, choice, duration, label, path, port, text, url,
};
use crate::telemetry::logs::Format;

const PORT: &str = "443";
const METRICS_PORT: &str = "9999";
const TLS_CERT: &str = "/etc/webhook/certs/tls.crt";
const TLS_KEY: &str = "/etc/webhook/certs/tls.key";
pub(super) const SERVICE_NAME: &str = "pod-identity-webhook";
pub(super) const NAMESPACE: &str = "eks";
const GRACE_PERIOD: &str = "500ms";
const RESYNC_PERIOD: &str = "60s";
const SHUTDOWN_DELAY: &str = "10s";

/// The flags as they are typed.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct ServerFlags {
    /// The port of the webhook (HTTPS)
    #[arg(long, value_name = "PORT", default_value = PORT, help_heading = "Server")]
    port: Option<String>,
    /// The port of metrics and health (plain HTTP)
    #[arg(long, value_name = "PORT", default_value = METRICS_PORT, help_heading = "Server")]
    metrics_port: Option<String>,
    /// The address to listen on; all of them by default
    #[arg(long, value_name = "ADDRESS", help_heading = "Server")]
    bind_address: Option<String>,
    /// How long to go on serving, unready, after SIGTERM
    #[arg(long, value_name = "DURATION", default_value = SHUTDOWN_DELAY, help_heading = "Server")]
    shutdown_delay: Option<String>,
    /// Show on the metrics port what would be decided: `/debug/decision` and `/debug/alpha/cache`
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", help_heading = "Server")]
    enable_debugging_handlers: Option<String>,
    /// The kubeconfig of the API server; the Pod's own account by default
    #[arg(long, value_name = "FILE", help_heading = "Kubernetes")]
    kubeconfig: Option<String>,
    /// The URL of the API server, instead of the kubeconfig's
    #[arg(long, value_name = "URL", help_heading = "Kubernetes")]
    kube_api: Option<String>,
    /// The namespace of this webhook, its Secret and the mappings ConfigMap
    #[arg(long, value_name = "NAMESPACE", default_value = NAMESPACE, help_heading = "Kubernetes")]
    namespace: Option<String>,
    /// The name of the Service in front of this webhook: what its certificate is for, and by which
    /// its entries of the webhook configuration are known
    #[arg(long, value_name = "NAME", default_value = SERVICE_NAME, help_heading = "Kubernetes")]
    service_name: Option<String>,
    /// Take identities from the ConfigMap `pod-identity-webhook` as well
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", help_heading = "Kubernetes")]
    watch_config_map: Option<String>,
    /// Take Pod Identity associations from this file as well
    #[arg(long, value_name = "FILE", help_heading = "Kubernetes")]
    watch_container_credentials_config: Option<String>,
    /// How long to wait for a ServiceAccount that is not cached yet; 0 does not look it up
    #[arg(long, value_name = "DURATION", default_value = GRACE_PERIOD, help_heading = "Kubernetes")]
    service_account_lookup_grace_period: Option<String>,
    /// No effect, for manifests of the Go webhook: watches need no resync
    #[arg(long, value_name = "DURATION", default_value = RESYNC_PERIOD, help_heading = "Kubernetes")]
    resync_period: Option<String>,
    /// The certificate chain (PEM), leaf first; read again when it changes
    #[arg(long, value_name = "FILE", default_value = TLS_CERT, help_heading = "Certificates")]
    tls_cert: Option<String>,
    /// The certificate's key (PEM); read again when it changes
    #[arg(long, value_name = "FILE", default_value = TLS_KEY, help_heading = "Certificates")]
    tls_key: Option<String>,
    /// The oldest TLS version to accept: `1.2`, `1.3`, `VersionTLS12` or `VersionTLS13`
    #[arg(long, value_name = "VERSION", default_value = "1.2", help_heading = "Certificates")]
    tls_min_version: Option<String>,
    /// The TLS 1.2 cipher suites to accept, by Go's names, comma separated
    #[arg(long, value_name = "NAMES", help_heading = "Certificates")]
    tls_cipher_suites: Option<String>,
    /// Answer reviews only to clients with a certificate of this CA (PEM bundle); read again when it
    /// changes
    #[arg(long, value_name = "FILE", help_heading = "Certificates")]
    client_ca: Option<String>,
    /// The names that a client certificate may have, as its subject's CN or a DNS name; any by default.
    /// Comma separated, and several flags add up
    #[arg(long, value_name = "NAMES", action = ArgAction::Append, help_heading = "Certificates")]
    client_name: Vec<String>,
    /// How log lines are written: `text` or `json`
    #[arg(long, value_name = "text|json", default_value = "text", help_heading = "Log")]
    log_format: Option<String>,
    /// What is logged: `error`, `warn`, `info`, `debug` or `trace`; info by default, beats `-v`
    #[arg(long, value_name = "LEVEL", help_heading = "Log")]
    log_level: Option<String>,
    /// The collector of traces (OTLP over HTTP), such as `http://collector:4318`; no traces by default
    #[arg(long, value_name = "URL", help_heading = "Traces")]
    otlp_endpoint: Option<String>,
    #[command(flatten)]
    certificates: CertificateFlags,
    #[command(flatten)]
    klog: KlogFlags,
    #[command(flatten)]
    injection: InjectionFlags,
}

/// The flags as they are used.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// `--bind-address`; `None` means every address.
    pub bind_address: Option<IpAddr>,
    /// `--port`.
    pub port: u16,
    /// `--metrics-port`.
    pub metrics_port: u16,
    /// `--shutdown-delay`.
    pub shutdown_delay: Duration,
    /// `--enable-debugging-handlers`.
    pub debugging: Debugging,
    /// `--kubeconfig`.
    pub kubeconfig: Option<PathBuf>,
    /// `--kube-api`.
    pub kube_api: Option<http::Uri>,
    /// `--namespace`.
    pub namespace: Box<str>,
    /// `--watch-config-map`.
    pub config_map: ConfigMapSource,
    /// `--watch-container-credentials-config`.
    pub credentials_file: Option<PathBuf>,
    /// `--service-account-lookup-grace-period`.
    pub grace_period: Duration,
    /// `--service-name`.
    pub service_name: Box<str>,
    /// Where certificates come from.
    pub certificates: Certificates,
    /// `--tls-cert`.
    pub tls_cert: PathBuf,
    /// `--tls-key`.
    pub tls_key: PathBuf,
    /// `--tls-min-version`, as typed.
    pub tls_min_version: Box<str>,
    /// `--tls-cipher-suites`, as typed; empty means all.
    pub tls_cipher_suites: Box<str>,
    /// `--client-ca` with `--client-name`; `None` means that every client gets an answer.
    pub clients: Option<ClientSettings>,
    /// What is injected.
    pub injection: Injection,
    /// How and what to log.
    pub log: LogSettings,
    /// `--otlp-endpoint`; `None` means no traces.
    pub traces: Option<http::Uri>,
    /// Flags that were typed and do nothing.
    pub without_effect: Vec<&'static str>,
}

/// The clients that get an answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientSettings {
    /// `--client-ca`.
    pub ca: PathBuf,
    /// `--client-name`; none means that every certificate of the CA will do.
    pub names: Vec<Box<str>>,
}

/// Whether the metrics port has debug pages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Debugging {
    /// It has.
    On,
    /// It has not.
    Off,
}

/// Whether the mappings ConfigMap is a source of identities.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConfigMapSource {
    /// It is watched.
    Watched,
    /// It is not read.
    Ignored,
}

/// How and what to log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LogSettings {
    /// `--log-format`.
    pub format: Format,
    /// `--log-level`, or what `-v` says.
    pub level: LevelFilter,
}

const LOG_FORMATS: &[(&str, Format)] = &[("text", Format::Text), ("json", Format::Json)];

const LOG_LEVELS: &[(&str, LevelFilter)] = &[
    ("error", LevelFilter::ERROR),
    ("warn", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
    ("trace", LevelFilter::TRACE),
];

// === impl ServerFlags ===

impl ServerFlags {
    /// The flags as they are used.
    ///
    /// # Errors
    ///
    /// The first flag whose value is not allowed.
    pub(super) fn settings(&self) -> Result<ServerSettings, FlagError> {
        let without_effect = self.klog.without_effect();
        let debugging = self.enable_debugging_handlers.as_ref();
        let debugging = Flag::new("enable-debugging-handlers", debugging);
        Flag::new("resync-period", self.resync_period.as_ref()).or(RESYNC_PERIOD, duration)?;
        let watches = Flag::new("watch-config-map", self.watch_config_map.as_ref());
        let credentials = self.watch_container_credentials_config.as_ref();
        let grace = self.service_account_lookup_grace_period.as_ref();
        let suites = Flag::new("tls-cipher-suites", self.tls_cipher_suites.as_ref());
        Ok(ServerSettings {
            bind_address: Flag::new("bind-address", self.bind_address.as_ref())
                .optional(address)?,
            port: Flag::new("port", self.port.as_ref()).or(PORT, port)?,
            metrics_port: Flag::new("metrics-port", self.metrics_port.as_ref())
                .or(METRICS_PORT, port)?,
            shutdown_delay: Flag::new("shutdown-delay", self.shutdown_delay.as_ref())
                .or(SHUTDOWN_DELAY, duration)?,
            debugging: if debugging.or("false", boolean)? { Debugging::On } else { Debugging::Off },
            kubeconfig: Flag::new("kubeconfig", self.kubeconfig.as_ref()).optional(path)?,
            kube_api: Flag::new("kube-api", self.kube_api.as_ref()).optional(url)?,
            namespace: Flag::new("namespace", self.namespace.as_ref()).or(NAMESPACE, label)?,
            config_map: if watches.or("false", boolean)? {
                ConfigMapSource::Watched
            } else {
                ConfigMapSource::Ignored
            },
            credentials_file: Flag::new("watch-container-credentials-config", credentials)
                .optional(path)?,
            grace_period: Flag::new("service-account-lookup-grace-period", grace)
                .or(GRACE_PERIOD, duration)?,
            service_name: Flag::new("service-name", self.service_name.as_ref())
                .or(SERVICE_NAME, label)?,
            certificates: self.certificates.settings()?,
            tls_cert: Flag::new("tls-cert", self.tls_cert.as_ref()).or(TLS_CERT, path)?,
            tls_key: Flag::new("tls-key", self.tls_key.as_ref()).or(TLS_KEY, path)?,
            tls_min_version: Flag::new("tls-min-version", self.tls_min_version.as_ref())
                .or("1.2", |version| Ok(version.into()))?,
            tls_cipher_suites: suites.or("", |names| Ok(names.into()))?,
            clients: self.clients()?,
            injection: self.injection.settings()?,
            log: log(self.log_format.as_ref(), self.log_level.as_ref(), self.klog.verbosity()?)?,
            traces: Flag::new("otlp-endpoint", self.otlp_endpoint.as_ref()).optional(plain_url)?,
            without_effect,
        })
    }

    fn clients(&self) -> Result<Option<ClientSettings>, FlagError> {
        let ca = Flag::new("client-ca", self.client_ca.as_ref()).optional(path)?;
        let mut listed = Vec::new();
        for typed in &self.client_name {
            listed.extend(
                Flag::new("client-name", Some(typed)).optional(names)?.into_iter().flatten(),
            );
        }
        match (ca, listed.first()) {
            (Some(ca), _) => Ok(Some(ClientSettings { ca, names: listed })),
            (None, None) => Ok(None),
            (None, Some(name)) => Err(FlagError::new(
                "client-name",
                name,
                "--client-ca as well, the CA whose certificates have that name",
            )),
        }
    }
}

/// How and what to log; `verbosity` is klog's, which `--log-level` beats.
pub(super) fn log(
    format: Option<&String>,
    level: Option<&String>,
    verbosity: Option<u8>,
) -> Result<LogSettings, FlagError> {
    let format = Flag::new("log-format", format).or("text", choice(LOG_FORMATS, "text or json"))?;
    let level = Flag::new("log-level", level)
        .optional(choice(LOG_LEVELS, "error, warn, info, debug or trace"))?;
    let level = match (level, verbosity) {
        (Some(level), _) => level,
        (None, None | Some(0..=2)) => LevelFilter::INFO,
        (None, Some(3..=4)) => LevelFilter::DEBUG,
        (None, Some(5..)) => LevelFilter::TRACE,
    };
    Ok(LogSettings { format, level })
}

/// A URL that is asked without TLS: the image has no CAs, and a collector in the cluster needs none.
fn plain_url(value: &str) -> Result<http::Uri, Allowed> {
    const ALLOWED: Allowed = "a URL that begins with http://, such as http://collector:4318";
    let uri = url(value).map_err(|_| ALLOWED)?;
    if uri.scheme_str() == Some("http") { Ok(uri) } else { Err(ALLOWED) }
}

/// Names, comma separated, at least one.
fn names(value: &str) -> Result<Vec<Box<str>>, Allowed> {
    const ALLOWED: Allowed = "names, comma separated, such as kube-apiserver";
    value.split(',').map(|name| text(name.trim()).map_err(|_| ALLOWED)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Command, Exit, parse};
    use super::*;

    fn clients(args: &[&str]) -> Result<Option<ClientSettings>, String> {
        let args = ["pod-identity-webhook", "--in-cluster=false"].iter().chain(args);
        match parse(args) {
            Ok(Command::Serve(settings)) => Ok(settings.clients),
            Err(Exit::Refused(sentence)) => Err(sentence),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn client_names_add_up_over_flags_and_commas() {
        for (args, names) in [
            (&["--client-ca=ca.crt"][..], &[][..]),
            (&["--client-ca=ca.crt", "--client-name="], &[]),
            (&["--client-ca=ca.crt", "--client-name=a, b", "--client-name", "c"], &["a", "b", "c"]),
            // To take a name back by an empty flag would let in everyone.
            (&["--client-ca=ca.crt", "--client-name=a", "--client-name="], &["a"]),
        ] {
            let found = clients(args).unwrap().unwrap();
            assert_eq!(found.ca, PathBuf::from("ca.crt"));
            assert_eq!(found.names.iter().map(AsRef::as_ref).collect::<Vec<&str>>(), names);
        }
        assert_eq!(clients(&[]), Ok(None));
        assert_eq!(clients(&["--client-ca=ca.crt", "--client-ca="]), Ok(None));
    }

    #[test]
    fn a_wrong_client_name_is_answered_with_one_sentence() {
        assert_eq!(
            clients(&["--client-name=a,b"]).unwrap_err(),
            r#"invalid value "a" for --client-name: give --client-ca as well, the CA whose certificates have that name"#
        );
        for value in [" ", ",", "a,,b"] {
            let sentence =
                clients(&["--client-ca=x", &format!("--client-name={value}")]).unwrap_err();
            assert!(
                sentence.starts_with(&format!("invalid value {value:?} for --client-name: give ")),
                "{sentence}"
            );
        }
    }
}
