//! The real binary as a process: what a person sees of it, and what hard times do to it.
//!
//! Its API server is the scripted one of the router's tests, on a loopback port over plain HTTP:
//! what only a real control plane can show is tested elsewhere. Every process ends with its test.

mod decisions;
mod hardship;
mod refusals;
mod secrecy;
mod start;
mod tls;
pub(crate) mod traces;
mod upstream;

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use cluster::{Authority, Webhook, WebhookBuilder};
use http::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::router::api::{Api, Call, Reply, Served, account, not_found, with_role};

const BINARY: &str = env!("CARGO_BIN_EXE_pod-identity-webhook");

/// How long a process that has to end by itself may take, on a machine that has other things to do.
const ENDS: Duration = Duration::from_mins(1);

/// How long anything else may take.
const SOON: Duration = Duration::from_mins(1);

/// A process that has ended by itself.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs the binary with nothing in its environment but `env`, until it ends.
async fn run(args: &[&str], env: &[(&str, &str)]) -> Ended {
    let mut command = Command::new(BINARY);
    command.args(args).env_clear().envs(env.iter().copied());
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(ENDS, command.output())
        .await
        .unwrap_or_else(|_| panic!("{args:?} did not end within {ENDS:?}"))
        .unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

// === impl Ended ===

impl Ended {
    /// The sentence that it ended with: a line, and nothing besides.
    #[track_caller]
    fn sentence(&self, code: i32) -> &str {
        let Self { stderr, stdout, .. } = self;
        assert_eq!(self.code, Some(code), "{stderr}");
        assert!(stdout.is_empty(), "{stdout}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        for dump in ["Error:", "Os {", "Err(", "panicked", "backtrace", "Caused by", "\u{1b}"] {
            assert!(!stderr.contains(dump), "{stderr}");
        }
        let sentence = stderr.trim_end().strip_prefix("pod-identity-webhook: ");
        sentence.unwrap_or_else(|| panic!("{stderr}"))
    }
}

/// A webhook beside a scripted API server.
struct Running {
    webhook: Webhook,
    api: Api,
    _served: Served,
    _folder: TempDir,
}

/// The token of the webhook's kubeconfig, which nobody may ever see.
const TOKEN: &str = "kubeconfig-token-marker";

impl Running {
    /// One that is ready, and knows two accounts of `ns`.
    async fn ready(args: &[&str]) -> Self {
        let api = Api::listing(accounts(), not_found);
        Self::start(api, |builder| args.iter().fold(builder, |builder, arg| builder.arg(*arg)))
            .await
    }

    /// One that listens, whatever `api` says.
    async fn listening(api: Api) -> Self {
        Self::start(api, WebhookBuilder::do_not_wait).await
    }

    async fn start(api: Api, with: impl FnOnce(WebhookBuilder) -> WebhookBuilder) -> Self {
        let served = api.serve().await;
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        std::fs::write(&kubeconfig, served.kubeconfig(TOKEN)).unwrap();
        // A live look-up may take a second where other things run beside it.
        let builder = Webhook::beside(kubeconfig)
            .binary(BINARY)
            .arg("--service-account-lookup-grace-period=5s");
        let webhook = with(builder).start().await.unwrap();
        Self { webhook, api, _served: served, _folder: folder }
    }

    /// The response to the review of a new Pod.
    async fn review(&self, path: &str, account: &str) -> Value {
        let (status, body) =
            self.webhook.post(path, review(account), "application/json").await.unwrap();
        assert_eq!(status, StatusCode::OK, "{body}");
        let mut review: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(review["response"]["uid"], UID);
        review["response"].take()
    }

    /// What `/readyz` says.
    async fn readiness(&self) -> (StatusCode, String) {
        self.webhook.get("/readyz").await.unwrap()
    }

    /// The value of a metric's sample.
    async fn sample(&self, name: &str) -> Option<f64> {
        let (_, text) = self.webhook.get("/metrics").await.unwrap();
        crate::router::sample(&text, name)
    }

    /// `127.0.0.1:PORT` of the webhook's port.
    fn address(&self) -> &str {
        self.webhook.url().strip_prefix("https://").unwrap()
    }
}

const UID: &str = "705ab4f5-6393-11e8-b7cc-42010a800002";

/// The review of the creation of a Pod that runs as `account`.
fn review(account: &str) -> Vec<u8> {
    review_of(&json!({"serviceAccountName": account, "containers": [{"name": "app"}]}))
}

/// The review of the creation of a Pod of this specification.
fn review_of(spec: &Value) -> Vec<u8> {
    review_owned(&Value::Null, spec)
}

/// The same of one that belongs to `owners`.
fn review_owned(owners: &Value, spec: &Value) -> Vec<u8> {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": UID, "operation": "CREATE", "namespace": "ns",
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "object": {"metadata": {"generateName": "app-", "ownerReferences": owners}, "spec": spec}}})
    .to_string()
    .into_bytes()
}

/// The accounts that [`Running::ready`] knows.
fn accounts() -> Vec<Value> {
    vec![with_role("irsa"), account("agent", &json!({"eks.amazonaws.com/pod-identity": "true"}))]
}

/// A folder with a serving pair and whatever else a command line names.
struct Files {
    folder: TempDir,
    authority: Authority,
}

impl Files {
    fn new() -> Self {
        let authority = Authority::new("test").unwrap();
        let files = Self { folder: tempfile::tempdir().unwrap(), authority };
        files.pair("tls");
        files
    }

    /// Writes a new pair, `<name>.crt` and `<name>.key`.
    fn pair(&self, name: &str) {
        let pair = self.authority.serving(&["127.0.0.1", "localhost"]).unwrap();
        self.write(&format!("{name}.crt"), &pair.certificate);
        self.write(&format!("{name}.key"), &pair.key);
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `--flag=<path of name>`.
    fn flag(&self, flag: &str, name: &str) -> String {
        format!("{flag}={}", self.path(name).display())
    }
}
