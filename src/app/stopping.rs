//! Stopping: the signals that ask for it, and the order in which things end.
//!
//! Unready at once, and nothing is written to the cluster any more; serving on for the delay, each
//! answer ending its connection; then no new connections, and what is in flight is finished. Metrics
//! and health end last.

use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

use crate::server::{Drained, Phase, Shutdown};

/// The two phases of stopping: the webhook's port first, metrics and health last.
pub(super) struct Stopping {
    pub(super) webhook: Shutdown,
    pub(super) metrics: Shutdown,
    pub(super) delay: Duration,
}

/// The signals that end a Pod, or a process in a terminal.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

// === impl Signals ===

impl Signals {
    pub(super) fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("signals cannot be received");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    pub(super) async fn next(&mut self) {
        let Self { terminate, interrupt } = self;
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM received"),
            _ = interrupt.recv() => tracing::info!("SIGINT received"),
        }
    }
}

// === impl Stopping ===

impl Stopping {
    /// Unready at once, serving on for the delay, then refusing; metrics and health last.
    pub(super) async fn drain(
        self,
        webhook: &mut JoinSet<Drained>,
        metrics: &mut JoinSet<Drained>,
    ) -> anyhow::Result<()> {
        tracing::info!(delay = ?self.delay, "stopping: unready, serving on for the delay");
        self.webhook.advance(Phase::Closing);
        tokio::time::sleep(self.delay).await;
        tracing::info!("stopping: no new connections, finishing what is in flight");
        self.webhook.advance(Phase::Refusing);
        while let Some(drained) = webhook.join_next().await {
            let Drained { cut_calls, cut_connections } = drained.context("the server failed")?;
            tracing::info!(cut_calls, cut_connections, "stopped");
        }
        self.metrics.advance(Phase::Refusing);
        while let Some(drained) = metrics.join_next().await {
            drained.context("the metrics server failed")?;
        }
        Ok(())
    }
}
