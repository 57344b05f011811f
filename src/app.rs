//! The composition root: everything is bound here, run here, and stopped here.
//!
//! ```text
//! certificates, API client, IMDS --> sockets --> one JoinSet of long tasks --> signals --> drain
//! ```
//!
//! Nothing listens before all that can fail at start has not failed. It is ready once the accounts
//! are synced and the certificate is valid, and unready before it drains. A long task that ends,
//! whatever with, stops the process: none may go missing unseen.

mod api_server;
mod audit;
mod certificates;
mod clients;
mod command;
mod doctor;
mod explain;
mod inspect;
mod stopping;
mod watch;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tracing::Instrument as _;

use crate::accounts::{self, Accounts, ListState};
use crate::cli::{
    Composition, ConfigMapSource, Debugging, FlagError, Known, LogSettings, ServerSettings,
};
use crate::events;
use crate::http::{self, Check, Checks, Context, DebugPages, Gate, Standing};
use crate::identity::Composer;
use crate::imds;
use crate::policy;
use crate::server::{self, Bound, Budget, Drain, Phase, Shutdown, Transport};
use crate::telemetry::Metrics;
use crate::telemetry::accounts::AccountsMetrics;
use crate::telemetry::events::EventMetrics;
use crate::telemetry::logs;
use crate::telemetry::traces::{Export, Traces};
use crate::tls::{self, CipherSuites, ClientReloader, Clients, Files, MinVersion};

use api_server::client;
pub use audit::audit_pods;
use certificates::Source;
pub use doctor::doctor;
pub use explain::explain;
pub use inspect::certificate;
use stopping::{Signals, Stopping};

/// Connections that the metrics port holds at most: some scrapers and the kubelet's probes.
const METRICS_CONNECTIONS: usize = 64;

/// Runs the server and says how it went: 0 after a signal, 1 if it failed, 2 if a flag has a value
/// that cannot be used; with one sentence on standard error, which is a line of a JSON log.
pub fn main(settings: ServerSettings) -> ExitCode {
    let LogSettings { format, level } = settings.log;
    let traces = match settings.traces.as_ref().map(Traces::start).transpose() {
        Ok(traces) => traces,
        Err(error) => return failed(logs::Format::Text, &error.into()),
    };
    let layer = traces.as_ref().map(|(traces, _)| traces.layer());
    if let Err(error) = logs::init(format, logs::Filter::at(level), layer) {
        return failed(logs::Format::Text, &error.into());
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return failed(format, &anyhow::Error::new(error).context("threads cannot be started"));
        }
    };
    match runtime.block_on(serve(settings, traces)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(format, &error),
    }
}

/// Says in one sentence why it stopped, with what is at the bottom of it in brackets.
fn failed(format: logs::Format, error: &anyhow::Error) -> ExitCode {
    let sentence = error.to_string();
    let cause = error.root_cause().to_string();
    // Sentences may have been made of their causes.
    let cause = cause.lines().next().filter(|cause| !sentence.contains(cause));
    match (format, cause) {
        (logs::Format::Text, None) => eprintln!("pod-identity-webhook: {sentence}"),
        (logs::Format::Text, Some(cause)) => {
            eprintln!("pod-identity-webhook: {sentence} ({cause})");
        }
        (logs::Format::Json, cause) => tracing::error!(error = sentence, cause, "stopped"),
    }
    if error.is::<FlagError>() { ExitCode::from(2) } else { ExitCode::FAILURE }
}

/// Serves until a signal ends it; an error is whatever kept it from starting, or the task that
/// ended too early.
async fn serve(settings: ServerSettings, traces: Option<(Traces, Export)>) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    // A signal while starting: there is nothing to drain.
    let app = tokio::select! {
        app = App::bind(settings) => app?,
        () = signals.next() => return Ok(()),
    };
    app.run(signals, traces).await
}

/// Everything that serves, bound and not yet running.
struct App {
    tasks: Vec<accounts::Task>,
    policy: Option<policy::Task>,
    events: events::Task,
    certificates: Source,
    client_reloader: Option<ClientReloader>,
    gate: Gate,
    webhook: Bound,
    metrics: Bound,
    context: Context,
    pages: DebugPages,
    stopping: Stopping,
}

// === impl App ===

