//! The flags of certificates: where they come from, and how long those that are made here last.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::value::{Flag, FlagError, boolean, duration, object_name, path, url};
use crate::authority::{Policy, PolicyError};

pub(super) const TLS_SECRET: &str = "pod-identity-webhook";
pub(super) const CONFIGURATION: &str = "pod-identity-webhook";
/// A year.
const CA_VALIDITY: &str = "8760h";
/// A week.
const CERTIFICATE_VALIDITY: &str = "168h";
const CA_OVERLAP: &str = "10m";

/// The flags as they are typed.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct CertificateFlags {
    /// Whether the webhook is its own certificate authority (true) or reads files (false)
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "true", help_heading = "Certificates")]
    in_cluster: Option<String>,
    /// The Secret with the CA that the webhook makes, in its namespace
    #[arg(long, value_name = "NAME", default_value = TLS_SECRET, help_heading = "Certificates")]
    tls_secret: Option<String>,
    /// The webhook configuration whose `caBundle` is kept right where an entry is ours
    #[arg(long, value_name = "NAME", default_value = CONFIGURATION, help_heading = "Certificates")]
    webhook_configuration: Option<String>,
    /// An entry with this `clientConfig.url` is ours as well, besides those with our Service
    #[arg(long, value_name = "URL", help_heading = "Certificates")]
    webhook_url: Option<String>,
    /// How long a CA lasts; the next one is made at two thirds
    #[arg(long, value_name = "DURATION", default_value = CA_VALIDITY, help_heading = "Certificates")]
    ca_validity: Option<String>,
    /// How long a served certificate lasts; the next one is made at two thirds
    #[arg(long, value_name = "DURATION", default_value = CERTIFICATE_VALIDITY, help_heading = "Certificates")]
    certificate_validity: Option<String>,
    /// How long a new CA stands in the `caBundle` before anything that it signed is served, and how long one that the file of --ca-bundle-from lacks stays
    #[arg(long, value_name = "DURATION", default_value = CA_OVERLAP, help_heading = "Certificates")]
    ca_overlap: Option<String>,
    /// With --in-cluster=false: keep the `caBundle` equal to this file; read again when it changes
    #[arg(long, value_name = "FILE", help_heading = "Certificates")]
    ca_bundle_from: Option<String>,
}

/// Where certificates come from.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// Who makes them.
    pub source: CertificateSource,
    /// `--webhook-configuration`.
    pub webhook_configuration: Box<str>,
    /// `--webhook-url`.
    pub webhook_url: Option<Box<str>>,
}

/// Who makes certificates.
#[derive(Clone, Debug)]
pub enum CertificateSource {
    /// The webhook itself (`--in-cluster=true`).
    Managed {
        /// `--tls-secret`.
        secret: Box<str>,
        /// `--ca-validity`, `--certificate-validity`, `--ca-overlap`.
        policy: Policy,
    },
    /// Somebody else: they are read from files (`--in-cluster=false`).
    Files {
        /// `--ca-bundle-from`.
        ca_bundle: Option<CaBundleFile>,
    },
}

/// The file that the `caBundle` follows.
#[derive(Clone, Debug)]
pub struct CaBundleFile {
    /// `--ca-bundle-from`.
    pub path: PathBuf,
    /// `--ca-overlap`.
    pub overlap: Duration,
}

// === impl CertificateFlags ===

impl CertificateFlags {
    /// The flags as they are used.
    pub(super) fn settings(&self) -> Result<Certificates, FlagError> {
        let secret =
            Flag::new("tls-secret", self.tls_secret.as_ref()).or(TLS_SECRET, object_name)?;
        let policy = self.policy()?;
        let ca_bundle = self.ca_bundle_from.as_ref();
        let ca_bundle = Flag::new("ca-bundle-from", ca_bundle).optional(path)?;
        let source = if Flag::new("in-cluster", self.in_cluster.as_ref()).or("true", boolean)? {
            if let Some(file) = ca_bundle {
                let allowed = "it together with --in-cluster=false, or not at all";
                return Err(FlagError::new("ca-bundle-from", &file.to_string_lossy(), allowed));
            }
            CertificateSource::Managed { secret, policy }
        } else {
            let overlap = policy.overlap();
            let ca_bundle = ca_bundle.map(|path| CaBundleFile { path, overlap });
            CertificateSource::Files { ca_bundle }
        };
        Ok(Certificates {
            source,
            webhook_configuration: Flag::new(
                "webhook-configuration",
                self.webhook_configuration.as_ref(),
            )
            .or(CONFIGURATION, object_name)?,
            webhook_url: Flag::new("webhook-url", self.webhook_url.as_ref())
                .optional(|value| url(value).map(|_| value.into()))?,
        })
    }

    fn policy(&self) -> Result<Policy, FlagError> {
        let Self { ca_validity, certificate_validity, ca_overlap, .. } = self;
        let read = |name, typed, default| Flag::new(name, typed).or(default, duration);
        let ca = read("ca-validity", ca_validity.as_ref(), CA_VALIDITY)?;
        let leaf =
            read("certificate-validity", certificate_validity.as_ref(), CERTIFICATE_VALIDITY)?;
        let overlap = read("ca-overlap", ca_overlap.as_ref(), CA_OVERLAP)?;
        Policy::new(ca, leaf, overlap).map_err(|error| {
            let (flag, typed, default) = match error {
                PolicyError::CaValidity => ("ca-validity", ca_validity, CA_VALIDITY),
                PolicyError::LeafValidity => {
                    ("certificate-validity", certificate_validity, CERTIFICATE_VALIDITY)
                }
                PolicyError::Overlap => ("ca-overlap", ca_overlap, CA_OVERLAP),
            };
            let value = typed.as_deref().filter(|value| !value.is_empty()).unwrap_or(default);
            let text = error.to_string();
            let allowed = text.split_once(" has to be ").map_or(text.as_str(), |(_, rest)| rest);
            FlagError::new(flag, value, format!("a duration that is {allowed}"))
        })
    }
}
