//! The servers that are compared: ours, the Go webhook, and the one that does nothing.
//!
//! Each is started the same way, on a core of its own ([`SERVER_CORE`]), so that its runtime sees
//! one processor as it would under a quota of one; whatever drives it runs on the other.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use cluster::{Callee, ControlPlane, Peer, Webhook, eventually};
use serde_json::Value;
use tempfile::TempDir;

/// Where servers run.
pub(crate) const SERVER_CORE: usize = 0;
/// Where load generators run.
pub(crate) const LOAD_CORE: usize = 1;

/// How long a server may take to know all accounts.
const SYNCED: Duration = Duration::from_mins(5);

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Ours,
    Theirs,
    Noop,
}

/// Where the programs are.
#[derive(Debug)]
pub(crate) struct Programs {
    ours: PathBuf,
    theirs: PathBuf,
    noop: PathBuf,
    _folder: TempDir,
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) kind: Kind,
    server: Server,
    pid: u32,
    begun: Instant,
}

#[derive(Debug)]
enum Server {
    /// Ours, and whatever is started and asked like it.
    Webhook(Webhook),
    Theirs(Peer),
}

// === impl Kind ===

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Ours, Self::Theirs, Self::Noop];

    /// As tables call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Theirs => "Go webhook",
            Self::Noop => "no-op",
        }
    }
}

// === impl Programs ===

impl Programs {
    /// Of these binaries, each made to run on [`SERVER_CORE`].
    pub(crate) fn new(ours: &Path, noop: &Path) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let pinned = |name: &str, binary: &Path| -> Result<PathBuf> {
            let binary = fs::canonicalize(binary)?;
            let path = folder.path().join(name);
            let binary = binary.display();
            let script = format!("#!/bin/sh\nexec taskset -c {SERVER_CORE} '{binary}' \"$@\"\n");
            fs::write(&path, script)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
            Ok(path)
        };
        Ok(Self {
            ours: pinned("ours", ours)?,
            theirs: pinned("theirs", &cluster::peer_binary()?)?,
            noop: pinned("noop", noop)?,
            _folder: folder,
        })
    }

    /// Starts one of them; it need not be ready when this returns.
    ///
    /// Neither webhook looks accounts up live: what is measured is the watch, and both answer of
    /// what they know.
    pub(crate) async fn start(
        &self,
        kind: Kind,
        plane: &ControlPlane,
        args: &[&str],
    ) -> Result<Subject> {
        let begun = Instant::now();
        let server = match kind {
            Kind::Ours => {
                let builder = Webhook::builder(plane)
                    .binary(&self.ours)
                    .arg("--service-account-lookup-grace-period=0");
                let builder = args.iter().fold(builder, |builder, arg| builder.arg(*arg));
                Server::Webhook(builder.do_not_wait().start().await?)
            }
            Kind::Noop => {
                let builder = Webhook::builder(plane).binary(&self.noop);
                Server::Webhook(builder.do_not_wait().start().await?)
            }
            Kind::Theirs => {
                let builder = Peer::builder(plane).binary(&self.theirs);
                let builder = args.iter().fold(builder, |builder, arg| builder.arg(*arg));
                Server::Theirs(builder.start().await?)
            }
        };
        Ok(Subject::new(kind, server, begun))
    }

    /// The server that answers this patch, in base64, to everything.
    pub(crate) async fn constant(&self, plane: &ControlPlane, patch: &str) -> Result<Subject> {
        let begun = Instant::now();
        let builder = Webhook::builder(plane).binary(&self.noop).env("NOOP_PATCH", patch);
        let server = Server::Webhook(builder.do_not_wait().start().await?);
        Ok(Subject::new(Kind::Noop, server, begun))
    }
}

// === impl Subject ===

impl Subject {
    fn new(kind: Kind, server: Server, begun: Instant) -> Self {
        let pid = match &server {
            Server::Webhook(webhook) => webhook.pid(),
            Server::Theirs(peer) => peer.pid(),
        };
        Self { kind, server, pid, begun }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// `https://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> &str {
        match &self.server {
            Server::Webhook(webhook) => webhook.url(),
            Server::Theirs(peer) => peer.url(),
        }
    }

    /// Whom an API server calls.
    pub(crate) fn callee(&self) -> Callee<'_> {
        match &self.server {
            Server::Webhook(webhook) => webhook.into(),
            Server::Theirs(peer) => peer.into(),
        }
    }

    /// The response to a review.
    pub(crate) async fn ask(&self, review: &[u8]) -> Result<Value> {
        let (status, body) = match &self.server {
            Server::Webhook(webhook) => webhook.post("/mutate", review, "application/json").await?,
            Server::Theirs(peer) => peer.post("/mutate", review).await?,
        };
        ensure!(status.is_success(), "{} answers {status}: {body}", self.kind.name());
        let mut answer: Value = serde_json::from_str(&body)?;
        Ok(answer["response"].take())
    }

    /// Waits until `review` is answered with a patch, and says how long that took since the start.
    pub(crate) async fn injects(&self, review: &[u8]) -> Result<Duration> {
        let what = format!("{} knows the accounts", self.kind.name());
        eventually(&what, SYNCED, || async {
            let response = self.ask(review).await?;
            ensure!(response["patch"].is_string(), "no patch in {response}");
            Ok(())
        })
        .await?;
        Ok(self.begun.elapsed())
    }
}
