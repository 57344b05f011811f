//! Which clients get an answer: those that prove a certificate of our CA, and of a name.
//!
//! ```text
//! --client-ca --read--> Bundle --> Clients <--- ClientReloader, every 10 s, by content
//!                                    |
//!     each handshake: of the CA? ----+---- each call: still of the CA, and of a listed name?
//! ```
//!
//! A client may come without a certificate: health is for everyone. One that comes with a certificate
//! of another CA fails its handshake, so no certificate that was not verified is ever held. Calls are
//! judged anew although connections stay open: a CA that was taken away ends with the next call.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use arc_swap::{ArcSwap, ArcSwapOption};
use rustls::{
    DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, UnixTime, pem::PemObject},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName};

use super::{Error, pair::moment};
use crate::telemetry::CertificateMetrics;

/// Client certificates of which it is remembered that they were verified. A cluster has a handful of
/// API servers.
const REMEMBERED: usize = 16;

/// The clients that get an answer.
#[derive(Debug)]
pub struct Clients {
    bundle: ArcSwap<Bundle>,
    /// Subject common names and DNS names; none means every name.
    names: Vec<Box<str>>,
    trouble: ArcSwapOption<String>,
    metrics: CertificateMetrics,
}

/// Reads the CA's file again and again.
#[derive(Debug)]
pub struct ClientReloader {
    path: PathBuf,
    clients: Arc<Clients>,
}

/// Why a client gets no answer. The text is for that client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Stranger {
    /// It showed no certificate.
    #[error(
        "only the API server gets an answer here: it has to show a client certificate of the CA of --client-ca"
    )]
    NoCertificate,
    /// Its certificate was good when it connected, and is not now.
    #[error(
        "the client certificate is not valid, or not of the CA of --client-ca, any more: renew it"
    )]
    NotOfTheCa(#[source] rustls::Error),
    /// Its certificate has other names than those that are let in.
    #[error("the client certificate is for {}, which --client-name does not list", listed(names))]
    OtherName {
        /// Its subject's common name and its DNS names.
        names: Vec<String>,
    },
}

/// The CA certificates of one moment.
#[derive(Debug)]
pub(super) struct Bundle {
    anchors: Vec<CertificateDer<'static>>,
    verifier: Arc<dyn ClientCertVerifier>,
    /// Leaves that were verified by this bundle, and until when they are valid.
    verified: Mutex<Vec<(CertificateDer<'static>, SystemTime)>>,
}

// === impl Clients ===

impl Clients {
    /// Whether a client that showed this chain, its own certificate first, gets an answer at `now`.
    pub fn admit(&self, chain: &[CertificateDer<'_>], now: SystemTime) -> Result<(), Stranger> {
        let Some((leaf, intermediates)) = chain.split_first() else {
            return Err(Stranger::NoCertificate);
        };
        self.bundle.load().verify(leaf, intermediates, now).map_err(Stranger::NotOfTheCa)?;
        if self.names.is_empty() {
            return Ok(());
        }
        let names = Names::of(leaf);
        let is_listed = self.names.iter().any(|listed| names.contain(listed));
        if is_listed { Ok(()) } else { Err(Stranger::OtherName { names: names.all() }) }
    }

    /// Why the file's present content does not count, in one sentence, if it does not.
    pub fn trouble(&self) -> Option<Arc<String>> {
        self.trouble.load_full()
    }
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// None: they would have to outlive a change of the bundle, and strangers need not know them.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.bundle.load().verifier.verify_client_cert(leaf, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.bundle.load().verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.bundle.load().verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.bundle.load().verifier.supported_verify_schemes()
    }
}

// === impl ClientReloader ===

impl ClientReloader {
    /// Reads the file for the first time; a bad one is an error. Blocks.
    pub fn start(
        path: PathBuf,
        names: Vec<Box<str>>,
        metrics: CertificateMetrics,
    ) -> Result<Self, Error> {
        let bundle = ArcSwap::from_pointee(Bundle::load(&path, SystemTime::now())?);
        let trouble = ArcSwapOption::empty();
        Ok(Self { path, clients: Arc::new(Clients { bundle, names, trouble, metrics }) })
    }

    /// Who is let in.
    pub fn clients(&self) -> Arc<Clients> {
        Arc::clone(&self.clients)
    }

    /// Reads the file every `interval`, for ever.
    pub async fn run(self, interval: Duration) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let path = self.path.clone();
            let now = SystemTime::now();
            match tokio::task::spawn_blocking(move || Bundle::load(&path, now)).await {
                Ok(found) => self.take(found),
                Err(error) => tracing::error!(%error, "the clients' CA was not read"),
            }
        }
    }

    /// Acts on what a read found.
    pub(super) fn take(&self, found: Result<Bundle, Error>) {
        let Clients { bundle: current, names: _, trouble, metrics } = &*self.clients;
        match found {
            Ok(bundle) => {
                let was_told = trouble.swap(None).is_some();
                if bundle.anchors != current.load().anchors {
                    tracing::info!(certificates = bundle.anchors.len(), "clients' CA replaced");
                    current.store(Arc::new(bundle));
                } else if was_told {
                    tracing::info!("the clients' CA is in order again");
                }
            }
            Err(error) => {
                metrics.refused(error.reason());
                let sentence = error.to_string();
                if trouble.load().as_deref() != Some(&sentence) {
                    tracing::warn!(
                        reason = error.reason(),
                        error = &error as &dyn std::error::Error,
                        "the clients' CA cannot be used; the last good one is kept"
                    );
                    trouble.store(Some(Arc::new(sentence)));
                }
            }
        }
    }
}

