//! A `caBundle`: what one entry of a webhook configuration makes API servers trust.
//!
//! Reading is lenient: anybody may have written it, and whatever certificates of CAs can be found
//! in it count, as they do for an API server. Writing is a function of the ledger, to the byte, so
//! that replicas that read the same ledger never disagree.

use std::fmt;

use super::certificate::{CaCertificate, CaId};

/// A `caBundle`, decoded from base64: PEM.
#[derive(Clone, Eq, PartialEq)]
pub struct Bundle {
    bytes: Vec<u8>,
    certificates: Vec<CaCertificate>,
}

impl Bundle {
    /// What these bytes make an API server trust.
    pub fn read(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), certificates: CaCertificate::readable_in_pem(bytes) }
    }

    /// One that holds just these, in this order.
    pub fn of<'a>(certificates: impl IntoIterator<Item = &'a CaCertificate>) -> Self {
        let certificates: Vec<_> = certificates.into_iter().cloned().collect();
        let bytes = certificates.iter().map(CaCertificate::pem).collect::<String>().into_bytes();
        Self { bytes, certificates }
    }

    /// The PEM text, as it is read and written.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The certificates in it.
    pub fn certificates(&self) -> &[CaCertificate] {
        &self.certificates
    }

    /// Whether that CA is in it.
    pub fn trusts(&self, ca: CaId) -> bool {
        self.certificates.iter().any(|certificate| certificate.id() == ca)
    }
}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bundle").field(&self.certificates).finish()
    }
}
