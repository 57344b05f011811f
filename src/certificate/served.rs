//! What an address serves, asked as an API server would ask.
//!
//! The handshake itself takes any certificate, since one that is not trusted is what people look
//! for here; nothing is sent and nothing else is received. Trust is tried afterwards, by webpki.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::report::Certificate;
use crate::authority::{Bundle, Validity};

/// How long a handshake may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A chain, the leaf first.
#[derive(Clone, Debug)]
pub struct Chain(Vec<CertificateDer<'static>>);

/// Asks an address, `host:port`, for its certificate.
pub(super) async fn ask(address: &str) -> Result<Chain, String> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let asked = async {
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        handshake(stream, &host).await.map(|(chain, _)| chain)
    };
    match timeout(ANSWER_WITHIN, asked).await {
        Ok(asked) => asked,
        Err(_) => Err(format!("no answer within {} s", ANSWER_WITHIN.as_secs())),
    }
}

/// Shakes hands over `stream` for the name `host`, with whoever answers: what is served there, and
/// the connection.
///
/// # Errors
///
/// Why there was no handshake, as a text for people.
pub async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    host: &str,
) -> Result<(Chain, impl AsyncRead + AsyncWrite + Unpin), String> {
    let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Any(provider)))
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect(name, stream).await.map_err(|error| error.to_string())?;
    let (_, connection) = stream.get_ref();
    let chain = connection.peer_certificates().unwrap_or_default();
    let chain = Chain(chain.iter().map(|der| der.clone().into_owned()).collect());
    Ok((chain, stream))
}

/// Whether somebody who trusts `bundle` takes the chain for `host`.
///
/// # Errors
///
/// Why not, as a text for people.
pub fn verify(chain: &Chain, bundle: &Bundle, host: &str, now: SystemTime) -> Result<(), String> {
    let Some((leaf, between)) = chain.0.split_first() else {
        return Err("there is no certificate".to_owned());
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(
        bundle.certificates().iter().map(|ca| CertificateDer::from(ca.der())),
    );
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| error.to_string())?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    let now = UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).unwrap_or_default());
    verifier
        .verify_server_cert(leaf, between, &name, &[], now)
        .map(|_| ())
        .map_err(|error| error.to_string())
}

// === impl Chain ===

impl Chain {
    /// Of certificates in DER form, the leaf first.
    pub fn of_der(certificates: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self(certificates.into_iter().map(CertificateDer::from).collect())
    }

    /// The leaf, if it can be read.
    pub fn certificate(&self) -> Option<Certificate> {
        let der = self.0.first()?;
        let (_, leaf) = x509_parser::parse_x509_certificate(der).ok()?;
        let moment = |seconds: i64| {
            UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
        };
        let validity = Validity {
            not_before: moment(leaf.validity().not_before.timestamp()),
            not_after: moment(leaf.validity().not_after.timestamp()),
        };
        let names = leaf.subject_alternative_name().ok().flatten().map(|extension| {
            extension.value.general_names.iter().map(ToString::to_string).collect()
        });
        Some(Certificate::of_leaf(der, validity, names.unwrap_or_default()))
    }
}

/// Takes any certificate, but only with a signature of its key.
struct Any(Arc<CryptoProvider>);

// === impl Any ===

impl fmt::Debug for Any {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Any")
    }
}

impl ServerCertVerifier for Any {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _between: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let schemes = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, schemes)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let schemes = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, schemes)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
