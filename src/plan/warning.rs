//! Warnings: one sentence each, code first, that says what is wrong and what to do.
//!
//! They hold names of objects and containers, never the value of a variable.

use crate::identity::{Finding, Holder, Key, Source};
use crate::pod::Platform;

use super::{Position, Reason, Severity};

/// Something that needs a person.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Warning {
    /// What it is about.
    pub reason: Reason,
    /// Whether it means that the identity is not wholly there.
    pub severity: Severity,
    /// The code and the sentence.
    pub text: String,
    /// The container that it is about, if it is about one.
    pub container: Option<Position>,
}

/// The most warnings of one severity that are kept, far more than are ever shown: a Pod may give
/// cause for millions.
const KEPT: usize = 100;

/// The warnings of one decision, those that block first.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Warnings {
    blocking: Vec<Warning>,
    advisory: Vec<Warning>,
    more: usize,
}

// === impl Warnings ===

impl Warnings {
    pub(super) fn push(&mut self, warning: Warning) {
        let kept = match warning.severity {
            Severity::Blocking => &mut self.blocking,
            Severity::Advisory => &mut self.advisory,
        };
        if kept.len() < KEPT {
            kept.push(warning);
        } else {
            self.more += 1;
        }
    }

    /// Each that was kept, those that block first.
    pub fn iter(&self) -> impl Iterator<Item = &Warning> {
        self.blocking.iter().chain(&self.advisory)
    }

    /// Those that say what keeps the identity from being whole.
    pub fn blocking(&self) -> &[Warning] {
        &self.blocking
    }

    /// How many there are, kept or not.
    pub fn count(&self) -> usize {
        self.blocking.len() + self.advisory.len() + self.more
    }
}

impl FromIterator<Warning> for Warnings {
    fn from_iter<I: IntoIterator<Item = Warning>>(warnings: I) -> Self {
        let mut all = Self::default();
        for warning in warnings {
            all.push(warning);
        }
        all
    }
}

// === impl Warning ===

impl Warning {
    fn new(reason: Reason, severity: Severity, text: &str) -> Self {
        Self { reason, severity, text: format!("{reason}: {text}"), container: None }
    }

    /// The same, about the container at `position`.
    pub(super) fn at(self, position: Position) -> Self {
        Self { container: Some(position), ..self }
    }

    fn advisory(reason: Reason, text: &str) -> Self {
        Self::new(reason, Severity::Advisory, text)
    }

    fn blocking(reason: Reason, text: &str) -> Self {
        Self::new(reason, Severity::Blocking, text)
    }

    pub(super) fn of_finding(finding: Finding<'_>, prefix: &str) -> Self {
        match finding {
            Finding::MisspelledKey { found, meant } => Self::advisory(
                Reason::NearMiss,
                &format!("{found} does nothing; write {prefix}/{}", meant.name()),
            ),
            Finding::WrappedRoleArn => Self::advisory(
                Reason::NearMiss,
                "role-arn of the ServiceAccount has spaces or quotes around it; remove them",
            ),
            // The only value that decides whether there is an identity at all.
            Finding::UnreadableValue { key: Key::PodIdentity, .. } => Self::advisory(
                Reason::NearMiss,
                "pod-identity of the ServiceAccount is neither true nor false; it was ignored",
            ),
            Finding::UnreadableValue { key, holder } => {
                let holder = match holder {
                    Holder::Pod => "Pod",
                    Holder::ServiceAccount => "ServiceAccount",
                };
                let wanted = match key {
                    Key::TokenExpiration => "a whole number of seconds",
                    _ => "true or false",
                };
                Self::advisory(
                    Reason::InvalidAnnotation,
                    &format!("{} of the {holder} is not {wanted}; it was ignored", key.name()),
                )
            }
        }
    }

    pub(super) fn invalid_role_arn(source: Source, severity: Severity) -> Self {
        let holder = holder(source);
        Self::new(
            Reason::InvalidRoleArn,
            severity,
            &format!(
                "the {holder}'s role is not of the form arn:aws:iam::ACCOUNT:role/NAME; correct it"
            ),
        )
    }

    pub(super) fn role_not_allowed(source: Source, severity: Severity) -> Self {
        let holder = holder(source);
        Self::new(
            Reason::RoleNotAllowed,
            severity,
            &format!(
                "the role policy does not let this namespace have the {holder}'s role; change either"
            ),
        )
    }

    pub(super) fn lookup_failed(why: &str) -> Self {
        Self::blocking(
            Reason::LookupFailed,
            &format!("{why}; the Pod was not injected: recreate it"),
        )
    }

    pub(super) fn unreadable(error: &crate::pod::Unreadable) -> Self {
        let text = format!("{error}; it was not injected: check what sent it");
        Self::blocking(Reason::UnreadablePod, &text)
    }

    pub(super) fn pod_identity_unsupported(platform: Platform) -> Self {
        let place = match platform {
            Platform::Fargate => "on Fargate",
            Platform::Windows | Platform::Linux => "on Windows",
        };
        Self::blocking(
            Reason::PodIdentityUnsupported,
            &format!("no Pod Identity agent runs {place}; give the ServiceAccount a role-arn"),
        )
    }

    pub(super) fn too_large() -> Self {
        Self::blocking(
            Reason::TooLarge,
            "nothing was injected, the Pod would grow by over 16 MiB; use fewer containers or a shorter role",
        )
    }

    pub(super) fn mount_path_taken(container: &str, path: &str) -> Self {
        Self::blocking(
            Reason::MountPathTaken,
            &format!("free {path} in container {container}, which was left alone"),
        )
    }

    pub(super) fn env_conflict(container: &str, variable: &str) -> Self {
        Self::blocking(
            Reason::EnvConflict,
            &format!("container {container} has only {variable}: remove it or complete the pair"),
        )
    }

    pub(super) fn shadowed_by_static_keys(container: &str) -> Self {
        Self::advisory(
            Reason::ShadowedByStaticKeys,
            &format!("container {container} sets AWS_ACCESS_KEY_ID, which SDKs prefer; remove it"),
        )
    }

    pub(super) fn shadowed_by_web_identity(container: &str) -> Self {
        Self::advisory(
            Reason::ShadowedByWebIdentity,
            &format!(
                "container {container} sets AWS_WEB_IDENTITY_TOKEN_FILE, which SDKs prefer; remove it"
            ),
        )
    }

    pub(super) fn volume_name_taken(taken: &str, ours: &str) -> Self {
        Self::advisory(
            Reason::VolumeNameTaken,
            &format!(
                "volume {taken} is something else, the token is in {ours}; rename your volume"
            ),
        )
    }

    pub(super) fn label_taken(name: &str, value: &str) -> Self {
        Self::advisory(
            Reason::LabelTaken,
            &format!("label {name} has a value of its own; set it to {value} or remove it"),
        )
    }

    pub(super) fn unknown_container(key: Key, container: &str) -> Self {
        Self::advisory(
            Reason::UnknownContainer,
            &format!("{} names {container}, which the Pod does not have; correct it", key.name()),
        )
    }
}

/// Whose a role is.
const fn holder(source: Source) -> &'static str {
    match source {
        Source::ConfigMap => "mapping",
        Source::CredentialsFile | Source::PodIdentityAnnotation | Source::RoleAnnotation => {
            "ServiceAccount"
        }
    }
}
