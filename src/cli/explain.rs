//! The flags of `explain`.

use std::path::PathBuf;

use clap::Args;

use super::certificate::Form;
use super::certificates::CONFIGURATION;
use super::injection::{Injection, InjectionFlags};
use super::mutate::Input;
use super::server::ConfigMapSource;
use super::value::{Allowed, Flag, FlagError, boolean, choice, label, object_name, path, url};

const DEFAULT_NAMESPACE: &str = "default";

/// The flags as they are typed.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = "\
What the webhook would do, or did: which source of identities counts and why, each setting and who chose
it, every container, what of a Pod that runs differs from what it would get now, and the trust policy or
the association that AWS has to have. Variables are named, their values never shown.

In a cluster it judges with the flags that the webhook's Pods run with; a flag that is given here counts
instead. With -f nobody is asked: ServiceAccounts and mappings are taken from the documents, as `mutate`
takes them, and flags that are not given have their defaults.

Examples:
  pod-identity-webhook explain pod web-7d9c5-x2x1p -n shop
  pod-identity-webhook explain sa web -n shop --output json
  helm template chart | pod-identity-webhook explain -f - --issuer https://oidc.example

Rights, of whoever runs it: get on pods, serviceaccounts and the path /.well-known/openid-configuration; and
to see the webhook itself, get on namespaces, services and configmaps, list on pods, endpointslices and
mutatingwebhookconfigurations.

Exit codes: 0 the identity is complete, or none is meant; 1 something is wrong with it; 2 it could not be
looked at.")]
pub(super) struct ExplainFlags {
    /// What to explain: `pod` or `sa`, and its name
    #[arg(value_name = "pod|sa NAME", num_args = 0..=2)]
    subject: Vec<String>,
    /// The namespace of the Pod or the ServiceAccount; that of the kubeconfig's context by default
    #[arg(short = 'n', long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Explain the workloads in a file of YAML or JSON documents, or its ServiceAccounts if there are
    /// none; `-` is standard input; may be given several times
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    files: Vec<String>,
    /// How it is written: `text` for people, or `json`, a document for each thing explained
    #[arg(short = 'o', long, value_name = "text|json", default_value = "text")]
    output: Option<String>,
    /// The issuer of the cluster's tokens, for the trust policy; the API server is asked by default
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// The kubeconfig of the API server; what kubectl would take by default
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<String>,
    /// The URL of the API server, instead of the kubeconfig's
    #[arg(long, value_name = "URL")]
    kube_api: Option<String>,
    /// The webhook configuration; if there is none of that name, one that looks like it
    #[arg(long, value_name = "NAME", default_value = CONFIGURATION)]
    webhook_configuration: Option<String>,
    /// The namespace of the webhook and its mappings ConfigMap
    #[arg(long, value_name = "NAMESPACE")]
    webhook_namespace: Option<String>,
    /// Whether the webhook takes identities from the ConfigMap `pod-identity-webhook`
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    watch_config_map: Option<String>,
    /// A file of Pod Identity associations, as the webhook has it
    #[arg(long, value_name = "FILE")]
    watch_container_credentials_config: Option<String>,
    /// The namespace of documents that name none
    #[arg(long, value_name = "NAMESPACE", default_value = DEFAULT_NAMESPACE)]
    default_namespace: Option<String>,
    #[command(flatten)]
    injection: InjectionFlags,
}

/// The flags as they are used.
#[derive(Clone, Debug)]
pub struct ExplainSettings {
    /// What is asked.
    pub question: Question,
    /// `--output`.
    pub form: Form,
    /// `--issuer`, with its scheme.
    pub issuer: Option<Box<str>>,
    /// `--watch-container-credentials-config`.
    pub credentials_file: Option<PathBuf>,
    /// What is injected, as far as it is given.
    pub injection: Overlay,
}

/// What is asked.
#[derive(Clone, Debug)]
pub enum Question {
    /// About a cluster.
    Cluster(ClusterQuestion),
    /// About the documents in files.
    Files {
        /// `-f`.
        files: Vec<Input>,
        /// `--default-namespace`.
        default_namespace: Box<str>,
    },
}

/// What is asked of a cluster.
#[derive(Clone, Debug)]
pub struct ClusterQuestion {
    /// What is to be explained.
    pub subject: SubjectRef,
    /// `--namespace`.
    pub namespace: Option<Box<str>>,
    /// `--kubeconfig`.
    pub kubeconfig: Option<PathBuf>,
    /// `--kube-api`.
    pub kube_api: Option<http::Uri>,
    /// `--webhook-configuration`.
    pub webhook_configuration: Box<str>,
    /// `--webhook-namespace`, if it is given.
    pub webhook_namespace: Option<Box<str>>,
    /// `--watch-config-map`, if it is given.
    pub config_map: Option<ConfigMapSource>,
}

/// What is to be explained, by name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SubjectRef {
    /// A Pod.
    Pod(Box<str>),
    /// A ServiceAccount.
    Account(Box<str>),
}