impl App {
    async fn bind(settings: ServerSettings) -> anyhow::Result<Self> {
        let ServerSettings {
            bind_address,
            port,
            metrics_port,
            shutdown_delay,
            debugging,
            kubeconfig,
            kube_api,
            namespace,
            config_map,
            credentials_file,
            grace_period,
            service_name,
            certificates,
            tls_cert,
            tls_key,
            tls_min_version,
            tls_cipher_suites,
            clients,
            injection,
            log: _,
            traces: _,
            without_effect,
        } = settings;
        let min_version = min_version(&tls_min_version)?;
        let suites = cipher_suites(&tls_cipher_suites)?;
        if !without_effect.is_empty() {
            tracing::info!(flags = without_effect.join(" "), "flags without effect");
        }

        let mut metrics = Metrics::new();
        let accounts_metrics = AccountsMetrics::default();
        accounts_metrics.register(metrics.registry_mut());
        let event_metrics = EventMetrics::default();
        event_metrics.register(metrics.registry_mut());

        if !suites.ignored().is_empty() {
            let names = suites.ignored().join(",");
            tracing::warn!(names, "cipher suites that are not available are ignored");
        }
        let files = Files { certificate: tls_cert, key: tls_key };
        let mut certificates =
            Source::start(certificates, files, &service_name, &namespace, &metrics)?;
        let client_reloader = clients::start(clients, metrics.certificates())?;
        let clients = client_reloader.as_ref().map(ClientReloader::clients);
        let tls = tls::server_config(certificates.served(), clients.clone(), min_version, &suites)?;

        let mut decision = injection.settings;
        if let Composition::Asks(known) = injection.composition {
            decision.defaults.composer = Some(composer(known).await?);
        }
        let (role_policy, policy_task) =
            followed(injection.role_policy.as_deref(), &accounts_metrics)?;

        let client = client(kubeconfig, kube_api).await?;
        certificates.keep(&client);
        let (accounts, tasks) = accounts::bind(
            &client,
            &accounts::Settings {
                annotation_prefix: decision.defaults.annotation_prefix.clone(),
                grace_period,
                config_map: (config_map == ConfigMapSource::Watched).then_some(namespace),
                credentials_file,
                poll_interval: accounts::POLL_INTERVAL,
                role_policy,
            },
            &accounts_metrics,
        );
        let (events, writing) = events::bind(&client, &event_metrics);

        let transport = Transport::Tls(TlsAcceptor::from(tls));
        let webhook = listen(bind_address, port, transport, server::DEFAULT_CONNECTIONS)
            .await
            .map_err(|error| of_flag("--port", error))?;
        let metrics_server =
            listen(bind_address, metrics_port, Transport::Plain, METRICS_CONNECTIONS)
                .await
                .map_err(|error| of_flag("--metrics-port", error))?;

        let stopping =
            Stopping { webhook: Shutdown::new(), metrics: Shutdown::new(), delay: shutdown_delay };
        let gate = clients::gate(clients.clone());
        let certificate = certificates.check();
        let checks = checks(accounts.clone(), certificate, clients, stopping.webhook.drain());
        let context =
            Context::new(accounts, decision, Arc::new(metrics), checks, Budget::default(), events);
        Ok(Self {
            tasks,
            policy: policy_task,
            events: writing,
            certificates,
            client_reloader,
            gate,
            webhook,
            metrics: metrics_server,
            context,
            pages: match debugging {
                Debugging::On => DebugPages::On,
                Debugging::Off => DebugPages::Off,
            },
            stopping,
        })
    }

    async fn run(
        self,
        mut signals: Signals,
        traces: Option<(Traces, Export)>,
    ) -> anyhow::Result<()> {
        let Self {
            tasks,
            policy,
            events,
            certificates,
            client_reloader,
            gate,
            webhook,
            metrics,
            context,
            pages,
            stopping,
        } = self;
        let mut running = JoinSet::new();
        for task in tasks {
            let name = task.name();
            running.spawn(
                async move {
                    match task.run().await {
                        Ok(()) => anyhow!("{name} ended"),
                        Err(error) => anyhow::Error::new(error),
                    }
                }
                .instrument(tracing::info_span!("task", name)),
            );
        }
        if let Some(policy) = policy {
            running.spawn(
                async move { match policy.run().await {} }
                    .instrument(tracing::info_span!("task", name = "role policy")),
            );
        }
        running.spawn(
            async move { match events.run().await {} }
                .instrument(tracing::info_span!("task", name = "Events")),
        );
        let traces = traces.map(|(traces, export)| {
            running.spawn(
                async move { match export.run().await {} }
                    .instrument(tracing::info_span!("task", name = "traces")),
            );
            traces
        });
        let mut keeping = JoinSet::new();
        certificates.run(&mut running, &mut keeping);
        if let Some(reloader) = client_reloader {
            running.spawn(clients::run(reloader));
        }

        let mut servers = JoinSet::new();
        let drain = stopping.webhook.drain();
        tracing::info!(server = "webhook", address = %webhook.local_addr(), "listening");
        servers.spawn(webhook.run(http::webhook(context.clone(), gate), drain));
        let drain = stopping.metrics.drain();
        tracing::info!(server = "metrics", address = %metrics.local_addr(), "listening");
        let mut metrics_server = JoinSet::new();
        metrics_server.spawn(metrics.run(http::metrics(context, pages), drain));

        tokio::select! {
            () = signals.next() => {}
            Some(ended) = running.join_next() => {
                return Err(ended.unwrap_or_else(|error| anyhow!(error).context("a task failed")));
            }
            Some(ended) = keeping.join_next() => {
                return Err(ended.unwrap_or_else(|error| anyhow!(error).context("a task failed")));
            }
            Some(ended) = servers.join_next() => {
                ended.context("the webhook's server failed")?;
                bail!("the webhook's server ended by itself");
            }
            Some(ended) = metrics_server.join_next() => {
                ended.context("the metrics server failed")?;
                bail!("the metrics server ended by itself");
            }
        }
        // From here on the caBundle is for those to write who stay.
        drop(keeping);
        let drained = async {
            stopping.drain(&mut servers, &mut metrics_server).await?;
            if let Some(traces) = traces {
                // It waits for the task above.
                tokio::task::spawn_blocking(|| traces.finish()).await?;
            }
            Ok(())
        };
        tokio::select! {
            drained = drained => drained,
            () = signals.next() => bail!("stopped by a second signal"),
        }
    }
}

