//! From what was asked and what is known to the edits: the whole Pod.
//!
//! A single container is `container.rs`'s. Here stands what concerns the Pod: whether there is an
//! identity, which volume carries the token, and what follows if a container uses it. The volume
//! and the label are added only then.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::identity::{
    Agent, Asked, Chosen, Guard, Identity, Key, Method, Resolution, Role, Source, Sources, Verdict,
    resolve,
};
use crate::pod::{Container, Platform, Pod};

use super::container::{Injection, Treatment, Volumes, is_selected};
use super::edit::{ContainerList, Edit, LabelMap, Standing, TokenVolume};
use super::{
    Ask, Decision, Outcome, POD_IDENTITY_LABEL, POD_IDENTITY_LABEL_VALUE, Reason, Settings,
    Severity, Spread, UnfitRole, WEB_IDENTITY_TOKEN_PATH, WEB_IDENTITY_VOLUME_NAME, Warning,
    Warnings,
};

/// The longest name of a volume: an RFC 1123 label.
const MAX_VOLUME_NAME: usize = 63;

/// The most bytes by which a Pod's containers may grow, 16 MiB: ten times what can be stored (etcd's
/// `--max-request-bytes`, 1.5 MiB). A patch multiplies what stands once, such as the role, by the
/// number of containers, and neither has been validated yet.
const MAX_GROWTH: usize = 16 << 20;

/// Decides what becomes of a Pod whose account [`Ask::account`] named and `sources` describe.
pub fn decide<'a>(
    ask: &'a Ask<'a>,
    sources: &Sources<'a>,
    spread: Spread,
    settings: &'a Settings,
) -> Decision<'a> {
    if let Err(reason) = ask.account() {
        return Decision::skipped(reason);
    }
    let pod = match ask {
        Ask::Create(pod) | Ask::AddEphemeral { pod, .. } => pod,
        Ask::NotApplicable => return Decision::skipped(Reason::NotApplicable),
    };
    let prefix = settings.defaults.annotation_prefix.as_ref();
    let platform = pod.platform();
    let Resolution { verdict, standings: _, findings } = resolution(pod, sources, settings);
    let found = findings.into_iter().map(|finding| Warning::of_finding(finding, prefix));
    let identity = match verdict {
        Verdict::Has(identity) => identity,
        Verdict::HasNone => {
            let warnings = found.filter(|warning| warning.reason == Reason::NearMiss).collect();
            return Decision { warnings, ..Decision::skipped(Reason::NoIdentity) };
        }
        Verdict::Unknown(why) => {
            let warnings = found.chain([Warning::lookup_failed(why)]).collect();
            let outcome = Outcome::Failed;
            return Decision { outcome, warnings, ..Decision::skipped(Reason::LookupFailed) };
        }
    };
    let mut warnings: Warnings = found.collect();
    let token = Token::of(&identity, spread, settings);
    let standing = Volumes::standing(pod, &token);
    let added = Added::to(ask);
    let meant = meant(ask, &added, standing.as_ref(), &identity);
    let growth = meant.saturating_mul(growth(&identity, &token, standing.as_ref(), settings));
    // What is wrong with an identity is nothing to a Pod in which no container is to have it.
    if meant > 0 {
        let raised = objections(&identity, platform, growth, sources.guard, settings);
        // Whatever else is wrong, who is to be refused is.
        let strictest = raised
            .iter()
            .flatten()
            .filter_map(|(warning, outcome)| Some((warning.reason, (*outcome)?)))
            .min_by_key(|(_, outcome)| *outcome != Outcome::Denied);
        for (warning, _) in raised.into_iter().flatten() {
            warnings.push(warning);
        }
        if let Some((reason, outcome)) = strictest {
            let identity = Some(identity);
            return Decision { outcome, reason, identity, edits: Vec::new(), warnings };
        }
    }
    match ask {
        Ask::AddEphemeral { .. } => {
            let Some(volumes) = standing else {
                return Decision::skipped(Reason::NoTokenVolume);
            };
            let mut injection =
                Injection::new(&identity, &token, volumes, pod, platform, settings, warnings);
            let treatment = injection.treat(
                ContainerList::Ephemeral,
                pod.ephemeral_containers(),
                |container| added.contains(container),
            );
            let (edits, warnings) = injection.finish();
            conclude(identity, treatment, edits, warnings)
        }
        Ask::Create(_) | Ask::NotApplicable => {
            create(pod, platform, identity, &token, standing, settings, warnings)
        }
    }
}

