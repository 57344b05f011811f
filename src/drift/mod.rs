//! A Pod that runs, held against what its account gives it now.
//!
//! ```text
//! the Pod --> plan::decide --> Decision --+
//!        \--------------------------------+--> compare --> Drift { verdict, containers }
//! ```
//!
//! The decision on a Pod that runs says what it lacks: a complete one comes out unchanged. Only
//! where a container has its pair of variables already are values compared here, since the decision
//! takes those for the author's. A role may be told; no other variable's value ever is.

mod container;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::identity::Identity;
use crate::plan::{ContainerList, Decision, Edit, Outcome, Reason, Settings, Spread, Token, pair};
use crate::pod::{Container, Pod};

/// What differs between a Pod that runs and what it would get now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Drift<'a> {
    /// The whole Pod.
    pub verdict: Verdict,
    /// Its init containers and its containers, in this order. Ephemeral containers are not judged:
    /// they cannot be changed, and a new Pod has none. Empty if the Pod has no identity.
    pub containers: Vec<ContainerDrift<'a>>,
}

/// One container of a Pod that runs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ContainerDrift<'a> {
    /// The list in which it stands.
    pub list: ContainerList,
    /// Its name.
    pub name: &'a str,
    /// What it has of the identity.
    pub state: State<'a>,
    /// Variables besides the pair that it would get now, such as the region: settings, which make
    /// no other identity.
    pub unset: Vec<&'static str>,
}

/// What a container has of the identity that its Pod's account gives now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum State<'a> {
    /// All of it.
    Has,
    /// Not these parts.
    Lacks(Vec<Part>),
    /// One that was injected, and that is another one now.
    HasAnother(Vec<Difference<'a>>),
    /// Credentials of the author's choice: complete, and none of our business.
    AuthorsOwn,
    /// None, since the annotations leave the container out.
    Skipped,
    /// None, and a new Pod would not get it either, for this reason.
    Withheld(Reason),
}

/// A part of what makes an identity.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// The pair of variables.
    Variables,
    /// The mount of the token.
    Mount,
    /// The volume of the token.
    Volume,
}

/// One thing in which the identity that a container has is another one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Difference<'a> {
    /// The method: it has the other one's.
    Method,
    /// The role.
    Role {
        /// The one that the container has, if it has the form of an ARN.
        has: Option<&'a str>,
    },
    /// For whom the token is.
    Audience {
        /// The one that the container has; absent means the API server.
        has: Option<&'a str>,
    },
    /// Where the token is.
    TokenPath,
    /// The address from which credentials come.
    Endpoint,
}

/// What is to be said about a Pod that runs.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Verdict {
    /// No container that is meant has anything of the identity.
    Missing,
    /// Some container, or some part of one, lacks it.
    Partial,
    /// It has the other method's identity.
    OtherMethod,
    /// It has another role.
    OtherRole,
    /// Its token is for somebody else.
    OtherAudience,
    /// Its token is in another place.
    OtherTokenPath,
    /// It gets credentials from another address.
    OtherEndpoint,
    /// It lacks the identity, and a new Pod would lack it too, for this reason.
    Withheld(Reason),
    /// It has everything that it would get now.
    Complete,
    /// Its containers have credentials of the author's choice.
    AuthorsOwn,
    /// There is no identity that it could have or lack, for this reason.
    NotMeant(Reason),
}

/// Holds `pod`, which runs, against `decision`, which [`crate::plan::decide`] made about the
/// creation of this very Pod with these `settings`.
pub fn compare<'a>(pod: &'a Pod<'a>, decision: &Decision<'_>, settings: &Settings) -> Drift<'a> {
    let Some(identity) = &decision.identity else {
        let verdict = Verdict::NotMeant(decision.reason);
        return Drift { verdict, containers: Vec::new() };
    };
    let wanted = Wanted::of(pod, identity, decision, settings);
    let of = |list, containers: &'a [Container<'a>]| {
        containers.iter().enumerate().map(move |(index, c)| (list, index, c))
    };
    let containers: Vec<_> = of(ContainerList::Init, pod.init_containers())
        .chain(of(ContainerList::Regular, pod.containers()))
        .map(|(list, index, container)| wanted.judge(list, index, container))
        .collect();
    let verdict = verdict(&containers, decision.reason);
    Drift { verdict, containers }
}

