//! Tests of pairs, reloading and negotiation, with real handshakes and without sockets.

use std::{fs, path::Path};

use cluster::Heard;
use rustls::{
    ClientConfig, NamedGroup, ProtocolVersion, RootCertStore, SupportedProtocolVersion,
    pki_types::{CertificateDer, ServerName},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncWrite, duplex},
    task::JoinSet,
    time::Duration,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tracing::level_filters::LevelFilter;

use super::*;
use crate::telemetry::Metrics;

/// A pair as it would be written to files.
struct Made {
    certificate: String,
    key: String,
    der: CertificateDer<'static>,
}

impl Made {
    fn files(&self) -> [(&'static str, &str); 2] {
        [("tls.crt", &self.certificate), ("tls.key", &self.key)]
    }
}

fn made() -> Made {
    valid(2020, 2100)
}

fn valid(from: i32, to: i32) -> Made {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(from, 1, 1);
    params.not_after = rcgen::date_time_ymd(to, 1, 1);
    let certificate = params.self_signed(&key).unwrap();
    Made {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
        der: certificate.der().clone(),
    }
}

fn names() -> Files {
    Files { certificate: "tls.crt".into(), key: "tls.key".into() }
}

fn files(folder: &Path) -> Files {
    Files { certificate: folder.join("tls.crt"), key: folder.join("tls.key") }
}

fn write(folder: &Path, made: &Made) {
    for (name, content) in made.files() {
        fs::write(folder.join(name), content).unwrap();
    }
}

fn started(folder: &Path) -> (Reloader, Metrics) {
    cluster::attentive();
    let metrics = Metrics::new();
    (Reloader::start(files(folder), metrics.certificates()).unwrap(), metrics)
}

fn parse(certificate: &str, key: &str) -> Result<Pair, Error> {
    Pair::parse(certificate.as_bytes(), key.as_bytes(), &names(), SystemTime::now())
}

/// A configuration that serves a fresh pair, and the pair, for the tests of others.
pub(crate) fn config() -> (Arc<ServerConfig>, CertificateDer<'static>) {
    let made = made();
    (configured(&made, "1.2", ""), made.der)
}

/// A client's end of TLS that trusts this certificate, for the tests of others.
pub(crate) async fn connect<T>(
    io: T,
    trusted: CertificateDer<'static>,
) -> tokio_rustls::client::TlsStream<T>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    try_connect(io, trusted).await.unwrap()
}

/// The same, where it may fail.
pub(crate) async fn try_connect<T>(
    io: T,
    trusted: CertificateDer<'static>,
) -> io::Result<tokio_rustls::client::TlsStream<T>>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let client = Client { trusted: vec![trusted], versions: vec![&TLS13], alpn: &[b"http/1.1"] };
    client.connect(io).await
}

/// What a handshake came to.
#[derive(Debug)]
struct Negotiated {
    certificate: CertificateDer<'static>,
    version: ProtocolVersion,
    suite: rustls::CipherSuite,
    group: NamedGroup,
    alpn: Option<Vec<u8>>,
}

struct Client {
    trusted: Vec<CertificateDer<'static>>,
    versions: Vec<&'static SupportedProtocolVersion>,
    alpn: &'static [&'static [u8]],
}

fn client(trusted: &[&Made]) -> Client {
    Client {
        trusted: trusted.iter().map(|made| made.der.clone()).collect(),
        versions: vec![&TLS13, &TLS12],
        alpn: &[b"h2", b"http/1.1"],
    }
}

impl Client {
    async fn connect<T>(&self, io: T) -> io::Result<tokio_rustls::client::TlsStream<T>>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let mut roots = RootCertStore::empty();
        for certificate in &self.trusted {
            roots.add(certificate.clone()).unwrap();
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = self.alpn.iter().map(|name| name.to_vec()).collect();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, io).await
    }
}

async fn handshake(server: &Arc<ServerConfig>, client: &Client) -> io::Result<Negotiated> {
    let (near, far) = duplex(64 * 1024);
    let (ours, theirs) =
        tokio::join!(TlsAcceptor::from(Arc::clone(server)).accept(far), client.connect(near),);
    let _ours = ours?;
    let theirs = theirs?;
    let (_, session) = theirs.get_ref();
    Ok(Negotiated {
        certificate: session.peer_certificates().unwrap()[0].clone().into_owned(),
        version: session.protocol_version().unwrap(),
        suite: session.negotiated_cipher_suite().unwrap().suite(),
        group: session.negotiated_key_exchange_group().unwrap().name(),
        alpn: session.alpn_protocol().map(<[u8]>::to_vec),
    })
}

