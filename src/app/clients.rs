//! Mutual TLS, put together: what `--client-ca` says becomes a verifier, a gate, a check and a task.
//!
//! Without `--client-ca` there is nothing to run, and the gate is open.

use std::sync::Arc;
use std::time::SystemTime;

use anyhow::anyhow;
use tracing::Instrument as _;

use crate::cli::ClientSettings;
use crate::http::{Check, Gate, Standing};
use crate::server::Peer;
use crate::telemetry::CertificateMetrics;
use crate::tls::{ClientReloader, Clients, Error, RELOAD_INTERVAL};

/// Reads the CA for the first time, if there is one.
pub(super) fn start(
    settings: Option<ClientSettings>,
    metrics: CertificateMetrics,
) -> Result<Option<ClientReloader>, Error> {
    let start = |ClientSettings { ca, names }| ClientReloader::start(ca, names, metrics);
    settings.map(start).transpose()
}

/// Reads the CA again and again; that this ends is an error.
pub(super) async fn run(reloader: ClientReloader) -> anyhow::Error {
    reloader.run(RELOAD_INTERVAL).instrument(tracing::info_span!("task", name = "client CA")).await;
    anyhow!("the clients' CA is no longer read")
}

/// Lets in the clients that TLS knows, or everyone.
pub(super) fn gate(clients: Option<Arc<Clients>>) -> Gate {
    let Some(clients) = clients else { return Gate::open() };
    Gate::new(move |peer| {
        let chain = peer.map_or(&[][..], Peer::certificates);
        clients.admit(chain, SystemTime::now()).map_err(|stranger| stranger.to_string())
    })
}

/// Trouble with the CA's file is no reason not to be ready: the last good one serves.
pub(super) fn check(clients: &Clients) -> Check {
    let standing = clients.trouble().map_or(Standing::Ready, |trouble| {
        Standing::Noted(format!("{trouble}; the last good CA of clients is kept"))
    });
    Check { name: "client CA", standing }
}
