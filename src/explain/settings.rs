//! Each setting with its value, who chose it, and what does not count.
//!
//! Who chose is `identity`'s to say; which flag stands behind a value that nobody chose is told by
//! comparing the flags that were given, the webhook's and the defaults.

use serde_json::{Value, json};

use crate::identity::{
    self, Chosen, DEFAULT_EXPIRATION_SECONDS, Finding, Holder, Key, Method, SessionName,
    StsEndpoints,
};
use crate::plan::{self, SPREAD_FROM_SECONDS};

use super::Case;
use super::explanation::{ChosenBy, Refused, Setting};
use super::facts::Found;

// === impl Case ===

impl Case<'_> {
    pub(super) fn settings(&self) -> Vec<Setting> {
        let Some(identity) = &self.decision.identity else { return Vec::new() };
        let defaults = plan::Settings::default();
        let (flags, default) = (self.settings, &defaults);
        let mut settings = Vec::new();
        let (audience, mount) = match &identity.method {
            Method::WebIdentity { audience, .. } => (
                self.setting(Key::Audience.name(), json!(audience.value)).chosen(
                    audience.chosen_by,
                    "token-audience",
                    self.of_flag(
                        "token-audience",
                        &flags.defaults.audience,
                        &default.defaults.audience,
                    ),
                ),
                (
                    "token-mount-path",
                    &flags.web_identity_mount_path,
                    &default.web_identity_mount_path,
                ),
            ),
            Method::ContainerCredentials => {
                let (ours, theirs) = (&flags.container_credentials, &default.container_credentials);
                let flag = "container-credentials-audience";
                (
                    self.setting(Key::Audience.name(), json!(ours.audience)).chosen(
                        identity::ChosenBy::Flag,
                        flag,
                        self.of_flag(flag, &ours.audience, &theirs.audience),
                    ),
                    (
                        "container-credentials-token-mount-path",
                        &ours.mount_path,
                        &theirs.mount_path,
                    ),
                )
            }
        };
        settings.push(audience);
        settings.push(self.expiration(identity));
        settings.push(
            self.setting(
                Key::StsRegionalEndpoints.name(),
                json!(identity.sts_endpoints.value == StsEndpoints::Regional),
            )
            .chosen(
                identity.sts_endpoints.chosen_by,
                "sts-regional-endpoint",
                self.of_flag(
                    "sts-regional-endpoint",
                    &flags.defaults.sts_endpoints,
                    &default.defaults.sts_endpoints,
                ),
            ),
        );
        settings.push(self.setting(Key::Region.name(), json!(identity.region.value)).chosen(
            identity.region.chosen_by,
            "aws-default-region",
            self.of_flag("aws-default-region", &flags.defaults.region, &default.defaults.region),
        ));
        settings.push(self.containers_of(Key::SkipContainers, identity.selection.skip.as_ref()));
        settings
            .push(self.containers_of(Key::IncludeContainers, identity.selection.include.as_ref()));
        if let Method::WebIdentity { session_name, .. } = &identity.method {
            settings.push(
                self.setting(
                    Key::RoleSessionName.name(),
                    json!(session_name.value == SessionName::OfPod),
                )
                .chosen(
                    session_name.chosen_by,
                    "role-session-name",
                    self.of_flag(
                        "role-session-name",
                        &flags.defaults.session_name,
                        &default.defaults.session_name,
                    ),
                ),
            );
        }
        let (flag, path, default) = mount;
        settings.push(self.setting("token-mount-path", json!(path)).chosen(
            identity::ChosenBy::Flag,
            flag,
            self.of_flag(flag, path, default),
        ));
        settings
    }

    /// A setting that nobody chose so far.
    fn setting(&self, name: &'static str, value: Value) -> Setting {
        Setting {
            setting: name,
            value,
            chosen_by: ChosenBy::Default,
            flag: None,
            note: None,
            refused: self.refused(name),
        }
    }

    fn expiration(&self, identity: &identity::Identity<'_>) -> Setting {
        let flag = "token-expiration";
        let identity::Setting { value, chosen_by } = identity.expiration;
        let default = plan::Settings::default().defaults.token_expiration;
        let of_flag = self.of_flag(flag, &self.settings.defaults.token_expiration, &default);
        let mut setting = self
            .setting(Key::TokenExpiration.name(), json!(value))
            .chosen(chosen_by, flag, of_flag);
        let written = match chosen_by {
            identity::ChosenBy::Pod => self.pod.annotation_of(self.facts.prefix(), flag),
            identity::ChosenBy::ServiceAccount => match self.facts.account.found {
                Found::Known { annotations, .. } => annotations.value(Key::TokenExpiration),
                Found::Absent | Found::NotGiven(_) => None,
            },
            identity::ChosenBy::Mapping | identity::ChosenBy::Flag => None,
        };
        let is_kept = |written: &str| written.parse() == Ok(value);
        let is_spread = matches!(identity.method, Method::ContainerCredentials)
            && chosen_by == identity::ChosenBy::Flag
            && value == DEFAULT_EXPIRATION_SECONDS;
        setting.note = match written.filter(|written| !is_kept(written)) {
            Some(_) if value == identity::MIN_EXPIRATION_SECONDS => {
                Some("raised to the least that API servers accept".to_owned())
            }
            Some(_) if value == identity::MAX_EXPIRATION_SECONDS => {
                Some("lowered to the most that API servers accept".to_owned())
            }
            _ if is_spread => {
                Some(format!("spread from {SPREAD_FROM_SECONDS}, a value for each Pod"))
            }
            _ => None,
        };
        setting
    }

    fn containers_of(&self, key: Key, chosen: Option<&Chosen<'_>>) -> Setting {
        let names: Option<Vec<_>> = chosen.map(|chosen| chosen.names.iter().collect());
        let chosen_by = match chosen.map(|chosen| chosen.holder) {
            Some(Holder::Pod) => ChosenBy::Pod,
            Some(Holder::ServiceAccount) => ChosenBy::ServiceAccount,
            None => ChosenBy::Default,
        };
        Setting { chosen_by, ..self.setting(key.name(), json!(names)) }
    }

    /// Who chose what a flag says.
    fn of_flag<T: PartialEq>(&self, flag: &str, value: &T, default: &T) -> ChosenBy {
        if self.facts.flags.given.contains(&flag) {
            ChosenBy::GivenFlag
        } else if value != default {
            // A default that is another one can come from nowhere else.
            ChosenBy::WebhookFlag
        } else {
            ChosenBy::Default
        }
    }

    /// The annotations of this name that cannot be read.
    fn refused(&self, name: &str) -> Vec<Refused> {
        let refused = |finding: &Finding<'_>| match finding {
            Finding::UnreadableValue { key, holder } if key.name() == name => Some(Refused {
                holder: match holder {
                    Holder::Pod => "Pod",
                    Holder::ServiceAccount => "ServiceAccount",
                },
                why: match key {
                    Key::TokenExpiration => "not a whole number of seconds",
                    _ => "neither true nor false",
                },
            }),
            _ => None,
        };
        self.resolution.findings.iter().filter_map(refused).collect()
    }
}

// === impl Setting ===

impl Setting {
    fn chosen(self, chosen_by: identity::ChosenBy, flag: &'static str, of_flag: ChosenBy) -> Self {
        let chosen_by = match chosen_by {
            identity::ChosenBy::Pod => ChosenBy::Pod,
            identity::ChosenBy::ServiceAccount => ChosenBy::ServiceAccount,
            identity::ChosenBy::Mapping => ChosenBy::Mapping,
            identity::ChosenBy::Flag => of_flag,
        };
        Self { chosen_by, flag: Some(flag), ..self }
    }
}
