//! The command line: flags as typed become settings as used.
//!
//! clap is here and nowhere else. Every flag is typed as text and read once, in one conversion a
//! command, so that `--x=` is an unset flag for every type and every error is one sentence that
//! names flag, value and what is allowed. Every flag can also be set by `PODIDENTITY_<FLAG>`; not
//! by `POD_IDENTITY_WEBHOOK_<FLAG>`, since a Service of that name makes the kubelet set
//! `POD_IDENTITY_WEBHOOK_PORT=tcp://…` in its namespace's Pods.

mod audit;
mod certificate;
mod certificates;
mod completions;
mod doctor;
mod explain;
mod injection;
mod installed;
mod klog;
mod man;
mod mutate;
mod server;
mod value;

use std::ffi::OsString;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub use audit::{Errand, Given, Namespaces, PodsSettings, Progress, WatchSettings, Whose};
pub use certificate::{Form, InspectSettings};
pub use certificates::{CaBundleFile, CertificateSource, Certificates};
pub use doctor::{CHECKS, DoctorForm, DoctorSettings};
pub use explain::{ClusterQuestion, ExplainSettings, Overlay, Question, SubjectRef};
pub use injection::{Composition, Injection, Known};
pub use installed::{Installed, defaults, installed};
pub use mutate::{Check, Input, MutateSettings, Output};
pub use server::{ClientSettings, ConfigMapSource, Debugging, LogSettings, ServerSettings};
pub use value::FlagError;

/// The prefix of the environment variables that set flags.
pub const ENV_PREFIX: &str = "PODIDENTITY_";

/// Gives Pods their AWS identity: a mutating admission webhook for IRSA and EKS Pod Identity.
///
/// Without a command it is the webhook server. Every flag can also be set in the environment as
/// `PODIDENTITY_<FLAG>`, such as `PODIDENTITY_AWS_DEFAULT_REGION`; a flag beats the environment, the last of
/// several flags wins (but those of `--client-name` add up), and a flag set to nothing is unset.
#[derive(Debug, Parser)]
#[command(
    name = "pod-identity-webhook",
    version = crate::version::line(),
    max_term_width = 100,
    args_override_self = true,
    subcommand_negates_reqs = true,
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  pod-identity-webhook
  pod-identity-webhook --in-cluster=false --tls-cert=tls.crt --tls-key=tls.key
  pod-identity-webhook mutate -f app.yaml --output diff
  pod-identity-webhook explain pod web-7d9c5-x2x1p -n shop
  pod-identity-webhook certificate
  pod-identity-webhook doctor
  pod-identity-webhook audit pods -A"
)]
struct Typed {
    #[command(subcommand)]
    command: Option<TypedCommand>,
    #[command(flatten)]
    server: server::ServerFlags,
}

#[derive(Debug, Subcommand)]
enum TypedCommand {
    /// Decide offline what the webhook would do to the workloads in files
    #[command(args_override_self = true)]
    Mutate(Box<mutate::MutateFlags>),
    /// Explain what the webhook would do to a Pod, or did, and why
    #[command(args_override_self = true)]
    Explain(Box<explain::ExplainFlags>),
    /// Show what is served, what the Secret and the caBundle hold, and when each turns
    #[command(args_override_self = true)]
    Certificate(Box<certificate::InspectFlags>),
    /// Look at the installation and the cluster for whatever keeps Pods from their identity
    #[command(args_override_self = true)]
    Doctor(Box<doctor::DoctorFlags>),
    /// Find what runs without the identity that it should have
    Audit(AuditCommand),
    /// Write the completions of commands and flags for a shell
    Completions(completions::CompletionsFlags),
    /// Write the manual's page
    Man(man::ManFlags),
}

#[derive(Debug, clap::Args)]
struct AuditCommand {
    #[command(subcommand)]
    kind: AuditKind,
}

