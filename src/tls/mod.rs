//! Certificates: from where they come to what rustls serves.
//!
//! ```text
//! Files --read--> Pair (checked) --> Served <--- Reloader, every 10 s, by content
//!                                      |
//!                    server_config ----+--> each handshake
//! ```
//!
//! A pair is checked before it is served: it parses, the key is the leaf's, the leaf is valid now.
//! At start a pair that fails is the end; later the last good one stays. So it is with the CA of the
//! clients that get an answer ([`Clients`]). Opens no sockets.

mod clients;
mod options;
mod pair;
mod reload;
#[cfg(test)]
pub(crate) mod tests;

use std::{io, path::PathBuf, sync::Arc, time::SystemTime};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    server::{NoServerSessionStorage, ResolvesServerCert},
    version::{TLS12, TLS13},
};

pub use clients::{ClientReloader, Clients, Stranger};
pub use options::{CipherSuites, MinVersion};
pub use pair::{Files, Pair};
pub use reload::{CertificateStatus, RELOAD_INTERVAL, Reloader, Served, Validity};

/// Why there is nothing to serve, or an option cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {}: mount the certificate there, or name another file with --tls-cert and --tls-key", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file has no certificate in it.
    #[error("{} holds no PEM certificate: it has to hold the certificate chain, the server's own first", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A file has something in it that is no certificate.
    #[error("{} is not a PEM certificate chain: write it anew", path.display())]
    MalformedCertificate {
        /// The file.
        path: PathBuf,
        /// What was found.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file has no private key in it.
    #[error("{} holds no PEM private key: it has to hold one that is not encrypted", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// A private key that cannot be used.
    #[error("{} holds a private key that cannot be used: use RSA of 2048 bits or more, ECDSA or Ed25519", path.display())]
    UnusableKey {
        /// The file.
        path: PathBuf,
        /// What was found.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The two files are not of one pair.
    #[error("the key in {} is not that of the certificate in {}: give both files of one pair", key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The leaf is not valid any more.
    #[error("the certificate in {} expired at {}: renew it", path.display(), humantime::format_rfc3339_seconds(*not_after))]
    Expired {
        /// The file.
        path: PathBuf,
        /// The last moment of its validity.
        not_after: SystemTime,
    },
    /// The leaf is not valid yet.
    #[error("the certificate in {} is not valid before {}: compare the clocks", path.display(), humantime::format_rfc3339_seconds(*not_before))]
    NotYetValid {
        /// The file.
        path: PathBuf,
        /// The first moment of its validity.
        not_before: SystemTime,
    },
    /// The file of the clients' CA cannot be read.
    #[error("cannot read {}: mount the CA of the API server's client certificate there, or name another file with --client-ca", path.display())]
    ClientCaUnreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file of the clients' CA has no certificate in it.
    #[error("{} holds no PEM certificate: it has to hold the CA of the API server's client certificate", path.display())]
    NoClientCa {
        /// The file.
        path: PathBuf,
    },
    /// The file of the clients' CA has something in it that is no certificate.
    #[error("{} is not a PEM bundle of CA certificates: write it anew", path.display())]
    MalformedClientCa {
        /// The file.
        path: PathBuf,
        /// What was found.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file of the clients' CA has the certificate of somebody else in it.
    #[error("{} holds a certificate that is not a CA's: give the CA that signed the API server's client certificate", path.display())]
    NotAClientCa {
        /// The file.
        path: PathBuf,
    },
    /// Every certificate of the clients' CA has expired.
    #[error("every CA certificate in {} has expired, the last at {}: renew it", path.display(), humantime::format_rfc3339_seconds(*not_after))]
    ExpiredClientCa {
        /// The file.
        path: PathBuf,
        /// When the last of them did.
        not_after: SystemTime,
    },
    /// A TLS version that rustls does not have.
    #[error(
        "TLS version {given:?} is too old to be served: use 1.2, 1.3, VersionTLS12 or VersionTLS13"
    )]
    OldVersion {
        /// What was given.
        given: String,
    },
    /// No TLS version.
    #[error("unknown TLS version {given:?}: use 1.2, 1.3, VersionTLS12 or VersionTLS13")]
    UnknownVersion {
        /// What was given.
        given: String,
    },
    /// Names that are not cipher suites.
    #[error("unknown cipher suite {}: use the names of Go's crypto/tls, such as TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", names.join(", "))]
    UnknownSuites {
        /// The names.
        names: Vec<String>,
    },
    /// Nothing that can be served is among the cipher suites that were given.
    #[error("none of the cipher suites can be served: {} (add one that has ECDHE with GCM or CHACHA20)", ignored.join(", "))]
    NoSuites {
        /// Those that were given.
        ignored: Vec<&'static str>,
    },
    /// rustls does not accept the whole.
    #[error("TLS cannot be set up this way")]
    Config(#[source] rustls::Error),
}

/// What is served, to whom: TLS from `min_version` on, these cipher suites, HTTP/1.1 only, with the
/// post-quantum group X25519MLKEM768 preferred. Sessions are not resumed (API servers do not), so
/// every handshake sees the present certificate. With `clients`, those that show a certificate must
/// show one of theirs; whether one that shows none gets an answer is for others to say.
pub fn server_config(
    resolver: Arc<dyn ResolvesServerCert>,
    clients: Option<Arc<Clients>>,
    min_version: MinVersion,
    suites: &CipherSuites,
) -> Result<Arc<ServerConfig>, Error> {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.retain(|suite| suites.allows(suite));
    let has_tls12 =
        provider.cipher_suites.iter().any(|suite| suite.version().version == TLS12.version);
    let versions: &[_] = match min_version {
        MinVersion::Tls12 if has_tls12 => &[&TLS13, &TLS12],
        MinVersion::Tls12 | MinVersion::Tls13 => &[&TLS13],
    };
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .map_err(Error::Config)?;
    let config = match clients {
        Some(clients) => config.with_client_cert_verifier(clients),
        None => config.with_no_client_auth(),
    };
    let mut config = config.with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

// === impl Error ===

impl Error {
    /// A stable code, for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "unreadable",
            Self::NoCertificate { .. }
            | Self::MalformedCertificate { .. }
            | Self::NoKey { .. }
            | Self::UnusableKey { .. } => "malformed",
            Self::Mismatch { .. } => "mismatch",
            Self::Expired { .. } => "expired",
            Self::NotYetValid { .. } => "not-yet-valid",
            Self::ClientCaUnreadable { .. } => "client-ca-unreadable",
            Self::NoClientCa { .. }
            | Self::MalformedClientCa { .. }
            | Self::NotAClientCa { .. } => "client-ca-malformed",
            Self::ExpiredClientCa { .. } => "client-ca-expired",
            Self::OldVersion { .. }
            | Self::UnknownVersion { .. }
            | Self::UnknownSuites { .. }
            | Self::NoSuites { .. }
            | Self::Config(_) => "options",
        }
    }
}
