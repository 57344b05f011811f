//! The `caBundle` from a file: for those who mount certificates and have no CA injector.
//!
//! The file's content counts, since the kubelet swaps symlinks. A file that holds no CA changes
//! nothing. Which certificate is served is not looked at: it comes from other files.
//!
//! A CA that is in the `caBundle` and not in the file stays for the overlap: another replica may
//! serve what it has signed, one whose file the kubelet has not swapped yet, or one of before or
//! after whose certificates come from elsewhere. So replicas that want different CAs do not undo
//! each other's work.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use kube::Client;
use tokio::sync::mpsc::Receiver;
use tokio::time::{sleep, timeout};

use super::error::KeeperError;
use super::round::{PACE, Pauses};
use super::status::{Place, Registered, Status};
use super::target::{Entry, Target};
use super::watch::Notice;
use crate::authority::{Bundle, CaCertificate, CaId, Standing};
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
    overlap: Duration,
    /// Since when the `caBundle` is known to hold what the file does not.
    strangers: HashMap<CaId, Instant>,
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
        overlap: Duration,
        status: Arc<Status>,
        metrics: CertificateMetrics,
        notices: Receiver<Notice>,
    ) -> Self {
        Self {
            client,
            target,
            file,
            overlap,
            strangers: HashMap::new(),
            status,
            metrics,
            notices,
            pauses: Pauses::default(),
        }
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

    async fn round(&mut self) -> Result<(), KeeperError> {
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
        let tolerated = self.tolerated(&bundle, &found.entries);
        // With nothing else in it, it is the file to the byte.
        let is = if tolerated.is_empty() { Bundle::eq } else { same };
        let bundle = match tolerated.as_slice() {
            [] => bundle,
            others => Bundle::of(bundle.certificates().iter().chain(others)),
        };
        let is_right = found.entries.iter().all(|entry| is(&entry.bundle, &bundle));
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

    /// What the entries hold besides the file's, each certificate once, as far as it may stay.
    fn tolerated(&mut self, file: &Bundle, entries: &[Entry]) -> Vec<CaCertificate> {
        let (now, wall) = (Instant::now(), SystemTime::now());
        let mut found: Vec<CaCertificate> = Vec::new();
        for ca in entries.iter().flat_map(|entry| entry.bundle.certificates()) {
            if !file.trusts(ca.id()) && found.iter().all(|known| known.id() != ca.id()) {
                found.push(ca.clone());
            }
        }
        self.strangers.retain(|id, _| found.iter().any(|ca| ca.id() == *id));
        found.retain(|ca| {
            let since = *self.strangers.entry(ca.id()).or_insert_with(|| {
                let (ca, stays) = (ca.id(), self.overlap);
                tracing::info!(%ca, ?stays, "the caBundle holds a CA that the file does not");
                now
            });
            now.duration_since(since) < self.overlap && !ca.validity().is_over(wall)
        });
        found
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

/// Whether both make an API server trust the same CAs.
fn same(one: &Bundle, other: &Bundle) -> bool {
    let holds = |one: &Bundle, other: &Bundle| {
        other.certificates().iter().all(|certificate| one.trusts(certificate.id()))
    };
    holds(one, other) && holds(other, one)
}