// === impl Bundle ===

impl Bundle {
    /// Reads and checks the file as of `now`: all that is in it are certificates, and of CAs. Those
    /// that have expired do not count, and one that has not must be left. Blocks.
    pub(super) fn load(path: &Path, now: SystemTime) -> Result<Self, Error> {
        let text = fs::read(path)
            .map_err(|source| Error::ClientCaUnreadable { path: path.to_owned(), source })?;
        let malformed = |source: Box<dyn std::error::Error + Send + Sync>| {
            Error::MalformedClientCa { path: path.to_owned(), source }
        };
        let (mut anchors, mut last_expiry) = (Vec::new(), None);
        for found in CertificateDer::pem_slice_iter(&text) {
            let certificate = found.map_err(|error| malformed(error.into()))?;
            let (_, parsed) = x509_parser::parse_x509_certificate(&certificate)
                .map_err(|error| malformed(error.into()))?;
            // A certificate that signed itself is its own authority.
            if !parsed.is_ca() && parsed.subject() != parsed.issuer() {
                return Err(Error::NotAClientCa { path: path.to_owned() });
            }
            let not_after = moment(parsed.validity().not_after.timestamp());
            last_expiry = last_expiry.max(Some(not_after));
            if now <= not_after {
                anchors.push(certificate);
            }
        }
        match last_expiry {
            None => return Err(Error::NoClientCa { path: path.to_owned() }),
            Some(not_after) if anchors.is_empty() => {
                return Err(Error::ExpiredClientCa { path: path.to_owned(), not_after });
            }
            Some(_) => {}
        }
        let mut roots = RootCertStore::empty();
        for anchor in &anchors {
            roots.add(anchor.clone()).map_err(|error| malformed(error.into()))?;
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .allow_unauthenticated()
            .build()
            .map_err(|error| malformed(error.into()))?;
        Ok(Self { anchors, verifier, verified: Mutex::default() })
    }

    /// Whether the chain is good at `now`; that it is, is remembered while it may be.
    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: SystemTime,
    ) -> Result<(), rustls::Error> {
        let verified = || self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified().iter().any(|(known, not_after)| known == leaf && now <= *not_after) {
            return Ok(());
        }
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let at = UnixTime::since_unix_epoch(since);
        self.verifier.verify_client_cert(leaf, intermediates, at)?;
        let Ok((_, parsed)) = x509_parser::parse_x509_certificate(leaf) else { return Ok(()) };
        let not_after = moment(parsed.validity().not_after.timestamp());
        let mut verified = verified();
        if verified.len() >= REMEMBERED {
            verified.clear();
        }
        verified.push((leaf.clone().into_owned(), not_after));
        Ok(())
    }
}

// === names ===

/// What a client certificate says that its owner is called.
#[derive(Debug, Default)]
struct Names {
    /// The last one, as Go reads a subject that has several (crypto/x509/pkix, `FillFromRDNSequence`):
    /// who is a user for the API server is the same one here.
    common: Option<String>,
    dns: Vec<String>,
}

impl Names {
    /// The names in a certificate; what cannot be read names nobody.
    fn of(leaf: &CertificateDer<'_>) -> Self {
        let parsed = x509_parser::parse_x509_certificate(leaf);
        parsed.map(|(_, leaf)| Self::in_certificate(&leaf)).unwrap_or_default()
    }

    fn in_certificate(leaf: &X509Certificate<'_>) -> Self {
        let common = leaf.subject().iter_common_name().last();
        let alternatives = leaf.subject_alternative_name().ok().flatten();
        let dns = alternatives.iter().flat_map(|found| &found.value.general_names);
        Self {
            common: common.and_then(|name| name.as_str().ok()).map(str::to_owned),
            dns: dns
                .filter_map(|name| match name {
                    GeneralName::DNSName(name) => Some((*name).to_owned()),
                    _ => None,
                })
                .collect(),
        }
    }

    /// Common names are compared to the letter, DNS names in any case (RFC 5280, section 7.2).
    fn contain(&self, listed: &str) -> bool {
        let Self { common, dns } = self;
        common.as_deref() == Some(listed)
            || dns.iter().any(|name| name.eq_ignore_ascii_case(listed))
    }

    fn all(self) -> Vec<String> {
        let Self { common, dns } = self;
        common.into_iter().chain(dns).collect()
    }
}

/// Names as a sentence holds them: quoted, since a certificate may have anything in it.
fn listed(names: &[String]) -> String {
    if names.is_empty() {
        return "nobody".to_owned();
    }
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
