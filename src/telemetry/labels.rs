//! The values that labels can have.
//!
//! Each is an enum: what clients send is sorted into it, and what does not fit is `other`. So the
//! number of time series is fixed, whoever calls.

/// The paths that are told apart.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Route {
    /// `/mutate`.
    Mutate,
    /// `/mutate/strict`.
    MutateStrict,
    /// `/healthz`.
    Healthz,
    /// `/livez`.
    Livez,
    /// `/readyz`.
    Readyz,
    /// Any other.
    Other,
}

/// The request methods that are told apart.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Verb {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
    /// Any other.
    Other,
}

/// How a Pod was given its identity, as the Go webhook calls it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Injection {
    /// IRSA: `sts_web_identity`.
    WebIdentity,
    /// Pod Identity: `container_credentials`.
    ContainerCredentials,
}

/// Whether anything names an identity.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Usage {
    /// Some ServiceAccount, mapping or association does.
    InUse,
    /// Nothing does.
    Unused,
}

/// Whether the webhook configuration trusts what is served.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Matching {
    /// It does.
    Matches,
    /// It does not: calls fail.
    Differs,
    /// There is nothing to compare: no configuration, or no entry of ours in it.
    Unknown,
}

/// Which certificate.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    /// That of the authority.
    Ca,
    /// That which is served.
    Leaf,
}

/// How the turn of a certificate went.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Turn {
    /// It turned.
    Done,
    /// It could not be made or written.
    Failed,
    /// Another replica was first.
    Conflict,
}

// === impl Kind ===

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ca => "ca",
            Self::Leaf => "leaf",
        }
    }
}

// === impl Turn ===

impl Turn {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Done => "ok",
            Self::Failed => "failed",
            Self::Conflict => "conflict",
        }
    }
}

// === impl Route ===

impl Route {
    /// All there are.
    pub const ALL: [Self; 6] =
        [Self::Mutate, Self::MutateStrict, Self::Healthz, Self::Livez, Self::Readyz, Self::Other];

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mutate => "/mutate",
            Self::MutateStrict => "/mutate/strict",
            Self::Healthz => "/healthz",
            Self::Livez => "/livez",
            Self::Readyz => "/readyz",
            Self::Other => "other",
        }
    }
}

impl From<&str> for Route {
    /// The route of a request's path.
    fn from(path: &str) -> Self {
        let known = Self::ALL.into_iter().find(|route| route.as_str() == path);
        known.unwrap_or(Self::Other)
    }
}

// === impl Verb ===

impl Verb {
    /// All there are.
    pub const ALL: [Self; 7] =
        [Self::Get, Self::Head, Self::Post, Self::Put, Self::Patch, Self::Delete, Self::Other];

    /// The label's value, in capitals as the Go webhook has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Other => "other",
        }
    }
}

impl From<&str> for Verb {
    /// The verb of a request's method.
    fn from(method: &str) -> Self {
        let known = Self::ALL.into_iter().find(|verb| verb.as_str() == method);
        known.unwrap_or(Self::Other)
    }
}

// === impl Injection ===

impl Injection {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::WebIdentity => "sts_web_identity",
            Self::ContainerCredentials => "container_credentials",
        }
    }
}