/// What is looked through.
#[derive(Debug, Subcommand)]
enum AuditKind {
    /// Find Pods that run without the identity that their ServiceAccount gives, once or all the time
    #[command(args_override_self = true)]
    Pods(Box<audit::PodsFlags>),
}

/// What to run.
#[derive(Debug)]
pub enum Command {
    /// The webhook server.
    Serve(Box<ServerSettings>),
    /// `mutate`.
    Mutate(Box<MutateSettings>),
    /// `explain`.
    Explain(Box<ExplainSettings>),
    /// `certificate`.
    Certificate(Box<InspectSettings>),
    /// `doctor`.
    Doctor(Box<DoctorSettings>),
    /// `audit pods`.
    AuditPods(Box<PodsSettings>),
}

/// Why there is nothing to run.
#[derive(Debug)]
pub enum Exit {
    /// Help, the version, completions or a page were asked for: text for standard output.
    Answered(String),
    /// The command line cannot be used: one sentence.
    Refused(String),
}

/// Reads a command line, program name first.
///
/// # Errors
///
/// If help was asked for, or a sentence that says what to do.
pub fn parse<I, T>(args: I) -> Result<Command, Exit>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let typed = command()
        .try_get_matches_from(args)
        .and_then(|matches| Typed::from_arg_matches(&matches))
        .map_err(|error| Exit::of(&error))?;
    let refused = |error: FlagError| Exit::Refused(error.to_string());
    match typed.command {
        None => typed.server.settings().map(Box::new).map(Command::Serve).map_err(refused),
        Some(TypedCommand::Mutate(flags)) => {
            flags.settings().map(Box::new).map(Command::Mutate).map_err(refused)
        }
        Some(TypedCommand::Explain(flags)) => {
            let settings = flags.settings().map_err(|error| Exit::Refused(error.to_string()))?;
            Ok(Command::Explain(Box::new(settings)))
        }
        Some(TypedCommand::Certificate(flags)) => {
            flags.settings().map(Box::new).map(Command::Certificate).map_err(refused)
        }
        Some(TypedCommand::Doctor(flags)) => {
            flags.settings().map(Box::new).map(Command::Doctor).map_err(refused)
        }
        Some(TypedCommand::Audit(AuditCommand { kind: AuditKind::Pods(flags) })) => {
            flags.settings().map(Box::new).map(Command::AuditPods).map_err(refused)
        }
        Some(TypedCommand::Completions(flags)) => Err(Exit::written(flags.script(command()))),
        Some(TypedCommand::Man(flags)) => Err(Exit::written(flags.page(command()))),
    }
}

/// The command line as clap sees it, for tables and completions.
pub fn command() -> clap::Command {
    /// What is said anew each time a command is given.
    const OF_THE_MOMENT: [&str; 10] = [
        "help",
        "version",
        "filename",
        "output",
        "check",
        "address",
        "all-namespaces",
        "watch",
        "evict",
        "progress",
    ];

    fn with_env_but(command: clap::Command, without: &[&str]) -> clap::Command {
        command.mut_args(|arg| match arg.get_long() {
            None => arg,
            Some(long) if OF_THE_MOMENT.contains(&long) || without.contains(&long) => arg,
            Some(long) => {
                let name = long.to_uppercase().replace('-', "_");
                arg.env(format!("{ENV_PREFIX}{name}")).hide_env(true)
            }
        })
    }
    fn with_env(command: clap::Command) -> clap::Command {
        with_env_but(command, &[])
    }
    // The namespace is that of Pods, and PODIDENTITY_NAMESPACE that of the webhook.
    fn of_pods(command: clap::Command) -> clap::Command {
        with_env_but(command, &["namespace"])
    }
    // A flag that is not given is the webhook's, whatever its default.
    fn as_installed(command: clap::Command) -> clap::Command {
        let injected = |arg: clap::Arg| match arg.get_help_heading() {
            Some(injection::HEADING) => arg.default_value(Resettable::Reset),
            _ => arg,
        };
        of_pods(command).mut_args(injected)
    }
    with_env(Typed::command())
        .mut_subcommand("mutate", with_env)
        .mut_subcommand("explain", as_installed)
        .mut_subcommand("certificate", with_env)
        .mut_subcommand("doctor", of_pods)
        .mut_subcommand("audit", |audit| audit.mut_subcommand("pods", as_installed))
}

