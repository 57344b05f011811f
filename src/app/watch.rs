//! `audit pods --watch`, run: one `JoinSet` of long tasks, a port for metrics and health, signals.
//!
//! A signal ends it at once: an Event is stored before the eviction that it remembers, so nothing
//! is lost and nothing is done twice.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use kube::Client;
use tokio::task::JoinSet;
use tracing::Instrument as _;

use super::stopping::Signals;
use super::{METRICS_CONNECTIONS, failed, listen, of_flag};
use crate::accounts::{ListState, Readiness};
use crate::audit::{self, AuditError, Certainty, Expectation, Scope, Watch};
use crate::cli::WatchSettings;
use crate::http::{self, Check, Checks, Standing};
use crate::server::{Bound, Phase, Shutdown, Transport};
use crate::telemetry::accounts::AccountsMetrics;
use crate::telemetry::audit::{AuditMetrics, encode};
use crate::telemetry::{Registry, logs};

/// Watches until a signal: 0 then, 2 and a sentence if the cluster cannot be looked at, 1 if it ends
/// by itself.
pub(super) fn main<F>(
    settings: WatchSettings,
    bind: impl FnOnce() -> F + Send + 'static,
) -> ExitCode
where
    F: Future<Output = anyhow::Result<(Client, Scope, Expectation)>>,
{
    let format = settings.log.format;
    if let Err(error) = logs::init(format, logs::Filter::at(settings.log.level), None) {
        return failed(logs::Format::Text, &error.into());
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return failed(format, &anyhow::Error::new(error).context("threads cannot be started"));
        }
    };
    let run = async {
        let mut signals = Signals::listen()?;
        let app = tokio::select! {
            app = App::bind(settings, bind()) => app?,
            () = signals.next() => return Ok(()),
        };
        app.run(signals).await
    };
    match runtime.block_on(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(format, &error),
    }
}

/// Everything that watches, bound and not yet running.
struct App {
    watch: Watch,
    tasks: Vec<audit::Task>,
    registry: Registry,
    metrics: Bound,
}

// === impl App ===

impl App {
    async fn bind(
        settings: WatchSettings,
        bind: impl Future<Output = anyhow::Result<(Client, Scope, Expectation)>>,
    ) -> anyhow::Result<Self> {
        let WatchSettings { bind_address, metrics_port, evictions, log: _ } = settings;
        let (client, scope, expectation) = bind.await?;
        for note in &expectation.notes {
            tracing::warn!(note, "what Pods are held against");
        }
        expectation.is_followed()?;
        if evictions.is_some() && expectation.certainty == Certainty::Assumed {
            return Err(AuditError::Assumed.into());
        }
        let (metrics, accounts) = (AuditMetrics::default(), AccountsMetrics::default());
        let registry = metrics.registry(&accounts);
        let settings = audit::WatchSettings { scope, expectation, evictions };
        let (watch, tasks) = audit::bind(&client, settings, &metrics, &accounts);
        let metrics = listen(bind_address, metrics_port, Transport::Plain, METRICS_CONNECTIONS)
            .await
            .map_err(|error| of_flag("--metrics-port", error))?;
        Ok(Self { watch, tasks, registry, metrics })
    }

    async fn run(self, mut signals: Signals) -> anyhow::Result<()> {
        let Self { watch, tasks, registry, metrics } = self;
        let mut running = JoinSet::new();
        for task in tasks {
            let name = task.name();
            running.spawn(
                async move { anyhow::Error::new(task.run().await) }
                    .instrument(tracing::info_span!("task", name)),
            );
        }
        let shutdown = Shutdown::new();
        let registry = Arc::new(registry);
        let checks = Checks::new(move || watch.readiness().into_iter().map(check).collect());
        let router = http::observed(checks, move || encode(&registry));
        tracing::info!(server = "metrics", address = %metrics.local_addr(), "listening");
        let mut servers = JoinSet::new();
        servers.spawn(metrics.run(router, shutdown.drain()));
        tokio::select! {
            () = signals.next() => {}
            Some(ended) = running.join_next() => {
                return Err(ended.unwrap_or_else(|error| anyhow!(error).context("a task failed")));
            }
            Some(ended) = servers.join_next() => {
                ended.context("the metrics server failed")?;
                bail!("the metrics server ended by itself");
            }
        }
        running.shutdown().await;
        shutdown.advance(Phase::Refusing);
        while let Some(drained) = servers.join_next().await {
            drained.context("the metrics server failed")?;
        }
        Ok(())
    }
}

fn check(readiness: Readiness) -> Check {
    let Readiness { of, state } = readiness;
    let standing = match state {
        ListState::Complete => Standing::Ready,
        ListState::Noted(why) => Standing::Noted(why),
        ListState::Awaited(why) => Standing::NotReady(why),
    };
    Check { name: of, standing }
}
