//! Which AWS identity a ServiceAccount's Pods have, and with which settings: the precedence table.
//!
//! ```text
//! credentials file --+
//! Annotations -------+--> resolve --> Verdict (Identity, none, or not known yet) + Findings
//! Mapping -----------+
//! Asked (the Pod's own annotations), Defaults (flags)
//!
//! RolePolicy + namespace = Guard --judge(Role)--> Permission
//! ```
//!
//! Everything is borrowed and nothing is guessed: what cannot be read counts as absent and is
//! reported as a [`Finding`]. This module names no other.

mod account;
pub mod glob;
mod policy;
mod precedence;
mod values;

pub use account::{
    AccountRef, Annotations, DEFAULT_ANNOTATION_PREFIX, InvalidName, Key, is_label, is_subdomain,
};
pub use policy::{Guard, Permission, RolePolicy, Rule, Unruled};
pub use precedence::resolve;
pub use values::{
    Composer, ComposerError, DEFAULT_EXPIRATION_SECONDS, MAX_EXPIRATION_SECONDS,
    MIN_EXPIRATION_SECONDS, Names, Role, Unreadable, boolean, bound_expiration, expiration, switch,
};

/// Everything that is known about one account when a Pod of it is decided.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// Whether the container-credentials file lists the account.
    pub credentials_file: Listed,
    /// The account itself.
    pub account: Knowledge<'a>,
    /// The entry of the mappings ConfigMap that fits the account best.
    pub mapping: Option<&'a Mapping>,
    /// What the role policy is asked, if there is one.
    pub guard: Option<Guard<'a>>,
}

/// Whether an account stands in the container-credentials file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Listed {
    /// It does.
    Yes,
    /// It does not, or there is no such file.
    No,
}

/// What is known about a ServiceAccount.
#[derive(Clone, Copy, Debug)]
pub enum Knowledge<'a> {
    /// It exists, and says this.
    Known(&'a Annotations),
    /// It does not exist.
    Absent,
    /// Nobody could tell; a constant sentence that says why.
    Unknown(&'static str),
}

/// One entry of the mappings ConfigMap. What is `None` is left to the flags.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Mapping {
    /// The IAM role; without one the entry gives no identity.
    pub role_arn: Option<Box<str>>,
    /// The audience of the IRSA token.
    pub audience: Option<Box<str>>,
    /// Whether SDKs use the regional STS endpoint.
    pub sts_regional_endpoints: Option<bool>,
    /// The token's lifetime in seconds, within the API server's bounds.
    pub token_expiration: Option<u64>,
}

/// What the Pod itself has to say about its identity.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Annotation `token-expiration`.
    pub token_expiration: Option<&'a str>,
    /// Annotation `skip-containers`.
    pub skip_containers: Option<&'a str>,
    /// Annotation `include-containers`.
    pub include_containers: Option<&'a str>,
    /// Whether a Pod Identity agent can run where the Pod will run.
    pub agent: Agent,
}

/// Whether a Pod Identity agent can run beside a Pod.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Agent {
    /// A Linux node: the agent's DaemonSet may run there.
    Possible,
    /// Fargate or Windows: AWS supports no agent there.
    Impossible,
}

/// What the flags say where nothing nearer to the Pod does.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// `--annotation-prefix`.
    pub annotation_prefix: Box<str>,
    /// `--token-audience`.
    pub audience: Box<str>,
    /// `--token-expiration`, in seconds.
    pub token_expiration: u64,
    /// `--sts-regional-endpoint`.
    pub sts_endpoints: StsEndpoints,
    /// `--aws-default-region`.
    pub region: Option<Box<str>>,
    /// `--role-session-name`.
    pub session_name: SessionName,
    /// `--compose-role-arn`.
    pub composer: Option<Composer>,
}

/// The identity of an account's Pods.
#[derive(Clone, Debug)]
pub struct Identity<'a> {
    /// Where the identity comes from.
    pub source: Source,
    /// How the Pod gets its credentials.
    pub method: Method<'a>,
    /// The token's lifetime in seconds, within the API server's bounds.
    pub expiration: Setting<u64>,
    /// Which STS endpoint SDKs use.
    pub sts_endpoints: Setting<StsEndpoints>,
    /// The AWS region.
    pub region: Setting<Option<&'a str>>,
    /// Which containers are meant.
    pub selection: Selection<'a>,
}

/// The row of the precedence table that won.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source {
    /// The file of `--watch-container-credentials-config`.
    CredentialsFile,
    /// The ServiceAccount's annotation `pod-identity`.
    PodIdentityAnnotation,
    /// The ServiceAccount's annotation `role-arn`.
    RoleAnnotation,
    /// The mappings ConfigMap.
    ConfigMap,
}

