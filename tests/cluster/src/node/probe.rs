//! Probes over HTTP and HTTPS, with the thresholds and periods as rendered.
//!
//! As kubelet does, they do not ask who signed a certificate, and 200 to 399 is success.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use http::Method;
use k8s_openapi::{
    api::core::v1::{Container as Spec, Probe as ProbeSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use crate::http::{Trust, ask};

/// How often is asked until the first success: a test should not wait for a period.
const EAGER: Duration = Duration::from_millis(200);

/// The probes of a container.
#[derive(Debug, Default)]
pub(super) struct Probes {
    pub(super) startup: Option<Probe>,
    pub(super) liveness: Option<Probe>,
    pub(super) readiness: Option<Probe>,
}

/// One probe.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    scheme: &'static str,
    port: u16,
    path: String,
    delay: Duration,
    period: Duration,
    timeout: Duration,
    failures: u32,
    successes: i32,
}

/// What a probe has come to say of its container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// `successThreshold` was reached.
    Good,
    /// `failureThreshold` was reached, the last time by this.
    Bad(String),
}

// === impl Probe ===

impl Probe {
    /// Reads it; ports by name are those of its container.
    pub(super) fn of(probe: &ProbeSpec, container: &Spec) -> Result<Self> {
        let get = probe.http_get.as_ref().context("probes: this node knows only httpGet")?;
        ensure!(get.host.is_none(), "httpGet.host is not known to this node");
        ensure!(get.http_headers.iter().flatten().next().is_none(), "httpGet.httpHeaders");
        let scheme = match get.scheme.as_deref() {
            None | Some("HTTP") => "http",
            Some("HTTPS") => "https",
            Some(other) => bail!("httpGet.scheme {other}"),
        };
        let port = match &get.port {
            IntOrString::Int(port) => *port,
            IntOrString::String(name) => {
                let mut ports = container.ports.iter().flatten();
                let named = ports.find(|port| port.name.as_ref() == Some(name));
                named.with_context(|| format!("a probe of port {name:?}"))?.container_port
            }
        };
        let seconds = |value: Option<i32>, default: u64| {
            let given = value.and_then(|value| u64::try_from(value).ok()).filter(|&it| it > 0);
            Duration::from_secs(given.unwrap_or(default))
        };
        Ok(Self {
            scheme,
            port: port.try_into()?,
            path: get.path.clone().unwrap_or_else(|| "/".to_owned()),
            delay: seconds(probe.initial_delay_seconds, 0),
            period: seconds(probe.period_seconds, 10),
            timeout: seconds(probe.timeout_seconds, 1),
            failures: probe.failure_threshold.unwrap_or(3).try_into()?,
            successes: probe.success_threshold.unwrap_or(1),
        })
    }

    /// Asks for ever, and tells as long as a threshold is reached.
    pub(super) async fn ask(self, address: Ipv4Addr, verdicts: mpsc::Sender<Verdict>) {
        sleep(self.delay).await;
        let mut good = 0;
        let mut failing: Option<Instant> = None;
        let mut pause = EAGER.min(self.period);
        loop {
            let verdict = match self.once(address).await {
                Ok(()) => {
                    failing = None;
                    good += 1;
                    (good >= self.successes).then_some(Verdict::Good)
                }
                Err(error) => {
                    good = 0;
                    // In time, since the first answers are asked for more often than rendered.
                    let since = failing.get_or_insert_with(Instant::now);
                    let is_over = since.elapsed() >= self.period * self.failures.saturating_sub(1);
                    is_over.then(|| Verdict::Bad(format!("{error:#}")))
                }
            };
            if let Some(verdict) = verdict {
                if verdict == Verdict::Good {
                    pause = self.period;
                }
                if verdicts.send(verdict).await.is_err() {
                    return;
                }
            }
            sleep(pause).await;
        }
    }

    async fn once(&self, address: Ipv4Addr) -> Result<()> {
        let Self { scheme, port, path, timeout, .. } = self;
        let base = format!("{scheme}://{address}:{port}");
        let question = ask(&base, Trust::Anybody, Method::GET, path, None);
        let answer = tokio::time::timeout(*timeout, question).await;
        let (status, body) = answer.with_context(|| format!("{base}{path}: no answer"))??;
        let good = status.is_success() || status.is_redirection();
        ensure!(good, "{base}{path}: {status}: {body}");
        Ok(())
    }
}
