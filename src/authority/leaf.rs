//! The certificate that one replica serves.
//!
//! A [`Leaf`] is made in memory, for one process, and its key is never written anywhere. It names
//! the Service in each form in which one can be addressed, it is for servers only, and it never
//! outlives the CA that signed it. What is made here was parsed again before it is handed out.

use std::fmt;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use zeroize::{Zeroize as _, Zeroizing};

use super::{
    authorities::Ca,
    certificate::{CertificateError, Validity, parse, pem},
    rotation::{LeafOrder, Serving},
};

/// The longest common name (RFC 5280, appendix A.1, `ub-common-name`), in characters.
const COMMON_NAME_MAX: usize = 64;

/// What clients call the Service: the names of RFC 1123 by which Kubernetes' DNS knows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServiceNames(Vec<String>);

/// A certificate for [`ServiceNames`], and its key. The key is wiped when dropped.
pub struct Leaf {
    serving: Serving,
    certificate: String,
    key: Zeroizing<String>,
}

/// Why a leaf could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeafError {
    /// The CA does not hold long enough.
    #[error("the CA {} ends before a certificate could begin: compare the clocks", ca)]
    CaExpired {
        /// Which one.
        ca: super::CaId,
    },
    /// The Service's name cannot stand in a certificate.
    #[error("the name of the Service cannot stand in a certificate: {names:?}")]
    Names {
        /// The names.
        names: Vec<String>,
        /// What is wrong.
        #[source]
        source: rcgen::Error,
    },
    /// No key could be made.
    #[error("cannot make the key of a certificate")]
    Key(#[source] rcgen::Error),
    /// The CA cannot sign.
    #[error("the CA cannot sign a certificate")]
    Signing(#[source] rcgen::Error),
    /// What was made cannot be read.
    #[error("the certificate that was just made cannot be read")]
    Unreadable(#[from] CertificateError),
    /// What was made names another issuer.
    #[error("the certificate that was just made does not name its CA")]
    Issuer,
}

// === impl ServiceNames ===

impl ServiceNames {
    /// `name`, `name.ns`, `name.ns.svc` (what API servers use) and `name.ns.svc.cluster.local`.
    pub fn new(service: &str, namespace: &str) -> Self {
        Self(vec![
            service.to_owned(),
            format!("{service}.{namespace}"),
            format!("{service}.{namespace}.svc"),
            format!("{service}.{namespace}.svc.cluster.local"),
        ])
    }

    /// The same, and another name or IP address by which clients call: the host of a URL.
    #[must_use]
    pub fn and(mut self, host: &str) -> Self {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if !self.0.contains(&host) {
            self.0.insert(0, host);
        }
        self
    }

    /// The names, the shortest of the Service first, after that of a URL.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The longest that fits a common name. Clients do not look at it, people do.
    fn common_name(&self) -> Option<&str> {
        self.iter().filter(|name| name.chars().count() <= COMMON_NAME_MAX).last()
    }
}

// === impl Leaf ===

impl Leaf {
    /// Makes what a replica ordered.
    pub fn make(order: &LeafOrder, names: &ServiceNames) -> Result<Self, LeafError> {
        let LeafOrder { ca, validity } = order;
        Self::signed_by(ca, *validity, names)
    }

    /// Makes one, ECDSA P-256; it ends with the CA at the latest.
    pub fn signed_by(ca: &Ca, validity: Validity, names: &ServiceNames) -> Result<Self, LeafError> {
        let validity = validity.within(ca.validity());
        if validity.not_after <= validity.not_before {
            return Err(LeafError::CaExpired { ca: ca.id() });
        }
        let mut params = CertificateParams::new(names.0.clone())
            .map_err(|source| LeafError::Names { names: names.0.clone(), source })?;
        params.distinguished_name = DistinguishedName::new();
        if let Some(name) = names.common_name() {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.not_before = validity.not_before.into();
        params.not_after = validity.not_after.into();
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;

        let issuer = ca.issuer().map_err(LeafError::Signing)?;
        let mut pair = KeyPair::generate().map_err(LeafError::Key)?;
        let signed = params.signed_by(&pair, &issuer).map_err(LeafError::Signing);
        let key = Zeroizing::new(pair.serialize_pem());
        pair.zeroize();
        let signed = signed?;
        let issuer_is_ca = parse(signed.der())?.issuer().as_raw()
            == parse(ca.certificate().der())?.subject().as_raw();
        if !issuer_is_ca {
            return Err(LeafError::Issuer);
        }
        Ok(Self {
            serving: Serving { ca: ca.certificate().clone(), validity },
            certificate: pem(signed.der()),
            key,
        })
    }

    /// What a replica has to know of it once it is served.
    pub fn serving(&self) -> &Serving {
        &self.serving
    }

    /// The chain, PEM: only the leaf, since clients have the CA.
    pub fn certificate(&self) -> &[u8] {
        self.certificate.as_bytes()
    }

    /// The key, PEM, PKCS #8. For memory only.
    pub fn key(&self) -> &[u8] {
        self.key.as_bytes()
    }
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaf").field("serving", &self.serving).finish_non_exhaustive()
    }
}
