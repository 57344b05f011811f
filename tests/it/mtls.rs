//! Mutual TLS: who gets an answer from `--client-ca` and `--client-name`, with a real kube-apiserver
//! that shows a client certificate, with clients that do not, and with what `certs/dev-ca.sh` makes.
//!
//! The API server reads its own side (`--admission-control-config-file` and the kubeconfig that this
//! names) when it starts, and the webhook's port is not known before the webhook runs: so the API
//! server is first an anonymous client, and after a restart one with certificates.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cluster::{Authority, ControlPlane, Mount, Pair, Webhook, eventually};
use http::{Method, Request, StatusCode};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service, ServiceAccount};
use kube::api::PostParams;
use kube::client::Body;
use kube::{Api, Client, Config};
use serde_json::{Value, json};
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_pod-identity-webhook");
/// How long the API server may take to see a change, and the webhook, which looks every 10 s.
const SEEN: Duration = Duration::from_mins(1);
const ROLE: &str = "arn:aws:iam::111122223333:role/app";
const ANONYMOUS: &str = "only the API server gets an answer here";

/// The names that the webhook's serving certificate has in these tests.
const SERVED: [&str; 5] = [
    "127.0.0.1",
    "localhost",
    "pod-identity-webhook.eks.svc",
    "without-port.eks.svc",
    "anything.wild.svc",
];

// === a client of our own ===

/// Asks the TLS server at `base`, whose CA is `trusted`, as the owner of a certificate or as nobody.
async fn ask(
    base: &str,
    trusted: &[u8],
    client: Option<&Pair>,
    (method, path): (Method, &str),
) -> Result<(StatusCode, String)> {
    let mut config = Config::new(base.parse()?);
    config.root_cert = Some(vec![trusted.to_vec()]);
    config.default_retry = false;
    if let Some(Pair { certificate, key }) = client {
        config.auth_info.client_certificate_data = Some(STANDARD.encode(certificate));
        config.auth_info.client_key_data = Some(STANDARD.encode(key).into());
    }
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "1",
            "operation": "CREATE",
            "namespace": "default",
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "object": {"metadata": {}, "spec": {"containers": []}},
        },
    });
    let body = if method == Method::POST { serde_json::to_vec(&review)? } else { Vec::new() };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .body(Body::from(body))?;
    let answer = Client::try_from(config)?.send(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect_bytes().await?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

const MUTATE: (Method, &str) = (Method::POST, "/mutate");

// === the API server's side ===

/// The three files that README shows, and the client certificates beside them.
struct ApiServerSide {
    folder: TempDir,
}

impl ApiServerSide {
    fn new() -> Self {
        let side = Self { folder: TempDir::new().unwrap() };
        let kubeconfig = side.path("webhooks.kubeconfig");
        let configuration = format!(
            "apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: MutatingAdmissionWebhook
  configuration:
    apiVersion: apiserver.config.k8s.io/v1
    kind: WebhookAdmissionConfiguration
    kubeConfigFile: {}
",
            kubeconfig.display()
        );
        fs::write(side.path("admission.yaml"), configuration).unwrap();
        side.shows(&[]);
        side
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Says which certificate is shown to which webhook, by the users' names. Read at the next start.
    fn shows(&self, users: &[(&str, &Pair)]) {
        let mut text = "apiVersion: v1\nkind: Config\nusers:\n".to_owned();
        for (number, (name, Pair { certificate, key })) in users.iter().enumerate() {
            let (crt, key_file) =
                (self.path(&format!("{number}.crt")), self.path(&format!("{number}.key")));
            fs::write(&crt, certificate).unwrap();
            fs::write(&key_file, key).unwrap();
            write!(
                text,
                "- name: '{name}'\n  user:\n    client-certificate: {}\n    client-key: {}\n",
                crt.display(),
                key_file.display()
            )
            .unwrap();
        }
        fs::write(self.path("webhooks.kubeconfig"), text).unwrap();
    }
}

/// A webhook as it stands in a `MutatingWebhookConfiguration`, for Pods with the label `to: <name>`.
fn entry(name: &str, ca_pem: &str, mut client_config: Value) -> Value {
    client_config["caBundle"] = json!(ByteString(ca_pem.as_bytes().to_vec()));
    json!({
        "name": format!("{name}.pod-identity.test"),
        "admissionReviewVersions": ["v1"],
        "sideEffects": "NoneOnDryRun",
        "failurePolicy": "Fail",
        "clientConfig": client_config,
        "objectSelector": {"matchLabels": {"to": name}},
        "rules": [{
            "apiGroups": [""], "apiVersions": ["v1"],
            "resources": ["pods"], "operations": ["CREATE"],
        }],
    })
}

async fn create<K>(api: &Api<K>, object: Value)
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned + serde::Serialize,
{
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
}

/// What becomes of a Pod that the entry `to` is asked about: the role that it got, or the error.
async fn fate(client: &Client, to: &str) -> Result<Result<String, String>> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), "eks");
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"generateName": "mtls-", "labels": {"to": to}},
        "spec": {"serviceAccountName": "app", "containers": [{"name": "app", "image": "app"}]},
    }))?;
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    match pods.create(&dry, &pod).await {
        Ok(pod) => {
            let pod = serde_json::to_value(pod)?;
            let env = pod["spec"]["containers"][0]["env"].as_array().cloned().unwrap_or_default();
            let role = env.iter().find(|entry| entry["name"] == "AWS_ROLE_ARN");
            match role.and_then(|entry| entry["value"].as_str()) {
                Some(role) => Ok(Ok(role.to_owned())),
                None => bail!("the Pod came through without an answer of the webhook"),
            }
        }
        Err(kube::Error::Api(status)) if status.message.contains("failed calling webhook") => {
            Ok(Err(status.message.clone()))
        }
        Err(error) => Err(error.into()),
    }
}

