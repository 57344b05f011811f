//! The precedence table: which source names the identity, and which source each setting.
//!
//! The first source that names an identity wins, but where no Pod Identity agent can run a source
//! of IRSA beats one of Pod Identity. A mapping is asked only once the account is known to name
//! no identity itself, and its settings count only where it gave the role or stands beside the
//! container-credentials file. A value that cannot be read is reported, and the next source counts.

use super::{
    Agent, Annotations, Asked, Chosen, ChosenBy, Defaults, Expiration, Finding, Holder, Identity,
    Key, Knowledge, Listed, Mapping, Method, Names, Resolution, Role, Selection, SessionName,
    Source, Sources, StsEndpoints, Unreadable, Verdict, boolean, expiration, switch,
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
    let found = match (sources.account, sources.credentials_file, asked.agent) {
        (Knowledge::Unknown(why), listed, agent)
            if listed == Listed::No || agent == Agent::Impossible =>
        {
            return Resolution { verdict: Verdict::Unknown(why), findings };
        }
        (_, listed, agent) => find(listed, agent, annotations, sources.mapping, &mut findings),
    };
    let verdict = match found {
        None => Verdict::HasNone,
        Some(found) => {
            let settings = Settings { annotations, asked, defaults, findings: &mut findings };
            Verdict::Has(settings.complete(found, sources.mapping))
        }
    };
    Resolution { verdict, findings }
}

/// The winning source, with the role where it is one of IRSA.
#[derive(Clone, Copy)]
enum Found<'a> {
    PodIdentity(Source),
    Irsa(Source, &'a str),
}

fn find<'a>(
    listed: Listed,
    agent: Agent,
    annotations: Option<&'a Annotations>,
    mapping: Option<&'a Mapping>,
    findings: &mut Vec<Finding<'a>>,
) -> Option<Found<'a>> {
    let annotated = annotations.and_then(|a| a.value(Key::PodIdentity)).is_some_and(|value| {
        switch(value).unwrap_or_else(|Unreadable| {
            let (key, holder) = (Key::PodIdentity, Holder::ServiceAccount);
            findings.push(Finding::UnreadableValue { key, holder });
            false
        })
    });
    let pod_identity = match (listed, annotated) {
        (Listed::Yes, _) => Some(Found::PodIdentity(Source::CredentialsFile)),
        (Listed::No, true) => Some(Found::PodIdentity(Source::PodIdentityAnnotation)),
        (Listed::No, false) => None,
    };
    let by_annotation = annotations.and_then(|a| a.value(Key::RoleArn));
    let by_mapping = mapping.and_then(|m| m.role_arn.as_deref());
    let irsa = by_annotation
        .map(|role| Found::Irsa(Source::RoleAnnotation, role))
        .or(by_mapping.map(|role| Found::Irsa(Source::ConfigMap, role)));
    match agent {
        Agent::Possible => pod_identity.or(irsa),
        Agent::Impossible => irsa.or(pod_identity),
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
        let (source, beside) = match found {
            Found::PodIdentity(source) | Found::Irsa(source, _) => (
                source,
                mapping.filter(|_| matches!(source, Source::ConfigMap | Source::CredentialsFile)),
            ),
        };
        let expiration = self.expiration(beside);
        let sts_endpoints = self.sts_endpoints(beside);
        let region = self.value(Key::Region).or(self.defaults.region.as_deref());
        let selection = self.selection();
        let method = match found {
            Found::PodIdentity(_) => Method::ContainerCredentials,
            Found::Irsa(_, role) => Method::WebIdentity {
                role: Role::read(role, self.defaults.composer.as_ref()),
                audience: self
                    .value(Key::Audience)
                    .or(beside.and_then(|m| m.audience.as_deref()))
                    .unwrap_or(&self.defaults.audience),
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

    fn expiration(&mut self, mapping: Option<&Mapping>) -> Expiration {
        let key = Key::TokenExpiration;
        let (of_pod, of_account) = (self.asked.token_expiration, self.value(key));
        let chosen = self
            .read(key, Holder::Pod, of_pod, expiration)
            .or_else(|| self.read(key, Holder::ServiceAccount, of_account, expiration))
            .or(mapping.and_then(|m| m.token_expiration));
        match chosen {
            Some(seconds) => Expiration { seconds, chosen_by: ChosenBy::Person },
            None => {
                Expiration { seconds: self.defaults.token_expiration, chosen_by: ChosenBy::Flag }
            }
        }
    }

    fn sts_endpoints(&mut self, mapping: Option<&Mapping>) -> StsEndpoints {
        let key = Key::StsRegionalEndpoints;
        let of_account = self.value(key);
        let chosen = self
            .read(key, Holder::ServiceAccount, of_account, boolean)
            .or(mapping.and_then(|m| m.sts_regional_endpoints));
        match chosen {
            Some(true) => StsEndpoints::Regional,
            Some(false) => StsEndpoints::SdkDefault,
            None => self.defaults.sts_endpoints,
        }
    }

    fn session_name(&mut self) -> SessionName {
        let key = Key::RoleSessionName;
        let of_account = self.value(key);
        match self.read(key, Holder::ServiceAccount, of_account, boolean) {
            Some(true) => SessionName::OfPod,
            Some(false) => SessionName::SdkDefault,
            None => self.defaults.session_name,
        }
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