/// Which identity a Pod has and what each source said: what [`decide`] begins with, for those who
/// have to tell why.
pub fn resolution<'a>(
    pod: &'a Pod<'_>,
    sources: &Sources<'a>,
    settings: &'a Settings,
) -> Resolution<'a> {
    let asked = asked(pod, &settings.defaults.annotation_prefix, pod.platform());
    resolve(sources, &asked, &settings.defaults)
}

/// What is wrong with an identity, and what becomes of the Pod if nothing is injected for that.
type Objection = (Warning, Option<Outcome>);

/// What keeps an identity from being of use.
fn objections(
    identity: &Identity<'_>,
    platform: Platform,
    growth: usize,
    guard: Option<Guard<'_>>,
    settings: &Settings,
) -> [Option<Objection>; 3] {
    let too_large =
        (growth > MAX_GROWTH).then(|| (Warning::too_large(), Some(Outcome::Incomplete)));
    match &identity.method {
        Method::WebIdentity { role, .. } => {
            let unfit = |to_do, warning: fn(Source, Severity) -> Warning| {
                let (severity, outcome) = match to_do {
                    UnfitRole::Inject => (Severity::Advisory, None),
                    UnfitRole::Skip => (Severity::Blocking, Some(Outcome::Incomplete)),
                    UnfitRole::Deny => (Severity::Blocking, Some(Outcome::Denied)),
                };
                (warning(identity.source, severity), outcome)
            };
            let is_allowed = guard.is_none_or(|guard| guard.judge(role).is_granted());
            let invalid = matches!(role, Role::Invalid(_))
                .then(|| unfit(settings.invalid_role_arn, Warning::invalid_role_arn));
            let not_allowed =
                (!is_allowed).then(|| unfit(settings.role_not_allowed, Warning::role_not_allowed));
            [too_large, invalid, not_allowed]
        }
        Method::ContainerCredentials => {
            let unsupported = (agent(platform) == Agent::Impossible)
                .then(|| (Warning::pod_identity_unsupported(platform), None));
            [too_large, unsupported, None]
        }
    }
}

/// How many containers are to have the identity.
fn meant(
    ask: &Ask<'_>,
    added: &Added<'_>,
    standing: Option<&Volumes<'_>>,
    identity: &Identity<'_>,
) -> usize {
    let selected = |list, containers: &[Container<'_>]| {
        containers
            .iter()
            .filter(|container| is_selected(&identity.selection, list, container))
            .filter(|container| list != ContainerList::Ephemeral || added.contains(container))
            .count()
    };
    match ask {
        Ask::Create(pod) => {
            selected(ContainerList::Init, pod.init_containers())
                + selected(ContainerList::Regular, pod.containers())
        }
        Ask::AddEphemeral { pod, .. } if standing.is_some() => {
            selected(ContainerList::Ephemeral, pod.ephemeral_containers())
        }
        Ask::AddEphemeral { .. } | Ask::NotApplicable => 0,
    }
}

/// How many bytes of patch a container costs at most.
fn growth(
    identity: &Identity<'_>,
    token: &Token<'_>,
    standing: Option<&Volumes<'_>>,
    settings: &Settings,
) -> usize {
    /// Six variables and a mount, each with an operation and a pointer of its own.
    const FRAME: usize = 1024;

    let credentials = match &identity.method {
        Method::WebIdentity { role, .. } => role.as_str(),
        Method::ContainerCredentials => settings.container_credentials.full_uri.as_ref(),
    };
    let volume = standing.map_or(MAX_VOLUME_NAME, |volumes| length(&volumes.name()));
    let region = identity.region.value.map_or(0, length);
    let token = 2 * length(token.mount_path) + length(token.path);
    FRAME + length(credentials) + 2 * region + volume + token
}

