//! The flags of `audit`.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::Args;

use super::certificate::Form;
use super::certificates::CONFIGURATION;
use super::explain::Overlay;
use super::injection::{Composition, Injection, InjectionFlags};
use super::server::{ConfigMapSource, LogSettings, NAMESPACE, log};
use super::value::{
    Allowed, Flag, FlagError, address, boolean, choice, label, object_name, path, port, url,
};

const METRICS_PORT: &str = "9999";
const EVICTIONS: &str = "10";
const INSTALLED: &str = "installed";

/// The flags of `audit pods` as they are typed.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = "\
A Pod that ran past the webhook stays without its identity until it is made anew. Each such Pod is
listed with what its ServiceAccount gives and what to do; so are Pods that have another role, audience
or method than they would get now. Pods that have ended and containers that the annotations leave out
are not. No value of a variable is ever shown but a role's ARN.

Examples:
  pod-identity-webhook audit pods -A
  pod-identity-webhook audit pods -n shop --output json
  pod-identity-webhook audit pods -A --watch --evict

Exit codes: 0 no Pod lacks its identity, 1 some do, 2 the cluster cannot be looked at.")]
pub(super) struct PodsFlags {
    /// Look at the Pods of all namespaces
    #[arg(short = 'A', long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false")]
    all_namespaces: Option<String>,
    /// Look at the Pods of this namespace; that of the kubeconfig's context by default
    #[arg(short = 'n', long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// How it is written: a `table` for people, the default, or `json`
    #[arg(short = 'o', long, value_name = "table|json")]
    output: Option<String>,
    /// Show how far it is, where standard error is a terminal
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "true")]
    progress: Option<String>,
    /// The kubeconfig of the API server; what kubectl would take by default
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<String>,
    /// The URL of the API server, instead of the kubeconfig's
    #[arg(long, value_name = "URL")]
    kube_api: Option<String>,
    /// Whose flags say what Pods should have: those that the `installed` webhook runs with, or none but
    /// those `given` here. Given flags count before installed ones
    #[arg(long, value_name = "installed|given", default_value = INSTALLED, help_heading = "What Pods should have")]
    flags_from: Option<String>,
    /// The configuration of the installed webhook
    #[arg(long, value_name = "NAME", default_value = CONFIGURATION, help_heading = "What Pods should have")]
    webhook_configuration: Option<String>,
    /// The namespace of the mappings ConfigMap; the installed webhook's by default, or `eks`
    #[arg(long, value_name = "NAMESPACE", help_heading = "What Pods should have")]
    webhook_namespace: Option<String>,
    /// Whether identities come from the ConfigMap `pod-identity-webhook`, too; as installed by default,
    /// or `false`
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "What Pods should have")]
    watch_config_map: Option<String>,
    /// A copy of the webhook's container-credentials file
    #[arg(long, value_name = "FILE", help_heading = "What Pods should have")]
    watch_container_credentials_config: Option<String>,
    /// Go on looking: write an Event for each Pod that is found, and count them
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", help_heading = "Watching")]
    watch: Option<String>,
    /// Evict what is found and has a controller, so that it is made anew with its identity
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", help_heading = "Watching")]
    evict: Option<String>,
    /// How many Pods may be evicted in a minute
    #[arg(long, value_name = "COUNT", default_value = EVICTIONS, help_heading = "Watching")]
    evict_per_minute: Option<String>,
    /// The port of metrics and health (plain HTTP)
    #[arg(long, value_name = "PORT", default_value = METRICS_PORT, help_heading = "Watching")]
    metrics_port: Option<String>,
    /// The address to listen on; all of them by default
    #[arg(long, value_name = "ADDRESS", help_heading = "Watching")]
    bind_address: Option<String>,
    /// How log lines are written: `text` or `json`
    #[arg(long, value_name = "text|json", default_value = "text", help_heading = "Watching")]
    log_format: Option<String>,
    /// What is logged: `error`, `warn`, `info`, `debug` or `trace`; info by default
    #[arg(long, value_name = "LEVEL", help_heading = "Watching")]
    log_level: Option<String>,
    #[command(flatten)]
    injection: InjectionFlags,
}

