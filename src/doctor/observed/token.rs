//! A token that the API server issues, and what its issuer publishes.
//!
//! Of the token its claims are kept and nothing else: it is a credential.

use std::collections::BTreeSet;

/// What a token says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Token {
    /// The account that it is for, `namespace/name`.
    pub account: String,
    /// The issuer.
    pub issuer: String,
    /// Which key signed it.
    pub key: String,
    /// How long it lives, in seconds.
    pub lifetime: u64,
    /// How long it was asked to live, in seconds.
    pub asked: u64,
}

/// What an issuer publishes, as far as it could be had.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Issuer {
    /// By the API server.
    pub api_server: Result<Published, String>,
    /// At the issuer's own URL, from where AWS takes it.
    pub outside: Keys,
}

/// What stands in a discovery document and the keys that it leads to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Published {
    /// The issuer.
    pub issuer: String,
    /// Where the keys are.
    pub jwks_uri: String,
    /// The names of the keys.
    pub keys: BTreeSet<String>,
}

/// What is published at the issuer's own URL.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Keys {
    /// It was not asked, for this reason.
    NotAsked(&'static str),
    /// The API server itself is there.
    SameAsApiServer,
    /// This.
    Published(Published),
    /// Something that is no discovery document.
    Unreadable(String),
    /// It cannot be reached from here, which says nothing about AWS.
    OutOfReach(String),
}

impl Default for Issuer {
    fn default() -> Self {
        Self {
            api_server: Err("it was not asked".to_owned()),
            outside: Keys::NotAsked("no check needs it"),
        }
    }
}

/// Ends of hosts that only a cluster itself can resolve.
const INSIDE: [&str; 3] = [".svc", ".svc.", ".cluster.local"];

// === impl Token ===

impl Token {
    /// Whether only the cluster itself can reach its issuer.
    pub fn is_issued_inside(&self) -> bool {
        let issuer = self.issuer.parse::<http::Uri>().ok();
        let host = issuer.as_ref().and_then(http::Uri::host);
        host.is_some_and(|host| INSIDE.iter().any(|end| host.ends_with(end)))
    }
}