fn verdict(containers: &[ContainerDrift<'_>], decided: Reason) -> Verdict {
    let states = || containers.iter().map(|container| &container.state);
    let has_some = |state: &State<'_>| match state {
        State::Has | State::HasAnother(_) => true,
        State::Lacks(parts) => !parts.contains(&Part::Variables),
        State::AuthorsOwn | State::Skipped | State::Withheld(_) => false,
    };
    let of_state = |state: &State<'_>| match state {
        State::Lacks(_) if states().any(has_some) => Verdict::Partial,
        State::Lacks(_) => Verdict::Missing,
        State::HasAnother(differences) => {
            differences.iter().map(Difference::verdict).min().unwrap_or(Verdict::Complete)
        }
        State::Withheld(reason) => Verdict::Withheld(*reason),
        State::Has => Verdict::Complete,
        State::AuthorsOwn => Verdict::AuthorsOwn,
        State::Skipped => Verdict::NotMeant(Reason::ContainersSkipped),
    };
    states().map(of_state).min().unwrap_or(Verdict::NotMeant(decided))
}

/// What the Pod should have, and where what it has is looked up.
struct Wanted<'s, 'a> {
    pod: &'a Pod<'a>,
    identity: &'s Identity<'s>,
    decision: &'s Decision<'s>,
    token: Token<'s>,
    pair: [crate::plan::Variable<'s>; 2],
    settings: &'s Settings,
}

// === impl Wanted ===

impl<'s, 'a> Wanted<'s, 'a> {
    fn of(
        pod: &'a Pod<'a>,
        identity: &'s Identity<'s>,
        decision: &'s Decision<'s>,
        settings: &'s Settings,
    ) -> Self {
        // How long the token lives is renewed with it, and no difference.
        let token = Token::of(identity, Spread::by_names(&[]), settings);
        let pair = pair(identity, &token, pod.platform(), settings);
        Self { pod, identity, decision, token, pair, settings }
    }

    /// Whether the Pod as a whole is refused what it should have.
    fn refusal(&self) -> Option<Reason> {
        let Decision { outcome, reason, edits, .. } = self.decision;
        let refused = matches!(outcome, Outcome::Incomplete | Outcome::Denied)
            && matches!(reason, Reason::InvalidRoleArn | Reason::RoleNotAllowed | Reason::TooLarge);
        (refused && edits.is_empty()).then_some(*reason)
    }

    fn volume_is_new(&self) -> bool {
        self.decision.edits.iter().any(|edit| matches!(edit, Edit::Volume { .. }))
    }
}

// === impl Difference ===

impl Difference<'_> {
    const fn verdict(&self) -> Verdict {
        match self {
            Self::Method => Verdict::OtherMethod,
            Self::Role { .. } => Verdict::OtherRole,
            Self::Audience { .. } => Verdict::OtherAudience,
            Self::TokenPath => Verdict::OtherTokenPath,
            Self::Endpoint => Verdict::OtherEndpoint,
        }
    }
}

// === impl Verdict ===

/// What follows from a verdict.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Remedy {
    /// Nothing is wrong.
    None,
    /// A new Pod would have the identity.
    Recreate,
    /// A new Pod would be no better: what keeps it from the identity is to be put right first.
    Repair,
}

impl Verdict {
    /// The code: stable, kebab-case. Where the decision gave the reason, it is the decision's.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing => "missing-identity",
            Self::Partial => "partial-identity",
            Self::OtherMethod => "other-method",
            Self::OtherRole => "other-role",
            Self::OtherAudience => "other-audience",
            Self::OtherTokenPath => "other-token-path",
            Self::OtherEndpoint => "other-endpoint",
            Self::Complete => "complete",
            Self::AuthorsOwn => "authors-own",
            Self::Withheld(reason) | Self::NotMeant(reason) => reason.code(),
        }
    }

    /// What follows from it.
    pub const fn remedy(self) -> Remedy {
        match self {
            Self::Missing
            | Self::Partial
            | Self::OtherMethod
            | Self::OtherRole
            | Self::OtherAudience
            | Self::OtherTokenPath
            | Self::OtherEndpoint => Remedy::Recreate,
            Self::Withheld(_) => Remedy::Repair,
            Self::Complete | Self::AuthorsOwn | Self::NotMeant(_) => Remedy::None,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
