//! The Secret's data: the ledger in PEM and JSON that people and openssl can read.
//!
//! ```text
//! ca.crt  ca.key      the current CA         retired.crt   those that were, certificates only
//! next.crt  next.key  the next one, if any   retired.json  fingerprint -> until when trusted
//! ```
//!
//! Whatever the bytes, reading ends in a ledger or in an error that names the key. Keys that are not
//! of this table are somebody else's: they are passed over when reading, and kept when writing.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    authorities::{Ca, CaError, Key},
    certificate::{CaCertificate, CertificateError, later},
    ledger::Ledger,
    observed::Secret,
};

const CURRENT: Pair = Pair { certificate: "ca.crt", key: "ca.key" };
const NEXT: Pair = Pair { certificate: "next.crt", key: "next.key" };
const RETIRED: &str = "retired.crt";
const TIMES: &str = "retired.json";

/// The keys of the Secret's data that are ours.
pub const KEYS: [&str; 6] =
    [CURRENT.certificate, CURRENT.key, NEXT.certificate, NEXT.key, RETIRED, TIMES];

/// The data of a Secret, by key.
type Data = BTreeMap<String, Vec<u8>>;

struct Pair {
    certificate: &'static str,
    key: &'static str,
}

/// Why the data of a Secret is not a ledger.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// A key is not there.
    #[error("the Secret has no {key}")]
    Absent {
        /// Which one.
        key: &'static str,
    },
    /// A certificate and its key are not those of a CA.
    #[error("{certificate} and {key} of the Secret are not a CA")]
    Ca {
        /// The certificate's key in the Secret.
        certificate: &'static str,
        /// The private key's.
        key: &'static str,
        /// What is wrong.
        #[source]
        source: CaError,
    },
    /// A CA stands in it twice.
    #[error("{key} of the Secret holds a CA that stands elsewhere in it as well")]
    Twice {
        /// The key of the second place.
        key: &'static str,
    },
    /// The retired CAs cannot be read.
    #[error("{key} of the Secret is not a list of CA certificates")]
    Retired {
        /// The key.
        key: &'static str,
        /// What is wrong.
        #[source]
        source: CertificateError,
    },
    /// The times of the retired CAs cannot be read.
    #[error("{key} of the Secret is not a JSON object of fingerprints and times")]
    Times {
        /// The key.
        key: &'static str,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// A time of a retired CA is none.
    #[error(
        "{key} of the Secret has {value:?} as a time, instead of one such as 2026-01-31T12:00:00Z"
    )]
    Time {
        /// The key.
        key: &'static str,
        /// What stands there.
        value: String,
    },
}

// === impl Ledger ===

impl Ledger {
    /// Reads the data of a Secret.
    pub fn read(data: &Data) -> Result<Self, LedgerError> {
        let mut ledger = Self::new(CURRENT.read(data)?);
        if NEXT.is_in(data) {
            let next = NEXT.read(data)?;
            if ledger.contains(next.id()) {
                return Err(LedgerError::Twice { key: NEXT.certificate });
            }
            ledger = ledger.followed_by(next, SystemTime::UNIX_EPOCH);
        }
        let times = times(data)?;
        for certificate in retired(data)? {
            if ledger.contains(certificate.id()) {
                return Err(LedgerError::Twice { key: RETIRED });
            }
            // Without a time: as long as it holds.
            let until = times
                .get(&certificate.id().to_string())
                .copied()
                .unwrap_or_else(|| later(certificate.validity().not_after, Duration::ZERO));
            ledger = ledger.retiring(certificate, until);
        }
        Ok(ledger)
    }

    /// The data that the Secret has to have, given what is in it: our keys as the ledger says, all
    /// others as they are.
    pub fn write(&self, present: &Data) -> Data {
        let mut data: Data = present
            .iter()
            .filter(|(key, _)| !KEYS.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        CURRENT.write(self.current(), &mut data);
        if let Some(next) = self.next() {
            NEXT.write(next, &mut data);
        }
        if !self.retired().is_empty() {
            let retired = self.retired();
            let certificates: String = retired.iter().map(|one| one.certificate.pem()).collect();
            let times: serde_json::Map<_, _> = retired
                .iter()
                .map(|one| {
                    let until = later(one.until, Duration::ZERO);
                    let until = humantime::format_rfc3339(until).to_string();
                    (one.certificate.id().to_string(), until.into())
                })
                .collect();
            data.insert(RETIRED.to_owned(), certificates.into_bytes());
            data.insert(TIMES.to_owned(), format!("{:#}\n", serde_json::Value::from(times)).into());
        }
        data
    }
}

// === impl Secret ===

impl Secret {
    /// Reads a Secret that exists.
    pub fn read(data: &Data, resource_version: String) -> Self {
        if !KEYS.iter().any(|key| data.get(*key).is_some_and(|value| !value.is_empty())) {
            return Self::Vacant { resource_version };
        }
        match Ledger::read(data) {
            Ok(ledger) => Self::Held { ledger: Box::new(ledger), resource_version },
            Err(error) => {
                let (error, salvaged) = (Arc::new(error), salvaged(data));
                Self::Corrupt { error, salvaged, resource_version }
            }
        }
    }
}

/// The certificates of CAs that can be read in a Secret that is no ledger.
fn salvaged(data: &Data) -> Vec<CaCertificate> {
    [CURRENT.certificate, NEXT.certificate, RETIRED]
        .into_iter()
        .filter_map(|key| data.get(key))
        .flat_map(|pem| CaCertificate::readable_in_pem(pem))
        .collect()
}

// === impl Pair ===

impl Pair {
    fn is_in(&self, data: &Data) -> bool {
        data.contains_key(self.certificate) || data.contains_key(self.key)
    }

    fn read(&self, data: &Data) -> Result<Ca, LedgerError> {
        let Self { certificate, key } = *self;
        let held = |key| data.get(key).ok_or(LedgerError::Absent { key });
        Ca::parse(held(certificate)?, held(key)?).map_err(|source| LedgerError::Ca {
            certificate,
            key,
            source,
        })
    }

    fn write(&self, ca: &Ca, data: &mut Data) {
        data.insert(self.certificate.to_owned(), ca.certificate().pem().into_bytes());
        data.insert(self.key.to_owned(), Key::pem(ca.key()).to_vec());
    }
}

fn retired(data: &Data) -> Result<Vec<CaCertificate>, LedgerError> {
    let Some(pem) = data.get(RETIRED) else { return Ok(Vec::new()) };
    CaCertificate::all_from_pem(pem).map_err(|source| LedgerError::Retired { key: RETIRED, source })
}

fn times(data: &Data) -> Result<BTreeMap<String, SystemTime>, LedgerError> {
    let Some(json) = data.get(TIMES) else { return Ok(BTreeMap::new()) };
    let times: BTreeMap<String, String> =
        serde_json::from_slice(json).map_err(|source| LedgerError::Times { key: TIMES, source })?;
    times
        .into_iter()
        .map(|(fingerprint, value)| match humantime::parse_rfc3339(&value) {
            Ok(until) => Ok((fingerprint, until)),
            Err(_) => Err(LedgerError::Time { key: TIMES, value }),
        })
        .collect()
}
