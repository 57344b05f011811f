//! What a Pod of an account would get, as JSON.
//!
//! The Pod is the plainest there is: on Linux, without annotations, with one container that no list
//! leaves out if it can be helped. So what is shown is the account's, not the Pod's.

use serde::Serialize;

use crate::accounts::{Found, Resident};
use crate::identity::{
    Chosen, ChosenBy, Identity, Key, Method, Names, Selection, SessionName, StsEndpoints,
};
use crate::plan::{Ask, Decision, Settings, Spread, decide};
use crate::pod::{Container, Pod, Spec, Text};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Effective<'a> {
    namespace: &'a str,
    service_account: &'a str,
    account: &'static str,
    outcome: &'static str,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<Shown<'a>>,
    /// The key of the mapping that fits best, whether it counts or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    mapping: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    source: &'static str,
    method: &'static str,
    #[serde(rename = "roleARN", skip_serializing_if = "Option::is_none")]
    role_arn: Option<&'a str>,
    audience: &'a str,
    token_expiration: u64,
    token_expiration_chosen_by: &'static str,
    sts_regional_endpoints: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'a str>,
    role_session_name: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    skip_containers: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    include_containers: Option<Vec<&'a str>>,
}

/// For one account, to be read by a person.
pub(super) fn pretty(resident: &Resident, settings: &Settings) -> serde_json::Result<String> {
    with(resident, settings, |effective| Ok(serde_json::to_string_pretty(effective)? + "\n"))
}

/// One of many, appended to `line`.
pub(super) fn append(
    line: &mut Vec<u8>,
    resident: &Resident,
    settings: &Settings,
) -> serde_json::Result<()> {
    with(resident, settings, |effective| serde_json::to_writer(line, effective))
}

fn with<T>(resident: &Resident, settings: &Settings, show: impl FnOnce(&Effective<'_>) -> T) -> T {
    let Resident { namespace, name, facts, key } = resident;
    let ask = Ask::Create(plain_pod(&facts.account));
    // As long as the flag says: it is a request's uid that spreads it.
    let decision = decide(&ask, &facts.sources(), Spread::by_request(""), settings);
    let Decision { outcome, reason, identity, edits: _, warnings } = &decision;
    show(&Effective {
        namespace,
        service_account: name,
        account: match facts.account {
            Found::Known(_) => "cached",
            Found::Absent => "not-in-cache",
            Found::Unknown(_) => "unknown",
        },
        outcome: outcome.name(),
        reason: reason.code(),
        identity: identity.as_ref().map(|identity| shown(identity, settings)),
        mapping: key.as_deref(),
        warnings: warnings.iter().map(|warning| warning.text.as_str()).collect(),
    })
}

/// A Pod with one container: the first that the account includes and does not skip.
fn plain_pod(found: &Found) -> Pod<'_> {
    let list = |key| match found {
        Found::Known(account) => account.annotations().value(key).map(Names::read),
        Found::Absent | Found::Unknown(_) => None,
    };
    let skip = list(Key::SkipContainers);
    let is_skipped = |name: &str| skip.as_ref().is_some_and(|skip| skip.contains(name));
    let included =
        list(Key::IncludeContainers).and_then(|names| names.iter().find(|n| !is_skipped(n)));
    let container = Container { name: included.map(Text::from), ..Container::default() };
    Pod {
        spec: Some(Spec { containers: Some(vec![container]), ..Spec::default() }),
        ..Pod::default()
    }
}

fn shown<'a>(identity: &'a Identity<'a>, settings: &'a Settings) -> Shown<'a> {
    let Identity { source, method, expiration, sts_endpoints, region, selection } = identity;
    let (role_arn, audience, session_name) = match method {
        Method::WebIdentity { role, audience, session_name } => {
            (Some(role.as_str()), audience.value, session_name.value)
        }
        Method::ContainerCredentials => {
            (None, &*settings.container_credentials.audience, SessionName::SdkDefault)
        }
    };
    let Selection { skip, include } = selection;
    let names =
        |chosen: &'a Option<Chosen<'a>>| chosen.as_ref().map(|list| list.names.iter().collect());
    Shown {
        source: source.name(),
        method: method.name(),
        role_arn,
        audience,
        token_expiration: expiration.value,
        token_expiration_chosen_by: match expiration.chosen_by {
            ChosenBy::Pod => "pod-annotation",
            ChosenBy::ServiceAccount => "annotation",
            ChosenBy::Mapping => "mapping",
            ChosenBy::Flag => "flag",
        },
        sts_regional_endpoints: sts_endpoints.value == StsEndpoints::Regional,
        region: region.value,
        role_session_name: session_name == SessionName::OfPod,
        skip_containers: names(skip),
        include_containers: names(include),
    }
}
