//! The Go webhook, aws/amazon-eks-pod-identity-webhook, run beside ours: the peer.
//!
//! `make peer` builds it, of the version that `tests/tools/peer/go.mod` pins. It cannot choose its
//! own ports, so it gets two that were free a moment ago, and a start that loses one to somebody
//! faster is done again with others. It has no readiness: who depends on what it knows waits for
//! that, with [`Peer::knows`]. It answers in v1beta1 whatever it is asked in, so it has to be
//! registered for that version; [`Registration::of_the_peer`](crate::Registration::of_the_peer).

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use http::{Method, StatusCode};
use serde_json::Value;

use crate::{
    assets,
    authority::Authority,
    eventually,
    folder::Folder,
    http::ask,
    log,
    mount::Mount,
    plane::ControlPlane,
    ports,
    process::{Process, Program},
};

/// How often a start that lost a port is done again.
const STARTS: usize = 5;
/// How long it may take to listen.
const START: Duration = Duration::from_mins(1);
/// What it is called in a log and on a certificate.
const NAME: &str = "the Go webhook";

/// A running Go webhook, ended when this is dropped or when this process ends in any way.
#[derive(Debug)]
pub struct Peer {
    // Dropped in this order: who uses the folder ends before it.
    process: Process,
    authority: Authority,
    url: String,
    metrics_url: String,
    certificates: Mount,
    // For its log.
    _folder: Folder,
}

/// Options of a [`Peer`]. Begin with [`Peer::builder`].
#[derive(Clone, Debug)]
pub struct PeerBuilder {
    binary: Option<PathBuf>,
    kubeconfig: PathBuf,
    args: Vec<String>,
}

/// How a start went.
enum Start {
    Listens,
    /// Somebody else listens on a port of its.
    PortLost,
}

// === impl PeerBuilder ===

impl PeerBuilder {
    /// Another program that is started like it, such as a script that ends in it.
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

    /// Starts it and waits, for a minute at most, until it listens on both ports.
    ///
    /// The error has the last lines of its log.
    pub async fn start(self) -> Result<Peer> {
        let binary = self.binary.clone().map_or_else(assets::peer, Ok)?;
        for _ in 0..STARTS {
            let mut peer = self.launch(&binary)?;
            match peer.listening().await? {
                Start::Listens => return Ok(peer),
                Start::PortLost => {}
            }
        }
        bail!("{NAME} lost a port to another process in each of {STARTS} tries")
    }

    /// Starts the process, with a serving pair and ports of its own.
    fn launch(&self, binary: &Path) -> Result<Peer> {
        let folder = Folder::new("pod-identity-peer-")?;
        let authority = Authority::new(NAME)?;
        let pair = authority.serving(&["127.0.0.1", "localhost"])?;
        let files = [("tls.crt", pair.certificate.as_str()), ("tls.key", pair.key.as_str())];
        let certificates = Mount::new(&files)?;
        let (port, metrics_port) = (ports::free_port()?, ports::free_port()?);
        let mut args = vec![
            "--in-cluster=false".to_owned(),
            format!("--kubeconfig={}", self.kubeconfig.display()),
            format!("--tls-cert={}", certificates.path("tls.crt").display()),
            format!("--tls-key={}", certificates.path("tls.key").display()),
            format!("--port={port}"),
            format!("--metrics-port={metrics_port}"),
            "--logtostderr".to_owned(),
            "--enable-debugging-handlers".to_owned(),
        ];
        args.extend(self.args.iter().cloned());
        let log = folder.path().join("peer.log");
        let program = Program { name: NAME, binary, args: &args, env: &[], log: &log };
        Ok(Peer {
            process: Process::start(&program)?,
            authority,
            url: format!("https://127.0.0.1:{port}"),
            metrics_url: format!("http://127.0.0.1:{metrics_port}"),
            certificates,
            _folder: folder,
        })
    }
}

// === impl Peer ===

impl Peer {
    /// Options first, then [`PeerBuilder::start`]. It may do everything.
    pub fn builder(plane: &ControlPlane) -> PeerBuilder {
        PeerBuilder { binary: None, kubeconfig: plane.kubeconfig().to_path_buf(), args: Vec::new() }
    }

    /// Where Pods are sent: `https://127.0.0.1:PORT`, without a path.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The certificate of the authority that signed its own, PEM.
    pub fn ca_pem(&self) -> &str {
        self.authority.pem()
    }

    /// The Secret with its `tls.crt` and `tls.key`, as the kubelet mounts it.
    pub fn certificates(&self) -> &Mount {
        &self.certificates
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// All lines that it has logged so far.
    pub fn logs(&self) -> Vec<String> {
        log::lines(self.process.log())
    }

    /// GET on the metrics port, where its debug page is as well.
    pub async fn get(&self, path: &str) -> Result<(StatusCode, String)> {
        ask(&self.metrics_url, &self.authority, Method::GET, path, None).await
    }

    /// GET on the TLS port, where its probe is.
    pub async fn get_tls(&self, path: &str) -> Result<(StatusCode, String)> {
        ask(&self.url, &self.authority, Method::GET, path, None).await
    }

    /// POST of JSON on the TLS port.
    pub async fn post(&self, path: &str, body: impl Into<Vec<u8>>) -> Result<(StatusCode, String)> {
        let content = Some(("application/json", body.into()));
        ask(&self.url, &self.authority, Method::POST, path, content).await
    }

    /// Waits until its watch has told it of an account: until then it takes the account for one
    /// without a role, and says nothing.
    pub async fn knows(&self, namespace: &str, account: &str, within: Duration) -> Result<()> {
        let key = format!("{namespace}/{account}");
        let what = format!("{NAME} knows {key}");
        let wait = eventually(&what, within, || async {
            let (status, body) = self.get("/debug/alpha/cache").await?;
            ensure!(status == StatusCode::OK, "its debug page says {status}: {body}");
            let known: Value = serde_json::from_str(&body)?;
            ensure!(known.get(&key).is_some(), "it does not so far");
            Ok(())
        });
        wait.await.with_context(|| log::tail(self.process.log()))
    }

    /// Waits until both ports are its own and answer, or one of them is lost.
    async fn listening(&mut self) -> Result<Start> {
        let Self { process, authority, url, metrics_url, .. } = self;
        let log = process.log().to_path_buf();
        let wait = eventually("the Go webhook listens", START, || {
            let status = process.exit_status();
            let (authority, url, metrics_url) = (&*authority, &*url, &*metrics_url);
            async move {
                if let Some(status) = status? {
                    return Ok(Err(status));
                }
                for (base, path) in [(url, "/healthz"), (metrics_url, "/debug/alpha/cache")] {
                    let (status, body) = ask(base, authority, Method::GET, path, None).await?;
                    ensure!(status == StatusCode::OK, "{path} says {status}: {body}");
                }
                Ok(Ok(()))
            }
        });
        match wait.await.with_context(|| log::tail(&log))? {
            Ok(()) => Ok(Start::Listens),
            Err(_) if log::tail(&log).contains("address already in use") => Ok(Start::PortLost),
            Err(status) => Err(anyhow!("{NAME} ended with {status}:\n{}", log::tail(&log))),
        }
    }
}
