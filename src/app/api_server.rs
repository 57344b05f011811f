//! The client of the API server, and what is wrong where there can be none.
//!
//! A kubeconfig may hold tokens and keys: what is said of one names its file, line and column, and
//! nothing that stands in it.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow, bail};
use kube::client::RustlsTlsError;
use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};

/// The client of the API server.
pub(super) async fn client(
    kubeconfig: Option<PathBuf>,
    kube_api: Option<::http::Uri>,
) -> anyhow::Result<kube::Client> {
    of_config(config(kubeconfig, kube_api).await?)
}

/// A client with that configuration.
pub(super) fn of_config(mut config: kube::Config) -> anyhow::Result<kube::Client> {
    // kube asks the system for its CAs wherever none is named: not where there is nothing to trust.
    if config.accept_invalid_certs
        || config.cluster_url.scheme() == Some(&::http::uri::Scheme::HTTP)
    {
        config.root_cert.get_or_insert_default();
    }
    let named = config.root_cert.is_some();
    kube::Client::try_from(config).map_err(|error| match error {
        kube::Error::RustlsTls(RustlsTlsError::AddRootCertificate(_)) if !named => anyhow!(
            "no CA to know the API server by: name it in the kubeconfig \
             (certificate-authority-data), or set SSL_CERT_FILE to a bundle"
        ),
        error => anyhow::Error::new(error).context("the API server's client cannot be set up"),
    })
}

/// How the API server is asked: as the kubeconfig says if one is named, else as the Pod's own account,
/// else as kubectl would.
pub(super) async fn config(
    kubeconfig: Option<PathBuf>,
    kube_api: Option<::http::Uri>,
) -> anyhow::Result<kube::Config> {
    let mut config = match (kubeconfig, &kube_api) {
        (Some(path), _) => {
            let name = format!("--kubeconfig: {}", path.display());
            of_kubeconfig(&name, Kubeconfig::read_from(&path)).await?
        }
        (None, Some(url)) => {
            kube::Config::incluster().unwrap_or_else(|_| kube::Config::new(url.clone()))
        }
        (None, None) => match kube::Config::incluster() {
            Ok(config) => config,
            Err(InClusterError::ReadEnvironmentVariable(_)) => match Kubeconfig::read() {
                Err(KubeconfigError::ReadConfig(..) | KubeconfigError::FindPath) => bail!(
                    "no API server: give --kubeconfig, or run in a Pod whose ServiceAccount token \
                     is mounted"
                ),
                file => of_kubeconfig("the kubeconfig of this user", file).await?,
            },
            Err(error) => {
                return Err(anyhow::Error::new(error).context(
                    "the Pod's ServiceAccount cannot be used: mount its token \
                     (automountServiceAccountToken), or give --kubeconfig",
                ));
            }
        },
    };
    if let Some(url) = kube_api {
        config.cluster_url = url;
    }
    // Whoever asks tries again in a way of its own, and has to know why. kube's retries of 429 and
    // 503 would take minutes without a word.
    config.default_retry = false;
    Ok(config)
}

/// What a kubeconfig says. Errors never repeat what stands in it: that may be a token.
async fn of_kubeconfig(
    name: &str,
    file: Result<Kubeconfig, KubeconfigError>,
) -> anyhow::Result<kube::Config> {
    let config = match file {
        Ok(file) => kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await,
        Err(error) => Err(error),
    };
    config.map_err(|error| match error {
        KubeconfigError::ReadConfig(source, _) => anyhow::Error::new(source)
            .context(format!("{name} cannot be read: name a file that this user may read")),
        KubeconfigError::Parse(error) => match error.location() {
            Some(location) => anyhow!(
                "{name} is not a kubeconfig: look at line {}, column {}",
                location.line(),
                location.column()
            ),
            None => anyhow!("{name} is not a kubeconfig: name one"),
        },
        error => anyhow!("{name} cannot be used: {error}"),
    })
}
