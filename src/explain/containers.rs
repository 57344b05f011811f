//! Every container: what it has, what it gets or lacks, what stands before it, what an SDK uses.
//!
//! What a container has of the identity is `drift`'s to say, for Pods that run and for those that do
//! not yet; ephemeral containers, which `drift` leaves out, are told by the decision about their
//! addition.

use crate::drift::{ContainerDrift, Difference, State as Drifted};
use crate::identity::{Holder, Method, Selection};
use crate::plan::{
    ContainerList, Decision, Edit, Position, Reason, Settings, Spread, Token as Needed, is_selected,
};
use crate::pod::{
    AUTHORIZATION_TOKEN_FILE, Container as View, FULL_URI, ROLE_ARN, WEB_IDENTITY_TOKEN_FILE,
};

use super::Case;
use super::explanation::{Container, ContainerState, Token, Uses};
use super::facts::State;
use super::shadows::{ACCESS_KEY_ID, Path, shadows};

/// The variables that the webhook injects, in the order in which it does.
const INJECTED: [&str; 8] = [
    "AWS_STS_REGIONAL_ENDPOINTS",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    ROLE_ARN,
    WEB_IDENTITY_TOKEN_FILE,
    FULL_URI,
    AUTHORIZATION_TOKEN_FILE,
    "AWS_ROLE_SESSION_NAME",
];

/// Why a container is left as it is.
const OWN: &str = "its author chose other credentials";

/// What is to be said of a container's state.
struct Told {
    state: ContainerState,
    why: Option<String>,
}

// === impl Case ===

