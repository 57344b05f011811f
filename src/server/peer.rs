//! Who is at the other end, as far as TLS knows.
//!
//! The certificates are those that the handshake verified, by the rules of whoever set TLS up; there
//! is no [`Peer`] without a certificate. What its names mean is not known here.

use std::sync::Arc;

use tokio_rustls::rustls::{ServerConnection, pki_types::CertificateDer};

/// A client that proved to own a certificate. Each of its requests has this as an extension.
#[derive(Clone, Debug)]
pub struct Peer(Arc<[CertificateDer<'static>]>);

impl Peer {
    /// The client of a connection whose handshake is done, if it showed a certificate.
    pub(super) fn of(connection: &ServerConnection) -> Option<Self> {
        let certificates = connection.peer_certificates()?;
        Some(Self(certificates.iter().map(|der| der.clone().into_owned()).collect()))
    }

    /// Its certificate (DER), then what it sent to link that to a CA.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.0
    }
}
