//! A certificate authority: a certificate and the key that signs with it.
//!
//! A [`Ca`] that was parsed can sign: the key is the certificate's, and a leaf that it signs names
//! its issuer byte for byte, which was tried. Whether it holds now is not asked here, since the
//! clock of one replica must not decide what all of them use. Keys are wiped when dropped.

use std::{fmt, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData as _,
};
use rustls::pki_types::{
    PrivateKeyDer,
    pem::{self, PemObject},
};
use zeroize::{Zeroize, Zeroizing};

use super::certificate::{CaCertificate, CaId, CertificateError, Validity, parse};

/// What the name of each CA that is made here begins with.
const COMMON_NAME: &str = "pod-identity-webhook CA";

/// How many hexadecimal digits of its key's fingerprint follow, so that two CAs differ by name.
const SUFFIX: usize = 8;

/// A certificate authority. `K` is its private key: what decides never looks at it, so tests of
/// decisions do without.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ca<K = Key> {
    certificate: CaCertificate,
    key: K,
}

/// A private key that signs certificates, wiped when the last clone is dropped.
#[derive(Clone)]
pub struct Key(Arc<Kept>);

struct Kept {
    pair: KeyPair,
    /// As it was given, since a key that is not PKCS #8 keeps its form.
    pem: Zeroizing<Vec<u8>>,
}

/// Why two PEM texts are not a CA.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaError {
    /// The certificate is not that of a CA.
    #[error("the certificate cannot be used")]
    Certificate(#[from] CertificateError),
    /// No key at all.
    #[error("no PEM private key in it: it has to hold one that is not encrypted")]
    NoKey,
    /// A key that is not PEM.
    #[error("the private key is not PEM")]
    KeyPem(#[source] pem::Error),
    /// A key of a kind that cannot sign here.
    #[error("the private key cannot be used: use ECDSA, Ed25519 or RSA")]
    UnusableKey(#[source] rcgen::Error),
    /// The key is that of another certificate.
    #[error("the private key is not that of the certificate")]
    Mismatch,
    /// Trying to sign failed.
    #[error("the private key cannot sign")]
    Signing(#[source] rcgen::Error),
    /// A leaf would name an issuer that is not this subject, so that no client would find it.
    #[error("the certificate's subject cannot be written as an issuer: use single, plain names")]
    Subject,
}

/// Why a CA could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MakeError {
    /// No key could be made.
    #[error("cannot make the key of a CA")]
    Key(#[source] rcgen::Error),
    /// The certificate could not be signed.
    #[error("cannot sign the certificate of a CA")]
    Signing(#[source] rcgen::Error),
    /// What was made cannot be read.
    #[error("the certificate of a CA that was just made cannot be read")]
    Unreadable(#[from] CertificateError),
}

// === impl Ca ===

impl<K> Ca<K> {
    /// Which one.
    pub fn id(&self) -> CaId {
        self.certificate.id()
    }

    /// Its certificate.
    pub fn certificate(&self) -> &CaCertificate {
        &self.certificate
    }

    /// Its private key.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// From when to when it holds.
    pub fn validity(&self) -> Validity {
        self.certificate.validity()
    }
}

impl Ca {
    /// Makes a new one, ECDSA P-256, that may sign leaves only (`pathlen:0`).
    pub fn make(validity: Validity) -> Result<Self, MakeError> {
        let pair = KeyPair::generate().map_err(MakeError::Key)?;
        let fingerprint = CaId::of(pair.der_bytes()).to_string();
        let suffix: String = fingerprint.chars().take(SUFFIX).collect();

        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, format!("{COMMON_NAME} {suffix}"));
        params.not_before = validity.not_before.into();
        params.not_after = validity.not_after.into();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let signed = params.self_signed(&pair).map_err(MakeError::Signing)?;

        let certificate = CaCertificate::from_der(signed.der())?;
        let pem = Zeroizing::new(pair.serialize_pem().into_bytes());
        Ok(Self { certificate, key: Key(Arc::new(Kept { pair, pem })) })
    }

    /// Reads one: PEM that holds exactly one certificate, and PEM that holds its key.
    pub fn parse(certificate: &[u8], key: &[u8]) -> Result<Self, CaError> {
        let certificate = CaCertificate::from_pem(certificate)?;
        let key = Key::parse(key)?;
        let ca = Self { certificate, key };
        ca.prove()?;
        Ok(ca)
    }

    /// What rcgen signs with.
    pub(super) fn issuer(&self) -> Result<Issuer<'_, &KeyPair>, rcgen::Error> {
        Issuer::from_ca_cert_der(&self.certificate.der().into(), &self.key.0.pair)
    }

    /// Tries what a leaf needs.
    fn prove(&self) -> Result<(), CaError> {
        let pair = &self.key.0.pair;
        let own = parse(self.certificate.der())?;
        if own.public_key().raw != pair.subject_public_key_info() {
            return Err(CaError::Mismatch);
        }
        let trial = CertificateParams::default()
            .signed_by(pair, &self.issuer().map_err(CaError::Signing)?)
            .map_err(CaError::Signing)?;
        if parse(trial.der())?.issuer().as_raw() != own.subject().as_raw() {
            return Err(CaError::Subject);
        }
        Ok(())
    }
}

#[cfg(test)]
impl Ca<()> {
    /// One that is nothing but a number, for tests that need many.
    pub(super) fn fake(number: u32, validity: Validity) -> Self {
        Self { certificate: CaCertificate::fake(number, validity), key: () }
    }
}

// === impl Key ===

impl Key {
    /// The PEM form, as it was given.
    pub fn pem(&self) -> &[u8] {
        &self.0.pem
    }

    fn parse(pem: &[u8]) -> Result<Self, CaError> {
        let mut der = PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
            pem::Error::NoItemsFound => CaError::NoKey,
            error => CaError::KeyPem(error),
        })?;
        let pair = KeyPair::try_from(&der).map_err(CaError::UnusableKey);
        der.zeroize();
        Ok(Self(Arc::new(Kept { pair: pair?, pem: Zeroizing::new(pem.to_vec()) })))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(hidden)")
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0.pair.der_bytes() == other.0.pair.der_bytes()
    }
}

impl Eq for Key {}

impl Drop for Kept {
    fn drop(&mut self) {
        self.pair.zeroize();
    }
}