// === impl Exit ===

impl Exit {
    fn written(text: Result<String, String>) -> Self {
        text.map_or_else(Self::Refused, Self::Answered)
    }

    fn of(error: &clap::Error) -> Self {
        if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
            return Self::Answered(error.to_string());
        }
        let context = |kind| match error.get(kind) {
            Some(ContextValue::String(text)) => Some(text.clone()),
            Some(ContextValue::Strings(texts)) => texts.first().cloned(),
            _ => None,
        };
        let arg = context(ContextKind::InvalidArg).unwrap_or_default();
        Self::Refused(match error.kind() {
            ErrorKind::UnknownArgument if arg.starts_with('-') => {
                match context(ContextKind::SuggestedArg) {
                    Some(flag) => format!("unknown flag {arg}: did you mean {flag}?"),
                    None => format!("unknown flag {arg}: see --help for all flags"),
                }
            }
            ErrorKind::UnknownArgument => {
                format!(
                    "unknown argument {arg:?}: flags begin with --, files are given with -f, the \
                     commands are {}",
                    commands()
                )
            }
            ErrorKind::InvalidSubcommand => {
                let name = context(ContextKind::InvalidSubcommand).unwrap_or_default();
                format!("unknown command {name:?}: {} are there, without one it serves", commands())
            }
            ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                "audit needs to know what to look through: write audit pods".to_owned()
            }
            ErrorKind::MissingRequiredArgument => {
                format!("{arg} is missing: see --help for examples")
            }
            ErrorKind::InvalidValue
                if context(ContextKind::InvalidValue).is_none_or(|v| v.is_empty()) =>
            {
                format!("{arg} needs a value: see --help")
            }
            _ => error.to_string().lines().next().unwrap_or_default().replace("error: ", ""),
        })
    }
}

