//! The precedence table: which source names the identity, and which source each setting.
//!
//! The first source that names an identity wins, but where no Pod Identity agent can run a source
//! of IRSA beats one of Pod Identity. A mapping is asked only once the account is known to name
//! no identity itself, and its settings count only where it gave the role or stands beside the
//! container-credentials file. A value that cannot be read is reported, and the next source counts.

use super::{
    Agent, Annotations, Asked, Chosen, ChosenBy, Defaults, Finding, Holder, Identity, Key,
    Knowledge, Listed, Mapping, Method, Names, Resolution, Role, Selection, SessionName, Setting,
    Source, Sources, Standing, Standings, StsEndpoints, Unreadable, Verdict, boolean, expiration,
    switch,
};

/// Decides which identity the Pods of an account have: the first source that names one wins, but
/// where no Pod Identity agent can run, a source of IRSA beats one of Pod Identity.
pub fn resolve<'a>(
    sources: &Sources<'a>,
    asked: &Asked<'a>,
    defaults: &'a Defaults,
) -> Resolution<'a> {
    let mut findings = Vec::new();
    let annotations = match sources.account {
        Knowledge::Known(annotations) => Some(annotations),
        Knowledge::Absent | Knowledge::Unknown(_) => None,
    };
    if let Some(annotations) = annotations {
        lint(annotations, defaults, &mut findings);
    }
    let rows = Rows::read(sources, annotations, &mut findings);
    if let Knowledge::Unknown(why) = sources.account
        && (rows.credentials_file.is_none() || asked.agent == Agent::Impossible)
    {
        let standings = rows.standings(None);
        return Resolution { verdict: Verdict::Unknown(why), standings, findings };
    }
    let found = rows.first(asked.agent);
    let standings = rows.standings(found);
    let verdict = match found {
        None => Verdict::HasNone,
        Some(found) => {
            let settings = Settings { annotations, asked, defaults, findings: &mut findings };
            Verdict::Has(settings.complete(found, sources.mapping))
        }
    };
    Resolution { verdict, standings, findings }
}

/// A source that names an identity, with the role where it is one of IRSA.
#[derive(Clone, Copy)]
enum Found<'a> {
    PodIdentity(Source),
    Irsa(Source, &'a str),
}

/// The rows of the table that name an identity.
struct Rows<'a> {
    knowledge: Knowledge<'a>,
    credentials_file: Option<Found<'a>>,
    pod_identity: Result<Option<Found<'a>>, Unreadable>,
    role: Option<Found<'a>>,
    mapping: Option<Found<'a>>,
}

// === impl Rows ===

impl<'a> Rows<'a> {
    fn read(
        sources: &Sources<'a>,
        annotations: Option<&'a Annotations>,
        findings: &mut Vec<Finding<'a>>,
    ) -> Self {
        let value = |key| annotations.and_then(|a| a.value(key));
        let pod_identity = value(Key::PodIdentity).map_or(Ok(false), switch);
        if pod_identity == Err(Unreadable) {
            let (key, holder) = (Key::PodIdentity, Holder::ServiceAccount);
            findings.push(Finding::UnreadableValue { key, holder });
        }
        let mapped = sources.mapping.and_then(|m| m.role_arn.as_deref());
        Self {
            knowledge: sources.account,
            credentials_file: (sources.credentials_file == Listed::Yes)
                .then_some(Found::PodIdentity(Source::CredentialsFile)),
            pod_identity: pod_identity
                .map(|is| is.then_some(Found::PodIdentity(Source::PodIdentityAnnotation))),
            role: value(Key::RoleArn).map(|role| Found::Irsa(Source::RoleAnnotation, role)),
            mapping: mapped.map(|role| Found::Irsa(Source::ConfigMap, role)),
        }
    }

