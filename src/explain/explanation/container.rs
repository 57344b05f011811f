//! A container, as far as the identity concerns it.

use serde::Serialize;

/// A container.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// Its name.
    pub name: String,
    /// The list in which it stands: `initContainers`, `containers` or `ephemeralContainers`.
    pub list: &'static str,
    /// What it has, or gets, of the identity.
    pub state: ContainerState,
    /// Why it is so, where that needs saying.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The variables that the webhook injects and that it sets, whoever wrote them.
    pub has: Vec<&'static str>,
    /// The variables that are added, or of a Pod that runs, that it lacks.
    pub adds: Vec<&'static str>,
    /// Where the token is mounted, or to be mounted.
    pub token: Token,
    /// What stands in the way or may, in front of the identity.
    pub shadows: Vec<Shadow>,
    /// What an SDK uses in it, as far as the Pod tells.
    pub uses: Uses,
}

/// What a container has, or gets, of the identity.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContainerState {
    /// There is no identity.
    NoIdentity,
    /// It has all of it.
    Has,
    /// It will get what it does not have yet.
    Gets,
    /// It runs without all of it.
    Lacks,
    /// It has one that the account does not give any more.
    HasAnother,
    /// It has credentials of its author's choice.
    AuthorsOwn,
    /// Annotations leave it out.
    LeftOut,
    /// It does not get all of it, for the reasons that are found.
    Withheld,
}

/// Where the token is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Token {
    /// It is mounted.
    Mounted,
    /// Its mount is added, or of a Pod that runs, lacking.
    Added,
    /// There is no mount of it, and none is added.
    None,
}

/// Something that SDKs may prefer to the identity.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shadow {
    /// The variable, the mount or the field.
    pub by: String,
    /// Whether SDKs surely prefer it.
    pub certainty: Certainty,
    /// What it means and what to do, for a person.
    pub says: String,
}

/// Whether SDKs prefer something to the identity.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// They do.
    Certain,
    /// Some may, or it depends on what cannot be seen here.
    Possible,
}

/// What an SDK uses.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Uses {
    /// The keys in the environment.
    StaticKeys,
    /// A web identity token, at STS.
    WebIdentity,
    /// The Pod Identity agent, or whatever answers at the address.
    ContainerCredentials,
    /// What the image or the node brings: in the end the node's role, where Pods reach it.
    Node,
}