fn serving(reloader: &Reloader) -> Arc<ServerConfig> {
    server_config(reloader.served(), None, MinVersion::default(), &CipherSuites::default()).unwrap()
}

// === pairs ===

#[test]
fn a_bad_pair_is_refused_with_its_file_and_a_remedy() {
    let (good, other, old, new) = (made(), made(), valid(2000, 2001), valid(2090, 2100));
    for (certificate, key, reason, said) in [
        ("", good.key.as_str(), "malformed", "tls.crt holds no PEM certificate"),
        (
            "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----",
            &good.key,
            "malformed",
            "tls.crt is not",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
            &good.key,
            "malformed",
            "tls.crt is not",
        ),
        (&good.certificate, "", "malformed", "tls.key holds no PEM private key"),
        (&good.certificate, &good.certificate, "malformed", "tls.key holds no PEM private key"),
        (
            &good.certificate,
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
            "malformed",
            "tls.key holds a private key that cannot be used",
        ),
        (
            &good.certificate,
            &other.key,
            "mismatch",
            "tls.key is not that of the certificate in tls.crt",
        ),
        (&old.certificate, &old.key, "expired", "expired at 2001-01-01T00:00:00Z"),
        (&new.certificate, &new.key, "not-yet-valid", "not valid before 2090-01-01T00:00:00Z"),
    ] {
        let error = parse(certificate, key).unwrap_err();
        assert_eq!(error.reason(), reason, "{error}");
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[test]
fn a_chain_and_a_key_of_any_pem_form_are_taken() {
    let (leaf, issuer) = (made(), made());
    let chain = format!("comment\n{}{}", leaf.certificate, issuer.certificate);
    let pair = parse(&chain, &leaf.key).unwrap();
    assert_eq!(pair.certified().cert.len(), 2);
    assert_eq!(
        humantime::format_rfc3339_seconds(pair.not_after()).to_string(),
        "2100-01-01T00:00:00Z"
    );
}

#[test]
fn a_missing_file_fails_the_start_and_names_the_flags() {
    let folder = TempDir::new().unwrap();
    let error = Reloader::start(files(folder.path()), Metrics::new().certificates()).unwrap_err();
    assert_eq!(error.reason(), "unreadable");
    assert!(
        error.to_string().contains("tls.crt") && error.to_string().contains("--tls-cert"),
        "{error}"
    );
}

// === reloading ===

/// field.md F10: both files written in place, one after the other.
#[tokio::test]
async fn a_pair_that_is_replaced_file_by_file_is_served_by_the_next_handshake() {
    let folder = TempDir::new().unwrap();
    let (old, new) = (made(), made());
    write(folder.path(), &old);
    let (mut reloader, metrics) = started(folder.path());
    let server = serving(&reloader);
    let client = client(&[&old, &new]);
    assert_eq!(handshake(&server, &client).await.unwrap().certificate, old.der);

    fs::write(folder.path().join("tls.crt"), &new.certificate).unwrap();
    reloader.take(files(folder.path()).load(SystemTime::now()));
    assert_eq!(handshake(&server, &client).await.unwrap().certificate, old.der);
    let status = reloader.served().status(SystemTime::now());
    assert_eq!(status.trouble, None, "a pair in the middle of a change is no trouble yet");
    assert!(!metrics.encode().unwrap().contains("certificate_errors_total{"));

    fs::write(folder.path().join("tls.key"), &new.key).unwrap();
    reloader.take(files(folder.path()).load(SystemTime::now()));
    assert_eq!(handshake(&server, &client).await.unwrap().certificate, new.der);
}

/// field.md N15: a new folder, a new link beside `..data`, and a rename over it; the paths that
/// are read never change.
#[tokio::test(start_paused = true)]
async fn kubelets_swap_of_the_data_link_is_served_by_the_next_handshake() {
    let (old, new) = (made(), made());
    let mount = cluster::Mount::new(&old.files()).unwrap();

    let (reloader, _metrics) = started(mount.folder());
    let (server, status_of) = (serving(&reloader), reloader.served());
    let client = client(&[&old, &new]);
    let mut tasks = JoinSet::new();
    tasks.spawn(reloader.run(RELOAD_INTERVAL));
    assert_eq!(handshake(&server, &client).await.unwrap().certificate, old.der);

    mount.swap(&new.files()).unwrap();
    tokio::time::sleep(RELOAD_INTERVAL + Duration::from_secs(1)).await;
    assert_eq!(handshake(&server, &client).await.unwrap().certificate, new.der);
    assert!(status_of.status(SystemTime::now()).is_ready());
}

#[tokio::test]
async fn a_bad_replacement_keeps_the_old_pair_and_shows_until_it_is_mended() {
    let (old, other, expired, new) = (made(), made(), valid(2000, 2001), made());
    let mismatch = Made { key: other.key.clone(), ..made() };
    let malformed = Made { certificate: "nothing".to_owned(), ..made() };
    for (bad, reason) in [(&mismatch, "mismatch"), (&expired, "expired"), (&malformed, "malformed")]
    {
        let folder = TempDir::new().unwrap();
        write(folder.path(), &old);
        let (mut reloader, metrics) = started(folder.path());
        let server = serving(&reloader);
        let client = client(&[&old, &new]);

        write(folder.path(), bad);
        for _ in 0..2 {
            reloader.take(files(folder.path()).load(SystemTime::now()));
        }
        assert_eq!(handshake(&server, &client).await.unwrap().certificate, old.der);
        let status = reloader.served().status(SystemTime::now());
        assert!(status.is_ready(), "{reason}");
        assert!(status.trouble.is_some_and(|trouble| trouble.contains("tls.crt")), "{reason}");
        let counted = format!("certificate_errors_total{{reason=\"{reason}\"}}");
        assert!(metrics.encode().unwrap().contains(&counted), "{reason}");

        write(folder.path(), &new);
        reloader.take(files(folder.path()).load(SystemTime::now()));
        assert_eq!(handshake(&server, &client).await.unwrap().certificate, new.der);
        assert_eq!(reloader.served().status(SystemTime::now()).trouble, None);
    }
}

#[test]
fn trouble_is_logged_once_until_it_changes() {
    let folder = TempDir::new().unwrap();
    let (good, other, expired) = (made(), made(), valid(2000, 2001));
    write(folder.path(), &good);
    let (mut reloader, _metrics) = started(folder.path());
    let heard = Heard::listen(LevelFilter::INFO);
    for bad in [&Made { key: other.key.clone(), ..made() }, &expired, &good] {
        write(folder.path(), bad);
        for _ in 0..4 {
            reloader.take(files(folder.path()).load(SystemTime::now()));
        }
    }
    let written = heard.text();
    let lines: Vec<_> = written.lines().collect();
    assert_eq!(lines.len(), 3, "{written}");
    for (line, said) in lines.iter().zip(["mismatch", "expired", "in order again"]) {
        assert!(line.contains(said), "{line}");
        assert!(!line.contains("PRIVATE KEY"), "{line}");
    }
}

#[test]
fn readiness_ends_with_the_served_pair() {
    let made = made();
    let pair = parse(&made.certificate, &made.key).unwrap();
    let not_after = pair.not_after();
    let metrics = Metrics::new();
    let served = Served::new(pair, metrics.certificates());
    assert!(served.status(not_after).is_ready());
    let status = served.status(not_after + Duration::from_secs(1));
    assert_eq!(status.validity, Validity::Expired);
    assert!(!status.is_ready());
    let text = metrics.encode().unwrap();
    assert!(text.contains("certificate_not_after_seconds{kind=\"leaf\"} 4102444800"), "{text}");
}

#[test]
fn the_removal_of_the_files_is_trouble_and_their_return_is_not() {
    let folder = TempDir::new().unwrap();
    let made = made();
    write(folder.path(), &made);
    let (mut reloader, _metrics) = started(folder.path());
    fs::remove_file(folder.path().join("tls.key")).unwrap();
    reloader.take(files(folder.path()).load(SystemTime::now()));
    let status = reloader.served().status(SystemTime::now());
    assert!(status.is_ready() && status.trouble.is_some_and(|said| said.contains("tls.key")));
    write(folder.path(), &made);
    reloader.take(files(folder.path()).load(SystemTime::now()));
    assert_eq!(reloader.served().status(SystemTime::now()).trouble, None);
}

// === negotiation ===

fn configured(made: &Made, min: &str, suites: &str) -> Arc<ServerConfig> {
    let pair = parse(&made.certificate, &made.key).unwrap();
    let served = Served::new(pair, Metrics::new().certificates());
    let suites = CipherSuites::parse(suites).unwrap();
    server_config(Arc::new(served), None, MinVersion::parse(min).unwrap(), &suites).unwrap()
}

#[tokio::test]
async fn by_default_tls_13_is_spoken_with_a_post_quantum_group_and_http_11() {
    let made = made();
    let server = configured(&made, "1.2", "");
    let negotiated = handshake(&server, &client(&[&made])).await.unwrap();
    assert_eq!(negotiated.version, ProtocolVersion::TLSv1_3);
    assert_eq!(negotiated.group, NamedGroup::X25519MLKEM768);
    assert_eq!(negotiated.alpn.as_deref(), Some(b"http/1.1".as_slice()));
}

#[tokio::test]
async fn the_least_version_is_kept() {
    let made = made();
    let old = Client { versions: vec![&TLS12], ..client(&[&made]) };
    for name in ["1.2", "VersionTLS12"] {
        let negotiated = handshake(&configured(&made, name, ""), &old).await.unwrap();
        assert_eq!(negotiated.version, ProtocolVersion::TLSv1_2);
    }
    for name in ["1.3", "VersionTLS13"] {
        let server = configured(&made, name, "");
        handshake(&server, &old).await.unwrap_err();
        let negotiated = handshake(&server, &client(&[&made])).await.unwrap();
        assert_eq!(negotiated.version, ProtocolVersion::TLSv1_3);
    }
}

/// As in Go: a list concerns TLS 1.2 only, and TLS 1.3 stays with all its suites.
#[tokio::test]
async fn cipher_suites_are_those_that_were_set() {
    let made = made();
    let old = Client { versions: vec![&TLS12], ..client(&[&made]) };
    for (name, expected) in [
        (
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
            rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        ),
        (
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
            rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        ),
    ] {
        let server = configured(&made, "1.2", name);
        assert_eq!(handshake(&server, &old).await.unwrap().suite, expected);
        let negotiated = handshake(&server, &client(&[&made])).await.unwrap();
        assert_eq!(negotiated.version, ProtocolVersion::TLSv1_3);
    }
    let only_13 = configured(&made, "1.2", "TLS_AES_128_GCM_SHA256");
    handshake(&only_13, &old).await.unwrap_err();
    handshake(&only_13, &client(&[&made])).await.unwrap();
}

#[tokio::test]
async fn a_client_that_only_wants_http_2_is_refused() {
    let made = made();
    let server = configured(&made, "1.2", "");
    let wants_h2 = Client { alpn: &[b"h2"], ..client(&[&made]) };
    handshake(&server, &wants_h2).await.unwrap_err();
    let says_nothing = Client { alpn: &[], ..client(&[&made]) };
    handshake(&server, &says_nothing).await.unwrap();
}

#[test]
fn options_that_cannot_be_had_are_said_in_one_sentence() {
    for old in ["1.0", "1.1", "VersionTLS10", "VersionTLS11"] {
        let error = MinVersion::parse(old).unwrap_err().to_string();
        assert!(
            error.contains(old) && error.contains("too old") && error.contains("1.2"),
            "{error}"
        );
    }
    let error = MinVersion::parse("2").unwrap_err().to_string();
    assert!(error.contains("unknown") && error.contains("VersionTLS13"), "{error}");

    let suites = CipherSuites::parse(
        " TLS_RSA_WITH_AES_128_CBC_SHA, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,",
    )
    .unwrap();
    assert_eq!(suites.ignored(), ["TLS_RSA_WITH_AES_128_CBC_SHA"]);
    let error = CipherSuites::parse("TLS_RSA_WITH_AES_128_CBC_SHA").unwrap_err().to_string();
    assert!(error.contains("TLS_RSA_WITH_AES_128_CBC_SHA") && error.contains("ECDHE"), "{error}");
    let error = CipherSuites::parse("AES,TLS_AES_128_GCM_SHA256,ROT13").unwrap_err().to_string();
    assert!(error.contains("AES, ROT13"), "{error}");
    assert_eq!(CipherSuites::parse(" , ").unwrap(), CipherSuites::default());
}