/// The flags of `audit pods` as they are used.
#[derive(Clone, Debug)]
pub struct PodsSettings {
    /// `--kubeconfig`.
    pub kubeconfig: Option<PathBuf>,
    /// `--kube-api`.
    pub kube_api: Option<http::Uri>,
    /// `-A` or `-n`.
    pub namespaces: Namespaces,
    /// Whose flags count.
    pub whose: Whose,
    /// What to do.
    pub errand: Errand,
}

/// The namespaces whose Pods are looked at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Namespaces {
    /// All.
    All,
    /// This one.
    Named(Box<str>),
    /// That of the kubeconfig's context.
    Current,
}

/// Whose flags say what Pods should have.
#[derive(Clone, Debug)]
pub enum Whose {
    /// Those of the installed webhook, but where one is given.
    Installed {
        /// `--webhook-configuration`.
        configuration: Box<str>,
        /// What is injected, as far as it is given.
        injection: Box<Overlay>,
        /// `--watch-config-map`, if it is given.
        config_map: Option<ConfigMapSource>,
        /// `--webhook-namespace`, if it is given.
        namespace: Option<Box<str>>,
        /// `--watch-container-credentials-config`, where the webhook's own cannot be seen.
        credentials_file: Option<PathBuf>,
    },
    /// Those that were given, and defaults.
    Given(Box<Given>),
}

/// Flags of a webhook, given to another command.
#[derive(Clone, Debug)]
pub struct Given {
    /// What is injected.
    pub injection: Injection,
    /// `--watch-config-map`.
    pub config_map: ConfigMapSource,
    /// `--webhook-namespace`.
    pub namespace: Box<str>,
    /// `--watch-container-credentials-config`.
    pub credentials_file: Option<PathBuf>,
}

/// What `audit pods` does.
#[derive(Clone, Debug)]
pub enum Errand {
    /// It looks once.
    Once {
        /// `--output`.
        form: Form,
        /// `--progress`.
        progress: Progress,
    },
    /// It goes on looking.
    Watch(WatchSettings),
}

/// Whether progress is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// On a terminal.
    Shown,
    /// Nowhere.
    Hidden,
}

/// The flags of `audit pods --watch`.
#[derive(Clone, Debug)]
pub struct WatchSettings {
    /// `--bind-address`; `None` means every address.
    pub bind_address: Option<IpAddr>,
    /// `--metrics-port`.
    pub metrics_port: u16,
    /// `--evict-per-minute`, if there is `--evict`.
    pub evictions: Option<NonZeroU32>,
    /// How and what to log.
    pub log: LogSettings,
}

const FORMS: &[(&str, Form)] = &[("table", Form::Table), ("json", Form::Json)];

const WHOSE: &[(&str, Origin)] = &[(INSTALLED, Origin::Installed), ("given", Origin::Given)];

#[derive(Clone, Copy)]
enum Origin {
    Installed,
    Given,
}

// === impl PodsFlags ===

impl PodsFlags {
    /// The flags as they are used.
    ///
    /// # Errors
    ///
    /// The first flag whose value is not allowed, or that would have no effect.
    pub(super) fn settings(&self) -> Result<PodsSettings, FlagError> {
        let namespace = Flag::new("namespace", self.namespace.as_ref()).optional(label)?;
        let all = Flag::new("all-namespaces", self.all_namespaces.as_ref()).or("false", boolean)?;
        let namespaces = match (all, namespace) {
            (true, Some(name)) => {
                let allowed = "either it or --all-namespaces, not both";
                return Err(FlagError::new("namespace", &name, allowed));
            }
            (true, None) => Namespaces::All,
            (false, Some(name)) => Namespaces::Named(name),
            (false, None) => Namespaces::Current,
        };
        Ok(PodsSettings {
            kubeconfig: Flag::new("kubeconfig", self.kubeconfig.as_ref()).optional(path)?,
            kube_api: Flag::new("kube-api", self.kube_api.as_ref()).optional(url)?,
            namespaces,
            whose: self.whose()?,
            errand: self.errand()?,
        })
    }

