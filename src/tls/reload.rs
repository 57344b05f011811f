//! What is served now, and how it follows the files.
//!
//! kubelet updates a mounted Secret by swapping the `..data` symlink, which a watch on the file
//! itself never sees (field.md N15): so the files are read again every few seconds, and their
//! content counts. A good new pair is served from the next handshake on. A bad one changes nothing:
//! the last good one stays, and the trouble shows in the log (once), in a metric and in
//! [`Served::status`].

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwapOption;
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::{Error, Files, Pair};
use crate::telemetry::CertificateMetrics;

/// How often the files are read.
pub const RELOAD_INTERVAL: Duration = Duration::from_secs(10);

/// The pair that handshakes get, if there is one yet, and what is wrong with its replacement.
#[derive(Debug)]
pub struct Served {
    pair: ArcSwapOption<Pair>,
    trouble: ArcSwapOption<String>,
    metrics: CertificateMetrics,
}

/// Reads the files again and again.
#[derive(Debug)]
pub struct Reloader {
    files: Files,
    served: Arc<Served>,
    /// What the last read found wrong, as it was told.
    told: Option<String>,
    doubt: Doubt,
}

/// Whether the last read saw two files that do not belong together; they may just be changing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Doubt {
    None,
    Mismatch,
}

/// What readiness has to know of the certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateStatus {
    /// Whether clients take the served pair.
    pub validity: Validity,
    /// Why the files' present content is not served, in one sentence, if it is not.
    pub trouble: Option<Arc<String>>,
}

/// Whether clients take what is served.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Validity {
    /// They do.
    Valid,
    /// It has expired: not ready.
    Expired,
    /// There is nothing to serve yet, and handshakes are refused: not ready.
    Missing,
}

// === impl Served ===

impl Served {
    /// Serves this pair until another is put in its place.
    pub fn new(pair: Pair, metrics: CertificateMetrics) -> Self {
        metrics.serves_until(pair.not_after());
        let served = Self::empty(metrics);
        served.pair.store(Some(Arc::new(pair)));
        served
    }

    /// Serves nothing, and refuses handshakes, until a pair is put in.
    pub fn empty(metrics: CertificateMetrics) -> Self {
        Self { pair: ArcSwapOption::empty(), trouble: ArcSwapOption::empty(), metrics }
    }

    /// Serves this pair from the next handshake on.
    pub fn replace(&self, pair: Pair) {
        self.metrics.serves_until(pair.not_after());
        self.pair.store(Some(Arc::new(pair)));
    }

    /// How things stand at `now`.
    pub fn status(&self, now: SystemTime) -> CertificateStatus {
        let validity = match self.pair.load().as_deref() {
            None => Validity::Missing,
            Some(pair) if now > pair.not_after() => Validity::Expired,
            Some(_) => Validity::Valid,
        };
        CertificateStatus { validity, trouble: self.trouble.load_full() }
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.pair.load().as_deref().map(|pair| Arc::clone(pair.certified()))
    }
}

// === impl Reloader ===

impl Reloader {
    /// Reads the files for the first time; a bad pair is an error. Blocks.
    pub fn start(files: Files, metrics: CertificateMetrics) -> Result<Self, Error> {
        let pair = files.load(SystemTime::now())?;
        let served = Arc::new(Served::new(pair, metrics));
        Ok(Self { files, served, told: None, doubt: Doubt::None })
    }

    /// What is served.
    pub fn served(&self) -> Arc<Served> {
        Arc::clone(&self.served)
    }

    /// Reads the files every `interval`, for ever.
    pub async fn run(mut self, interval: Duration) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let files = self.files.clone();
            let now = SystemTime::now();
            match tokio::task::spawn_blocking(move || files.load(now)).await {
                Ok(found) => self.take(found),
                Err(error) => tracing::error!(%error, "certificate files were not read"),
            }
        }
    }

    /// Acts on what a read found.
    pub(super) fn take(&mut self, found: Result<Pair, Error>) {
        match found {
            Ok(pair) => {
                self.doubt = Doubt::None;
                self.served.trouble.store(None);
                let served = self.served.pair.load();
                let replaced = served.as_deref().is_none_or(|served| !pair.is_same(served));
                let not_after = humantime::format_rfc3339_seconds(pair.not_after());
                if replaced {
                    tracing::info!(%not_after, "certificate replaced");
                    self.served.replace(pair);
                } else if self.told.is_some() {
                    tracing::info!(%not_after, "certificate files are in order again");
                }
                self.told = None;
            }
            // Files that are written one after the other: look again before complaining.
            Err(Error::Mismatch { .. }) if self.doubt == Doubt::None && self.told.is_none() => {
                self.doubt = Doubt::Mismatch;
            }
            Err(error) => {
                self.served.metrics.refused(error.reason());
                let trouble = error.to_string();
                if self.told.as_ref() != Some(&trouble) {
                    tracing::warn!(
                        reason = error.reason(),
                        error = &error as &dyn std::error::Error,
                        "certificate files cannot be served; the last good pair is kept"
                    );
                    self.served.trouble.store(Some(Arc::new(trouble.clone())));
                    self.told = Some(trouble);
                }
            }
        }
    }
}

// === impl CertificateStatus ===

impl CertificateStatus {
    /// Whether this stands in the way of readiness.
    pub fn is_ready(&self) -> bool {
        self.validity == Validity::Valid
    }
}