/// How a Pod gets its credentials.
#[derive(Clone, Debug)]
pub enum Method<'a> {
    /// IRSA: the SDK exchanges the token at STS.
    WebIdentity {
        /// The role that is assumed.
        role: Role<'a>,
        /// The token's audience.
        audience: Setting<&'a str>,
        /// Whether the session is named after the Pod.
        session_name: Setting<SessionName>,
    },
    /// EKS Pod Identity: the SDK shows the token to the node's agent.
    ContainerCredentials,
}

/// A setting and who chose it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Who chose it.
    pub chosen_by: ChosenBy,
}

/// Who chose a setting.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChosenBy {
    /// An annotation of the Pod.
    Pod,
    /// An annotation of the ServiceAccount.
    ServiceAccount,
    /// The mapping.
    Mapping,
    /// The flag, or its default.
    Flag,
}

/// Which STS endpoint SDKs use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StsEndpoints {
    /// `AWS_STS_REGIONAL_ENDPOINTS=regional` is injected.
    Regional,
    /// Nothing is injected: the SDK's own default.
    SdkDefault,
}

/// Whether the STS session is named after the Pod.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SessionName {
    /// `AWS_ROLE_SESSION_NAME` is injected.
    OfPod,
    /// Nothing is injected: the SDK invents one.
    SdkDefault,
}

/// Which containers are meant; skip beats include.
#[derive(Clone, Debug, Default)]
pub struct Selection<'a> {
    /// Containers to leave alone.
    pub skip: Option<Chosen<'a>>,
    /// The only containers to touch; says nothing about ephemeral ones.
    pub include: Option<Chosen<'a>>,
}

/// A list of containers and the object that carries it.
#[derive(Clone, Debug)]
pub struct Chosen<'a> {
    /// The names.
    pub names: Names<'a>,
    /// The object whose annotation it is.
    pub holder: Holder,
}

/// The object that carries a setting.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Holder {
    /// The Pod.
    Pod,
    /// The ServiceAccount.
    ServiceAccount,
}

/// Whether an account has an identity.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "one a decision, on the stack")]
pub enum Verdict<'a> {
    /// It has this one.
    Has(Identity<'a>),
    /// It has none.
    HasNone,
    /// It cannot be told; a constant sentence that says why.
    Unknown(&'static str),
}

/// Something that a person should put right.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Finding<'a> {
    /// An annotation of the account that misses one of ours by a little.
    MisspelledKey {
        /// The annotation as it stands.
        found: &'a str,
        /// What was most likely meant.
        meant: Key,
    },
    /// A role ARN with spaces or quotes around it.
    WrappedRoleArn,
    /// A value that is not of its annotation's type; the next source counted.
    UnreadableValue {
        /// The annotation.
        key: Key,
        /// The object that carries it.
        holder: Holder,
    },
}

/// What each row of the precedence table came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Standings {
    /// [`Source::CredentialsFile`].
    pub credentials_file: Standing,
    /// [`Source::PodIdentityAnnotation`].
    pub pod_identity_annotation: Standing,
    /// [`Source::RoleAnnotation`].
    pub role_annotation: Standing,
    /// [`Source::ConfigMap`].
    pub config_map: Standing,
}

/// What a row of the precedence table came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It names the identity that counts.
    Chosen,
    /// It names an identity, and another row counts.
    Overruled,
    /// It names none.
    Silent,
    /// What it says is not of its type, and counts as nothing.
    Unreadable,
    /// It cannot be asked before the account is known, or it is the account.
    NotRead,
}

/// A verdict and what was found on the way.
#[derive(Clone, Debug)]
pub struct Resolution<'a> {
    /// Whether there is an identity.
    pub verdict: Verdict<'a>,
    /// What each source had to say.
    pub standings: Standings,
    /// What a person should put right.
    pub findings: Vec<Finding<'a>>,
}

// === impl Source ===

impl Source {
    /// The name under which audit annotations and `mutate` show the source.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CredentialsFile => "container-credentials-config",
            Self::PodIdentityAnnotation => "pod-identity-annotation",
            Self::RoleAnnotation => "role-arn-annotation",
            Self::ConfigMap => "config-map",
        }
    }
}

// === impl Method ===

impl Method<'_> {
    /// The Go webhook's name of the method, which dashboards know.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::WebIdentity { .. } => "sts_web_identity",
            Self::ContainerCredentials => "container_credentials",
        }
    }
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            annotation_prefix: DEFAULT_ANNOTATION_PREFIX.into(),
            audience: "sts.amazonaws.com".into(),
            token_expiration: DEFAULT_EXPIRATION_SECONDS,
            sts_endpoints: StsEndpoints::SdkDefault,
            region: None,
            session_name: SessionName::SdkDefault,
            composer: None,
        }
    }
}
