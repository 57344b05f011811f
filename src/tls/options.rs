//! TLS versions and cipher suites by the names that Go gives them.
//!
//! The flags are those of the Go webhook, and so is their meaning: a list of cipher suites concerns
//! TLS 1.2 only; the suites of TLS 1.3 are all there whatever it says (Go's `tls.Config`,
//! `CipherSuites`: "Note that TLS 1.3 ciphersuites are not configurable").

use std::str::FromStr;

use rustls::{CipherSuite as Suite, SupportedCipherSuite, version::TLS13};

use super::Error;

/// The oldest TLS version that is served.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum MinVersion {
    /// TLS 1.2.
    #[default]
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// The cipher suites that are served: all that rustls has, or some of them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CipherSuites {
    /// All without a list.
    listed: Option<Vec<Suite>>,
    ignored: Vec<&'static str>,
}

/// Every name of Go's `tls.CipherSuites()` and `tls.InsecureCipherSuites()`, and the two legacy
/// ones of its constants (crypto/tls, `cipher_suites.go`); with none are those that rustls lacks,
/// since they encrypt with CBC, RC4 or 3DES, or exchange keys without forward secrecy.
const NAMES: [(&str, Option<Suite>); 27] = [
    ("TLS_AES_128_GCM_SHA256", Some(Suite::TLS13_AES_128_GCM_SHA256)),
    ("TLS_AES_256_GCM_SHA384", Some(Suite::TLS13_AES_256_GCM_SHA384)),
    ("TLS_CHACHA20_POLY1305_SHA256", Some(Suite::TLS13_CHACHA20_POLY1305_SHA256)),
    (
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        Some(Suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        Some(Suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        Some(Suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
        Some(Suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", Some(Suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256)),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", Some(Suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384)),
    (
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        Some(Suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
    ),
    (
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
        Some(Suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
    ),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", None),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", None),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", None),
    ("TLS_ECDHE_ECDSA_WITH_RC4_128_SHA", None),
    ("TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA", None),
    ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", None),
    ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", None),
    ("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", None),
    ("TLS_ECDHE_RSA_WITH_RC4_128_SHA", None),
    ("TLS_RSA_WITH_3DES_EDE_CBC_SHA", None),
    ("TLS_RSA_WITH_AES_128_CBC_SHA", None),
    ("TLS_RSA_WITH_AES_128_CBC_SHA256", None),
    ("TLS_RSA_WITH_AES_128_GCM_SHA256", None),
    ("TLS_RSA_WITH_AES_256_CBC_SHA", None),
    ("TLS_RSA_WITH_AES_256_GCM_SHA384", None),
    ("TLS_RSA_WITH_RC4_128_SHA", None),
];

// === impl MinVersion ===

impl MinVersion {
    /// By the names of `--tls-min-version`: `1.2`, `1.3`, `VersionTLS12`, `VersionTLS13`.
    pub fn parse(given: &str) -> Result<Self, Error> {
        match given {
            "1.2" | "VersionTLS12" => Ok(Self::Tls12),
            "1.3" | "VersionTLS13" => Ok(Self::Tls13),
            "1.0" | "1.1" | "VersionTLS10" | "VersionTLS11" => {
                Err(Error::OldVersion { given: given.to_owned() })
            }
            _ => Err(Error::UnknownVersion { given: given.to_owned() }),
        }
    }
}

impl FromStr for MinVersion {
    type Err = Error;

    fn from_str(given: &str) -> Result<Self, Error> {
        Self::parse(given)
    }
}

// === impl CipherSuites ===

impl CipherSuites {
    /// By the value of `--tls-cipher-suites`: Go's names, comma separated. Nothing but blanks and
    /// commas means all.
    pub fn parse(given: &str) -> Result<Self, Error> {
        let names = || given.split(',').map(str::trim).filter(|name| !name.is_empty());
        let (mut listed, mut ignored, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
        for given in names() {
            match NAMES.iter().find(|(name, _)| *name == given) {
                Some((_, Some(suite))) => listed.push(*suite),
                Some((name, None)) => ignored.push(*name),
                None => unknown.push(given.to_owned()),
            }
        }
        if !unknown.is_empty() {
            return Err(Error::UnknownSuites { names: unknown });
        }
        if names().next().is_none() {
            return Ok(Self::default());
        }
        if listed.is_empty() {
            return Err(Error::NoSuites { ignored });
        }
        Ok(Self { listed: Some(listed), ignored })
    }

    /// The names that were given and that rustls does not have.
    pub fn ignored(&self) -> &[&'static str] {
        &self.ignored
    }

    pub(super) fn allows(&self, suite: &SupportedCipherSuite) -> bool {
        match &self.listed {
            None => true,
            Some(listed) => {
                suite.version().version == TLS13.version || listed.contains(&suite.suite())
            }
        }
    }
}

impl FromStr for CipherSuites {
    type Err = Error;

    fn from_str(given: &str) -> Result<Self, Error> {
        Self::parse(given)
    }
}