/// Flags that count before those of the webhook that runs.
#[derive(Clone, Debug)]
pub struct Overlay {
    flags: InjectionFlags,
    given: Vec<&'static str>,
}

const FORMS: &[(&str, Form)] = &[("text", Form::Table), ("json", Form::Json)];

/// Why there is nothing to explain.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum ExplainError {
    /// A flag has a value that cannot be used.
    #[error(transparent)]
    Flag(#[from] FlagError),
    /// Nothing is named.
    #[error("explain what? Give pod NAME, sa NAME or -f FILE")]
    Nothing,
    /// Something is named that cannot be explained.
    #[error("cannot explain {subject:?}: give pod NAME, sa NAME or -f FILE")]
    Kind {
        /// It.
        subject: String,
    },
    /// A name that no object has.
    #[error("no object is called {name:?}: give {allowed}")]
    Name {
        /// The name.
        name: String,
        /// What it may be.
        allowed: Allowed,
    },
    /// Both a name and files are given.
    #[error("give either a name or -f FILE: files are explained without asking a cluster")]
    Both,
}

// === impl ExplainFlags ===

impl ExplainFlags {
    /// The flags as they are used.
    ///
    /// # Errors
    ///
    /// That nothing is named, or the first flag whose value is not allowed.
    pub(super) fn settings(&self) -> Result<ExplainSettings, ExplainError> {
        let credentials = self.watch_container_credentials_config.as_ref();
        let injection = Overlay::of(&self.injection)?;
        Ok(ExplainSettings {
            question: self.question()?,
            form: Flag::new("output", self.output.as_ref())
                .or("text", choice(FORMS, "text or json"))?,
            issuer: Flag::new("issuer", self.issuer.as_ref()).optional(issuer)?,
            credentials_file: Flag::new("watch-container-credentials-config", credentials)
                .optional(path)?,
            injection,
        })
    }

    /// What is asked. Every flag is read, also one that does not count for the question.
    fn question(&self) -> Result<Question, ExplainError> {
        let default_namespace = Flag::new("default-namespace", self.default_namespace.as_ref())
            .or(DEFAULT_NAMESPACE, label)?;
        let source = |value: &str| {
            let named = |on| if on { ConfigMapSource::Watched } else { ConfigMapSource::Ignored };
            boolean(value).map(named)
        };
        let namespace = Flag::new("namespace", self.namespace.as_ref()).optional(label)?;
        let kubeconfig = Flag::new("kubeconfig", self.kubeconfig.as_ref()).optional(path)?;
        let kube_api = Flag::new("kube-api", self.kube_api.as_ref()).optional(url)?;
        let configuration = self.webhook_configuration.as_ref();
        let webhook_configuration =
            Flag::new("webhook-configuration", configuration).or(CONFIGURATION, object_name)?;
        let webhook_namespace =
            Flag::new("webhook-namespace", self.webhook_namespace.as_ref()).optional(label)?;
        let config_map =
            Flag::new("watch-config-map", self.watch_config_map.as_ref()).optional(source)?;
        match (self.files.as_slice(), self.subject.as_slice()) {
            ([], subject) => Ok(Question::Cluster(ClusterQuestion {
                subject: SubjectRef::read(subject)?,
                namespace,
                kubeconfig,
                kube_api,
                webhook_configuration,
                webhook_namespace,
                config_map,
            })),
            (files, []) => {
                let files = files.iter().map(|file| Input::of(file)).collect();
                Ok(Question::Files { files, default_namespace })
            }
            (_, _) => Err(ExplainError::Both),
        }
    }
}

// === impl SubjectRef ===

impl SubjectRef {
    /// As kubectl takes it: a kind and a name, or both with a slash between them.
    fn read(words: &[String]) -> Result<Self, ExplainError> {
        let wrong = || ExplainError::Kind { subject: words.join(" ") };
        let (kind, name) = match words {
            [] => return Err(ExplainError::Nothing),
            [kind, name] => (kind.as_str(), name.as_str()),
            [both] => both.split_once('/').ok_or_else(wrong)?,
            _ => return Err(wrong()),
        };
        let of: fn(Box<str>) -> Self = match kind.to_ascii_lowercase().as_str() {
            "pod" | "pods" | "po" => Self::Pod,
            "sa" | "serviceaccount" | "serviceaccounts" => Self::Account,
            _ => return Err(wrong()),
        };
        object_name(name)
            .map(of)
            .map_err(|allowed| ExplainError::Name { name: name.to_owned(), allowed })
    }
}

/// An issuer is a URL of HTTPS without query (`OpenID` Connect Discovery 1.0, section 3); people copy
/// it without its scheme, as IAM shows it.
fn issuer(value: &str) -> Result<Box<str>, Allowed> {
    const ALLOWED: Allowed = "a URL that begins with https://, such as https://oidc.example/id/1";
    let whole = match value.split_once("://") {
        Some(_) => value.to_owned(),
        None => format!("https://{value}"),
    };
    let uri = url(&whole).map_err(|_| ALLOWED)?;
    if uri.scheme_str() != Some("https") || uri.query().is_some() {
        return Err(ALLOWED);
    }
    Ok(whole.into())
}