/// The commands, as a sentence lists them.
fn commands() -> String {
    let command = Typed::command();
    let names: Vec<_> = command.get_subcommands().map(clap::Command::get_name).collect();
    match names.split_last() {
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn serve(args: &[&str]) -> ServerSettings {
        let args = ["pod-identity-webhook", "--in-cluster=false"].iter().chain(args);
        match parse(args) {
            Ok(Command::Serve(settings)) => *settings,
            other => panic!("{other:?}"),
        }
    }

    fn refusal(args: &[&str]) -> String {
        match parse(["pod-identity-webhook"].iter().chain(args)) {
            Err(Exit::Refused(sentence)) => sentence,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    /// field.md, the community chart: its args, as they stand.
    #[test]
    fn the_args_of_the_community_chart_are_accepted_with_and_without_equals() {
        let equals = [
            "--annotation-prefix=eks.amazonaws.com",
            "--aws-default-region=us-east-1",
            "--in-cluster=false",
            "--logtostderr",
            "--namespace=kube-system",
            "--metrics-port=9999",
            "--port=9443",
            "--service-name=amazon-eks-pod-identity-webhook",
            "--sts-regional-endpoint=true",
            "--token-audience=sts.amazonaws.com",
            "--token-expiration=86400",
            "--token-mount-path=/var/run/secrets/eks.amazonaws.com/serviceaccount",
            "--tls-cert=/etc/webhook/certs/tls.crt",
            "--tls-key=/etc/webhook/certs/tls.key",
            "--watch-config-map=true",
        ];
        let settings = serve(&equals);
        assert_eq!((settings.port, settings.config_map), (9443, ConfigMapSource::Watched));
        assert_eq!(settings.without_effect, ["--logtostderr"]);
        let spaces: Vec<_> = equals
            .iter()
            .flat_map(|arg| match arg.split_once('=') {
                Some((flag, "true")) => vec![flag],
                Some((flag, value)) if value != "false" => vec![flag, value],
                _ => vec![*arg],
            })
            .collect();
        let settings = serve(&spaces);
        assert_eq!((settings.port, settings.config_map), (9443, ConfigMapSource::Watched));
    }

    #[test]
    fn the_flags_of_klog_are_accepted() {
        for verbosity in [["-v", "4"].as_slice(), &["-v=4"], &["--v=4"], &["--v", "4"], &["-v4"]] {
            assert_eq!(
                serve(verbosity).log.level,
                tracing::level_filters::LevelFilter::DEBUG,
                "{verbosity:?}"
            );
        }
        let settings = serve(&[
            "--logtostderr=false",
            "--alsologtostderr",
            "--stderrthreshold=INFO",
            "--vmodule=a=1,b=2",
            "--log_dir=/tmp",
            "--log_file",
            "x",
            "--log_file_max_size=1800",
            "--log_backtrace_at=:0",
            "--skip_headers",
            "--skip_log_headers=true",
            "--add_dir_header",
            "--one_output=true",
            "--legacy_stderr_threshold_behavior=true",
            "--alsologtostderrthreshold=2",
            "--resync-period=60s",
        ]);
        assert_eq!(settings.without_effect.len(), 14);
    }

    #[test]
    fn the_last_of_several_wins_and_nothing_is_unset() {
        assert_eq!(serve(&["--port=1", "--port", "2"]).port, 2);
        assert_eq!(serve(&["--port=1", "--port="]).port, 443);
        let settings = serve(&["--sts-regional-endpoint", "--sts-regional-endpoint=false"]);
        assert_eq!(
            settings.injection.settings.defaults.sts_endpoints,
            crate::identity::StsEndpoints::SdkDefault
        );
    }

    #[test]
    fn a_server_without_flags_manages_its_certificates() {
        let Ok(Command::Serve(settings)) = parse(["pod-identity-webhook"]) else {
            panic!("the defaults are allowed")
        };
        let CertificateSource::Managed { secret, policy } = settings.certificates.source else {
            panic!("--in-cluster is true by default")
        };
        assert_eq!(&*secret, "pod-identity-webhook");
        assert_eq!(policy.ca_validity(), Duration::from_hours(365 * 24));
        assert_eq!(policy.leaf_validity(), Duration::from_hours(7 * 24));
        assert_eq!(policy.overlap(), Duration::from_mins(10));
    }

    #[test]
    fn durations_that_do_not_go_together_are_one_sentence() {
        for (args, sentence) in [
            (
                ["--ca-overlap=48h"].as_slice(),
                r#"invalid value "168h" for --certificate-validity: give a duration that is at least six times --ca-overlap"#,
            ),
            (
                &["--ca-validity=59m"],
                r#"invalid value "59m" for --ca-validity: give a duration that is at least six times --ca-overlap"#,
            ),
            (
                &["--ca-bundle-from=ca.crt"],
                r#"invalid value "ca.crt" for --ca-bundle-from: give it together with --in-cluster=false, or not at all"#,
            ),
        ] {
            assert_eq!(refusal(args), sentence);
        }
        assert!(refusal(&["--ca-overlap=0"]).contains("for --ca-overlap: give a duration that is"));
    }

    #[test]
    fn a_wrong_command_line_is_answered_with_one_sentence() {
        for (args, sentence) in [
            (["--prot=1"].as_slice(), "unknown flag --prot: did you mean --port?"),
            (&["--zzz"], "unknown flag --zzz: see --help for all flags"),
            (
                &["serve"],
                r#"unknown command "serve": mutate, explain, certificate, doctor, audit, completions and man are there, without one it serves"#,
            ),
            (
                &["mutate", "app.yaml"],
                r#"unknown argument "app.yaml": flags begin with --, files are given with -f, the commands are mutate, explain, certificate, doctor, audit, completions and man"#,
            ),
            (&["mutate"], "--filename <FILE> is missing: see --help for examples"),
            (&["audit"], "audit needs to know what to look through: write audit pods"),
            (
                &["audit", "nodes"],
                r#"unknown command "nodes": mutate, explain, certificate, doctor, audit, completions and man are there, without one it serves"#,
            ),
            (
                &["audit", "pods", "-A", "--token-expiration=x"],
                r#"invalid value "x" for --token-expiration: give a whole number of seconds such as 86400"#,
            ),
            (
                &["audit", "pods", "-A", "-n", "shop"],
                r#"invalid value "shop" for --namespace: give either it or --all-namespaces, not both"#,
            ),
            (
                &["audit", "pods", "--evict"],
                r#"invalid value "true" for --evict: give --watch as well, which sees that they come back"#,
            ),
            (
                &["audit", "pods", "--watch", "--output=json"],
                r#"invalid value "true" for --watch: give no --output as well: Events and metrics tell"#,
            ),
            (
                &["audit", "pods", "--evict-per-minute=0"],
                r#"invalid value "0" for --evict-per-minute: give a whole number from 1 on"#,
            ),
            (
                &["audit", "pods", "--flags-from=given", "--compose-role-arn"],
                r#"invalid value "true" for --compose-role-arn: give --aws-account-id and --aws-partition as well, since audit asks nobody"#,
            ),
            (&["--port"], "--port <PORT> needs a value: see --help"),
        ] {
            assert_eq!(refusal(args), sentence);
        }
    }

    #[test]
    fn every_flag_refuses_a_wrong_value_by_name() {
        for (flag, value) in [
            ("port", "http"),
            ("metrics-port", "70000"),
            ("bind-address", "localhost"),
            ("shutdown-delay", "10"),
            ("enable-debugging-handlers", "yes"),
            ("kube-api", "10.0.0.1"),
            ("namespace", "a/b"),
            ("service-name", "A"),
            ("watch-config-map", "on"),
            ("service-account-lookup-grace-period", "-1s"),
            ("resync-period", "never"),
            ("in-cluster", "maybe"),
            ("tls-secret", "_"),
            ("webhook-configuration", "A"),
            ("webhook-url", "webhook.example/mutate"),
            ("ca-validity", "1y"),
            ("certificate-validity", "7d"),
            ("ca-overlap", "-10m"),
            ("log-format", "xml"),
            ("log-level", "loud"),
            ("otlp-endpoint", "https://collector:4318"),
            ("otlp-endpoint", "collector:4317"),
            ("v", "high"),
            ("annotation-prefix", "a/b"),
            ("token-audience", " "),
            ("token-mount-path", "relative"),
            ("token-expiration", "1h"),
            ("aws-default-region", "EU"),
            ("region-with-env-from", "keep"),
            ("sts-regional-endpoint", "regional"),
            ("role-session-name", "app"),
            ("invalid-role-arn", "warn"),
            ("compose-role-arn", "yes"),
            ("aws-account-id", "1111"),
            ("aws-partition", "azure"),
            ("container-credentials-audience", "\u{7}"),
            ("container-credentials-token-mount-path", "/a:b"),
            ("container-credentials-token-volume-name", "A b"),
            ("container-credentials-token-path", "../token"),
            ("container-credentials-full-uri", "169.254.170.23"),
        ] {
            let given = format!("--{flag}={value}");
            let sentence = refusal(&["--in-cluster=false", &given]);
            let start = format!("invalid value {value:?} for --{flag}: give ");
            assert!(sentence.starts_with(&start), "{sentence}");
            assert!(!sentence.contains('\n'));
        }
    }
}