    /// The row that counts.
    fn first(&self, agent: Agent) -> Option<Found<'a>> {
        let pod_identity = self.credentials_file.or(self.pod_identity.unwrap_or_default());
        let irsa = self.role.or(self.mapping);
        match agent {
            Agent::Possible => pod_identity.or(irsa),
            Agent::Impossible => irsa.or(pod_identity),
        }
    }

    fn standings(&self, chosen: Option<Found<'a>>) -> Standings {
        let Self { knowledge, credentials_file, pod_identity, role, mapping } = self;
        let of = |row: Option<Found<'_>>| match (row, chosen) {
            (None, _) => Standing::Silent,
            (Some(row), Some(chosen)) if row.source() == chosen.source() => Standing::Chosen,
            (Some(_), _) => Standing::Overruled,
        };
        let once_known = |standing| match knowledge {
            Knowledge::Known(_) | Knowledge::Absent => standing,
            Knowledge::Unknown(_) => Standing::NotRead,
        };
        Standings {
            credentials_file: of(*credentials_file),
            pod_identity_annotation: once_known(pod_identity.map_or(Standing::Unreadable, of)),
            role_annotation: once_known(of(*role)),
            config_map: once_known(of(*mapping)),
        }
    }
}

// === impl Found ===

impl Found<'_> {
    const fn source(self) -> Source {
        match self {
            Self::PodIdentity(source) | Self::Irsa(source, _) => source,
        }
    }
}