/// The length of `text` in JSON, where a control character takes six bytes.
fn length(text: &str) -> usize {
    let escaped = text.bytes().filter(|b| b.is_ascii_control() || matches!(b, b'"' | b'\\'));
    text.len() + 5 * escaped.count()
}

/// The ephemeral containers that join a Pod: those that it did not have before.
struct Added<'a> {
    before: HashSet<&'a str>,
}

impl<'a> Added<'a> {
    fn to(ask: &'a Ask<'_>) -> Self {
        let before = match ask {
            Ask::AddEphemeral { before, .. } => before.ephemeral_containers(),
            Ask::Create(_) | Ask::NotApplicable => &[],
        };
        Self { before: before.iter().map(Container::name).collect() }
    }

    fn contains(&self, container: &Container<'_>) -> bool {
        !self.before.contains(container.name())
    }
}

fn create<'a>(
    pod: &'a Pod<'a>,
    platform: Platform,
    identity: Identity<'a>,
    token: &Token<'a>,
    standing: Option<Volumes<'a>>,
    settings: &'a Settings,
    warnings: Warnings,
) -> Decision<'a> {
    let is_new = standing.is_none();
    let volumes = standing.unwrap_or_else(|| Volumes::New(free_name(pod, token.volume_name)));
    let mut injection =
        Injection::new(&identity, token, volumes, pod, platform, settings, warnings);
    let init = injection.treat(ContainerList::Init, pod.init_containers(), |_| true);
    let regular = injection.treat(ContainerList::Regular, pod.containers(), |_| true);
    let volume_name = injection.volume_name();
    let (mut edits, mut warnings) = injection.finish();
    let treatment = init.max(regular);
    if treatment == Treatment::Treated {
        if is_new {
            if volume_name != token.volume_name {
                warnings.push(Warning::volume_name_taken(token.volume_name, &volume_name));
            }
            let volume = TokenVolume {
                name: volume_name,
                audience: token.audience,
                expiration_seconds: token.expiration_seconds,
                path: token.path,
            };
            edits.insert(0, Edit::Volume { list: Standing::of(pod.volumes().as_ref()), volume });
        }
        if matches!(identity.method, Method::ContainerCredentials) {
            label(pod, &mut edits, &mut warnings);
        }
    }
    for (key, chosen) in [
        (Key::SkipContainers, identity.selection.skip.as_ref()),
        (Key::IncludeContainers, identity.selection.include.as_ref()),
    ] {
        warn_of_unknown_containers(pod, key, chosen, &mut warnings);
    }
    conclude(identity, treatment, edits, warnings)
}

fn conclude<'a>(
    identity: Identity<'a>,
    treatment: Treatment,
    edits: Vec<Edit<'a>>,
    warnings: Warnings,
) -> Decision<'a> {
    let (outcome, reason) = match (warnings.blocking().first(), treatment) {
        (Some(warning), _) => (Outcome::Incomplete, warning.reason),
        (None, Treatment::LeftAlone) => (Outcome::Skipped, Reason::ContainersSkipped),
        (None, Treatment::Treated) if edits.is_empty() => {
            (Outcome::Unchanged, Reason::AlreadyInjected)
        }
        (None, Treatment::Treated) => (Outcome::Injected, Reason::Injected),
    };
    Decision { outcome, reason, identity: Some(identity), edits, warnings }
}

/// The token that an identity needs, with everything settled but its volume's final name.
#[derive(Clone, Copy, Debug)]
pub struct Token<'a> {
    /// The name of its volume, unless something else has it.
    pub volume_name: &'a str,
    /// Where the volume is mounted.
    pub mount_path: &'a str,
    /// The token's file within the volume.
    pub path: &'a str,
    /// For whom the token is.
    pub audience: &'a str,
    /// The token's lifetime in seconds.
    pub expiration_seconds: u64,
}

