//! Load, by oha: <https://github.com/hatoo/oha>, which corrects for coordinated omission.
//!
//! It runs on a core of its own and keeps its connections, as API servers do. A run with an answer
//! other than the wanted status is an error: what is measured is work that was done.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::process::Command;

use crate::subject::LOAD_CORE;

/// The load generator.
#[derive(Clone, Debug)]
pub(crate) struct Oha {
    binary: PathBuf,
}

/// What to send, and how.
#[derive(Clone, Debug)]
pub(crate) struct Load<'a> {
    pub(crate) url: String,
    /// The file with the body.
    pub(crate) body: &'a Path,
    /// `Name: value`.
    pub(crate) headers: Vec<String>,
    pub(crate) connections: usize,
    pub(crate) calls: usize,
    pub(crate) pace: Pace,
    /// The status that every answer has to have.
    pub(crate) status: u16,
}

/// When the next call is made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// As soon as one is answered.
    Closed,
    /// So many a second, whatever the answers do; latencies count from when a call was due.
    Open(usize),
}

/// What came of it; latencies in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) per_second: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
}

// === impl Oha ===

impl Oha {
    pub(crate) fn new(binary: &Path) -> Self {
        Self { binary: binary.to_path_buf() }
    }

    pub(crate) async fn run(&self, load: &Load<'_>) -> Result<Outcome> {
        let Load { url, body, headers, connections, calls, pace, status } = load;
        let mut command = Command::new("taskset");
        command.arg("-c").arg(LOAD_CORE.to_string()).arg(&self.binary);
        command.args([
            "--no-tui",
            "--output-format",
            "json",
            "--insecure",
            "--http-version",
            "1.1",
        ]);
        command.args(["-m", "POST", "-T", "application/json", "-D"]).arg(body);
        command.args(["-c", &connections.to_string(), "-n", &calls.to_string()]);
        for header in headers {
            command.args(["-H", header]);
        }
        if let Pace::Open(rate) = pace {
            command.args(["-q", &rate.to_string(), "--latency-correction"]);
        }
        command.arg(url).stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await.context("cannot run taskset and oha")?;
        if !output.status.success() {
            bail!("oha: {}", String::from_utf8_lossy(&output.stderr));
        }
        let report: Value = serde_json::from_slice(&output.stdout)?;
        let answered = report["statusCodeDistribution"][status.to_string()].as_u64();
        let wanted = u64::try_from(*calls)?;
        ensure!(
            answered == Some(wanted),
            "not all of {calls} calls were answered with {status}: {} {}",
            report["statusCodeDistribution"],
            report["errorDistribution"]
        );
        let seconds = |pointer: &str| {
            let found = report.pointer(pointer).and_then(Value::as_f64);
            found.with_context(|| format!("oha reports no {pointer}"))
        };
        let micros = |percentile: &str| -> Result<f64> {
            Ok(seconds(&format!("/latencyPercentiles/{percentile}"))? * 1e6)
        };
        Ok(Outcome {
            per_second: seconds("/summary/requestsPerSec")?,
            p50: micros("p50")?,
            p99: micros("p99")?,
            p999: micros("p99.9")?,
        })
    }
}