async fn is_served(client: &Client, to: &str) {
    eventually(&format!("{to} is served"), SEEN, || async {
        let fate = fate(client, to).await?;
        ensure!(fate.as_deref() == Ok(ROLE), "{fate:?}");
        Ok(())
    })
    .await
    .unwrap();
}

async fn is_refused(client: &Client, to: &str, said: &str) {
    eventually(&format!("{to} is refused"), SEEN, || async {
        match fate(client, to).await? {
            Err(message) if message.contains(said) => Ok(()),
            other => bail!("{other:?}"),
        }
    })
    .await
    .unwrap();
}

/// A control plane, a webhook that wants certificates, and who gives them.
struct Scene {
    webhook: Webhook,
    plane: ControlPlane,
    side: ApiServerSide,
    mount: Mount,
    serving: Authority,
    /// The CA of `--client-ca`.
    clients: Authority,
    /// The CA that is to follow it.
    others: Authority,
}

impl Scene {
    async fn set() -> Self {
        let side = ApiServerSide::new();
        let admission = side.path("admission.yaml");
        let plane = ControlPlane::builder()
            .apiserver_arg(format!("--admission-control-config-file={}", admission.display()))
            .start()
            .await
            .unwrap();
        let authority = |name| Authority::new(name).unwrap();
        let (serving, clients, others) =
            (authority("serving"), authority("clients"), authority("others"));
        let pair = serving.serving(&SERVED).unwrap();
        let (crt, key) = (side.path("tls.crt"), side.path("tls.key"));
        fs::write(&crt, &pair.certificate).unwrap();
        fs::write(&key, &pair.key).unwrap();
        let mount = Mount::new(&[("ca.crt", clients.pem())]).unwrap();
        let webhook = Webhook::builder(&plane)
            .binary(BINARY)
            .arg(format!("--tls-cert={}", crt.display()))
            .arg(format!("--tls-key={}", key.display()))
            .arg(format!("--client-ca={}", mount.path("ca.crt").display()))
            .arg("--client-name=somebody-else,kube-apiserver")
            .start()
            .await
            .unwrap();
        Self { webhook, plane, side, mount, serving, clients, others }
    }

    fn port(&self) -> u16 {
        self.webhook.url().rsplit_once(':').unwrap().1.parse().unwrap()
    }

