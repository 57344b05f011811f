//! Our webhook, the real binary, run against a control plane.
//!
//! It gets a serving pair of its own, free ports, and its log as JSON. The ports are learned from
//! the two lines `{"message":"listening","server":"webhook"|"metrics","address":"127.0.0.1:PORT"}`;
//! that line is the contract between the binary and this crate.

use std::{
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use http::{Method, StatusCode};
use kube::Client;
use serde_json::Value;

use crate::{
    authority::Authority,
    eventually,
    folder::Folder,
    http::{ask, client},
    log,
    plane::ControlPlane,
    process::{Process, Program, Signal},
};

/// The names of the serving certificate: loopback, and the Service of a default installation.
const NAMES: [&str; 3] = ["127.0.0.1", "localhost", "pod-identity-webhook.eks.svc"];
/// How long it may take to listen, and then to become ready.
const START: Duration = Duration::from_mins(1);
/// How long it may take to stop: its own longest wait is `--shutdown-delay`, 0 s here.
const STOP: Duration = Duration::from_mins(1);

/// A running webhook, ended when this is dropped or when this process ends in any way.
#[derive(Debug)]
pub struct Webhook {
    // Dropped in this order: who uses the folder ends before it.
    process: Mutex<Process>,
    authority: Authority,
    url: String,
    metrics_url: String,
    pid: u32,
    log: PathBuf,
    folder: Folder,
}

/// Options of a [`Webhook`]. Begin with [`Webhook::builder`].
#[derive(Clone, Debug)]
pub struct WebhookBuilder {
    binary: Option<PathBuf>,
    kubeconfig: PathBuf,
    args: Vec<String>,
    env: Vec<(String, String)>,
    wait: Wait,
}

/// What [`WebhookBuilder::start`] waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Listening,
    Ready,
}

/// The addresses that it has logged.
#[derive(Debug)]
struct Listening {
    webhook: String,
    metrics: String,
}

// === impl WebhookBuilder ===

impl WebhookBuilder {
    /// The binary, in an integration test `env!("CARGO_BIN_EXE_pod-identity-webhook")`.
    #[must_use]
    pub fn binary(mut self, path: impl Into<PathBuf>) -> Self {
        self.binary = Some(path.into());
        self
    }

    /// Adds an argument after ours: of two, the last one wins.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds a variable to its environment. No `PODIDENTITY_*` is inherited.
    #[must_use]
    pub fn env(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// The kubeconfig that it uses. Without this it may do everything.
    #[must_use]
    pub fn kubeconfig(mut self, path: impl Into<PathBuf>) -> Self {
        self.kubeconfig = path.into();
        self
    }

    /// Returns as soon as it listens, ready or not.
    #[must_use]
    pub fn do_not_wait(mut self) -> Self {
        self.wait = Wait::Listening;
        self
    }

    /// Starts it and waits, for a minute at most, until it listens and is ready.
    ///
    /// The error has the last lines of its log.
    pub async fn start(self) -> Result<Webhook> {
        let Self { binary, kubeconfig, args: more, env, wait } = self;
        let binary = binary.context("a webhook needs the path of its binary")?;
        let folder = Folder::new("pod-identity-webhook-")?;
        let certificates = folder.path().join("certs");
        std::fs::create_dir(&certificates)?;
        let authority = Authority::new("pod-identity-webhook")?;
        let pair = authority.serving(&NAMES)?;
        folder.write("certs/tls.crt", &pair.certificate)?;
        folder.write("certs/tls.key", &pair.key)?;

        let mut args = vec![
            "--in-cluster=false".to_owned(),
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--tls-cert={}", certificates.join("tls.crt").display()),
            format!("--tls-key={}", certificates.join("tls.key").display()),
            "--port=0".to_owned(),
            "--metrics-port=0".to_owned(),
            "--bind-address=127.0.0.1".to_owned(),
            "--shutdown-delay=0s".to_owned(),
            "--log-format=json".to_owned(),
        ];
        args.extend(more);
        let log = folder.path().join("webhook.log");
        let name = "the webhook";
        let program = Program { name, binary: &binary, args: &args, env: &env, log: &log };
        let mut process = Process::start(&program)?;
        let Listening { webhook, metrics } = listening(&mut process).await?;
        let webhook = Webhook {
            pid: process.pid(),
            process: Mutex::new(process),
            authority,
            url: format!("https://{webhook}"),
            metrics_url: format!("http://{metrics}"),
            log,
            folder,
        };
        match wait {
            Wait::Ready => webhook.ready(START).await?,
            Wait::Listening => {}
        }
        Ok(webhook)
    }
}

/// Waits for the lines that name the ports.
async fn listening(process: &mut Process) -> Result<Listening> {
    let log = process.log().to_path_buf();
    let wait = eventually("the webhook listens", START, || {
        let status = process.exit_status();
        async {
            if let Some(status) = status? {
                let tail = log::tail(&log);
                return Ok(Err(anyhow!("the webhook ended with {status}:\n{tail}")));
            }
            let lines = log::lines(&log);
            let address = |server| lines.iter().find_map(|line| address(line, server));
            let webhook = address("webhook").with_context(|| log::tail(&log))?;
            let metrics = address("metrics").with_context(|| log::tail(&log))?;
            Ok(Ok(Listening { webhook, metrics }))
        }
    });
    wait.await?
}

/// The address in a log line, of either format, by which `server` says that it listens.
fn address(line: &str, server: &str) -> Option<String> {
    let Ok(line) = serde_json::from_str::<Value>(line) else {
        let (_, rest) = line.split_once(&format!("listening server=\"{server}\" address="))?;
        return Some(rest.trim().to_owned());
    };
    let field = |name| {
        let nested = line.get("fields").and_then(|fields| fields.get(name));
        nested.or_else(|| line.get(name))?.as_str()
    };
    let matches = field("message")? == "listening" && field("server")? == server;
    matches.then(|| field("address").map(str::to_owned))?
}

// === impl Webhook ===

impl Webhook {
    /// Options first, then [`WebhookBuilder::start`].
    pub fn builder(plane: &ControlPlane) -> WebhookBuilder {
        Self::beside(plane.kubeconfig())
    }

