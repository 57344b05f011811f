//! One container that runs: what it has of the identity, and whose it is.
//!
//! What stands in a Pod does not say who wrote it. A pair of variables counts as injected if its
//! file is the one that would be injected now, or a token's volume named as webhooks name it is
//! mounted where the file is; everything else is the author's, which is complete as it is.

use crate::identity::{Method, Role};
use crate::plan::{
    ContainerList, Edit, Position, Reason, Variable, VariableValue, WEB_IDENTITY_VOLUME_NAME,
    is_selected,
};
use crate::pod::{
    AUTHORIZATION_TOKEN_FILE, Container, FULL_URI, ROLE_ARN, TokenProjection, VolumeMount,
    WEB_IDENTITY_TOKEN_FILE,
};

use super::{ContainerDrift, Difference, Part, State, Wanted};

/// What the decision adds to one container.
#[derive(Default)]
struct Additions {
    variables: Vec<&'static str>,
    mount: bool,
}

/// What stands in a container where a file is.
enum Behind<'a> {
    Nothing,
    Token { volume: &'a str, token: &'a TokenProjection<'a> },
    Other,
}

// === impl Wanted ===

impl<'a> Wanted<'_, 'a> {
    pub(super) fn judge(
        &self,
        list: ContainerList,
        index: usize,
        container: &'a Container<'a>,
    ) -> ContainerDrift<'a> {
        let name = container.name();
        let drift = |state, unset| ContainerDrift { list, name, state, unset };
        if !is_selected(&self.identity.selection, list, container) {
            return drift(State::Skipped, Vec::new());
        }
        if let Some(reason) = self.refusal() {
            return drift(State::Withheld(reason), Vec::new());
        }
        let additions = self.additions(Position { list, index });
        let state = self.state(container, &additions);
        let is_of_pair = |name: &&str| self.pair.iter().any(|variable| variable.name == *name);
        let unset = additions.variables.into_iter().filter(|name| !is_of_pair(name)).collect();
        drift(state, unset)
    }

    fn additions(&self, position: Position) -> Additions {
        let mut additions = Additions::default();
        for edit in &self.decision.edits {
            match edit {
                Edit::Env { container, variables, .. } if *container == position => {
                    additions.variables.extend(variables.iter().map(|variable| variable.name));
                }
                Edit::Mount { container, .. } if *container == position => additions.mount = true,
                Edit::Env { .. }
                | Edit::Mount { .. }
                | Edit::Volume { .. }
                | Edit::Label { .. } => {}
            }
        }
        additions
    }

    fn state(&self, container: &'a Container<'a>, additions: &Additions) -> State<'a> {
        let [first, file] = &self.pair;
        match (container.sets(first.name), container.sets(file.name)) {
            (true, true) => self.of_pair(container, additions),
            (false, false) if self.has_the_other_method(container) => {
                State::HasAnother(vec![Difference::Method])
            }
            (false, false) if additions.variables.contains(&first.name) => {
                State::Lacks(self.missing(Some(Part::Variables), additions))
            }
            (false, false) => State::Withheld(Reason::MountPathTaken),
            (true, false) | (false, true) => State::Withheld(Reason::EnvConflict),
        }
    }

    fn missing(&self, variables: Option<Part>, additions: &Additions) -> Vec<Part> {
        let mount = additions.mount.then_some(Part::Mount);
        let volume = mount.filter(|_| self.volume_is_new()).map(|_| Part::Volume);
        [variables, mount, volume].into_iter().flatten().collect()
    }

    /// A container that sets both variables.
    fn of_pair(&self, container: &'a Container<'a>, additions: &Additions) -> State<'a> {
        let [first, file] = &self.pair;
        let values = (container.credential(first.name), container.credential(file.name));
        // No webhook writes a reference.
        let (Some(has_first), Some(has_file)) = values else { return State::AuthorsOwn };
        if has_first.contains("$(") || has_file.contains("$(") {
            return State::AuthorsOwn;
        }
        let mut differences = Vec::new();
        let token = match self.behind(container, has_file) {
            Behind::Token { token, .. } if is(file, has_file) => token,
            Behind::Nothing if is(file, has_file) => {
                return State::Lacks(self.missing(None, additions));
            }
            Behind::Other if is(file, has_file) => return State::Withheld(Reason::MountPathTaken),
            Behind::Token { volume, token } if is_named_after(volume, self.token.volume_name) => {
                differences.push(Difference::TokenPath);
                token
            }
            Behind::Token { .. } | Behind::Nothing | Behind::Other => return State::AuthorsOwn,
        };
        let has = token.audience.as_deref();
        if has != Some(self.token.audience) {
            differences.push(Difference::Audience { has });
        }
        if !is(first, has_first) {
            differences.push(match &self.identity.method {
                Method::WebIdentity { .. } => {
                    let is_arn = matches!(Role::read(has_first, None), Role::Valid(_));
                    Difference::Role { has: is_arn.then_some(has_first) }
                }
                Method::ContainerCredentials => Difference::Endpoint,
            });
        }
        if differences.is_empty() { State::Has } else { State::HasAnother(differences) }
    }

    /// Whether a webhook injected the other method's identity.
    fn has_the_other_method(&self, container: &Container<'_>) -> bool {
        let ([first, file], volume_name) = match &self.identity.method {
            Method::WebIdentity { .. } => (
                [FULL_URI, AUTHORIZATION_TOKEN_FILE],
                self.settings.container_credentials.volume_name.as_ref(),
            ),
            Method::ContainerCredentials => {
                ([ROLE_ARN, WEB_IDENTITY_TOKEN_FILE], WEB_IDENTITY_VOLUME_NAME)
            }
        };
        let values = (container.credential(first), container.credential(file));
        let (Some(_), Some(file)) = values else { return false };
        match self.behind(container, file) {
            Behind::Token { volume, .. } => is_named_after(volume, volume_name),
            Behind::Nothing | Behind::Other => false,
        }
    }

    /// What is mounted in `container` where `file` is. A token whose file has another name is
    /// something else.
    fn behind<'c>(&self, container: &'c Container<'_>, file: &str) -> Behind<'c>
    where
        'a: 'c,
    {
        let file = file.strip_prefix("C:").map_or(file.to_owned(), |rest| rest.replace('\\', "/"));
        let Some((folder, name)) = file.rsplit_once('/') else { return Behind::Nothing };
        let is_there = |path: Option<&str>| path.is_some_and(|p| p.trim_end_matches('/') == folder);
        let mut devices = container.volume_devices.iter().flatten();
        if devices.any(|device| is_there(device.device_path.as_deref())) {
            return Behind::Other;
        }
        let mut mounts = container.volume_mounts.iter().flatten();
        let Some(mount) = mounts.rfind(|mount| is_there(mount.mount_path.as_deref())) else {
            return Behind::Nothing;
        };
        match self.token_of(mount) {
            Some((volume, token)) if token.path.as_deref() == Some(name) => {
                Behind::Token { volume, token }
            }
            _ => Behind::Other,
        }
    }

    fn token_of(&self, mount: &VolumeMount<'_>) -> Option<(&'a str, &'a TokenProjection<'a>)> {
        let name = mount.name.as_deref().filter(|_| mount.is_whole())?;
        let mut volumes = self.pod.volumes().unwrap_or_default().iter();
        let volume = volumes.find(|volume| volume.name.as_deref() == Some(name))?;
        Some((volume.name.as_deref()?, volume.sole_token()?))
    }
}

fn is(wanted: &Variable<'_>, has: &str) -> bool {
    match &wanted.value {
        VariableValue::Literal(value) => value == has,
        VariableValue::PodName => false,
    }
}

/// Whether a webhook that calls its volume `ours` may have named `volume`: it appends a number where
/// the name is taken.
fn is_named_after(volume: &str, ours: &str) -> bool {
    let digits = |n: &str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit());
    volume
        .strip_prefix(ours)
        .is_some_and(|rest| rest.is_empty() || rest.strip_prefix('-').is_some_and(digits))
}
