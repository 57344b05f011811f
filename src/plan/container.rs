//! One container at a time: what it lacks, what it has of its own, what would clash.
//!
//! A container is injected or left alone, never halfway: where anything but the token stands at
//! the token's path, none of our variables is added either. The pair of variables that names the
//! credentials is one unit; only the author may set a part of it, and is told.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::identity::{Identity, Method, Selection, SessionName, StsEndpoints};
use crate::pod::{
    AUTHORIZATION_TOKEN_FILE, Container, FULL_URI, Platform, Pod, ROLE_ARN, WEB_IDENTITY_TOKEN_FILE,
};

use super::decide::Token;
use super::edit::{ContainerList, Edit, Position, Standing, TokenMount, Variable, VariableValue};
use super::{RegionWithEnvFrom, Settings, Warning, Warnings, hash};

const STS_REGIONAL_ENDPOINTS: &str = "AWS_STS_REGIONAL_ENDPOINTS";
const DEFAULT_REGION: &str = "AWS_DEFAULT_REGION";
const REGION: &str = "AWS_REGION";
const SESSION_NAME: &str = "AWS_ROLE_SESSION_NAME";
const ACCESS_KEY_ID: &str = "AWS_ACCESS_KEY_ID";

/// The lengths that STS allows for a session's name (`AssumeRoleWithWebIdentity`,
/// `RoleSessionName`).
const SESSION_NAME_LENGTH: std::ops::RangeInclusive<usize> = 2..=64;

/// How much of a Pod's name stays in a session's name that had to be made: with a dash and eight
/// digits, 64.
const SESSION_NAME_STEM: usize = 55;

/// What became of a list of containers.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Treatment {
    /// No container uses the token.
    LeftAlone,
    /// Some container uses the token.
    Treated,
}

/// The volumes that carry the token.
pub(super) enum Volumes<'a> {
    /// These stand in the Pod.
    Standing {
        /// The one that new mounts name.
        first: &'a str,
        /// All of them.
        all: HashSet<&'a str>,
    },
    /// This one is to be added.
    New(Cow<'a, str>),
}

/// One Pod's injection, container by container.
pub(super) struct Injection<'s, 'a> {
    identity: &'s Identity<'a>,
    token: &'s Token<'a>,
    volumes: Volumes<'a>,
    pair: [Variable<'a>; 2],
    session_name: Option<Variable<'a>>,
    settings: &'a Settings,
    edits: Vec<Edit<'a>>,
    warnings: Warnings,
}

// === impl Volumes ===

impl<'a> Volumes<'a> {
    /// The Pod's volumes that are the token and nothing else, under whatever name.
    pub(super) fn standing(pod: &'a Pod<'a>, token: &Token<'_>) -> Option<Self> {
        let mut names = pod
            .volumes()
            .unwrap_or_default()
            .iter()
            .filter(|volume| {
                volume.sole_token().is_some_and(|sole| {
                    sole.audience.as_deref() == Some(token.audience)
                        && sole.path.as_deref() == Some(token.path)
                })
            })
            .filter_map(|volume| volume.name.as_deref());
        let first = names.next()?;
        Some(Self::Standing { first, all: names.chain([first]).collect() })
    }

    fn contains(&self, name: &str) -> bool {
        match self {
            Self::Standing { all, .. } => all.contains(name),
            Self::New(new) => new == name,
        }
    }

    pub(super) fn name(&self) -> Cow<'a, str> {
        match self {
            Self::Standing { first, .. } => Cow::Borrowed(first),
            Self::New(new) => new.clone(),
        }
    }
}

// === impl Injection ===

impl<'s, 'a> Injection<'s, 'a> {
    pub(super) fn new(
        identity: &'s Identity<'a>,
        token: &'s Token<'a>,
        volumes: Volumes<'a>,
        pod: &'a Pod<'a>,
        platform: Platform,
        settings: &'a Settings,
        warnings: Warnings,
    ) -> Self {
        let pair = pair(identity, token, platform, settings);
        // Once for all containers: the Pod's name may be as long as a body.
        let session_name = match &identity.method {
            Method::WebIdentity { session_name: chosen, .. } => match chosen.value {
                SessionName::OfPod => Some(session_name(pod)),
                SessionName::SdkDefault => None,
            },
            Method::ContainerCredentials => None,
        };
        let edits = Vec::new();
        Self { identity, token, volumes, pair, session_name, settings, edits, warnings }
    }