/// Asks the instance metadata service for what the flags do not say of composed ARNs.
async fn composer(known: Known) -> anyhow::Result<Composer> {
    let endpoint = std::env::var(imds::ENDPOINT_VARIABLE)
        .ok()
        .filter(|endpoint| !endpoint.is_empty())
        .unwrap_or_else(|| imds::ENDPOINT.to_owned());
    let Known { account, partition } = known;
    Ok(imds::composer(&endpoint, imds::Known { account, partition }).await?)
}

/// The role policy and the task that follows its file, if there is one.
fn followed(
    path: Option<&Path>,
    metrics: &AccountsMetrics,
) -> anyhow::Result<(Option<policy::Current>, Option<policy::Task>)> {
    let bound = path.map(|path| policy::bind(path, metrics)).transpose();
    Ok(bound.map_err(|error| of_flag("--role-policy", error))?.unzip())
}

/// What readiness depends on: synced, certified, and not stopping.
fn checks(
    accounts: Accounts,
    certificate: impl Fn() -> Vec<Check> + Send + Sync + 'static,
    clients: Option<Arc<Clients>>,
    drain: Drain,
) -> Checks {
    Checks::new(move || {
        let mut checks: Vec<_> = accounts
            .readiness()
            .into_iter()
            .map(|readiness| Check {
                name: readiness.of,
                standing: match readiness.state {
                    ListState::Complete => Standing::Ready,
                    ListState::Noted(why) => Standing::Noted(why),
                    ListState::Awaited(why) => Standing::NotReady(why),
                },
            })
            .collect();
        checks.extend(certificate());
        checks.extend(clients.as_deref().map(clients::check));
        if drain.phase() != Phase::Serving {
            let standing = Standing::NotReady("stopping".to_owned());
            checks.push(Check { name: "shutdown", standing });
        }
        checks
    })
}

/// The value of `--tls-min-version`.
fn min_version(typed: &str) -> Result<MinVersion, FlagError> {
    MinVersion::parse(typed).map_err(|_| {
        FlagError::new("tls-min-version", typed, "1.2, 1.3, VersionTLS12 or VersionTLS13")
    })
}

/// The value of `--tls-cipher-suites`.
fn cipher_suites(typed: &str) -> Result<CipherSuites, FlagError> {
    CipherSuites::parse(typed).map_err(|error| {
        let allowed = match error {
            tls::Error::UnknownSuites { names } => format!(
                "names of Go's crypto/tls, such as TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, instead \
                 of {}",
                names.join(", ")
            ),
            _ => "at least one that has ECDHE with GCM or CHACHA20".to_owned(),
        };
        FlagError::new("tls-cipher-suites", typed, allowed)
    })
}

/// An error with the flag that it concerns in front.
fn of_flag(flag: &str, error: impl std::error::Error + Send + Sync + 'static) -> anyhow::Error {
    let sentence = format!("{flag}: {error}");
    anyhow::Error::new(error).context(sentence)
}

/// Listens on one address, or on all of them: IPv6 and IPv4 where there is IPv6, else IPv4.
async fn listen(
    address: Option<IpAddr>,
    port: u16,
    transport: Transport,
    connections: usize,
) -> Result<Bound, server::Error> {
    let at = |address: IpAddr| server::Settings {
        connections,
        ..server::Settings::new(SocketAddr::new(address, port), transport.clone())
    };
    match address {
        Some(address) => at(address).bind().await,
        None => match at(Ipv6Addr::UNSPECIFIED.into()).bind().await {
            Err(server::Error::Bind { source, .. }) if has_no_such_family(&source) => {
                at(Ipv4Addr::UNSPECIFIED.into()).bind().await
            }
            bound => bound,
        },
    }
}

/// Whether the kernel knows no such address family, as where IPv6 is switched off.
fn has_no_such_family(error: &std::io::Error) -> bool {
    /// `EAFNOSUPPORT` of Linux.
    const NO_SUCH_FAMILY: i32 = 97;
    error.raw_os_error() == Some(NO_SUCH_FAMILY)
        || error.kind() == std::io::ErrorKind::AddrNotAvailable
}
