//! Certificates of authorities as values: who they are, from when to when they hold.
//!
//! A [`CaCertificate`] exists only if it is X.509, says that it is a CA and may sign certificates;
//! whether it holds *now* is asked with a clock, by those who have one. It is known by the SHA-256
//! of its DER form, and its PEM form is always written anew from that: what is equal looks equal.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::digest;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use rustls::pki_types::{
    CertificateDer,
    pem::{self, PemObject},
};
use x509_parser::prelude::X509Certificate;

/// How far back the validity of everything that is made here begins: clocks differ.
pub const BACKDATE: Duration = Duration::from_mins(5);

/// The last second that X.509 can write (RFC 5280, 4.1.2.5.2), 9999-12-31T23:59:59Z.
const END_OF_TIME: Duration = Duration::from_secs(253_402_300_799);

/// The length of a line of base64 in PEM (RFC 7468, 2).
const PEM_LINE: usize = 64;

/// Which certificate: the SHA-256 of its DER form, 32 bytes.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CaId([u8; 32]);

/// From when to when a certificate holds, both ends included, in whole seconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Validity {
    /// The first moment.
    pub not_before: SystemTime,
    /// The last moment.
    pub not_after: SystemTime,
}

/// The certificate of an authority, without its key. Cheap to clone.
#[derive(Clone, Eq, PartialEq)]
pub struct CaCertificate {
    id: CaId,
    validity: Validity,
    der: Arc<[u8]>,
}

