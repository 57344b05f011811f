//! Certificate authorities for tests, made anew for each control plane and each webhook.
//!
//! Keys are made and used by aws-lc-rs, the only crypto provider of the tree. Nothing of this is
//! ever written into the repository.

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_RSA_SHA256, RsaKeySize,
};

/// A certificate authority that signs serving and client certificates.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: Vec<u8>,
}

/// A certificate and its private key, both PEM.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// The private key, PKCS #8.
    pub key: String,
}

/// The key pair that signs service account tokens.
#[derive(Debug)]
pub(crate) struct SigningKey {
    /// PKCS #8, PEM.
    pub(crate) private: String,
    /// SPKI, PEM.
    pub(crate) public: String,
}

// === impl Authority ===

impl Authority {
    /// A new authority with a new key.
    pub fn new(common_name: &str) -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = named(common_name, Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        let (pem, der) = (certificate.pem(), certificate.der().to_vec());
        Ok(Self { issuer: Issuer::new(params, key), pem, der })
    }

    /// The authority's own certificate, PEM: what goes into a `caBundle`.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The same, DER: what a TLS client trusts.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// A serving certificate for these DNS names and IP addresses.
    pub fn serving(&self, names: &[&str]) -> Result<Pair> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let common_name = names.first().cloned().unwrap_or_default();
        let mut params = named(&common_name, names)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    /// A client certificate for the Kubernetes user `user` in `group`.
    pub fn client(&self, user: &str, group: &str) -> Result<Pair> {
        let mut params = named(user, Vec::new())?;
        params.distinguished_name.push(DnType::OrganizationName, group);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    fn sign(&self, mut params: CertificateParams) -> Result<Pair> {
        let key = KeyPair::generate()?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Pair { certificate, key: key.serialize_pem() })
    }
}

// === impl SigningKey ===

impl SigningKey {
    /// A new RSA key: EKS signs its service account tokens with RS256.
    pub(crate) fn new() -> Result<Self> {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
        Ok(Self { private: key.serialize_pem(), public: key.public_key_pem() })
    }
}

fn named(common_name: &str, alternatives: Vec<String>) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(alternatives)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    Ok(params)
}