fn lint<'a>(annotations: &'a Annotations, defaults: &'a Defaults, findings: &mut Vec<Finding<'a>>) {
    findings.extend(
        annotations
            .near_misses(&defaults.annotation_prefix)
            .map(|(found, meant)| Finding::MisspelledKey { found, meant }),
    );
    let wraps = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`');
    if annotations
        .value(Key::RoleArn)
        .is_some_and(|arn| arn.starts_with(wraps) || arn.ends_with(wraps))
    {
        findings.push(Finding::WrappedRoleArn);
    }
}

/// The sources of settings, nearest to the Pod first.
struct Settings<'s, 'a> {
    annotations: Option<&'a Annotations>,
    asked: &'s Asked<'a>,
    defaults: &'a Defaults,
    findings: &'s mut Vec<Finding<'a>>,
}

// === impl Settings ===

impl<'a> Settings<'_, 'a> {
    fn complete(mut self, found: Found<'a>, mapping: Option<&'a Mapping>) -> Identity<'a> {
        // A mapping's settings count where it gave the role or stands beside the file.
        let source = found.source();
        let beside =
            mapping.filter(|_| matches!(source, Source::ConfigMap | Source::CredentialsFile));
        let expiration = self.expiration(beside);
        let sts_endpoints = self.sts_endpoints(beside);
        let region =
            Setting::first([(ChosenBy::ServiceAccount, self.value(Key::Region).map(Some))])
                .unwrap_or(Setting::of_flag(self.defaults.region.as_deref()));
        let selection = self.selection();
        let method = match found {
            Found::PodIdentity(_) => Method::ContainerCredentials,
            Found::Irsa(_, role) => Method::WebIdentity {
                role: Role::read(role, self.defaults.composer.as_ref()),
                audience: Setting::first([
                    (ChosenBy::ServiceAccount, self.value(Key::Audience)),
                    (ChosenBy::Mapping, beside.and_then(|m| m.audience.as_deref())),
                ])
                .unwrap_or(Setting::of_flag(&self.defaults.audience)),
                session_name: self.session_name(),
            },
        };
        Identity { source, method, expiration, sts_endpoints, region, selection }
    }

    fn value(&self, key: Key) -> Option<&'a str> {
        self.annotations.and_then(|annotations| annotations.value(key))
    }

    /// The value of `key` on `holder`, read by `read`; one that cannot be read is reported.
    fn read<T>(
        &mut self,
        key: Key,
        holder: Holder,
        value: Option<&str>,
        read: fn(&str) -> Result<T, Unreadable>,
    ) -> Option<T> {
        match value.map(read)? {
            Ok(value) => Some(value),
            Err(Unreadable) => {
                self.findings.push(Finding::UnreadableValue { key, holder });
                None
            }
        }
    }

    fn expiration(&mut self, mapping: Option<&Mapping>) -> Setting<u64> {
        let key = Key::TokenExpiration;
        let (of_pod, of_account) = (self.asked.token_expiration, self.value(key));
        let of_pod = self.read(key, Holder::Pod, of_pod, expiration);
        let of_account = match of_pod {
            Some(_) => None,
            None => self.read(key, Holder::ServiceAccount, of_account, expiration),
        };
        Setting::first([
            (ChosenBy::Pod, of_pod),
            (ChosenBy::ServiceAccount, of_account),
            (ChosenBy::Mapping, mapping.and_then(|m| m.token_expiration)),
        ])
        .unwrap_or(Setting::of_flag(self.defaults.token_expiration))
    }

    fn sts_endpoints(&mut self, mapping: Option<&Mapping>) -> Setting<StsEndpoints> {
        let key = Key::StsRegionalEndpoints;
        let of_account = self.read(key, Holder::ServiceAccount, self.value(key), boolean);
        let named = |on| if on { StsEndpoints::Regional } else { StsEndpoints::SdkDefault };
        Setting::first([
            (ChosenBy::ServiceAccount, of_account.map(named)),
            (ChosenBy::Mapping, mapping.and_then(|m| m.sts_regional_endpoints).map(named)),
        ])
        .unwrap_or(Setting::of_flag(self.defaults.sts_endpoints))
    }

    fn session_name(&mut self) -> Setting<SessionName> {
        let key = Key::RoleSessionName;
        let of_account = self.read(key, Holder::ServiceAccount, self.value(key), boolean);
        let named = |on| if on { SessionName::OfPod } else { SessionName::SdkDefault };
        Setting::first([(ChosenBy::ServiceAccount, of_account.map(named))])
            .unwrap_or(Setting::of_flag(self.defaults.session_name))
    }

    fn selection(&self) -> Selection<'a> {
        let chosen = |key, of_pod: Option<&'a str>| match (of_pod, self.value(key)) {
            (Some(list), _) => Some(Chosen { names: Names::read(list), holder: Holder::Pod }),
            (None, Some(list)) => {
                Some(Chosen { names: Names::read(list), holder: Holder::ServiceAccount })
            }
            (None, None) => None,
        };
        Selection {
            skip: chosen(Key::SkipContainers, self.asked.skip_containers),
            include: chosen(Key::IncludeContainers, self.asked.include_containers),
        }
    }
}

// === impl Setting ===

impl<T> Setting<T> {
    /// The first of several sources that says something.
    fn first<const N: usize>(sources: [(ChosenBy, Option<T>); N]) -> Option<Self> {
        let said =
            |(chosen_by, value): (_, Option<T>)| value.map(|value| Self { value, chosen_by });
        sources.into_iter().find_map(said)
    }

    fn of_flag(value: T) -> Self {
        Self { value, chosen_by: ChosenBy::Flag }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::DEFAULT_ANNOTATION_PREFIX;

    const ROLE: &str = "arn:aws:iam::111122223333:role/app";

    fn annotations(pairs: &[(&str, &str)]) -> Annotations {
        let full: Vec<_> = pairs
            .iter()
            .map(|(key, value)| (format!("{DEFAULT_ANNOTATION_PREFIX}/{key}"), *value))
            .collect();
        let pairs = full.iter().map(|(key, value)| (key.as_str(), *value));
        Annotations::read(DEFAULT_ANNOTATION_PREFIX, pairs)
    }

    fn mapping(role_arn: Option<&str>) -> Mapping {
        Mapping {
            role_arn: role_arn.map(Into::into),
            audience: Some("of the mapping".into()),
            sts_regional_endpoints: Some(true),
            token_expiration: Some(3000),
        }
    }

    fn asked(agent: Agent) -> Asked<'static> {
        Asked { token_expiration: None, skip_containers: None, include_containers: None, agent }
    }

    /// What the four rows came to, in the order of the table.
    fn standings(
        listed: Listed,
        account: Knowledge<'_>,
        mapping: Option<&Mapping>,
        agent: Agent,
    ) -> [Standing; 4] {
        let sources = Sources { credentials_file: listed, account, mapping, guard: None };
        let Standings { credentials_file, pod_identity_annotation, role_annotation, config_map } =
            resolve(&sources, &asked(agent), &Defaults::default()).standings;
        [credentials_file, pod_identity_annotation, role_annotation, config_map]
    }

    #[test]
    fn every_row_tells_what_it_came_to() {
        use Standing::{Chosen, NotRead, Overruled, Silent, Unreadable};

        let both = annotations(&[("pod-identity", "true"), ("role-arn", ROLE)]);
        let odd = annotations(&[("pod-identity", "yes"), ("role-arn", ROLE)]);
        let off = annotations(&[("pod-identity", "false")]);
        let (mapped, unmapped) = (mapping(Some(ROLE)), mapping(None));
        let known = Knowledge::Known;
        let unknown = Knowledge::Unknown("why");
        for (listed, account, mapping, agent, wanted) in [
            (
                Listed::Yes,
                known(&both),
                Some(&mapped),
                Agent::Possible,
                [Chosen, Overruled, Overruled, Overruled],
            ),
            (Listed::No, known(&both), None, Agent::Possible, [Silent, Chosen, Overruled, Silent]),
            (
                Listed::Yes,
                known(&both),
                None,
                Agent::Impossible,
                [Overruled, Overruled, Chosen, Silent],
            ),
            (
                Listed::No,
                known(&odd),
                Some(&unmapped),
                Agent::Possible,
                [Silent, Unreadable, Chosen, Silent],
            ),
            (
                Listed::No,
                known(&off),
                Some(&mapped),
                Agent::Possible,
                [Silent, Silent, Silent, Chosen],
            ),
            (
                Listed::No,
                Knowledge::Absent,
                Some(&mapped),
                Agent::Possible,
                [Silent, Silent, Silent, Chosen],
            ),
            (
                Listed::Yes,
                unknown,
                Some(&mapped),
                Agent::Possible,
                [Chosen, NotRead, NotRead, NotRead],
            ),
            (
                Listed::No,
                unknown,
                Some(&mapped),
                Agent::Possible,
                [Silent, NotRead, NotRead, NotRead],
            ),
        ] {
            let found = standings(listed, account, mapping, agent);
            assert_eq!(found, wanted, "{listed:?} {account:?} {mapping:?} {agent:?}");
        }
    }

    #[test]
    fn every_setting_tells_who_chose_it() {
        use ChosenBy::{Flag, Mapping, Pod, ServiceAccount};

        let defaults = Defaults { region: Some("eu-west-1".into()), ..Defaults::default() };
        let mapping = mapping(Some(ROLE));
        let chosen = |pairs: &[(&str, &str)], of_pod: Option<&str>| {
            let annotations = annotations(pairs);
            let sources = Sources {
                credentials_file: Listed::No,
                account: Knowledge::Known(&annotations),
                mapping: Some(&mapping),
                guard: None,
            };
            let asked = Asked { token_expiration: of_pod, ..asked(Agent::Possible) };
            match resolve(&sources, &asked, &defaults).verdict {
                Verdict::Has(Identity {
                    method: Method::WebIdentity { audience, session_name, .. },
                    expiration,
                    sts_endpoints,
                    region,
                    ..
                }) => [
                    audience.chosen_by,
                    expiration.chosen_by,
                    sts_endpoints.chosen_by,
                    region.chosen_by,
                    session_name.chosen_by,
                ],
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(chosen(&[], None), [Mapping, Mapping, Mapping, Flag, Flag]);
        assert_eq!(chosen(&[("role-arn", ROLE)], None), [Flag; 5]);
        let all = [
            ("audience", "a"),
            ("token-expiration", "2000"),
            ("sts-regional-endpoints", "false"),
            ("region", "eu-west-2"),
            ("role-session-name", "true"),
        ];
        assert_eq!(chosen(&all, None), [ServiceAccount; 5]);
        assert_eq!(chosen(&all, Some("1000"))[1], Pod);
        assert_eq!(chosen(&all, Some("1h"))[1], ServiceAccount);
        let odd = [("token-expiration", "1h"), ("sts-regional-endpoints", "perhaps")];
        assert_eq!(chosen(&odd, Some("1h")), [Mapping, Mapping, Mapping, Flag, Flag]);
    }
}
