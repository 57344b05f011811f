//! The explanation as a value: what `--output json` writes, field by field, and all that the text
//! is made of. Names of fields and codes that were published keep their meaning.
//!
//! It names variables and never holds the value of one; roles, audiences and regions come from
//! annotations, mappings and flags.

mod container;

use serde::Serialize;
use serde_json::Value;

pub use container::{Certainty, Container, ContainerState, Shadow, Token, Uses};

/// What the webhook would do or did, and why.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// What was asked about.
    pub subject: Subject,
    /// How it stands.
    pub verdict: Verdict,
    /// The decision's reason, as warnings, logs and metrics have it.
    pub reason: &'static str,
    /// What to do next, in one sentence.
    pub next: String,
    /// The identity, if there is one.
    pub identity: Option<Identity>,
    /// What each source of identities said, in the order in which they count.
    pub sources: Vec<Source>,
    /// What the role policy says of the role, if there is a policy and a role.
    pub role_policy: Option<Policy>,
    /// The settings and who chose them; none without an identity.
    pub settings: Vec<Setting>,
    /// Every container; none of an account.
    pub containers: Vec<Container>,
    /// The ServiceAccount.
    pub account: Account,
    /// The webhook that this is judged by.
    pub webhook: Webhook,
    /// What AWS has to know, if there is an identity.
    pub trust: Option<Trust>,
    /// What is wrong, the most urgent first, then what may be.
    pub findings: Vec<Finding>,
}

/// What was asked about.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// The kind.
    pub kind: String,
    /// The namespace.
    pub namespace: String,
    /// The name; of one that is yet to be generated, what it begins with and a `*`.
    pub name: String,
    /// What there is of it.
    pub state: State,
    /// When it was created (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// What recreates it, as `Kind/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// What there is of what was asked about.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// A Pod that was created.
    Created,
    /// A Pod that is to be created, or a template of Pods.
    Planned,
    /// An account.
    Account,
}

/// How it stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It has, or will get, all of its identity.
    Complete,
    /// No identity is meant.
    NotMeant,
    /// Something is wrong: see the findings.
    Wrong,
}

/// The identity.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// `sts_web_identity` (IRSA) or `container_credentials` (EKS Pod Identity).
    pub method: &'static str,
    /// The source that names it.
    pub source: &'static str,
    /// The role, of IRSA; with Pod Identity the association names it, in EKS.
    pub role: Option<String>,
}

/// A source of identities.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// Its name: `container-credentials-config`, `pod-identity-annotation`, `role-arn-annotation` or
    /// `config-map`.
    pub source: &'static str,
    /// What it came to.
    pub standing: Standing,
    /// What it says, for a person.
    pub says: String,
}

/// What a source came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It names the identity that counts.
    Chosen,
    /// It names an identity, and another source counts.
    Overruled,
    /// It names none.
    Silent,
    /// What it says is not of its type, and counts as nothing.
    Unreadable,
    /// It was not read.
    NotRead,
}

/// What the role policy says of the role.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// Whether the namespace may have the role.
    pub standing: PolicyStanding,
    /// Which rule says so, or why none does, for a person.
    pub says: String,
}

/// Whether a namespace may have a role.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyStanding {
    /// It may.
    Allowed,
    /// It may not.
    NotAllowed,
    /// The policy was not read.
    NotRead,
}

/// A setting.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Setting {
    /// Its name: `audience`, `token-expiration`, `sts-regional-endpoints`, `region`,
    /// `skip-containers`, `include-containers`, `role-session-name` or `token-mount-path`.
    pub setting: &'static str,
    /// Its value, `null` for none.
    pub value: Value,
    /// Who chose it.
    pub chosen_by: ChosenBy,
    /// The flag that sets it where nobody nearer to the Pod does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flag: Option<&'static str>,
    /// What is to be known of the value besides, such as that it was raised to the floor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Annotations that do not count since they cannot be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refused>,
}

/// Who chose a setting.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChosenBy {
    /// An annotation of the Pod.
    Pod,
    /// An annotation of the ServiceAccount.
    ServiceAccount,
    /// The mapping.
    Mapping,
    /// A flag that was given to this command.
    GivenFlag,
    /// A flag of the webhook.
    WebhookFlag,
    /// Nobody.
    Default,
}

/// An annotation that does not count.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// The object that carries it: `Pod` or `ServiceAccount`.
    pub holder: &'static str,
    /// Why it does not count.
    pub why: &'static str,
}

/// The ServiceAccount.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// Its name; its namespace is that of the Pod.
    pub name: String,
    /// Whether it exists.
    pub found: Existence,
    /// When it was created (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Its annotations that count, and whether they changed after the Pod was created; only of a
    /// Pod that was created and an account that is stored.
    pub annotations: Vec<Change>,
}

/// Whether the account exists.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Existence {
    /// It does.
    Known,
    /// It does not.
    Absent,
    /// It is not among the documents.
    NotGiven,
}

/// When an annotation of the account was last changed.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The annotation.
    pub annotation: String,
    /// When.
    pub changed: Changed,
    /// Who changed it, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manager: Option<String>,
    /// The time (RFC 3339), if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// How long after the Pod was created, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_after_the_pod: Option<u64>,
}

/// When something changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Changed {
    /// Before the Pod was created, and not since.
    Before,
    /// After the Pod was created.
    After,
    /// Somebody wrote it together with other fields after the Pod was created.
    PerhapsAfter,
    /// `managedFields` do not tell.
    CannotTell,
}

/// The webhook that this is judged by.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Whether one is called for such a Pod.
    pub called: Called,
    /// The entry that calls, or why none does, or why that cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The Pod whose flags count where none was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flags_of: Option<String>,
    /// Flags and variables of that Pod that could not be read: their defaults count.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
    /// The flags that were given to this command.
    pub given: Vec<&'static str>,
}

/// Whether a webhook is called.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Called {
    /// One is.
    Yes,
    /// None is.
    No,
    /// It cannot be told.
    CannotTell,
}

/// What AWS has to know.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trust {
    /// The trust policy that the role needs.
    pub policy: Value,
    /// The IAM OIDC provider that has to exist, of IRSA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Who issues the cluster's tokens, of IRSA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The token's subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The token's audience.
    pub audience: String,
    /// The command that makes the association, of Pod Identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub association: Option<String>,
    /// What has to be filled in, and why it could not be.
    pub unknown: Vec<String>,
}

/// Something that is wrong, or may be.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The code.
    pub code: &'static str,
    /// Whether something is wrong.
    pub weight: Weight,
    /// The container that it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The code, what is wrong and what to do: as the warning has it, where there is one.
    pub text: String,
}

/// Whether something is wrong.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// It is.
    Problem,
    /// It may be: nothing here tells.
    Hint,
}
