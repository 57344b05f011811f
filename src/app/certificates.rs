//! Where certificates come from: files that are read again, or the webhook as its own authority.
//!
//! Files have to be good before anything listens. A CA cannot: without its rights, or without an
//! API server, the webhook listens, refuses handshakes, is not ready and says why.

use std::sync::Arc;
use std::time::SystemTime;

use anyhow::anyhow;
use kube::Client;
use tokio::task::JoinSet;
use tracing::Instrument as _;

use crate::authority::ServiceNames;
use crate::cli::{CaBundleFile, CertificateSource, Certificates};
use crate::http::{Check, Standing};
use crate::keeper::{self, Readiness, SecretRef, Status, Target};
use crate::telemetry::{CertificateMetrics, Metrics};
use crate::tls::{self, Files, Reloader, Served, Validity};

/// Certificates, and the work that keeps them.
pub(super) struct Source {
    served: Arc<Served>,
    metrics: CertificateMetrics,
    origin: Origin,
    status: Option<Arc<Status>>,
    tasks: Vec<keeper::Task>,
}

enum Origin {
    /// Kept in the cluster.
    Managed(Box<keeper::Settings>),
    /// Files, and perhaps the one that the `caBundle` follows.
    Files { reloader: Reloader, ca_bundle: Option<CaBundleFile>, target: Target },
}

// === impl Source ===

impl Source {
    /// Reads files, if they are to be read; a bad pair is an error.
    pub(super) fn start(
        certificates: Certificates,
        files: Files,
        service: &str,
        namespace: &str,
        metrics: &Metrics,
    ) -> anyhow::Result<Self> {
        let Certificates { source, webhook_configuration, webhook_url } = certificates;
        let metrics = metrics.certificates();
        let names = ServiceNames::new(service, namespace);
        let host = webhook_url.as_ref().and_then(|url| {
            let url: ::http::Uri = url.parse().ok()?;
            url.host().map(str::to_owned)
        });
        let names = host.iter().fold(names, |names, host| names.and(host));
        let target = Target {
            configuration: webhook_configuration,
            service: service.into(),
            namespace: namespace.into(),
            url: webhook_url,
        };
        let (served, origin) = match source {
            CertificateSource::Managed { secret, policy } => {
                let secret = SecretRef { namespace: namespace.into(), name: secret };
                let settings = keeper::Settings { policy, secret, target, names };
                (Arc::new(Served::empty(metrics.clone())), Origin::Managed(Box::new(settings)))
            }
            CertificateSource::Files { ca_bundle } => {
                let reloader = Reloader::start(files, metrics.clone())?;
                (reloader.served(), Origin::Files { reloader, ca_bundle, target })
            }
        };
        Ok(Self { served, metrics, origin, status: None, tasks: Vec::new() })
    }

    /// What is served.
    pub(super) fn served(&self) -> Arc<Served> {
        Arc::clone(&self.served)
    }

    /// Readies what needs the API server.
    pub(super) fn keep(&mut self, client: &Client) {
        let metrics = self.metrics.clone();
        let (status, tasks) = match &self.origin {
            Origin::Managed(settings) => {
                keeper::bind(client, (**settings).clone(), self.served(), metrics)
            }
            Origin::Files { reloader: _, ca_bundle: Some(file), target } => {
                let CaBundleFile { path, overlap } = file.clone();
                keeper::bind_file(client, target.clone(), path, overlap, metrics)
            }
            Origin::Files { ca_bundle: None, .. } => return,
        };
        (self.status, self.tasks) = (Some(status), tasks);
    }

    /// What readiness asks.
    pub(super) fn check(&self) -> impl Fn() -> Vec<Check> + Send + Sync + use<> {
        let (served, status) = (self.served(), self.status.clone());
        let files = matches!(self.origin, Origin::Files { .. });
        move || {
            let now = SystemTime::now();
            let kept = status.iter().map(|status| Check {
                name: if files { "caBundle" } else { "certificate" },
                standing: match status.readiness(now) {
                    Readiness::Ready => Standing::Ready,
                    Readiness::Noted(note) => Standing::Noted(note),
                    Readiness::NotReady(why) => Standing::NotReady(why),
                },
            });
            let read = files.then(|| Check { name: "certificate", standing: read(&served, now) });
            read.into_iter().chain(kept).collect()
        }
    }

    /// Runs what reads certificates, to the end, and what writes to the cluster, until a signal.
    pub(super) fn run(
        self,
        running: &mut JoinSet<anyhow::Error>,
        keeping: &mut JoinSet<anyhow::Error>,
    ) {
        for task in self.tasks {
            let name = task.name();
            keeping.spawn(
                async move { anyhow::Error::new(task.run().await) }
                    .instrument(tracing::info_span!("task", name)),
            );
        }
        if let Origin::Files { reloader, .. } = self.origin {
            running.spawn(
                async move {
                    reloader.run(tls::RELOAD_INTERVAL).await;
                    anyhow!("the certificate files are no longer read")
                }
                .instrument(tracing::info_span!("task", name = "certificates")),
            );
        }
    }
}

/// How files stand.
fn read(served: &Served, now: SystemTime) -> Standing {
    let certificate = served.status(now);
    let because = certificate.trouble.map(|trouble| format!("; {trouble}")).unwrap_or_default();
    match certificate.validity {
        Validity::Valid if because.is_empty() => Standing::Ready,
        Validity::Valid => {
            let trouble = because.trim_start_matches("; ");
            Standing::Noted(format!("{trouble}; the last good pair is served"))
        }
        Validity::Expired => {
            Standing::NotReady(format!("the served certificate has expired{because}"))
        }
        Validity::Missing => Standing::NotReady(format!("there is no certificate yet{because}")),
    }
}