impl Case<'_> {
    pub(super) fn containers(&self) -> Vec<Container> {
        if let State::Account = self.facts.subject.state {
            return Vec::new();
        }
        let lists = [
            (ContainerList::Init, self.pod.init_containers()),
            (ContainerList::Regular, self.pod.containers()),
            (ContainerList::Ephemeral, self.pod.ephemeral_containers()),
        ];
        lists
            .into_iter()
            .flat_map(|(list, views)| {
                views.iter().enumerate().map(move |(index, view)| (Position { list, index }, view))
            })
            .map(|(position, view)| self.container(position, view, self.drift_of(position)))
            .collect()
    }

    /// What `drift` says of a container: it has the init containers first.
    pub(super) fn drift_of(&self, position: Position) -> Option<&ContainerDrift<'_>> {
        let Position { list, index } = position;
        match list {
            ContainerList::Init => self.drift.containers.get(index),
            ContainerList::Regular => {
                self.drift.containers.get(self.pod.init_containers().len() + index)
            }
            ContainerList::Ephemeral => None,
        }
    }

    fn container(
        &self,
        position: Position,
        view: &View<'_>,
        drift: Option<&ContainerDrift<'_>>,
    ) -> Container {
        let decision = match position.list {
            ContainerList::Init | ContainerList::Regular => Some(&self.decision),
            ContainerList::Ephemeral => self.ephemeral.as_ref(),
        };
        let (adds, mount) = decision.map_or_else(Default::default, |d| additions(d, position));
        let Told { state, why } = match drift {
            Some(drift) => self.told(drift),
            None => self.told_of_ephemeral(position, view),
        };
        let token = match (mount, state) {
            (Some(()), _) => Token::Added,
            (None, ContainerState::Has | ContainerState::HasAnother | ContainerState::Lacks) => {
                Token::Mounted
            }
            (None, _) => self.token_of(view),
        };
        let has: Vec<_> = INJECTED.into_iter().filter(|name| view.sets(name)).collect();
        let path = self.path();
        Container {
            name: view.name().to_owned(),
            list: match position.list {
                ContainerList::Init => "initContainers",
                ContainerList::Regular => "containers",
                ContainerList::Ephemeral => "ephemeralContainers",
            },
            uses: uses(view, state, &has, &adds),
            state,
            why,
            has,
            adds,
            token,
            shadows: path.map_or_else(Vec::new, |path| shadows(view, path)),
        }
    }

    pub(super) fn path(&self) -> Option<Path> {
        self.decision.identity.as_ref().map(|identity| match identity.method {
            Method::WebIdentity { .. } => Path::WebIdentity,
            Method::ContainerCredentials => Path::ContainerCredentials,
        })
    }

    /// Whether something is mounted where the token belongs, of a container that gets no mount.
    fn token_of(&self, view: &View<'_>) -> Token {
        let Some(identity) = &self.decision.identity else { return Token::None };
        let needed = Needed::of(identity, Spread::by_names(&[]), self.settings);
        let ours = needed.mount_path.trim_end_matches('/');
        let volumes = self.pod.volumes().unwrap_or_default();
        let is_token = |name: Option<&str>| {
            volumes.iter().any(|v| v.name.as_deref() == name && v.sole_token().is_some())
        };
        let is_ours = view.volume_mounts.iter().flatten().any(|mount| {
            mount.mount_path.as_deref().is_some_and(|path| path.trim_end_matches('/') == ours)
                && mount.is_whole()
                && is_token(mount.name.as_deref())
        });
        if is_ours { Token::Mounted } else { Token::None }
    }

    fn told(&self, drift: &ContainerDrift<'_>) -> Told {
        let told = |state, why| Told { state, why };
        match &drift.state {
            Drifted::Has if drift.unset.is_empty() => told(ContainerState::Has, None),
            Drifted::Has => match self.facts.subject.state {
                State::Created(_) => {
                    let unset = drift.unset.join(", ");
                    told(ContainerState::Has, Some(format!("a new Pod would get {unset} as well")))
                }
                State::Planned | State::Account => told(ContainerState::Gets, None),
            },
            Drifted::Lacks(_) => match self.facts.subject.state {
                State::Created(_) => told(ContainerState::Lacks, None),
                State::Planned | State::Account => told(ContainerState::Gets, None),
            },
            // What a template says is its author's, and stays.
            Drifted::HasAnother(_) if !matches!(self.facts.subject.state, State::Created(_)) => {
                told(ContainerState::AuthorsOwn, Some(OWN.to_owned()))
            }
            Drifted::HasAnother(differences) => {
                let differences: Vec<_> =
                    differences.iter().map(|difference| self.difference(difference)).collect();
                told(ContainerState::HasAnother, Some(differences.join("; ")))
            }
            Drifted::AuthorsOwn => told(ContainerState::AuthorsOwn, Some(OWN.to_owned())),
            Drifted::Skipped => told(ContainerState::LeftOut, self.left_out(drift.name)),
            Drifted::Withheld(reason) => {
                let why = match reason {
                    Reason::InvalidRoleArn | Reason::RoleNotAllowed | Reason::TooLarge => {
                        Some(reason.code().to_owned())
                    }
                    _ => None,
                };
                told(ContainerState::Withheld, why)
            }
        }
    }

    /// An ephemeral container, or one of a Pod without an identity.
    fn told_of_ephemeral(&self, position: Position, view: &View<'_>) -> Told {
        let told = |state, why| Told { state, why };
        let decision = self.ephemeral.as_ref().filter(|_| is_ephemeral(position));
        let Some(Decision { identity, reason, warnings, edits, .. }) = decision else {
            return told(ContainerState::NoIdentity, None);
        };
        let Some(identity) = identity else {
            let why = (*reason == Reason::NoTokenVolume && self.decision.identity.is_some())
                .then(|| "the Pod has no token volume, and cannot get one any more".to_owned());
            return told(ContainerState::NoIdentity, why);
        };
        if !is_selected(&identity.selection, position.list, view) {
            return told(ContainerState::LeftOut, self.left_out(view.name()));
        }
        let blocked = warnings.blocking().iter().any(|w| w.container == Some(position));
        let adds = edits.iter().any(|edit| is_at(edit, position));
        match (blocked, adds) {
            (true, _) => told(ContainerState::Withheld, None),
            // It cannot be changed any more, and was there before the identity or the webhook.
            (false, true) => told(ContainerState::Lacks, None),
            (false, false) => told(ContainerState::Has, None),
        }
    }

    fn left_out(&self, name: &str) -> Option<String> {
        let Selection { skip, include } = &self.decision.identity.as_ref()?.selection;
        let holder = |holder| match holder {
            Holder::Pod => "the Pod",
            Holder::ServiceAccount => "the ServiceAccount",
        };
        match (skip, include) {
            (Some(skip), _) if skip.names.contains(name) => {
                Some(format!("by skip-containers of {}", holder(skip.holder)))
            }
            (_, Some(include)) => {
                Some(format!("by include-containers of {}", holder(include.holder)))
            }
            (_, None) => None,
        }
    }

    fn difference(&self, difference: &Difference<'_>) -> String {
        let identity = self.decision.identity.as_ref();
        let (role, audience) = match identity.map(|identity| &identity.method) {
            Some(Method::WebIdentity { role, audience, .. }) => (role.as_str(), audience.value),
            _ => ("", &*self.settings.container_credentials.audience),
        };
        match difference {
            Difference::Method => match self.path() {
                Some(Path::ContainerCredentials) => {
                    "has IRSA, and a new Pod would get Pod Identity".to_owned()
                }
                _ => "has Pod Identity, and a new Pod would get IRSA".to_owned(),
            },
            // It stands in a variable, and no value of one is told.
            Difference::Role { has: _ } => {
                format!("has another role than a new Pod would get, {role}")
            }
            Difference::Audience { has } => {
                let has = has.unwrap_or("the API server");
                format!("has a token for {has}, and a new Pod would get one for {audience}")
            }
            Difference::TokenPath => "has its token where a new Pod would not".to_owned(),
            Difference::Endpoint => {
                let Settings { container_credentials, .. } = self.settings;
                format!(
                    "asks another address than {}, which a new Pod would get",
                    container_credentials.full_uri
                )
            }
        }
    }
}

fn is_ephemeral(position: Position) -> bool {
    position.list == ContainerList::Ephemeral
}

fn is_at(edit: &Edit<'_>, position: Position) -> bool {
    match edit {
        Edit::Env { container, .. } | Edit::Mount { container, .. } => *container == position,
        Edit::Volume { .. } | Edit::Label { .. } => false,
    }
}

/// What a decision adds to a container: variables, and whether a mount.
fn additions(decision: &Decision<'_>, position: Position) -> (Vec<&'static str>, Option<()>) {
    let mut variables = Vec::new();
    let mut mount = None;
    for edit in decision.edits.iter().filter(|edit| is_at(edit, position)) {
        match edit {
            Edit::Env { variables: added, .. } => {
                variables.extend(added.iter().map(|variable| variable.name));
            }
            Edit::Mount { .. } => mount = Some(()),
            Edit::Volume { .. } | Edit::Label { .. } => {}
        }
    }
    (variables, mount)
}

fn uses(view: &View<'_>, state: ContainerState, has: &[&str], adds: &[&str]) -> Uses {
    let will_have =
        |name: &str| has.contains(&name) || (state == ContainerState::Gets && adds.contains(&name));
    if view.sets(ACCESS_KEY_ID) {
        Uses::StaticKeys
    } else if will_have(ROLE_ARN) && will_have(WEB_IDENTITY_TOKEN_FILE) {
        Uses::WebIdentity
    } else if will_have(FULL_URI) {
        Uses::ContainerCredentials
    } else {
        Uses::Node
    }
}