    /// Asks the webhook without an API server between.
    async fn ask(
        &self,
        client: Option<&Pair>,
        what: (Method, &str),
    ) -> Result<(StatusCode, String)> {
        ask(self.webhook.url(), self.serving.der(), client, what).await
    }
}

/// Registers the webhook five times: by URL, and by Services whose endpoints are on loopback, which
/// only those of type `ExternalName` may have.
async fn register(scene: &Scene) {
    let client = scene.plane.client().unwrap();
    for namespace in ["eks", "wild"] {
        create(&Api::<Namespace>::all(client.clone()), json!({"metadata": {"name": namespace}}))
            .await;
    }
    let account = json!({
        "metadata": {"name": "app", "annotations": {"eks.amazonaws.com/role-arn": ROLE}}
    });
    create(&Api::<ServiceAccount>::namespaced(client.clone(), "eks"), account).await;
    for (namespace, name) in
        [("eks", "pod-identity-webhook"), ("eks", "without-port"), ("wild", "anything")]
    {
        let service = json!({
            "metadata": {"name": name},
            "spec": {"type": "ExternalName", "externalName": "localhost"},
        });
        create(&Api::<Service>::namespaced(client.clone(), namespace), service).await;
    }
    let (port, ca) = (scene.port(), scene.serving.pem());
    let url = |host: &str| json!({"url": format!("https://{host}:{port}/mutate/strict")});
    let service = |namespace: &str, name: &str| json!({"service": {"namespace": namespace, "name": name, "port": port, "path": "/mutate"}});
    let configuration = json!({
        "metadata": {"name": "mtls"},
        "webhooks": [
            entry("by-url", ca, url("127.0.0.1")),
            entry("wrong-name", ca, url("localhost")),
            entry("service", ca, service("eks", "pod-identity-webhook")),
            entry("without-port", ca, service("eks", "without-port")),
            entry("wildcard", ca, service("wild", "anything")),
        ],
    });
    create(&Api::<MutatingWebhookConfiguration>::all(client), configuration).await;
}

// === the tests ===

