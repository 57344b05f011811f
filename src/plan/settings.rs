//! What the flags say about the edits: names, paths, addresses, and what to do in the odd case.
//!
//! The defaults are those of the Go webhook; Pods that run today were injected with them.

use crate::identity::Defaults;

/// The label that AWS's agent and its tools look for on Pods that use Pod Identity.
pub const POD_IDENTITY_LABEL: &str = "eks.amazonaws.com/pod-identity";

/// The value of [`POD_IDENTITY_LABEL`].
pub const POD_IDENTITY_LABEL_VALUE: &str = "enabled";

/// The name of the IRSA token's volume.
pub const WEB_IDENTITY_VOLUME_NAME: &str = "aws-iam-token";

/// The IRSA token's file within its volume.
pub const WEB_IDENTITY_TOKEN_PATH: &str = "token";

/// The default of `--token-mount-path`.
pub const WEB_IDENTITY_MOUNT_PATH: &str = "/var/run/secrets/eks.amazonaws.com/serviceaccount";

/// The default of `--container-credentials-audience`: the audience that the EKS Auth API wants.
pub const CONTAINER_CREDENTIALS_AUDIENCE: &str = "pods.eks.amazonaws.com";

/// The default of `--container-credentials-token-mount-path`.
pub const CONTAINER_CREDENTIALS_MOUNT_PATH: &str =
    "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount";

/// The default of `--container-credentials-token-volume-name` and of
/// `--container-credentials-token-path`.
pub const CONTAINER_CREDENTIALS_TOKEN: &str = "eks-pod-identity-token";

/// The default of `--container-credentials-full-uri`: the Pod Identity agent's link-local address.
pub const CONTAINER_CREDENTIALS_FULL_URI: &str = "http://169.254.170.23/v1/credentials";

/// What the flags say about decision and edits.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What holds where nothing nearer to the Pod says otherwise.
    pub defaults: Defaults,
    /// `--token-mount-path`.
    pub web_identity_mount_path: Box<str>,
    /// `--container-credentials-*`.
    pub container_credentials: ContainerCredentials,
    /// `--invalid-role-arn`.
    pub invalid_role_arn: UnfitRole,
    /// `--role-not-allowed`.
    pub role_not_allowed: UnfitRole,
    /// `--region-with-env-from`.
    pub region_with_env_from: RegionWithEnvFrom,
}

/// `--container-credentials-*`.
#[derive(Clone, Debug)]
pub struct ContainerCredentials {
    /// The token's audience.
    pub audience: Box<str>,
    /// Where the token's volume is mounted.
    pub mount_path: Box<str>,
    /// The name of the token's volume.
    pub volume_name: Box<str>,
    /// The token's file within the volume.
    pub token_path: Box<str>,
    /// Where SDKs get credentials.
    pub full_uri: Box<str>,
}

/// What to do about a role that should not be injected: it has not the form of an ARN, or the role
/// policy does not allow it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum UnfitRole {
    /// Inject it as it stands, and warn.
    Inject,
    /// Inject nothing, and warn.
    Skip,
    /// Refuse the Pod.
    Deny,
}

/// Whether a container that has `envFrom` gets a region.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RegionWithEnvFrom {
    /// It does: `env` beats what `envFrom` brings.
    Inject,
    /// It does not, so that what `envFrom` brings holds.
    Skip,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            defaults: Defaults::default(),
            web_identity_mount_path: WEB_IDENTITY_MOUNT_PATH.into(),
            container_credentials: ContainerCredentials::default(),
            invalid_role_arn: UnfitRole::Inject,
            role_not_allowed: UnfitRole::Skip,
            region_with_env_from: RegionWithEnvFrom::Inject,
        }
    }
}

impl Default for ContainerCredentials {
    fn default() -> Self {
        Self {
            audience: CONTAINER_CREDENTIALS_AUDIENCE.into(),
            mount_path: CONTAINER_CREDENTIALS_MOUNT_PATH.into(),
            volume_name: CONTAINER_CREDENTIALS_TOKEN.into(),
            token_path: CONTAINER_CREDENTIALS_TOKEN.into(),
            full_uri: CONTAINER_CREDENTIALS_FULL_URI.into(),
        }
    }
}