impl<'a> Token<'a> {
    /// The token that `identity` needs.
    pub fn of(identity: &Identity<'a>, spread: Spread, settings: &'a Settings) -> Self {
        use crate::identity::ChosenBy;

        let seconds = identity.expiration.value;
        match &identity.method {
            Method::WebIdentity { audience, .. } => Token {
                volume_name: WEB_IDENTITY_VOLUME_NAME,
                mount_path: &settings.web_identity_mount_path,
                path: WEB_IDENTITY_TOKEN_PATH,
                audience: audience.value,
                expiration_seconds: seconds,
            },
            Method::ContainerCredentials => {
                let flags = &settings.container_credentials;
                Token {
                    volume_name: &flags.volume_name,
                    mount_path: &flags.mount_path,
                    path: &flags.token_path,
                    audience: &flags.audience,
                    expiration_seconds: match identity.expiration.chosen_by {
                        ChosenBy::Pod | ChosenBy::ServiceAccount | ChosenBy::Mapping => seconds,
                        ChosenBy::Flag => spread.apply(seconds),
                    },
                }
            }
        }
    }
}

fn asked<'a>(pod: &'a Pod<'_>, prefix: &str, platform: Platform) -> Asked<'a> {
    let of = |key: Key| pod.annotation_of(prefix, key.name());
    Asked {
        token_expiration: of(Key::TokenExpiration),
        skip_containers: of(Key::SkipContainers),
        include_containers: of(Key::IncludeContainers),
        agent: agent(platform),
    }
}

fn agent(platform: Platform) -> Agent {
    match platform {
        Platform::Linux => Agent::Possible,
        Platform::Windows | Platform::Fargate => Agent::Impossible,
    }
}

/// `wanted`, or if the Pod has a volume of that name, the first of `wanted-2`, `wanted-3`, … that
/// it does not have.
fn free_name<'a>(pod: &Pod<'_>, wanted: &'a str) -> Cow<'a, str> {
    let volumes = pod.volumes().unwrap_or_default();
    let names: HashSet<_> = volumes.iter().filter_map(|volume| volume.name.as_deref()).collect();
    let taken = |name: &str| names.contains(name);
    if !taken(wanted) {
        return Cow::Borrowed(wanted);
    }
    (2..=volumes.len() + 1)
        .map(|n| {
            let suffix = format!("-{n}");
            let room = MAX_VOLUME_NAME.saturating_sub(suffix.len());
            let base: String = wanted.chars().take(room).collect();
            format!("{}{suffix}", base.trim_end_matches('-'))
        })
        .find(|name| !taken(name))
        .map_or(Cow::Borrowed(wanted), Cow::Owned)
}

fn label(pod: &Pod<'_>, edits: &mut Vec<Edit<'_>>, warnings: &mut Warnings) {
    let (name, value) = (POD_IDENTITY_LABEL, POD_IDENTITY_LABEL_VALUE);
    match pod.label(name) {
        Some(standing) if standing == value => {}
        Some(_) => warnings.push(Warning::label_taken(name, value)),
        None => {
            let map = match &pod.metadata {
                None => LabelMap::Nothing,
                Some(metadata) if metadata.labels.is_none() => LabelMap::Metadata,
                Some(_) => LabelMap::Labels,
            };
            edits.push(Edit::Label { map, name, value });
        }
    }
}