    /// The name of the volume that carries the token.
    pub(super) fn volume_name(&self) -> Cow<'a, str> {
        self.volumes.name()
    }

    pub(super) fn finish(self) -> (Vec<Edit<'a>>, Warnings) {
        let Self { edits, warnings, .. } = self;
        (edits, warnings)
    }

    /// Injects into those of `containers` that are `meant` and that the annotations do not leave out.
    pub(super) fn treat(
        &mut self,
        list: ContainerList,
        containers: &'a [Container<'a>],
        meant: impl Fn(&Container<'_>) -> bool,
    ) -> Treatment {
        let mut treatment = Treatment::LeftAlone;
        for (index, container) in containers.iter().enumerate() {
            if meant(container) && is_selected(&self.identity.selection, list, container) {
                treatment = treatment.max(self.inject(Position { list, index }, container));
            }
        }
        treatment
    }

    fn inject(&mut self, position: Position, container: &'a Container<'a>) -> Treatment {
        let mount = match self.at_mount_path(container) {
            AtMountPath::Taken => {
                let warning = Warning::mount_path_taken(container.name(), self.token.mount_path);
                self.warnings.push(warning.at(position));
                return Treatment::LeftAlone;
            }
            AtMountPath::Token => None,
            AtMountPath::Nothing => {
                Some(TokenMount { name: self.volumes.name(), mount_path: self.token.mount_path })
            }
        };
        let variables = self.variables(position, container);
        if !variables.is_empty() {
            let list = Standing::of(container.env.as_ref());
            self.edits.push(Edit::Env { container: position, list, variables });
        }
        if let Some(mount) = mount {
            let list = Standing::of(container.volume_mounts.as_ref());
            self.edits.push(Edit::Mount { container: position, list, mount });
        }
        self.warn_of_shadows(position, container);
        Treatment::Treated
    }

    fn at_mount_path(&self, container: &Container<'_>) -> AtMountPath {
        let ours = self.token.mount_path.trim_end_matches('/');
        let is_there = |path: Option<&str>| path.is_some_and(|p| p.trim_end_matches('/') == ours);
        let device = container
            .volume_devices
            .iter()
            .flatten()
            .any(|device| is_there(device.device_path.as_deref()));
        let mut mounts = container
            .volume_mounts
            .iter()
            .flatten()
            .filter(|mount| is_there(mount.mount_path.as_deref()))
            .peekable();
        if !device && mounts.peek().is_none() {
            return AtMountPath::Nothing;
        }
        let is_token = !device
            && mounts.all(|mount| {
                mount.is_whole()
                    && mount.name.as_deref().is_some_and(|name| self.volumes.contains(name))
            });
        if is_token { AtMountPath::Token } else { AtMountPath::Taken }
    }

    fn variables(&mut self, position: Position, container: &'a Container<'a>) -> Vec<Variable<'a>> {
        let mut variables = Vec::with_capacity(6);
        if self.identity.sts_endpoints.value == StsEndpoints::Regional
            && !container.sets(STS_REGIONAL_ENDPOINTS)
        {
            variables.push(Variable::literal(STS_REGIONAL_ENDPOINTS, "regional"));
        }
        let left_to_env_from = self.settings.region_with_env_from == RegionWithEnvFrom::Skip
            && container.has_env_from();
        if let Some(region) = self.identity.region.value
            && !left_to_env_from
            && !container.sets(DEFAULT_REGION)
            && !container.sets(REGION)
        {
            variables.push(Variable::literal(DEFAULT_REGION, region));
            variables.push(Variable::literal(REGION, region));
        }
        let [first, second] = &self.pair;
        match (container.sets(first.name), container.sets(second.name)) {
            (true, true) => {}
            (false, false) => variables.extend_from_slice(&self.pair),
            (true, false) => {
                let warning = Warning::env_conflict(container.name(), first.name);
                self.warnings.push(warning.at(position));
            }
            (false, true) => {
                let warning = Warning::env_conflict(container.name(), second.name);
                self.warnings.push(warning.at(position));
            }
        }
        if !container.sets(SESSION_NAME) {
            variables.extend(self.session_name.clone());
        }
        variables
    }

    fn warn_of_shadows(&mut self, position: Position, container: &Container<'_>) {
        if container.sets(ACCESS_KEY_ID) {
            let warning = Warning::shadowed_by_static_keys(container.name());
            self.warnings.push(warning.at(position));
        }
        let by_agent = matches!(self.identity.method, Method::ContainerCredentials);
        if by_agent && container.sets(WEB_IDENTITY_TOKEN_FILE) {
            let warning = Warning::shadowed_by_web_identity(container.name());
            self.warnings.push(warning.at(position));
        }
    }
}

/// Whether the annotations leave `container` in; skip beats include.
pub fn is_selected(
    selection: &Selection<'_>,
    list: ContainerList,
    container: &Container<'_>,
) -> bool {
    let skipped = selection.skip.as_ref().is_some_and(|skip| skip.names.contains(container.name()));
    let included = list == ContainerList::Ephemeral
        || selection
            .include
            .as_ref()
            .is_none_or(|include| include.names.contains(container.name()));
    included && !skipped
}

/// What stands where the token belongs.
enum AtMountPath {
    Nothing,
    Token,
    Taken,
}

// === impl Variable ===

impl<'a> Variable<'a> {
    fn literal(name: &'static str, value: impl Into<Cow<'a, str>>) -> Self {
        Self { name, value: VariableValue::Literal(value.into()) }
    }
}

/// The two variables that name the credentials of `identity`: one unit.
pub fn pair<'a>(
    identity: &Identity<'a>,
    token: &Token<'a>,
    platform: Platform,
    settings: &'a Settings,
) -> [Variable<'a>; 2] {
    let file = token_file(token, platform);
    match &identity.method {
        Method::WebIdentity { role, .. } => [
            Variable::literal(ROLE_ARN, role.as_str().to_owned()),
            Variable::literal(WEB_IDENTITY_TOKEN_FILE, file),
        ],
        Method::ContainerCredentials => [
            Variable::literal(FULL_URI, settings.container_credentials.full_uri.as_ref()),
            Variable::literal(AUTHORIZATION_TOKEN_FILE, file),
        ],
    }
}

/// The token's file as a process in the container names it. The mount path itself stays as it is
/// on Windows too: the kubelet translates it.
fn token_file(token: &Token<'_>, platform: Platform) -> String {
    let file = format!("{}/{}", token.mount_path.trim_end_matches('/'), token.path);
    match platform {
        Platform::Linux | Platform::Fargate => file,
        Platform::Windows => format!("C:{}", file.replace('/', "\\")),
    }
}

fn session_name<'a>(pod: &Pod<'_>) -> Variable<'a> {
    match pod.name() {
        Some(name) if !SESSION_NAME_LENGTH.contains(&name.len()) => {
            let stem: String = name.chars().take(SESSION_NAME_STEM).collect();
            Variable::literal(SESSION_NAME, format!("{stem}-{}", hash::digits(name)))
        }
        _ => Variable { name: SESSION_NAME, value: VariableValue::PodName },
    }
}