    fn whose(&self) -> Result<Whose, FlagError> {
        let origin = Flag::new("flags-from", self.flags_from.as_ref())
            .or(INSTALLED, choice(WHOSE, "installed or given"))?;
        let credentials = self.watch_container_credentials_config.as_ref();
        let credentials_file =
            Flag::new("watch-container-credentials-config", credentials).optional(path)?;
        let configuration = Flag::new("webhook-configuration", self.webhook_configuration.as_ref())
            .or(CONFIGURATION, object_name)?;
        let namespace =
            Flag::new("webhook-namespace", self.webhook_namespace.as_ref()).optional(label)?;
        let source = |value: &str| {
            let named = |on| if on { ConfigMapSource::Watched } else { ConfigMapSource::Ignored };
            boolean(value).map(named)
        };
        let config_map =
            Flag::new("watch-config-map", self.watch_config_map.as_ref()).optional(source)?;
        let injection = Overlay::of(&self.injection)?;
        match origin {
            Origin::Installed => Ok(Whose::Installed {
                configuration,
                injection: Box::new(injection),
                config_map,
                namespace,
                credentials_file,
            }),
            Origin::Given => {
                let injection = injection.over(&Injection::default())?;
                if let Composition::Asks(_) = injection.composition {
                    return Err(FlagError::new(
                        "compose-role-arn",
                        "true",
                        "--aws-account-id and --aws-partition as well, since audit asks nobody",
                    ));
                }
                let given = Given {
                    injection,
                    config_map: config_map.unwrap_or(ConfigMapSource::Ignored),
                    namespace: namespace.unwrap_or_else(|| NAMESPACE.into()),
                    credentials_file,
                };
                Ok(Whose::Given(Box::new(given)))
            }
        }
    }

    fn errand(&self) -> Result<Errand, FlagError> {
        let form =
            Flag::new("output", self.output.as_ref()).optional(choice(FORMS, "table or json"))?;
        let progress = Flag::new("progress", self.progress.as_ref()).or("true", boolean)?;
        let watch = Flag::new("watch", self.watch.as_ref()).or("false", boolean)?;
        let evict = Flag::new("evict", self.evict.as_ref()).or("false", boolean)?;
        let evictions =
            Flag::new("evict-per-minute", self.evict_per_minute.as_ref()).or(EVICTIONS, count)?;
        let settings = WatchSettings {
            bind_address: Flag::new("bind-address", self.bind_address.as_ref())
                .optional(address)?,
            metrics_port: Flag::new("metrics-port", self.metrics_port.as_ref())
                .or(METRICS_PORT, port)?,
            evictions: evict.then_some(evictions),
            log: log(self.log_format.as_ref(), self.log_level.as_ref(), None)?,
        };
        match (watch, evict) {
            (true, _) if form.is_some() => {
                Err(FlagError::new("watch", "true", "no --output as well: Events and metrics tell"))
            }
            (true, _) => Ok(Errand::Watch(settings)),
            (false, true) => Err(FlagError::new(
                "evict",
                "true",
                "--watch as well, which sees that they come back",
            )),
            (false, false) => {
                let progress = if progress { Progress::Shown } else { Progress::Hidden };
                Ok(Errand::Once { form: form.unwrap_or(Form::Table), progress })
            }
        }
    }
}

fn count(value: &str) -> Result<NonZeroU32, Allowed> {
    value.parse().map_err(|_| "a whole number from 1 on")
}
