//! A running control plane and what tests ask of it.
//!
//! It may sit in a static and be shared by tests that each have a runtime of their own: nothing in
//! it belongs to a runtime. That is why [`ControlPlane::client`] makes a new client each time; a
//! kube client has a worker task and ends with the runtime that it was made in.

use std::{
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{Api, Client, api::PostParams};
use serde_json::Value;

use crate::{
    authority::Authority,
    builder::Builder,
    eventually,
    folder::Folder,
    kubeconfig::{self, User},
    log,
    process::{Process, Program},
};

/// How long a start may take before it counts as failed.
const START: Duration = Duration::from_mins(1);
/// How long one question for readiness may take.
const READYZ: Duration = Duration::from_secs(5);
/// How long tokens of [`ControlPlane::service_account_kubeconfig`] live, in seconds.
const TOKEN_LIFE: i64 = 3_600;

/// etcd and kube-apiserver on loopback, with fresh keys, ended when this is dropped or when this
/// process ends in any way.
#[derive(Debug)]
pub struct ControlPlane {
    // Dropped in this order: who writes into the folder ends before it.
    beside: Vec<Process>,
    running: Mutex<Option<Process>>,
    etcd: Process,
    apiserver: PathBuf,
    args: Vec<String>,
    config: kube::Config,
    kubeconfig: PathBuf,
    authority: Authority,
    url: String,
    issuer: String,
    folder: Folder,
}

/// What a control plane is made of before its API server runs.
pub(crate) struct Parts {
    pub(crate) folder: Folder,
    pub(crate) etcd: Process,
    pub(crate) apiserver: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) config: kube::Config,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) authority: Authority,
    pub(crate) url: String,
    pub(crate) issuer: String,
}

/// How a start of the API server went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// It is ready.
    Ready,
    /// Somebody else listens on its port.
    PortLost,
}

// === impl ControlPlane ===

impl ControlPlane {
    /// Starts etcd and kube-apiserver as they come, and waits until they are ready.
    pub async fn start() -> Result<Self> {
        Self::builder().start().await
    }

    /// Options first, then [`Builder::start`].
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { folder, etcd, apiserver, args, config, kubeconfig, authority, url, issuer } =
            parts;
        Self {
            beside: Vec::new(),
            running: Mutex::new(None),
            etcd,
            apiserver,
            args,
            config,
            kubeconfig,
            authority,
            url,
            issuer,
            folder,
        }
    }

    /// A client that may do everything, for the runtime that this is called in.
    pub fn client(&self) -> Result<Client> {
        Ok(Client::try_from(self.config.clone())?)
    }

    /// The same as a configuration, to be changed before a client is made of it.
    pub fn config(&self) -> kube::Config {
        self.config.clone()
    }

    /// A kubeconfig file that may do everything, certificates embedded.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The API server's URL: `https://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The certificate of the authority that signed the API server's, PEM.
    pub fn ca_pem(&self) -> &str {
        self.authority.pem()
    }

    /// The issuer that its service account tokens name.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The folder with everything that this control plane has written. It is removed at the end.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The process ids of what runs at this moment.
    pub fn pids(&self) -> Vec<u32> {
        let running = self.running();
        let processes = [Some(&self.etcd), running.as_ref()].into_iter().flatten();
        processes.chain(&self.beside).map(Process::pid).collect()
    }

    /// The last lines of each log, for the message of a failed test.
    pub fn log_tail(&self) -> String {
        ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]
            .map(|name| (name, self.log(name)))
            .into_iter()
            .filter(|(_, path)| path.is_file())
            .map(|(name, path)| format!("--- {name}\n{}", log::tail(&path)))
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// What the audit log says of requests for Pods: one `audit.k8s.io/v1` Event each, with the
    /// annotations that webhooks gave it.
    pub fn audit_events(&self) -> Result<Vec<Value>> {
        let lines = log::lines(&self.log("audit"));
        lines.iter().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    /// Asks for a token of a ServiceAccount, which has to exist, and writes a kubeconfig file that
    /// uses it. The token lives an hour.
    pub async fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let api: Api<ServiceAccount> = Api::namespaced(self.client()?, namespace);
        let request = TokenRequest {
            spec: TokenRequestSpec {
                expiration_seconds: Some(TOKEN_LIFE),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let answer = api.create_token_request(name, &PostParams::default(), &request).await?;
        let token = answer.status.context("a TokenRequest was answered without a token")?.token;
        let text = kubeconfig::render(&self.url, self.ca_pem(), &User::Token(&token));
        self.folder.write(&format!("{namespace}.{name}.kubeconfig"), &text)
    }

    /// Kills the API server, and with it every watch, as a node that loses its power would. What
    /// it had stored stays.
    pub async fn stop_apiserver(&self) -> Result<()> {
        let stopped = self.running().take().context("kube-apiserver does not run")?;
        // Its keeper is waited for when it is dropped.
        tokio::task::spawn_blocking(move || drop(stopped)).await?;
        Ok(())
    }

    /// Starts the API server again, on the same port and with the same data, and waits until it
    /// is ready.
    pub async fn start_apiserver(&self) -> Result<()> {
        ensure!(self.running().is_none(), "kube-apiserver runs already");
        match self.start_and_wait().await? {
            Start::Ready => Ok(()),
            Start::PortLost => bail!("another process listens on {} now", self.url),
        }
    }

    /// Starts the API server and waits until it is ready or has ended.
    pub(crate) async fn start_and_wait(&self) -> Result<Start> {
        let log = self.log("kube-apiserver");
        let program = Program {
            name: "kube-apiserver",
            binary: &self.apiserver,
            args: &self.args,
            env: &[],
            log: &log,
        };
        *self.running() = Some(Process::start(&program)?);

        let mut config = self.config();
        config.default_retry = false;
        let client = Client::try_from(config)?;
        let answer = eventually("kube-apiserver is ready", START, || async {
            if let Some(status) = self.apiserver_exit()? {
                return Ok(Err(status));
            }
            let request = http::Request::get("/readyz").body(Vec::new())?;
            tokio::time::timeout(READYZ, client.request_text(request)).await??;
            Ok(Ok(()))
        });
        match answer.await.with_context(|| self.log_tail())? {
            Ok(()) => Ok(Start::Ready),
            Err(_) if log::tail(&log).contains("address already in use") => Ok(Start::PortLost),
            Err(status) => Err(anyhow!("kube-apiserver ended with {status}:\n{}", self.log_tail())),
        }
    }

    /// Starts a client of the API server that belongs to the control plane.
    pub(crate) fn start_beside(
        &mut self,
        name: &str,
        binary: &Path,
        args: &[String],
    ) -> Result<()> {
        let log = self.log(name);
        self.beside.push(Process::start(&Program { name, binary, args, env: &[], log: &log })?);
        Ok(())
    }

    /// Waits until kube-controller-manager has made the account `default/default`.
    pub(crate) async fn wait_for_controllers(&self) -> Result<()> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client()?, "default");
        let wait = eventually("kube-controller-manager works", START, || async {
            Ok(accounts.get("default").await.map(|_| ())?)
        });
        wait.await.with_context(|| self.log_tail())
    }

    fn apiserver_exit(&self) -> Result<Option<ExitStatus>> {
        self.running().as_mut().context("kube-apiserver was stopped")?.exit_status()
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.log"))
    }

    fn running(&self) -> MutexGuard<'_, Option<Process>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
