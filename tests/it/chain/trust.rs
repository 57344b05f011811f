//! What an endpoint believes of a token: the API server's keys, its issuer, one audience, one
//! subject, and the clock.
//!
//! The keys and the issuer come from the API server's OIDC discovery, as STS gets them; nothing
//! that the token says of itself is used to check it, but the name of its key.

use std::sync::atomic::{AtomicU64, Ordering};

use cluster::ControlPlane;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;

/// The API server's keys and issuer, and the one account that is trusted.
pub(super) struct Trust {
    keys: JwkSet,
    issuer: String,
    subject: String,
    /// How far the endpoint's clock is ahead, in seconds.
    ahead: AtomicU64,
}

/// What a token says.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Claims {
    pub(super) sub: String,
    pub(super) iat: u64,
    pub(super) exp: u64,
    #[serde(rename = "kubernetes.io")]
    pub(super) kubernetes: KubernetesClaims,
}

/// What Kubernetes adds to a token that is bound to a Pod.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct KubernetesClaims {
    pub(super) namespace: String,
    pub(super) pod: NamedClaim,
    pub(super) serviceaccount: NamedClaim,
}

/// An object's name and uid.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct NamedClaim {
    pub(super) name: String,
    pub(super) uid: String,
}

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Refusal {
    /// There is none, or it cannot be read.
    Unreadable,
    /// No key of the API server has signed it.
    Signature,
    /// Another issuer's.
    Issuer,
    /// Made for somebody else.
    Audience,
    /// Another account's.
    Subject,
    /// Too old.
    Expired,
    /// A good token, but not for this role.
    Role,
}

// === impl Trust ===

impl Trust {
    /// Trusts `account` of `namespace`, by what the API server publishes.
    pub(super) async fn discover(plane: &ControlPlane, namespace: &str, account: &str) -> Self {
        #[derive(Deserialize)]
        struct Discovery {
            issuer: String,
        }
        let client = plane.client().unwrap();
        let get = |path| http::Request::get(path).body(Vec::new()).unwrap();
        let discovery = get("/.well-known/openid-configuration");
        let Discovery { issuer } = client.request(discovery).await.unwrap();
        assert_eq!(issuer, plane.issuer());
        let keys = client.request(get("/openid/v1/jwks")).await.unwrap();
        let subject = format!("system:serviceaccount:{namespace}:{account}");
        Self { keys, issuer, subject, ahead: AtomicU64::new(0) }
    }

    /// Puts the endpoints' clock ahead.
    pub(super) fn set_clock_ahead(&self, seconds: u64) {
        self.ahead.store(seconds, Ordering::Relaxed);
    }

    /// Believes a token, or says why not.
    pub(super) fn verify(&self, token: &str, audience: &str) -> Result<Claims, Refusal> {
        let header = decode_header(token).map_err(|_| Refusal::Unreadable)?;
        let key = header.kid.and_then(|kid| self.keys.find(&kid)).ok_or(Refusal::Signature)?;
        let key = DecodingKey::from_jwk(key).unwrap();

        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp", "nbf"]);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[audience]);
        validation.sub = Some(self.subject.clone());
        validation.validate_nbf = true;
        validation.leeway = 0;
        validation.reject_tokens_expiring_in_less_than = self.ahead.load(Ordering::Relaxed);
        match decode(token, &key, &validation) {
            Ok(data) => Ok(data.claims),
            Err(error) => Err(match error.kind() {
                ErrorKind::InvalidSignature => Refusal::Signature,
                ErrorKind::InvalidIssuer => Refusal::Issuer,
                ErrorKind::InvalidAudience => Refusal::Audience,
                ErrorKind::InvalidSubject => Refusal::Subject,
                ErrorKind::ExpiredSignature => Refusal::Expired,
                _ => Refusal::Unreadable,
            }),
        }
    }
}