/// Why bytes are not the certificate of an authority.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// A PEM section that does not end, or is not base64.
    #[error("not PEM")]
    Pem(#[source] pem::Error),
    /// No certificate at all.
    #[error("no PEM certificate in it")]
    Nothing,
    /// More than the one that is expected.
    #[error("{count} certificates in it, where one belongs")]
    Several {
        /// How many.
        count: usize,
    },
    /// Not DER, or not a certificate.
    #[error("not an X.509 certificate")]
    X509(#[source] x509_parser::error::X509Error),
    /// Something stands behind the certificate.
    #[error("{count} bytes behind the certificate")]
    Trailing {
        /// How many.
        count: usize,
    },
    /// A leaf.
    #[error("not the certificate of a CA (basicConstraints)")]
    NotCa,
    /// A CA that may not sign certificates.
    #[error("a CA that may not sign certificates (keyUsage)")]
    NoSigning,
}

// === impl CaId ===

impl CaId {
    /// That of a certificate, DER.
    pub fn of(der: &[u8]) -> Self {
        let mut id = [0; 32];
        id.iter_mut().zip(digest::digest(&digest::SHA256, der).as_ref()).for_each(|(to, from)| {
            *to = *from;
        });
        Self(id)
    }
}

impl fmt::Display for CaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

// === impl Validity ===

impl Validity {
    /// From [`BACKDATE`] before `now` to `span` after it.
    pub fn starting(now: SystemTime, span: Duration) -> Self {
        Self {
            not_before: whole(now.checked_sub(BACKDATE).unwrap_or(UNIX_EPOCH)),
            not_after: whole(later(now, span)),
        }
    }

    /// The same, but over at the latest with `other`.
    #[must_use]
    pub fn within(self, other: Self) -> Self {
        Self { not_after: self.not_after.min(other.not_after), ..self }
    }

    /// When to renew: at two thirds of the life, which begins [`BACKDATE`] after `not_before`.
    pub fn renewal(&self) -> SystemTime {
        before(self.not_after, self.life() / 3)
    }

    /// From when on it does not count as held any more: `margin` before the end, for clocks that
    /// are late, but no more than a sixth of the life.
    pub fn last_call(&self, margin: Duration) -> SystemTime {
        before(self.not_after, margin.min(self.life() / 6))
    }

    /// Whether its last call is over at that moment.
    pub fn is_spent(&self, at: SystemTime, margin: Duration) -> bool {
        self.last_call(margin) <= at
    }

    /// Whether it holds at that moment.
    pub fn holds(&self, at: SystemTime) -> bool {
        self.not_before <= at && !self.is_over(at)
    }

    /// Whether it has ended by then.
    pub fn is_over(&self, at: SystemTime) -> bool {
        self.not_after < at
    }

    fn life(&self) -> Duration {
        let span = self.not_after.duration_since(self.not_before).unwrap_or_default();
        span.checked_sub(BACKDATE).filter(|life| !life.is_zero()).unwrap_or(span)
    }
}

/// A moment that much later, or the last that X.509 can write.
pub(super) fn later(at: SystemTime, by: Duration) -> SystemTime {
    let end = UNIX_EPOCH + END_OF_TIME;
    at.checked_add(by).map_or(end, |moment| moment.min(end))
}

fn before(at: SystemTime, by: Duration) -> SystemTime {
    at.checked_sub(by).unwrap_or(UNIX_EPOCH)
}

fn whole(at: SystemTime) -> SystemTime {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

// === impl CaCertificate ===

impl CaCertificate {
    /// Reads one in DER form.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let certificate = parse(der)?;
        let constraints = certificate.basic_constraints().map_err(CertificateError::X509)?;
        if !constraints.is_some_and(|extension| extension.value.ca) {
            return Err(CertificateError::NotCa);
        }
        let usage = certificate.key_usage().map_err(CertificateError::X509)?;
        if usage.is_some_and(|extension| !extension.value.key_cert_sign()) {
            return Err(CertificateError::NoSigning);
        }
        let validity = Validity {
            not_before: moment(certificate.validity().not_before.timestamp()),
            not_after: moment(certificate.validity().not_after.timestamp()),
        };
        Ok(Self { id: CaId::of(der), validity, der: der.into() })
    }

    /// Reads PEM that holds exactly one.
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        let mut all = Self::all_from_pem(pem)?;
        match (all.pop(), all.len()) {
            (Some(only), 0) => Ok(only),
            (Some(_), others) => Err(CertificateError::Several { count: others + 1 }),
            (None, _) => Err(CertificateError::Nothing),
        }
    }

    /// Reads PEM that holds any number, none included.
    pub fn all_from_pem(pem: &[u8]) -> Result<Vec<Self>, CertificateError> {
        CertificateDer::pem_slice_iter(pem)
            .map(|der| Self::from_der(&der.map_err(CertificateError::Pem)?))
            .collect()
    }

    /// Those in PEM that can be read; what cannot is passed over.
    pub fn readable_in_pem(pem: &[u8]) -> Vec<Self> {
        CertificateDer::pem_slice_iter(pem)
            .filter_map(|der| Self::from_der(&der.ok()?).ok())
            .collect()
    }

    /// Which one.
    pub fn id(&self) -> CaId {
        self.id
    }

    /// From when to when it holds.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// The DER form.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The PEM form, with a line feed at its end.
    pub fn pem(&self) -> String {
        pem(&self.der)
    }

    /// One that is nothing but a number, for tests that need many.
    #[cfg(test)]
    pub(super) fn fake(number: u32, validity: Validity) -> Self {
        let der = number.to_be_bytes();
        let mut id = [0; 32];
        id.iter_mut().zip(der).for_each(|(to, from)| *to = from);
        Self { id: CaId(id), validity, der: der.as_slice().into() }
    }
}

impl fmt::Debug for CaCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CaCertificate({:?})", self.id)
    }
}

/// A certificate in DER form with nothing behind it.
pub(super) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, CertificateError> {
    let (rest, certificate) = x509_parser::parse_x509_certificate(der)
        .map_err(|error| CertificateError::X509(error.into()))?;
    if !rest.is_empty() {
        return Err(CertificateError::Trailing { count: rest.len() });
    }
    Ok(certificate)
}

/// A certificate in PEM form, as RFC 7468 has it: lines of 64 characters that end in a line feed.
pub(super) fn pem(der: &[u8]) -> String {
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    let body = BASE64_STANDARD.encode(der);
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, behind) = rest.split_at_checked(PEM_LINE).unwrap_or((rest, ""));
        text.push_str(line);
        text.push('\n');
        rest = behind;
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

/// A Unix time; those before 1970 count as 1970.
fn moment(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}
