//! The flags of `doctor`, and the checks that it knows by name.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;

use super::Progress;
use super::certificates::CONFIGURATION;
use super::value::{Flag, FlagError, boolean, choice, label, object_name, path, url};

/// Every check: its name, and what it asks, in the order in which people ask.
pub const CHECKS: &[(&str, &str)] = &[
    ("configuration", "Is there a MutatingWebhookConfiguration that is called for new Pods?"),
    ("review-versions", "Does it take AdmissionReview v1?"),
    ("failure-policy", "What becomes of Pods while nobody answers?"),
    ("timeout", "How long do Pods wait?"),
    ("reinvocation", "Do containers that other webhooks add get an identity?"),
    ("selectors", "Are the namespaces of annotated ServiceAccounts selected?"),
    ("overlap", "Is another webhook of this kind called for the same Pods?"),
    ("service", "Is the Service there, with the port that is called?"),
    ("endpoints", "Are replicas ready?"),
    ("reachable", "Does somebody answer where the API server calls?"),
    ("certificate", "Does the caBundle vouch for what is served?"),
    ("expiry", "Does the certificate hold, now and for a while?"),
    ("rights", "Has the webhook's ServiceAccount the rights that it needs?"),
    ("ready", "Does the webhook say that it is ready?"),
    ("own-rights", "Are your own rights enough for these checks?"),
    ("fail-open", "Has the API server let Pods pass without an answer?"),
    ("probe", "Does a Pod come back with its identity (server-side dry run)?"),
    ("role-arns", "Has the role of each ServiceAccount the form of an ARN?"),
    ("annotations", "Does an annotation miss its name or its type by a little?"),
    ("mappings", "Does each entry of the mappings ConfigMap name an account and a role?"),
    ("credentials-file", "Does each entry of the container-credentials file name an account?"),
    ("role-policy", "Is each rule of the role policy for a namespace, and each role allowed?"),
    ("missed-pods", "Have running Pods the identity that they would get now?"),
    ("shadowing", "Does a variable of a running Pod shadow its identity?"),
    ("containers", "Does a container of a running Pod stand in its own way?"),
    ("issuer", "Can AWS verify the tokens: issuer, discovery document, keys?"),
    ("token-lifetime", "Do tokens live as long as they are asked to?"),
    ("agent", "Is the Pod Identity agent ready where a Pod needs it?"),
    ("versions", "Which version of which webhook runs, and is it one?"),
    ("flags", "Can the flags of the webhook be read?"),
];

/// The flags as they are typed.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = after_help())]
pub(super) struct DoctorFlags {
    /// The kubeconfig of the API server; what kubectl would take by default
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<String>,
    /// The URL of the API server, instead of the kubeconfig's
    #[arg(long, value_name = "URL")]
    kube_api: Option<String>,
    /// The webhook configuration; if there is none of that name, all that look like one are judged
    #[arg(long, value_name = "NAME", default_value = CONFIGURATION)]
    webhook_configuration: Option<String>,
    /// Look at the ServiceAccounts and Pods of this namespace alone
    #[arg(short = 'n', long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Do these checks and no others, comma separated
    #[arg(long, value_name = "CHECKS")]
    only: Option<String>,
    /// Leave out these checks, comma separated
    #[arg(long, value_name = "CHECKS")]
    skip: Option<String>,
    /// How it is written: `text` for people, or `json`
    #[arg(short = 'o', long, value_name = "text|json", default_value = "text")]
    output: Option<String>,
    /// Show how far it is, where standard error is a terminal
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "true")]
    progress: Option<String>,
}

/// The flags as they are used.
#[derive(Clone, Debug)]
pub struct DoctorSettings {
    /// `--kubeconfig`.
    pub kubeconfig: Option<PathBuf>,
    /// `--kube-api`.
    pub kube_api: Option<http::Uri>,
    /// `--webhook-configuration`.
    pub webhook_configuration: Box<str>,
    /// `--namespace`.
    pub namespace: Option<Box<str>>,
    /// `--only`; none means all.
    pub only: Vec<&'static str>,
    /// `--skip`.
    pub skip: Vec<&'static str>,
    /// `--output`.
    pub form: DoctorForm,
    /// `--progress`.
    pub progress: Progress,
}

/// How the report is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DoctorForm {
    /// For people.
    Text,
    /// For programs.
    Json,
}