fn warn_of_unknown_containers(
    pod: &Pod<'_>,
    key: Key,
    chosen: Option<&Chosen<'_>>,
    warnings: &mut Warnings,
) {
    use crate::identity::Holder;

    // An account serves many Pods, and need not fit each of them.
    let Some(Chosen { names, holder: Holder::Pod }) = chosen else {
        return;
    };
    let lists = [pod.init_containers(), pod.containers(), pod.ephemeral_containers()];
    let known: HashSet<_> = lists.into_iter().flatten().map(Container::name).collect();
    for name in names.iter().filter(|name| !known.contains(name)) {
        warnings.push(Warning::unknown_container(key, name));
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::identity::{Annotations, Knowledge, Listed};

    /// Were any list walked for each element of another, this would not end in an hour.
    #[test]
    fn a_pod_costs_what_its_length_costs_whatever_is_in_it() {
        const MANY: usize = 100_000;

        let (mut names, mut containers, mut volumes) =
            (String::new(), String::new(), String::new());
        for i in 0..MANY {
            write!(names, "absent-{i},").unwrap();
            write!(containers, r#"{{"name":"c-{i}"}},"#).unwrap();
            write!(volumes, r#"{{"name":"aws-iam-token-{}"}},"#, i + 2).unwrap();
        }
        let annotations = format!(
            r#"{{"eks.amazonaws.com/skip-containers":"{names}","eks.amazonaws.com/include-containers":"{names}c-1"}}"#
        );
        let (containers, volumes) =
            (containers.trim_end_matches(','), volumes.trim_end_matches(','));
        let pod = format!(
            r#"{{"metadata":{{"annotations":{annotations}}},"spec":{{"containers":[{containers}],
                "volumes":[{{"name":"aws-iam-token"}},{volumes}]}}}}"#
        );
        let ask = Ask::Create(Pod::read(&pod).unwrap());
        let role = ("eks.amazonaws.com/role-arn", "arn:aws:iam::111122223333:role/x");
        let account = Annotations::read("eks.amazonaws.com", [role]);
        let sources = Sources {
            credentials_file: Listed::No,
            account: Knowledge::Known(&account),
            mapping: None,
            guard: None,
        };
        let settings = Settings::default();
        let decision = decide(&ask, &sources, Spread::by_request("u"), &settings);
        assert_eq!(decision.reason, Reason::Injected);
        assert_eq!(decision.warnings.count(), 2 * MANY + 1);
        assert!(decision.warnings.iter().count() <= 100);
        let Some(Edit::Volume { volume, .. }) = decision.edits.first() else {
            panic!("{:?}", decision.edits);
        };
        assert_eq!(volume.name, format!("aws-iam-token-{}", MANY + 2));
    }

    /// A ServiceAccount's annotations may have 256 KiB and nobody checks a role, a Pod's name or a
    /// volume's before admission: each of them times the containers was gigabytes.
    #[test]
    fn what_stands_once_is_not_multiplied_by_the_containers_without_bound() {
        let long = "x".repeat(200_000);
        let role_of = |tail: &str| format!("arn:aws:iam::111122223333:role/{tail}");
        let containers = |count| vec![r#"{"name":"c"}"#; count].join(",");
        let volume = format!(
            r#","volumes":[{{"name":"{long}","projected":{{"sources":[{{"serviceAccountToken":
                {{"audience":"sts.amazonaws.com","path":"token"}}}}]}}}}]"#
        );
        for (role, containers, volumes) in [
            (role_of("x"), containers(50_000), ""),
            (role_of(&long), containers(100), ""),
            (role_of(&"\u{1}".repeat(30_000)), containers(100), ""),
            (role_of("x"), containers(100), volume.as_str()),
        ] {
            let pod = format!(r#"{{"spec":{{"containers":[{containers}]{volumes}}}}}"#);
            let ask = Ask::Create(Pod::read(&pod).unwrap());
            let account =
                Annotations::read("eks.amazonaws.com", [("eks.amazonaws.com/role-arn", &*role)]);
            let sources = Sources {
                credentials_file: Listed::No,
                account: Knowledge::Known(&account),
                mapping: None,
                guard: None,
            };
            let settings = Settings::default();
            let decision = decide(&ask, &sources, Spread::by_request("u"), &settings);
            assert_eq!(
                (decision.outcome, decision.reason),
                (Outcome::Incomplete, Reason::TooLarge)
            );
            assert_eq!(decision.edits, []);
        }
    }
}
