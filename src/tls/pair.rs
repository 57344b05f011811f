//! A certificate chain with its key, checked.
//!
//! A [`Pair`] exists only if rustls can serve it and a client would take it now: both parts parse,
//! the key is the leaf's, the leaf is valid. Its sources are PEM bytes; [`Files`] are one.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustls::{
    crypto::aws_lc_rs,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    sign::CertifiedKey,
};

use zeroize::{Zeroize as _, Zeroizing};

use super::Error;

/// How often both files are read until the certificate is the same before and after the key.
const CONSISTENT_READS: usize = 3;

/// Where a pair is kept: a PEM chain, the server's own certificate first, and a PEM key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Files {
    /// The chain's file.
    pub certificate: PathBuf,
    /// The key's file.
    pub key: PathBuf,
}

/// A chain and its key, fit to be served.
pub struct Pair {
    certified: Arc<CertifiedKey>,
    not_after: SystemTime,
}

// === impl Files ===

impl Files {
    /// Reads and checks the pair as of `now`. Blocks.
    pub fn load(&self, now: SystemTime) -> Result<Pair, Error> {
        let (certificate, key) = self.read()?;
        Pair::parse(&certificate, &key, self, now)
    }

    /// The files' contents, of one moment if possible: kubelet may swap both between two reads.
    fn read(&self) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), Error> {
        let mut certificate = read(&self.certificate)?;
        let mut key = Zeroizing::new(read(&self.key)?);
        for _ in 1..CONSISTENT_READS {
            let again = read(&self.certificate)?;
            if again == certificate {
                break;
            }
            certificate = again;
            key = Zeroizing::new(read(&self.key)?);
        }
        Ok((certificate, key))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::Unreadable { path: path.to_owned(), source })
}

// === impl Pair ===

impl Pair {
    /// Checks a pair as of `now`; `names` is what errors call its parts.
    pub fn parse(
        certificate: &[u8],
        key: &[u8],
        names: &Files,
        now: SystemTime,
    ) -> Result<Self, Error> {
        let chain = parse_chain(certificate, &names.certificate)?;
        let key = parse_key(key, &names.key)?;
        let certified = CertifiedKey::new(chain, key);
        let (not_before, not_after) = validity(&certified, &names.certificate)?;

        match certified.keys_match() {
            // "Unknown" is of keys that do not tell their public half; none of ours.
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                let Files { certificate, key } = names.clone();
                return Err(Error::Mismatch { certificate, key });
            }
            Err(source) => {
                return Err(Error::MalformedCertificate {
                    path: names.certificate.clone(),
                    source: source.into(),
                });
            }
        }
        if now > not_after {
            return Err(Error::Expired { path: names.certificate.clone(), not_after });
        }
        if now < not_before {
            return Err(Error::NotYetValid { path: names.certificate.clone(), not_before });
        }
        Ok(Self { certified: Arc::new(certified), not_after })
    }

    /// The last moment at which a client takes the leaf.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// What rustls serves.
    pub(super) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    /// Whether the other has the same chain (and so, since both are checked, the same key).
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.certified.cert == other.certified.cert
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

fn parse_chain(bytes: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let chain = CertificateDer::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>();
    match chain {
        Ok(chain) if chain.is_empty() => Err(Error::NoCertificate { path: path.to_owned() }),
        Ok(chain) => Ok(chain),
        Err(source) => {
            Err(Error::MalformedCertificate { path: path.to_owned(), source: source.into() })
        }
    }
}

fn parse_key(bytes: &[u8], path: &Path) -> Result<Arc<dyn rustls::sign::SigningKey>, Error> {
    let unusable = |source: Box<dyn std::error::Error + Send + Sync>| Error::UnusableKey {
        path: path.to_owned(),
        source,
    };
    let mut der = PrivateKeyDer::from_pem_slice(bytes).map_err(|error| match error {
        pem::Error::NoItemsFound => Error::NoKey { path: path.to_owned() },
        error => unusable(error.into()),
    })?;
    let key = aws_lc_rs::sign::any_supported_type(&der);
    der.zeroize();
    key.map_err(|error| unusable(error.into()))
}

/// The first and the last moment of the leaf's validity.
fn validity(certified: &CertifiedKey, path: &Path) -> Result<(SystemTime, SystemTime), Error> {
    let malformed = |source: Box<dyn std::error::Error + Send + Sync>| {
        Error::MalformedCertificate { path: path.to_owned(), source }
    };
    let leaf = certified.end_entity_cert().map_err(|error| malformed(error.into()))?;
    let (_, leaf) =
        x509_parser::parse_x509_certificate(leaf).map_err(|error| malformed(error.into()))?;
    let validity = leaf.validity();
    Ok((moment(validity.not_before.timestamp()), moment(validity.not_after.timestamp())))
}

/// A Unix time; those before 1970 count as 1970.
pub(super) fn moment(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}
