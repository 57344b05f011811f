//! The `caBundle` from a file: for those who mount certificates and have no CA injector.
//!
//! The file's content counts, since the kubelet swaps symlinks. A file that holds no CA changes
//! nothing. Which certificate is served is not looked at: it comes from other files.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::mpsc::Receiver;
use tokio::time::{sleep, timeout};

use super::error::KeeperError;
use super::round::{PACE, Pauses};
use super::status::{Place, Registered, Status};
use super::target::Target;
use super::watch::Notice;
use crate::authority::{Bundle, Standing};
use crate::telemetry::{CertificateMetrics, Matching};

/// How often the file is read, and the configuration with it.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// The largest file that is read: an object of the API server has at most 1.5 MiB (etcd).
const MAX_FILE_BYTES: usize = 1 << 20;

/// Compares file and configuration.
pub(super) struct Keeper {
    client: Client,
    target: Target,
    file: PathBuf,
    status: Arc<Status>,
    metrics: CertificateMetrics,
    notices: Receiver<Notice>,
    pauses: Pauses,
}

// === impl Keeper ===

impl Keeper {
    pub(super) fn new(
        client: Client,
        target: Target,
        file: PathBuf,
        status: Arc<Status>,
        metrics: CertificateMetrics,
        notices: Receiver<Notice>,
    ) -> Self {
        Self { client, target, file, status, metrics, notices, pauses: Pauses::default() }
    }

    /// Never ends but with the watch.
    pub(super) async fn run(mut self) -> KeeperError {
        loop {
            let wait = match self.round().await {
                Ok(()) => {
                    self.pauses = Pauses::default();
                    POLL_INTERVAL
                }
                Err(KeeperError::Conflict { .. }) => PACE,
                Err(_) => self.pauses.next(),
            };
            sleep(PACE).await;
            if let Ok(None) = timeout(wait.saturating_sub(PACE), self.notices.recv()).await {
                return KeeperError::Unwatched;
            }
            while self.notices.try_recv().is_ok() {}
        }
    }

    async fn round(&self) -> Result<(), KeeperError> {
        let read = self.read().await;
        self.status.trouble(Place::ReadSecret, read.as_ref().err().cloned());
        let bundle = read?;
        let found = self.target.read(&self.client).await;
        self.status.trouble(Place::ReadConfiguration, found.as_ref().err().cloned());
        let Some(found) = found? else {
            self.metrics.ca_bundle(Matching::Unknown);
            self.status.trouble(Place::Act, None);
            self.status.stands(Standing::Trusted, None, Registered::Nowhere);
            return Ok(());
        };
        let is_right = found.entries.iter().all(|entry| entry.bundle.bytes() == bundle.bytes());
        if found.entries.is_empty() || is_right {
            let registered = if found.entries.is_empty() {
                self.metrics.ca_bundle(Matching::Unknown);
                Registered::Elsewhere
            } else {
                self.metrics.ca_bundle(Matching::Matches);
                Registered::Here
            };
            self.status.trouble(Place::Act, None);
            self.status.stands(Standing::Trusted, None, registered);
            return Ok(());
        }
        self.metrics.ca_bundle(Matching::Differs);
        self.status.stands(Standing::NotInBundle, None, Registered::Here);
        let version = &found.resource_version;
        let written = self.target.publish(&self.client, &found.entries, &bundle, version).await;
        match written {
            Ok(()) => {
                let (entries, cas) = (found.entries.len(), bundle.certificates().len());
                tracing::info!(entries, cas, "the caBundle is put right");
                self.metrics.ca_bundle(Matching::Matches);
                self.status.trouble(Place::Act, None);
                self.status.stands(Standing::Trusted, None, Registered::Here);
                Ok(())
            }
            Err(error) => {
                if !matches!(error, KeeperError::Conflict { .. }) {
                    self.status.trouble(Place::Act, Some(error.clone()));
                }
                Err(error)
            }
        }
    }

    async fn read(&self) -> Result<Bundle, KeeperError> {
        let (path, unread) = (self.file.clone(), |source| KeeperError::File {
            path: self.file.clone(),
            source: Arc::new(source),
        });
        let content = tokio::fs::read(&path).await.map_err(unread)?;
        if content.len() > MAX_FILE_BYTES {
            return Err(unread(io::Error::from(io::ErrorKind::FileTooLarge)));
        }
        let bundle = Bundle::read(&content);
        if bundle.certificates().is_empty() {
            return Err(KeeperError::NoCa { path });
        }
        Ok(bundle)
    }
}