// === impl Overlay ===

impl Overlay {
    /// What is typed of `flags`; one that cannot be used is told before anybody is asked.
    pub(super) fn of(flags: &InjectionFlags) -> Result<Self, FlagError> {
        let overlay = Self { flags: flags.clone(), given: flags.typed() };
        overlay.over(&Injection::default())?;
        Ok(overlay)
    }

    /// The flags that are given, and those of `base` for the rest.
    ///
    /// # Errors
    ///
    /// None that were not told when the command line was read.
    pub fn over(&self, base: &Injection) -> Result<Injection, FlagError> {
        self.flags.over(base)
    }

    /// The flags that are given, without dashes.
    pub fn given(&self) -> &[&'static str] {
        &self.given
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Command, Exit, parse};
    use crate::plan::Settings;

    fn explain(args: &[&str]) -> Result<ExplainSettings, String> {
        match parse(["pod-identity-webhook", "explain"].iter().chain(args)) {
            Ok(Command::Explain(settings)) => Ok(*settings),
            Err(Exit::Refused(sentence)) => Err(sentence),
            other => panic!("{other:?}"),
        }
    }

    fn subject(args: &[&str]) -> SubjectRef {
        match explain(args).unwrap().question {
            Question::Cluster(question) => question.subject,
            Question::Files { .. } => panic!("files"),
        }
    }

    #[test]
    fn a_subject_is_named_as_kubectl_names_it() {
        for args in [&["pod", "web"][..], &["po", "web"], &["pods/web"], &["pod/web", "-n", "shop"]]
        {
            assert_eq!(subject(args), SubjectRef::Pod("web".into()), "{args:?}");
        }
        for args in [&["sa", "web"][..], &["serviceaccount/web"], &["-n", "shop", "SA", "web"]] {
            assert_eq!(subject(args), SubjectRef::Account("web".into()), "{args:?}");
        }
    }

    #[test]
    fn what_cannot_be_explained_is_told_in_one_sentence() {
        for (args, sentence) in [
            (&[][..], "explain what? Give pod NAME, sa NAME or -f FILE"),
            (&["web"], r#"cannot explain "web": give pod NAME, sa NAME or -f FILE"#),
            (&["pod"], r#"cannot explain "pod": give pod NAME, sa NAME or -f FILE"#),
            (
                &["deployment", "web"],
                r#"cannot explain "deployment web": give pod NAME, sa NAME or -f FILE"#,
            ),
            (
                &["pod", "web", "-f", "x.yaml"],
                "give either a name or -f FILE: files are explained without asking a cluster",
            ),
            (
                &["pod", "../web"],
                r#"no object is called "../web": give a name of at most 253 lower-case letters, digits, dashes and dots"#,
            ),
            (
                &["pod", "web", "--issuer=http://oidc.example"],
                r#"invalid value "http://oidc.example" for --issuer: give a URL that begins with https://, such as https://oidc.example/id/1"#,
            ),
            (
                &["pod", "web", "--token-expiration=1h"],
                r#"invalid value "1h" for --token-expiration: give a whole number of seconds such as 86400"#,
            ),
        ] {
            assert_eq!(explain(args).unwrap_err(), sentence);
        }
    }

    #[test]
    fn only_flags_that_are_given_count_before_those_of_the_webhook() {
        let mut webhook = Injection::default();
        webhook.settings.defaults.audience = "of-the-webhook".into();
        webhook.settings.defaults.region = Some("eu-west-1".into());
        let settings = explain(&["pod", "web", "--aws-default-region=eu-west-2"]).unwrap();
        assert_eq!(settings.injection.given(), ["aws-default-region"]);
        let Settings { defaults, .. } = settings.injection.over(&webhook).unwrap().settings;
        assert_eq!(&*defaults.audience, "of-the-webhook");
        assert_eq!(defaults.region.as_deref(), Some("eu-west-2"));
    }

    /// What `--help` calls a default is typed by clap, and the other defaults are those of `plan`.
    #[test]
    fn a_flag_that_is_not_given_anywhere_has_one_default() {
        let Ok(Command::Serve(server)) = parse(["pod-identity-webhook"]) else { panic!() };
        let explain = explain(&["pod", "web"]).unwrap().injection;
        assert!(explain.given().is_empty());
        let explained = explain.over(&Injection::default()).unwrap();
        assert_eq!(format!("{:?}", server.injection), format!("{explained:?}"));
    }

    #[test]
    fn an_issuer_is_taken_as_iam_shows_it() {
        let issuer =
            |value: &str| explain(&["sa", "a", "--issuer", value]).unwrap().issuer.unwrap();
        assert_eq!(&*issuer("oidc.example/id/1"), "https://oidc.example/id/1");
        assert_eq!(&*issuer("https://oidc.example"), "https://oidc.example");
    }
}