#[tokio::test]
async fn a_real_api_server_gets_through_with_its_certificate_and_nobody_without() {
    let scene = Scene::set().await;
    register(&scene).await;
    let client = scene.plane.client().unwrap();

    // No user fits: no certificate is shown.
    for to in ["by-url", "wrong-name", "service", "without-port", "wildcard"] {
        is_refused(&client, to, ANONYMOUS).await;
    }
    scene.webhook.wait_for_log("client was refused", SEEN).await.unwrap();

    let good = scene.clients.client("kube-apiserver", "").unwrap();
    let wrong = scene.clients.client("mallory", "").unwrap();
    let with_port = |host: &str| format!("{host}:{}", scene.port());
    scene.side.shows(&[
        (&with_port("127.0.0.1"), &good),
        (&with_port("localhost"), &wrong),
        (&with_port("pod-identity-webhook.eks.svc"), &good),
        // Only of port 443 may the name leave it out.
        ("without-port.eks.svc", &good),
        (&with_port("*.wild.svc"), &good),
    ]);
    scene.plane.stop_apiserver().await.unwrap();
    scene.plane.start_apiserver().await.unwrap();
    for to in ["by-url", "service", "wildcard"] {
        is_served(&client, to).await;
    }
    is_refused(&client, "wrong-name", r#"is for "mallory", which --client-name does not list"#)
        .await;
    is_refused(&client, "without-port", ANONYMOUS).await;

    every_client_is_judged_alike(&scene, &good, &wrong).await;
    a_replaced_ca_counts_without_a_restart(&scene, &client, &good).await;
    assert!(scene.webhook.terminate().await.unwrap().success());
}

async fn every_client_is_judged_alike(scene: &Scene, good: &Pair, wrong: &Pair) {
    for (method, path) in [
        (Method::POST, "/mutate"),
        (Method::POST, "/mutate/strict"),
        (Method::POST, "/mutate?timeout=10s"),
        (Method::GET, "/mutate"),
    ] {
        for (client, expected) in [(None, ANONYMOUS), (Some(wrong), "mallory")] {
            let (status, said) = scene.ask(client, (method.clone(), path)).await.unwrap();
            assert_eq!(status, StatusCode::FORBIDDEN, "{method} {path}");
            assert!(said.contains(expected) && said.lines().count() == 1, "{said}");
        }
    }
    for path in ["/healthz", "/livez", "/readyz"] {
        for client in [None, Some(wrong), Some(good)] {
            let (status, said) = scene.ask(client, (Method::GET, path)).await.unwrap();
            assert_eq!(status, StatusCode::OK, "{path}: {said}");
        }
    }
    let (status, answer) = scene.ask(Some(good), MUTATE).await.unwrap();
    assert_eq!(status, StatusCode::OK);
    assert!(answer.contains(r#""allowed":true"#), "{answer}");
    let stranger = scene.others.client("kube-apiserver", "").unwrap();
    for what in [MUTATE, (Method::GET, "/healthz")] {
        let error = format!("{:?}", scene.ask(Some(&stranger), what).await.unwrap_err());
        assert!(error.contains("UnknownCA"), "{error}");
    }
    scene.webhook.wait_for_log("client's certificate is refused", SEEN).await.unwrap();
}

async fn a_replaced_ca_counts_without_a_restart(scene: &Scene, client: &Client, good: &Pair) {
    let Scene { webhook, mount, clients, others, .. } = scene;
    let new = others.client("kube-apiserver", "").unwrap();
    let swap = |pem: &str| mount.swap(&[("ca.crt", pem)]).unwrap();
    swap(others.pem());
    eventually("the new CA's client is served", SEEN, || async {
        ensure!(scene.ask(Some(&new), MUTATE).await?.0 == StatusCode::OK, "refused");
        Ok(())
    })
    .await
    .unwrap();
    is_refused(client, "by-url", "").await;
    assert!(scene.ask(Some(good), MUTATE).await.is_err());

    // Both CAs, as a rotation needs it: both pass.
    swap(&format!("{}{}", clients.pem(), others.pem()));
    is_served(client, "by-url").await;
    assert_eq!(scene.ask(Some(&new), MUTATE).await.unwrap().0, StatusCode::OK);

    // Nonsense: the last good CAs stay, and it is said.
    swap("nonsense");
    eventually("the trouble is noted", SEEN, || async {
        let (status, ready) = webhook.get("/readyz").await?;
        ensure!(status == StatusCode::OK && ready.contains("[!] client CA: "), "{status} {ready}");
        Ok(())
    })
    .await
    .unwrap();
    is_served(client, "by-url").await;
    let (_, metrics) = webhook.get("/metrics").await.unwrap();
    let counted = r#"certificate_errors_total{reason="client-ca-malformed"}"#;
    assert!(metrics.contains(counted), "{metrics}");
    webhook.wait_for_log("the last good one is kept", SEEN).await.unwrap();
}

#[test]
fn a_client_ca_that_cannot_be_used_fails_the_start_in_one_sentence() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str| folder.path().join(name);
    let pair = Authority::new("serving").unwrap().serving(&["localhost"]).unwrap();
    fs::write(file("tls.crt"), &pair.certificate).unwrap();
    fs::write(file("tls.key"), &pair.key).unwrap();
    fs::write(file("bad.crt"), "nonsense").unwrap();
    for (name, said) in [("none.crt", "cannot read "), ("bad.crt", "holds no PEM certificate")] {
        let output = Command::new(BINARY)
            .env_clear()
            .arg("--in-cluster=false")
            .arg("--log-format=json")
            .arg(format!("--tls-cert={}", file("tls.crt").display()))
            .arg(format!("--tls-key={}", file("tls.key").display()))
            .arg(format!("--client-ca={}", file(name).display()))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let log = [output.stdout, output.stderr].concat();
        let log = String::from_utf8(log).unwrap();
        let line = log.lines().find(|line| line.contains(r#""stopped""#)).expect(&log);
        assert!(line.contains(name) && line.contains(said), "{line}");
    }
}

fn dev_ca(args: &[&str]) -> (bool, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("certs/dev-ca.sh");
    let output = Command::new("/bin/sh").arg(script).args(args).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

fn has_openssl() -> bool {
    Command::new("openssl").arg("version").output().is_ok_and(|output| output.status.success())
}

#[tokio::test]
async fn what_dev_ca_makes_is_verified_by_openssl_and_served() {
    if !has_openssl() {
        eprintln!("skipped: what_dev_ca_makes_is_verified_by_openssl_and_served: no openssl");
        return;
    }
    let parent = TempDir::new().unwrap();
    let folder = parent.path().join("it's mine");
    let named = folder.display().to_string();
    let (done, said) =
        dev_ca(&["--service-name=hook", "--namespace", "kube-system", "--client-name=api", &named]);
    assert!(done, "{said}");
    let file = |name: &str| folder.join(name).display().to_string();
    for line in ["--client-name=api", "--in-cluster=false", "curl --cacert"] {
        assert!(said.contains(line), "{said}");
    }
    for (purpose, certificate) in [("sslserver", "tls.crt"), ("sslclient", "client.crt")] {
        let verified = Command::new("openssl")
            .args(["verify", "-x509_strict", "-purpose", purpose, "-CAfile", &file("ca.crt")])
            .arg(file(certificate))
            .output()
            .unwrap();
        assert!(verified.status.success(), "{verified:?}");
    }
    for name in ["localhost", "hook", "hook.kube-system.svc", "hook.kube-system.svc.cluster.local"]
    {
        let verified = Command::new("openssl")
            .args([
                "verify",
                "-verify_hostname",
                name,
                "-CAfile",
                &file("ca.crt"),
                &file("tls.crt"),
            ])
            .output()
            .unwrap();
        assert!(verified.status.success(), "{name}: {verified:?}");
    }
    for key in ["ca.key", "tls.key", "client.key"] {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(file(key)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{key} can be read by others");
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 6, "nothing else is left in the folder");

    // With the arguments that it prints.
    let command = said.lines().map(str::trim).find(|line| line.starts_with("pod-identity-webhook"));
    let echo =
        format!("{} ; :", command.unwrap().replacen("pod-identity-webhook", "printf '%s\\n'", 1));
    let args = Command::new("/bin/sh").args(["-c", &echo]).output().unwrap();
    let args = String::from_utf8(args.stdout).unwrap();
    let plane = ControlPlane::start().await.unwrap();
    let mut webhook = Webhook::builder(&plane).binary(BINARY);
    for arg in args.lines().filter(|arg| !arg.starts_with("--port")) {
        webhook = webhook.arg(arg);
    }
    let webhook = webhook.start().await.unwrap();
    let der = Command::new("openssl")
        .args(["x509", "-outform", "DER", "-in", &file("ca.crt")])
        .output()
        .unwrap()
        .stdout;
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let client = Pair { certificate: read("client.crt"), key: read("client.key") };
    let url = webhook.url();
    assert_eq!(ask(url, &der, Some(&client), MUTATE).await.unwrap().0, StatusCode::OK);
    assert_eq!(ask(url, &der, None, MUTATE).await.unwrap().0, StatusCode::FORBIDDEN);
    assert_eq!(ask(url, &der, None, (Method::GET, "/healthz")).await.unwrap().0, StatusCode::OK);
}

#[test]
fn dev_ca_overwrites_nothing_and_takes_no_strange_names() {
    if !has_openssl() {
        eprintln!("skipped: dev_ca_overwrites_nothing_and_takes_no_strange_names: no openssl");
        return;
    }
    let folder = TempDir::new().unwrap();
    let named = folder.path().display().to_string();
    fs::write(folder.path().join("client.key"), "precious").unwrap();
    let (done, said) = dev_ca(&[&named]);
    assert!(!done && said.contains("client.key is there already"), "{said}");
    assert_eq!(fs::read_to_string(folder.path().join("client.key")).unwrap(), "precious");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    for args in [
        &["--service-name=a\nDNS.9 = b", &named][..],
        &["--client-name=/CN=admin", &named],
        &["--namespace", "", &named],
        &["--namespace"],
        &["--days=1", &named],
        &[&named, "another"],
        &[],
    ] {
        let (done, said) = dev_ca(args);
        assert!(!done && !said.is_empty(), "{args:?}: {said}");
    }
}
