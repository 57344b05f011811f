//! The flags of `mutate`.

use std::path::PathBuf;

use clap::Args;

use super::injection::{Composition, Injection, InjectionFlags};
use super::value::{Flag, FlagError, choice, label, path};

const DEFAULT_NAMESPACE: &str = "default";

/// The flags as they are typed.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = "\
Documents are written back in their order, unchanged ones byte for byte. stderr has a line for each
workload: what was injected, by which path and from which source, or the reason for none. Every
workload and ServiceAccount counts wherever it stands, and so does a ConfigMap pod-identity-webhook
with mappings. A ServiceAccount that is not among the documents is reported as
service-account-not-given; only `default`, which every namespace has, is taken to be there without
annotations.

--output json writes a stream of JSON documents, --output patch one line of JSON for each changed
workload: apiVersion, kind, namespace, name and the JSON Patch of that object, for jq or
`kubectl patch --type=json`.

Examples:
  pod-identity-webhook mutate -f app.yaml                  what would run, on standard output
  helm template chart | pod-identity-webhook mutate -f - --output diff
  pod-identity-webhook mutate -f accounts.yaml -f app.yaml --check >/dev/null

Exit codes: 0 done, 1 --check found a workload that would not be injected, 2 bad input.")]
pub(super) struct MutateFlags {
    /// A file of YAML or JSON documents; `-` is standard input; may be given several times
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    files: Vec<String>,
    /// What is written: all documents as `yaml` or `json`, or the changes as `patch` or `diff`
    #[arg(short = 'o', long, value_name = "yaml|json|patch|diff")]
    output: Option<String>,
    /// Exit 1 if a workload whose ServiceAccount has an identity would not be completely injected;
    /// with `all`, also if its ServiceAccount is not among the documents
    #[arg(long, value_name = "identities|all", num_args = 0..=1, require_equals = true, default_missing_value = "identities")]
    check: Option<String>,
    /// The namespace of documents that name none
    #[arg(long, value_name = "NAMESPACE", default_value = DEFAULT_NAMESPACE)]
    default_namespace: Option<String>,
    /// A file of Pod Identity associations, as the server watches it
    #[arg(long, value_name = "FILE")]
    watch_container_credentials_config: Option<String>,
    #[command(flatten)]
    injection: InjectionFlags,
}

/// The flags as they are used.
#[derive(Clone, Debug)]
pub struct MutateSettings {
    /// `-f`.
    pub files: Vec<Input>,
    /// `--output`.
    pub output: Output,
    /// `--check`.
    pub check: Check,
    /// `--default-namespace`.
    pub default_namespace: Box<str>,
    /// `--watch-container-credentials-config`.
    pub credentials_file: Option<PathBuf>,
    /// What is injected.
    pub injection: Injection,
}

/// Where documents come from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Input {
    /// `-`.
    StandardInput,
    /// A file.
    File(PathBuf),
}

/// What is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Output {
    /// Every document as it came, changed ones in their own format.
    AsGiven,
    /// Every document, changed ones as YAML.
    Yaml,
    /// Every document as JSON.
    Json,
    /// A JSON Patch for each changed document.
    Patch,
    /// A unified diff for each changed document.
    Diff,
}

/// What makes `mutate` fail.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Check {
    /// Nothing but bad input.
    Off,
    /// A workload with an identity that is not completely injected.
    Identities,
    /// That, and a workload whose account was not given.
    All,
}

const OUTPUTS: &[(&str, Output)] = &[
    ("yaml", Output::Yaml),
    ("json", Output::Json),
    ("patch", Output::Patch),
    ("diff", Output::Diff),
];

const CHECKS: &[(&str, Check)] = &[
    ("identities", Check::Identities),
    ("true", Check::Identities),
    ("all", Check::All),
    ("false", Check::Off),
];

// === impl Input ===

impl Input {
    /// What a value of `-f` names.
    pub(super) fn of(file: &str) -> Self {
        match file {
            "-" => Self::StandardInput,
            file => Self::File(file.into()),
        }
    }
}

// === impl MutateFlags ===

impl MutateFlags {
    /// The flags as they are used.
    ///
    /// # Errors
    ///
    /// The first flag whose value is not allowed.
    pub(super) fn settings(&self) -> Result<MutateSettings, FlagError> {
        let injection = self.injection.settings()?;
        if let Composition::Asks(_) = injection.composition {
            return Err(FlagError::new(
                "compose-role-arn",
                "true",
                "--aws-account-id and --aws-partition as well, since mutate asks nobody",
            ));
        }
        let credentials = self.watch_container_credentials_config.as_ref();
        Ok(MutateSettings {
            files: self.files.iter().map(|file| Input::of(file)).collect(),
            output: Flag::new("output", self.output.as_ref())
                .optional(choice(OUTPUTS, "yaml, json, patch or diff"))?
                .unwrap_or(Output::AsGiven),
            check: Flag::new("check", self.check.as_ref())
                .optional(choice(CHECKS, "identities or all"))?
                .unwrap_or(Check::Off),
            default_namespace: Flag::new("default-namespace", self.default_namespace.as_ref())
                .or(DEFAULT_NAMESPACE, label)?,
            credentials_file: Flag::new("watch-container-credentials-config", credentials)
                .optional(path)?,
            injection,
        })
    }
}
