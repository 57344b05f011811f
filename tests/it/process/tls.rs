//! TLS as a client meets it, and the client that the other tests use.

use std::io;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, NamedGroup, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;

/// A connection that has shaken hands.
pub(super) type Connection = TlsStream<TcpStream>;

/// A client that trusts this authority.
pub(super) fn client(
    authority: &[u8],
    versions: &[&'static SupportedProtocolVersion],
) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.to_vec())).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// Connects and shakes hands.
pub(super) async fn dial(address: &str, client: &TlsConnector) -> io::Result<Connection> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    client.connect(name, stream).await
}

/// The whole answer to a GET, on a connection of its own.
pub(super) async fn get(address: &str, authority: &[u8], path: &str) -> String {
    let exchange = async {
        let mut connection = dial(address, &client(authority, rustls::ALL_VERSIONS)).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: webhook\r\nConnection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        io::Result::Ok(answer)
    };
    tokio::time::timeout(SOON, exchange).await.unwrap().unwrap()
}

/// Both versions by default, the post-quantum group where the client has it; from 1.3 on if asked.
#[tokio::test]
async fn old_versions_are_refused_where_the_flag_says_so() {
    let [default, strict] = [[].as_slice(), &["--tls-min-version=1.3"]].map(Running::ready);
    let (default, strict) = tokio::join!(default, strict);
    let shake = async |running: &Running, version: &'static SupportedProtocolVersion| {
        let client = client(running.webhook.authority().der(), &[version]);
        dial(running.address(), &client).await
    };
    let connection = shake(&default, &rustls::version::TLS13).await.unwrap();
    let (_, session) = connection.get_ref();
    assert_eq!(session.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    let group = session.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, NamedGroup::X25519MLKEM768);
    assert_eq!(session.alpn_protocol(), None);

    let connection = shake(&default, &rustls::version::TLS12).await.unwrap();
    assert_eq!(connection.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_2));

    assert!(shake(&strict, &rustls::version::TLS13).await.is_ok());
    let refused = shake(&strict, &rustls::version::TLS12).await.unwrap_err();
    assert!(refused.to_string().contains("ProtocolVersion"), "{refused}");
}

/// Suites that rustls lacks are named and ignored.
#[tokio::test]
async fn cipher_suites_of_old_manifests_are_taken() {
    let running = Running::ready(&[
        "--tls-cipher-suites=TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,TLS_RSA_WITH_RC4_128_SHA",
    ])
    .await;
    let client = client(running.webhook.authority().der(), &[&rustls::version::TLS12]);
    let connection = dial(running.address(), &client).await.unwrap();
    let suite = connection.get_ref().1.negotiated_cipher_suite().unwrap().suite();
    assert_eq!(suite, rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384);
    let ignored = running.webhook.wait_for_log("TLS_RSA_WITH_RC4_128_SHA", SOON).await.unwrap();
    assert!(ignored.contains("are ignored"), "{ignored}");
}
