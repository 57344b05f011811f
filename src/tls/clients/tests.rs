//! Tests of client certificates, with real handshakes in both versions and without sockets.

use std::io;

use cluster::Heard;
use rustls::{
    CertificateError, ClientConfig, SupportedProtocolVersion,
    pki_types::{PrivateKeyDer, ServerName},
    version::{TLS12, TLS13},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tracing::level_filters::LevelFilter;

use super::*;
use crate::{
    telemetry::Metrics,
    tls::{CipherSuites, Files, MinVersion, Pair, RELOAD_INTERVAL, Served, server_config},
};

struct Ca {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    pem: String,
}

struct Certificate {
    der: CertificateDer<'static>,
    pem: String,
    key: PrivateKeyDer<'static>,
}

fn ca(name: &str) -> Ca {
    ca_until(name, 2100)
}

fn ca_until(name: &str, year: i32) -> Ca {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let pem = params.self_signed(&key).unwrap().pem();
    Ca { issuer: rcgen::Issuer::new(params, key), pem }
}

impl Ca {
    fn client(&self, common: &[&str], dns: &[&str]) -> Certificate {
        self.sign(common, dns, 2100, rcgen::ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(
        &self,
        common: &[&str],
        dns: &[&str],
        year: i32,
        purpose: rcgen::ExtendedKeyUsagePurpose,
    ) -> Certificate {
        let key = rcgen::KeyPair::generate().unwrap();
        let dns: Vec<_> = dns.iter().map(|&name| name.to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(dns).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for name in common {
            params.distinguished_name.push(rcgen::DnType::CommonName, *name);
        }
        params.extended_key_usages = vec![purpose];
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let signed = params.signed_by(&key, &self.issuer).unwrap();
        let (der, pem) = (signed.der().clone(), signed.pem());
        Certificate { der, pem, key: key.into() }
    }
}

/// A server of its own for what is read from `path`, and what a client of it trusts.
struct Server {
    reloader: ClientReloader,
    acceptor: TlsAcceptor,
    trusted: CertificateDer<'static>,
    metrics: Metrics,
}

fn server(path: &Path, names: &[&str]) -> Server {
    cluster::attentive();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let files = Files { certificate: "tls.crt".into(), key: "tls.key".into() };
    let (chain, key) = (certificate.pem(), key.serialize_pem());
    let pair = Pair::parse(chain.as_bytes(), key.as_bytes(), &files, SystemTime::now()).unwrap();
    let metrics = Metrics::new();
    let served = Arc::new(Served::new(pair, metrics.certificates()));
    let names = names.iter().map(|&name| name.into()).collect();
    let reloader = ClientReloader::start(path.to_owned(), names, metrics.certificates()).unwrap();
    let clients = Some(reloader.clients());
    let config =
        server_config(served, clients, MinVersion::Tls12, &CipherSuites::default()).unwrap();
    Server { reloader, acceptor: config.into(), trusted: certificate.der().clone(), metrics }
}

impl Server {
    /// What a client with this certificate comes to: what it showed, and whether it heard an answer.
    async fn meet(
        &self,
        client: Option<&Certificate>,
        version: &'static SupportedProtocolVersion,
    ) -> (io::Result<Vec<CertificateDer<'static>>>, io::Result<()>) {
        let mut roots = RootCertStore::empty();
        roots.add(self.trusted.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
        let config = match client {
            Some(Certificate { der, key, .. }) => {
                config.with_client_auth_cert(vec![der.clone()], key.clone_key()).unwrap()
            }
            None => config.with_no_client_auth(),
        };
        let (near, far) = duplex(64 * 1024);
        let ours = async {
            let mut stream = self.acceptor.accept(far).await?;
            let (_, tls) = stream.get_ref();
            assert_eq!(tls.protocol_version(), Some(version.version));
            let shown = tls.peer_certificates().unwrap_or_default().to_vec();
            stream.write_all(b"!").await?;
            Ok(shown)
        };
        let theirs = async {
            let name = ServerName::try_from("localhost").unwrap();
            let mut stream = TlsConnector::from(Arc::new(config)).connect(name, near).await?;
            stream.read_u8().await.map(|_| ())
        };
        tokio::join!(ours, theirs)
    }

    async fn admits(&self, client: Option<&Certificate>) -> Result<(), Stranger> {
        let (shown, heard) = self.meet(client, &TLS13).await;
        heard.unwrap();
        self.judge(&shown.unwrap())
    }

    fn judge(&self, chain: &[CertificateDer<'_>]) -> Result<(), Stranger> {
        self.reloader.clients().admit(chain, SystemTime::now())
    }

    fn reload(&self) {
        self.reloader.take(Bundle::load(&self.reloader.path, SystemTime::now()));
    }
}

fn written(text: &str) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ca.crt");
    fs::write(&path, text).unwrap();
    (folder, path)
}

fn refusal(error: &io::Error) -> CertificateError {
    match error.get_ref().and_then(|error| error.downcast_ref()) {
        Some(rustls::Error::InvalidCertificate(problem)) => problem.clone(),
        other => panic!("{other:?}"),
    }
}

// === handshakes ===

#[tokio::test]
async fn a_client_of_the_ca_and_one_without_a_certificate_are_connected_in_both_versions() {
    let ours = ca("ours");
    let (_folder, path) = written(&ours.pem);
    let (server, client) = (server(&path, &[]), ours.client(&["kube-apiserver"], &[]));
    for version in [&TLS12, &TLS13] {
        let (shown, heard) = server.meet(Some(&client), version).await;
        heard.unwrap();
        let shown = shown.unwrap();
        assert_eq!(shown.first(), Some(&client.der));
        server.judge(&shown).unwrap();

        let (shown, heard) = server.meet(None, version).await;
        heard.unwrap();
        let refused = server.judge(&shown.unwrap()).unwrap_err();
        assert!(matches!(refused, Stranger::NoCertificate), "{refused}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_good_fails_the_handshake_in_both_versions() {
    use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    // The same name as ours, which says nothing: the key counts.
    let (ours, other) = (ca("ours"), ca("ours"));
    let (_folder, path) = written(&ours.pem);
    let server = server(&path, &[]);
    for version in [&TLS12, &TLS13] {
        let strange = other.client(&["kube-apiserver"], &[]);
        let (shown, heard) = server.meet(Some(&strange), version).await;
        heard.unwrap_err();
        assert_eq!(refusal(&shown.unwrap_err()), CertificateError::BadSignature);

        let old = ours.sign(&["kube-apiserver"], &[], 2001, ClientAuth);
        let (shown, heard) = server.meet(Some(&old), version).await;
        heard.unwrap_err();
        let problem = refusal(&shown.unwrap_err());
        assert!(matches!(problem, CertificateError::ExpiredContext { .. }), "{problem:?}");

        let serving = ours.sign(&["kube-apiserver"], &[], 2100, ServerAuth);
        let (shown, heard) = server.meet(Some(&serving), version).await;
        heard.unwrap_err();
        let problem = refusal(&shown.unwrap_err());
        assert!(matches!(problem, CertificateError::InvalidPurposeContext { .. }), "{problem:?}");
    }
}

/// A certificate can be read by anybody: without its key it is worth nothing.
#[tokio::test]
async fn a_certificate_without_its_key_fails_the_handshake_in_both_versions() {
    let ours = ca("ours");
    let (_folder, path) = written(&ours.pem);
    let server = server(&path, &[]);
    let stolen = ours.client(&["kube-apiserver"], &[]).der;
    let key = rcgen::KeyPair::generate().unwrap();
    for version in [&TLS12, &TLS13] {
        let mut roots = RootCertStore::empty();
        roots.add(server.trusted.clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let key = aws_lc_rs::sign::any_supported_type(&PrivateKeyDer::from(
            rcgen::KeyPair::from_pem(&key.serialize_pem()).unwrap(),
        ));
        let certified = rustls::sign::CertifiedKey::new(vec![stolen.clone()], key.unwrap());
        let resolver = rustls::sign::SingleCertAndKey::from(certified);
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_cert_resolver(Arc::new(resolver));
        let (near, far) = duplex(64 * 1024);
        let name = ServerName::try_from("localhost").unwrap();
        let (ours, _theirs) = tokio::join!(
            server.acceptor.accept(far),
            TlsConnector::from(Arc::new(config)).connect(name, near)
        );
        assert_eq!(refusal(&ours.unwrap_err()), CertificateError::BadSignature);
    }
}

// === names ===

#[tokio::test]
async fn only_the_listed_names_are_let_in() {
    let ours = ca("ours");
    let (_folder, path) = written(&ours.pem);
    let server = server(&path, &["kube-apiserver", "api.example"]);
    for (common, dns) in [
        (&["kube-apiserver"][..], &[][..]),
        (&["x", "kube-apiserver"], &[]),
        (&["x"], &["y.example", "API.example"]),
        (&[], &["api.example"]),
    ] {
        server.admits(Some(&ours.client(common, dns))).await.unwrap();
    }
    for (common, dns, said) in [
        (&["Kube-apiserver"][..], &[][..], r#"is for "Kube-apiserver", which --client-name"#),
        (&["kube-apiserver", "x"], &[], r#"is for "x", which"#),
        (&["x\ny"], &["*.example"], r#"is for "x\ny", "*.example", which"#),
        (&[], &[], "is for nobody, which"),
        (&["kube-apiserver.evil"], &["kube-apiserver.evil"], "kube-apiserver.evil"),
    ] {
        let stranger = server.admits(Some(&ours.client(common, dns))).await.unwrap_err();
        assert!(stranger.to_string().contains(said), "{stranger}");
    }
}

// === files ===

#[test]
fn a_bad_bundle_is_refused_with_its_file_and_a_remedy() {
    let (ours, old) = (ca("ours"), ca_until("old", 2001));
    let client = ours.client(&["kube-apiserver"], &[]).pem;
    for (text, reason, said) in [
        ("", "client-ca-malformed", "ca.crt holds no PEM certificate"),
        (
            "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----",
            "client-ca-malformed",
            "ca.crt is not a PEM bundle",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
            "client-ca-malformed",
            "ca.crt is not a PEM bundle",
        ),
        (
            &format!("{}-----BEGIN CERTIFICATE-----\nAAAA", ours.pem),
            "client-ca-malformed",
            "ca.crt is not a PEM bundle",
        ),
        (&client, "client-ca-malformed", "ca.crt holds a certificate that is not a CA's"),
        (&old.pem, "client-ca-expired", "has expired, the last at 2001-01-01T00:00:00Z: renew it"),
    ] {
        let (_folder, path) = written(text);
        let error = Bundle::load(&path, SystemTime::now()).unwrap_err();
        assert_eq!(error.reason(), reason, "{error}");
        assert!(error.to_string().contains(said), "{error}");
    }
    let error = Bundle::load(Path::new("none/ca.crt"), SystemTime::now()).unwrap_err();
    assert_eq!(error.reason(), "client-ca-unreadable");
    assert!(error.to_string().contains("none/ca.crt") && error.to_string().contains("--client-ca"));
}

#[test]
fn an_expired_ca_beside_a_good_one_does_not_count() {
    let (ours, old) = (ca("ours"), ca_until("old", 2001));
    let (_folder, path) = written(&format!("{}\n# a comment\n{}", old.pem, ours.pem));
    let server = server(&path, &[]);
    assert_eq!(server.reloader.clients().bundle.load().anchors.len(), 1);
    server.judge(&[ours.client(&["x"], &[]).der]).unwrap();
    server.judge(&[old.client(&["x"], &[]).der]).unwrap_err();
}

// === reloading ===

/// A connection that stays open does not outlive the CA by which it was let in.
#[tokio::test(start_paused = true)]
async fn kubelets_swap_of_the_data_link_lets_in_the_new_clients_and_no_others() {
    let (old, new) = (ca("old"), ca("new"));
    let mount = cluster::Mount::new(&[("ca.crt", &old.pem)]).unwrap();
    let Server { reloader, acceptor, trusted, metrics } = server(&mount.path("ca.crt"), &[]);
    let watched = ClientReloader { path: reloader.path.clone(), clients: reloader.clients() };
    let server = Server { reloader: watched, acceptor, trusted, metrics };
    let mut tasks = JoinSet::new();
    tasks.spawn(reloader.run(RELOAD_INTERVAL));

    let (old_client, new_client) = (old.client(&["old"], &[]), new.client(&["new"], &[]));
    let held = [old_client.der.clone()];
    server.admits(Some(&old_client)).await.unwrap();
    assert!(server.meet(Some(&new_client), &TLS13).await.0.is_err());

    mount.swap(&[("ca.crt", &format!("{}{}", old.pem, new.pem))]).unwrap();
    tokio::time::sleep(RELOAD_INTERVAL + Duration::from_secs(1)).await;
    server.admits(Some(&old_client)).await.unwrap();
    server.admits(Some(&new_client)).await.unwrap();
    server.judge(&held).unwrap();

    mount.swap(&[("ca.crt", &new.pem)]).unwrap();
    tokio::time::sleep(RELOAD_INTERVAL + Duration::from_secs(1)).await;
    server.admits(Some(&new_client)).await.unwrap();
    assert!(server.meet(Some(&old_client), &TLS13).await.0.is_err());
    let refused = server.judge(&held).unwrap_err();
    assert!(matches!(refused, Stranger::NotOfTheCa(_)), "{refused}");
}

#[test]
fn a_bad_replacement_keeps_the_old_ca_is_told_once_and_shows_until_it_is_mended() {
    let (ours, old) = (ca("ours"), ca_until("old", 2001));
    let (_folder, path) = written(&ours.pem);
    let server = server(&path, &[]);
    let client = [ours.client(&["x"], &[]).der];
    let heard = Heard::listen(LevelFilter::INFO);
    for (bad, reason) in [(&old.pem[..], "expired"), ("nothing", "malformed")] {
        fs::write(&path, bad).unwrap();
        for _ in 0..3 {
            server.reload();
        }
        server.judge(&client).unwrap();
        let trouble = server.reloader.clients().trouble().unwrap();
        assert!(trouble.contains("ca.crt"), "{trouble}");
        let counted = format!("certificate_errors_total{{reason=\"client-ca-{reason}\"}} 3");
        assert!(server.metrics.encode().unwrap().contains(&counted), "{reason}");
    }
    fs::remove_file(&path).unwrap();
    server.reload();
    assert!(server.reloader.clients().trouble().unwrap().contains("cannot read"));
    fs::write(&path, &ours.pem).unwrap();
    server.reload();
    assert_eq!(server.reloader.clients().trouble(), None);
    server.judge(&client).unwrap();
    let lines = heard.text();
    assert_eq!(lines.lines().count(), 4, "{lines}");
}

#[test]
fn a_client_certificate_that_expires_ends_with_the_next_call() {
    let ours = ca("ours");
    let (_folder, path) = written(&ours.pem);
    let server = server(&path, &[]);
    let chain = [ours.sign(&["x"], &[], 2050, rcgen::ExtendedKeyUsagePurpose::ClientAuth).der];
    server.judge(&chain).unwrap();
    let later = SystemTime::now() + Duration::from_hours(24 * 365 * 60);
    let refused = server.reloader.clients().admit(&chain, later).unwrap_err();
    assert!(matches!(refused, Stranger::NotOfTheCa(_)), "{refused}");
}

#[test]
fn what_is_remembered_of_clients_is_bounded() {
    let ours = ca("ours");
    let (_folder, path) = written(&ours.pem);
    let server = server(&path, &[]);
    for number in 0..REMEMBERED + 2 {
        let chain = [ours.client(&[&number.to_string()], &[]).der];
        server.judge(&chain).unwrap();
        server.judge(&chain).unwrap();
    }
    assert_eq!(server.reloader.clients().bundle.load().verified.lock().unwrap().len(), 2);
}
