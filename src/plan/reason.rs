//! Reason codes: stable, kebab-case, one set for warnings, audit annotations, logs, metrics and
//! Events. A code that was published keeps its name and its meaning for good.

use std::fmt;

/// Why a decision is what it is, or what a person is warned about.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Reason {
    /// Everything that the identity needs was added.
    Injected,
    /// Everything that the identity needs stood there already.
    AlreadyInjected,
    /// Neither the creation of a Pod nor an update of its ephemeral containers.
    NotApplicable,
    /// The Pod's label keeps the webhook away.
    SkipLabel,
    /// The kubelet's copy of a static Pod.
    MirrorPod,
    /// No source names an identity for the account.
    NoIdentity,
    /// The annotations leave no container to inject into.
    ContainersSkipped,
    /// An ephemeral container joins a Pod that has no token volume, and none can be added now.
    NoTokenVolume,
    /// Nobody could tell whether the account has an identity.
    LookupFailed,
    /// The Pod in the review is not the JSON of a Pod.
    UnreadablePod,
    /// The account is not among the documents at hand (offline only).
    ServiceAccountNotGiven,
    /// The role's ARN does not have the form of one.
    InvalidRoleArn,
    /// The role policy does not allow the namespace this role.
    RoleNotAllowed,
    /// An annotation misses one of ours by a little, and does nothing.
    NearMiss,
    /// An annotation's value is not of its type; the next source counted.
    InvalidAnnotation,
    /// Something else is mounted where the token belongs.
    MountPathTaken,
    /// One of two variables that belong together is set.
    EnvConflict,
    /// Pod Identity is asked for where no agent runs.
    PodIdentityUnsupported,
    /// The Pod would grow so much that it could not be stored.
    TooLarge,
    /// Another volume has the name of ours.
    VolumeNameTaken,
    /// The Pod's label has a value of its own.
    LabelTaken,
    /// An annotation names a container that the Pod has not.
    UnknownContainer,
    /// The container has static keys, which SDKs prefer.
    ShadowedByStaticKeys,
    /// The container has web identity variables, which SDKs prefer to Pod Identity.
    ShadowedByWebIdentity,
}

/// Whether a warning means that an identity is not, or not wholly, there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Severity {
    /// The strict endpoint refuses the Pod.
    Blocking,
    /// Something to put right some time.
    Advisory,
}

// === impl Reason ===

impl Reason {
    /// Every reason, for tables and tests.
    pub const ALL: [Self; 24] = [
        Self::Injected,
        Self::AlreadyInjected,
        Self::NotApplicable,
        Self::SkipLabel,
        Self::MirrorPod,
        Self::NoIdentity,
        Self::ContainersSkipped,
        Self::NoTokenVolume,
        Self::LookupFailed,
        Self::UnreadablePod,
        Self::ServiceAccountNotGiven,
        Self::InvalidRoleArn,
        Self::RoleNotAllowed,
        Self::NearMiss,
        Self::InvalidAnnotation,
        Self::MountPathTaken,
        Self::EnvConflict,
        Self::PodIdentityUnsupported,
        Self::TooLarge,
        Self::VolumeNameTaken,
        Self::LabelTaken,
        Self::UnknownContainer,
        Self::ShadowedByStaticKeys,
        Self::ShadowedByWebIdentity,
    ];

    /// The code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Injected => "injected",
            Self::AlreadyInjected => "already-injected",
            Self::NotApplicable => "not-applicable",
            Self::SkipLabel => "skip-label",
            Self::MirrorPod => "mirror-pod",
            Self::NoIdentity => "no-identity",
            Self::ContainersSkipped => "containers-skipped",
            Self::NoTokenVolume => "no-token-volume",
            Self::LookupFailed => "lookup-failed",
            Self::UnreadablePod => "unreadable-pod",
            Self::ServiceAccountNotGiven => "service-account-not-given",
            Self::InvalidRoleArn => "invalid-role-arn",
            Self::RoleNotAllowed => "role-not-allowed",
            Self::NearMiss => "near-miss",
            Self::InvalidAnnotation => "invalid-annotation",
            Self::MountPathTaken => "mount-path-taken",
            Self::EnvConflict => "env-conflict",
            Self::PodIdentityUnsupported => "pod-identity-unsupported",
            Self::TooLarge => "too-large",
            Self::VolumeNameTaken => "volume-name-taken",
            Self::LabelTaken => "label-taken",
            Self::UnknownContainer => "unknown-container",
            Self::ShadowedByStaticKeys => "shadowed-by-static-keys",
            Self::ShadowedByWebIdentity => "shadowed-by-web-identity",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_kebab_case() {
        let mut codes = Reason::ALL.map(Reason::code).to_vec();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Reason::ALL.len());
        assert!(codes.iter().all(|c| c.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
    }
}