    /// The same without a control plane: the API server is whatever this kubeconfig leads to.
    pub fn beside(kubeconfig: impl Into<PathBuf>) -> WebhookBuilder {
        WebhookBuilder {
            binary: None,
            kubeconfig: kubeconfig.into(),
            args: Vec::new(),
            env: Vec::new(),
            wait: Wait::Ready,
        }
    }

    /// Where Pods are sent: `https://127.0.0.1:PORT`, without a path.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where metrics and probes are: `http://127.0.0.1:PORT`, without a path.
    pub fn metrics_url(&self) -> &str {
        &self.metrics_url
    }

    /// The certificate of the authority that signed its first one, PEM.
    pub fn ca_pem(&self) -> &str {
        self.authority.pem()
    }

    /// That authority, to sign the next certificate with.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The folder with its `tls.crt` and `tls.key`.
    pub fn cert_dir(&self) -> PathBuf {
        self.folder.path().join("certs")
    }

    /// A folder of its own for whatever else a test wants to give it. It is removed at the end.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The process id of the binary.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// All lines that it has logged so far, on either stream.
    pub fn logs(&self) -> Vec<String> {
        log::lines(&self.log)
    }

    /// Waits for a log line that contains `text`, and returns it.
    pub async fn wait_for_log(&self, text: &str, within: Duration) -> Result<String> {
        let what = format!("the webhook logs {text:?}");
        let wait = eventually(&what, within, || async {
            let found = self.logs().into_iter().find(|line| line.contains(text));
            found.with_context(|| log::tail(&self.log))
        });
        wait.await
    }

    /// Waits until `/readyz` answers 200.
    pub async fn ready(&self, within: Duration) -> Result<()> {
        let wait = eventually("the webhook is ready", within, || async {
            if let Some(status) = self.process().exit_status()? {
                return Ok(Err(anyhow!("it ended with {status}:\n{}", log::tail(&self.log))));
            }
            let (status, body) = self.get("/readyz").await?;
            ensure!(status == StatusCode::OK, "/readyz says {status}: {body}");
            Ok(Ok(()))
        });
        wait.await.with_context(|| log::tail(&self.log))?
    }

    /// GET on the metrics port.
    pub async fn get(&self, path: &str) -> Result<(StatusCode, String)> {
        ask(&self.metrics_url, &self.authority, Method::GET, path, None).await
    }

    /// GET on the TLS port, where the probes are as well.
    pub async fn get_tls(&self, path: &str) -> Result<(StatusCode, String)> {
        ask(&self.url, &self.authority, Method::GET, path, None).await
    }

    /// A client of the TLS port, for requests that need more than a path and a body.
    pub fn client(&self) -> Result<Client> {
        client(&self.url, &self.authority)
    }

    /// POST on the TLS port.
    pub async fn post(
        &self,
        path: &str,
        body: impl Into<Vec<u8>>,
        content_type: &str,
    ) -> Result<(StatusCode, String)> {
        let content = Some((content_type, body.into()));
        ask(&self.url, &self.authority, Method::POST, path, content).await
    }

    /// Sends the binary a signal. It is an error when it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.process().signal(signal)
    }

    /// Waits until it ends by itself or by a [`signal`](Self::signal). 128 + n in the status
    /// stands for an end by signal n.
    pub async fn ended(&self, within: Duration) -> Result<ExitStatus> {
        let wait = eventually("the webhook ends", within, || async {
            let status = self.process().exit_status()?;
            status.with_context(|| format!("it still runs:\n{}", log::tail(&self.log)))
        });
        wait.await
    }

    /// Asks it to stop, as kubelet does, and waits until it has. Its log can still be read.
    pub async fn terminate(&self) -> Result<ExitStatus> {
        self.signal(Signal::Terminate)?;
        self.ended(STOP).await
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_nested_flat_and_in_text() {
        let nested = r#"{"timestamp":"t","level":"INFO","fields":{"message":"listening","server":"webhook","address":"127.0.0.1:1"},"target":"x"}"#;
        let flat = r#"{"message":"listening","server":"metrics","address":"127.0.0.1:2"}"#;
        assert_eq!(address(nested, "webhook").unwrap(), "127.0.0.1:1");
        assert_eq!(address(nested, "metrics"), None);
        assert_eq!(address(flat, "metrics").unwrap(), "127.0.0.1:2");
        assert_eq!(address("not JSON", "metrics"), None);
        let text = r#"2026-01-02T03:04:05Z  INFO pod: listening server="webhook" address=[::1]:3"#;
        assert_eq!(address(text, "webhook").unwrap(), "[::1]:3");
        assert_eq!(address(text, "metrics"), None);
    }
}