const FORMS: &[(&str, DoctorForm)] = &[("text", DoctorForm::Text), ("json", DoctorForm::Json)];

fn after_help() -> String {
    let mut text = "\
Writes nothing: its one Pod is a server-side dry run, and the one token that it asks for is forgotten once its
claims are read. What it cannot look at is a line of its own, never a pass.

Examples:
  pod-identity-webhook doctor
  pod-identity-webhook doctor -n shop --only role-arns,annotations,missed-pods
  pod-identity-webhook doctor --skip fail-open --output json

Checks:
"
    .to_owned();
    for (id, asks) in CHECKS {
        // Writing to a String does not fail.
        let _infallible = writeln!(text, "  {id:<17} {asks}");
    }
    text.push_str(
        "\nExit codes: 0 nothing is wrong, 1 something is, 2 not everything could be looked at.",
    );
    text
}

// === impl DoctorFlags ===

impl DoctorFlags {
    /// The flags as they are used.
    ///
    /// # Errors
    ///
    /// The first flag whose value is not allowed.
    pub(super) fn settings(&self) -> Result<DoctorSettings, FlagError> {
        let configuration = self.webhook_configuration.as_ref();
        let only = checks("only", self.only.as_deref())?;
        let skip = checks("skip", self.skip.as_deref())?;
        let is_left =
            |(id, _): &(&str, &str)| (only.is_empty() || only.contains(id)) && !skip.contains(id);
        if !CHECKS.iter().any(is_left) {
            let skipped = self.skip.as_deref().unwrap_or_default();
            return Err(FlagError::new("skip", skipped, "fewer checks: none is left"));
        }
        Ok(DoctorSettings {
            kubeconfig: Flag::new("kubeconfig", self.kubeconfig.as_ref()).optional(path)?,
            kube_api: Flag::new("kube-api", self.kube_api.as_ref()).optional(url)?,
            webhook_configuration: Flag::new("webhook-configuration", configuration)
                .or(CONFIGURATION, object_name)?,
            namespace: Flag::new("namespace", self.namespace.as_ref()).optional(label)?,
            only,
            skip,
            form: Flag::new("output", self.output.as_ref())
                .or("text", choice(FORMS, "text or json"))?,
            progress: if Flag::new("progress", self.progress.as_ref()).or("true", boolean)? {
                Progress::Shown
            } else {
                Progress::Hidden
            },
        })
    }
}

/// The checks of a list, by name.
fn checks(flag: &'static str, list: Option<&str>) -> Result<Vec<&'static str>, FlagError> {
    let names = list.unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty());
    let known = |name: &str| {
        let found = CHECKS.iter().find(|(id, _)| *id == name).map(|(id, _)| *id);
        found.ok_or_else(|| FlagError::new(flag, name, "names of checks, as --help lists them"))
    };
    names.map(known).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Command, Exit, parse};
    use super::*;

    fn settings(args: &[&str]) -> Result<DoctorSettings, String> {
        match parse(["pod-identity-webhook", "doctor"].iter().chain(args)) {
            Ok(Command::Doctor(settings)) => Ok(*settings),
            Err(Exit::Refused(sentence)) => Err(sentence),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn checks_are_chosen_by_name_and_an_unknown_one_is_refused() {
        let found =
            settings(&["--only=probe, selectors,", "--skip", "probe", "-n", "shop"]).unwrap();
        assert_eq!((found.only, found.skip), (vec!["probe", "selectors"], vec!["probe"]));
        assert_eq!(found.namespace.as_deref(), Some("shop"));
        assert_eq!(settings(&["--only="]).unwrap().only, Vec::<&str>::new());
        assert!(settings(&["--only=probe", "--skip=probe"]).unwrap_err().contains("none is left"));
        assert_eq!(
            settings(&["--only=prob"]).unwrap_err(),
            r#"invalid value "prob" for --only: give names of checks, as --help lists them"#
        );
    }

    #[test]
    fn help_names_every_check_and_every_exit_code() {
        let Err(Exit::Answered(help)) = parse(["pod-identity-webhook", "doctor", "--help"]) else {
            panic!("no help")
        };
        for (id, asks) in CHECKS {
            assert!(help.contains(id) && help.contains(asks), "{id}: {help}");
        }
        assert!(help.contains("Exit codes: 0 ") && help.contains("Examples:"), "{help}");
    }
}
