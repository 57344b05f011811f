//! The flags that say what is injected: the same for the server and for every command.

use std::path::PathBuf;

use clap::Args;

use crate::identity::{
    Composer, ComposerError, DEFAULT_ANNOTATION_PREFIX, Defaults, SessionName, StsEndpoints,
};
use crate::plan::{
    CONTAINER_CREDENTIALS_AUDIENCE, CONTAINER_CREDENTIALS_FULL_URI,
    CONTAINER_CREDENTIALS_MOUNT_PATH, CONTAINER_CREDENTIALS_TOKEN, ContainerCredentials,
    RegionWithEnvFrom, Settings, UnfitRole, WEB_IDENTITY_MOUNT_PATH,
};

use super::value::{
    Flag, FlagError, boolean, choice, domain, label, mount_path, path, region, seconds, text,
    token_path, url,
};

/// What stands above these flags in `--help`.
pub(super) const HEADING: &str = "What is injected";

const TOKEN_AUDIENCE: &str = "sts.amazonaws.com";
const TOKEN_EXPIRATION: &str = "86400";

const UNFIT_ROLE: &[(&str, UnfitRole)] =
    &[("inject", UnfitRole::Inject), ("skip", UnfitRole::Skip), ("deny", UnfitRole::Deny)];

const REGION_WITH_ENV_FROM: &[(&str, RegionWithEnvFrom)] =
    &[("inject", RegionWithEnvFrom::Inject), ("skip", RegionWithEnvFrom::Skip)];

/// The flags as they are typed.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = HEADING)]
pub(super) struct InjectionFlags {
    /// The domain of the annotations on ServiceAccounts and Pods
    #[arg(long, value_name = "DOMAIN", default_value = DEFAULT_ANNOTATION_PREFIX)]
    annotation_prefix: Option<String>,
    /// The audience of IRSA tokens where neither annotation nor mapping names one
    #[arg(long, value_name = "AUDIENCE", default_value = TOKEN_AUDIENCE)]
    token_audience: Option<String>,
    /// Where IRSA tokens are mounted
    #[arg(long, value_name = "PATH", default_value = WEB_IDENTITY_MOUNT_PATH)]
    token_mount_path: Option<String>,
    /// The lifetime of tokens in seconds, from 600 to 4294967296
    #[arg(long, value_name = "SECONDS", default_value = TOKEN_EXPIRATION)]
    token_expiration: Option<String>,
    /// The region to inject as `AWS_REGION` and `AWS_DEFAULT_REGION`; none by default
    #[arg(long, value_name = "REGION")]
    aws_default_region: Option<String>,
    /// Whether containers that have `envFrom` get a region: `inject` or `skip`
    #[arg(long, value_name = "inject|skip", default_value = "inject")]
    region_with_env_from: Option<String>,
    /// Inject `AWS_STS_REGIONAL_ENDPOINTS=regional`
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false")]
    sts_regional_endpoint: Option<String>,
    /// Inject the Pod's name as `AWS_ROLE_SESSION_NAME` (IRSA)
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false")]
    role_session_name: Option<String>,
    /// What to do about a malformed role ARN: `inject` it and warn, `skip` and warn, or `deny` the Pod
    #[arg(long, value_name = "inject|skip|deny", default_value = "inject")]
    invalid_role_arn: Option<String>,
    /// The roles that the Pods of each namespace may have (YAML or JSON); read again when it changes
    #[arg(long, value_name = "FILE")]
    role_policy: Option<String>,
    /// What to do about a role that the policy does not allow: `inject` it and warn, `skip` and warn, or `deny` the Pod
    #[arg(long, value_name = "inject|skip|deny", default_value = "skip")]
    role_not_allowed: Option<String>,
    /// Complete a role given by name alone to an ARN
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false")]
    compose_role_arn: Option<String>,
    /// The account of composed ARNs; asked of the instance metadata service when unset
    #[arg(long, value_name = "ACCOUNT")]
    aws_account_id: Option<String>,
    /// The partition of composed ARNs; asked of the instance metadata service when unset
    #[arg(long, value_name = "PARTITION")]
    aws_partition: Option<String>,
    /// The audience of Pod Identity tokens
    #[arg(long, value_name = "AUDIENCE", default_value = CONTAINER_CREDENTIALS_AUDIENCE)]
    container_credentials_audience: Option<String>,
    /// Where Pod Identity tokens are mounted
    #[arg(long, value_name = "PATH", default_value = CONTAINER_CREDENTIALS_MOUNT_PATH)]
    container_credentials_token_mount_path: Option<String>,
    /// The name of the Pod Identity token's volume
    #[arg(long, value_name = "NAME", default_value = CONTAINER_CREDENTIALS_TOKEN)]
    container_credentials_token_volume_name: Option<String>,
    /// The Pod Identity token's file within its volume
    #[arg(long, value_name = "PATH", default_value = CONTAINER_CREDENTIALS_TOKEN)]
    container_credentials_token_path: Option<String>,
    /// Where SDKs get Pod Identity credentials; on IPv6 clusters `http://[fd00:ec2::23]/v1/credentials`
    #[arg(long, value_name = "URL", default_value = CONTAINER_CREDENTIALS_FULL_URI)]
    container_credentials_full_uri: Option<String>,
}

/// The flags as they are used.
#[derive(Clone, Debug)]
pub struct Injection {
    /// What the decision is made with; its composer is that of [`Self::composition`], if settled.
    pub settings: Settings,
    /// `--compose-role-arn`.
    pub composition: Composition,
    /// `--role-policy`; `None` allows every role.
    pub role_policy: Option<PathBuf>,
}

/// Whether bare role names are completed, and with what.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Composition {
    /// They are not, or everything they are completed with was given.
    Settled,
    /// The rest is to be asked of the instance metadata service.
    Asks(Known),
}

/// What the flags say of composed ARNs.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Known {
    /// `--aws-account-id`.
    pub account: Option<Box<str>>,
    /// `--aws-partition`.
    pub partition: Option<Box<str>>,
}

// === impl Injection ===

impl Default for Injection {
    fn default() -> Self {
        Self { settings: Settings::default(), composition: Composition::Settled, role_policy: None }
    }
}

// === impl InjectionFlags ===

impl InjectionFlags {
    /// The flags as they are used.
    ///
    /// # Errors
    ///
    /// The first flag whose value is not allowed.
    pub(super) fn settings(&self) -> Result<Injection, FlagError> {
        self.over(&Injection::default())
    }

    /// The flags as they are used, those of `base` where none is typed.
    ///
    /// # Errors
    ///
    /// The first flag whose value is not allowed.
    pub(super) fn over(&self, base: &Injection) -> Result<Injection, FlagError> {
        let Settings {
            defaults,
            web_identity_mount_path,
            container_credentials,
            invalid_role_arn,
            role_not_allowed,
            region_with_env_from,
        } = &base.settings;
        let (composer, composition) = self.composition(base)?;
        let settings = Settings {
            defaults: self.defaults(composer, defaults)?,
            web_identity_mount_path: Flag::new("token-mount-path", self.token_mount_path.as_ref())
                .over(web_identity_mount_path, mount_path)?,
            container_credentials: self.container_credentials(container_credentials)?,
            invalid_role_arn: Flag::new("invalid-role-arn", self.invalid_role_arn.as_ref())
                .over(invalid_role_arn, choice(UNFIT_ROLE, "inject, skip or deny"))?,
            role_not_allowed: Flag::new("role-not-allowed", self.role_not_allowed.as_ref())
                .over(role_not_allowed, choice(UNFIT_ROLE, "inject, skip or deny"))?,
            region_with_env_from: Flag::new(
                "region-with-env-from",
                self.region_with_env_from.as_ref(),
            )
            .over(region_with_env_from, choice(REGION_WITH_ENV_FROM, "inject or skip"))?,
        };
        let role_policy = Flag::new("role-policy", self.role_policy.as_ref())
            .optional(path)?
            .or_else(|| base.role_policy.clone());
        Ok(Injection { settings, composition, role_policy })
    }

    /// The flags that are typed, without dashes.
    pub(super) fn typed(&self) -> Vec<&'static str> {
        let Self {
            annotation_prefix,
            token_audience,
            token_mount_path,
            token_expiration,
            aws_default_region,
            region_with_env_from,
            sts_regional_endpoint,
            role_session_name,
            invalid_role_arn,
            role_policy,
            role_not_allowed,
            compose_role_arn,
            aws_account_id,
            aws_partition,
            container_credentials_audience,
            container_credentials_token_mount_path,
            container_credentials_token_volume_name,
            container_credentials_token_path,
            container_credentials_full_uri,
        } = self;
        let flags = [
            ("annotation-prefix", annotation_prefix),
            ("token-audience", token_audience),
            ("token-mount-path", token_mount_path),
            ("token-expiration", token_expiration),
            ("aws-default-region", aws_default_region),
            ("region-with-env-from", region_with_env_from),
            ("sts-regional-endpoint", sts_regional_endpoint),
            ("role-session-name", role_session_name),
            ("invalid-role-arn", invalid_role_arn),
            ("role-policy", role_policy),
            ("role-not-allowed", role_not_allowed),
            ("compose-role-arn", compose_role_arn),
            ("aws-account-id", aws_account_id),
            ("aws-partition", aws_partition),
            ("container-credentials-audience", container_credentials_audience),
            ("container-credentials-token-mount-path", container_credentials_token_mount_path),
            ("container-credentials-token-volume-name", container_credentials_token_volume_name),
            ("container-credentials-token-path", container_credentials_token_path),
            ("container-credentials-full-uri", container_credentials_full_uri),
        ];
        let is_typed = |value: &Option<String>| value.as_ref().is_some_and(|v| !v.is_empty());
        flags.into_iter().filter(|(_, value)| is_typed(value)).map(|(name, _)| name).collect()
    }

    fn composition(&self, base: &Injection) -> Result<(Option<Composer>, Composition), FlagError> {
        let composer = base.settings.defaults.composer.as_ref();
        let (known, composes) = match &base.composition {
            Composition::Asks(known) => (known.clone(), true),
            Composition::Settled => {
                let of = |part: fn(&Composer) -> &str| composer.map(|c| part(c).into());
                let known =
                    Known { account: of(Composer::account), partition: of(Composer::partition) };
                (known, composer.is_some())
            }
        };
        let known = Known {
            account: Flag::new("aws-account-id", self.aws_account_id.as_ref())
                .optional(account)?
                .or(known.account),
            partition: Flag::new("aws-partition", self.aws_partition.as_ref())
                .optional(partition)?
                .or(known.partition),
        };
        let composes = Flag::new("compose-role-arn", self.compose_role_arn.as_ref())
            .over(&composes, boolean)?;
        Ok(match (composes, known) {
            (false, _) => (None, Composition::Settled),
            (true, Known { account: Some(account), partition: Some(partition) }) => {
                (Composer::new(&partition, &account).ok(), Composition::Settled)
            }
            (true, known) => (None, Composition::Asks(known)),
        })
    }

    fn defaults(&self, composer: Option<Composer>, base: &Defaults) -> Result<Defaults, FlagError> {
        let sts = |value: &str| {
            let named = |on| if on { StsEndpoints::Regional } else { StsEndpoints::SdkDefault };
            boolean(value).map(named)
        };
        let session = |value: &str| {
            let named = |on| if on { SessionName::OfPod } else { SessionName::SdkDefault };
            boolean(value).map(named)
        };
        Ok(Defaults {
            annotation_prefix: Flag::new("annotation-prefix", self.annotation_prefix.as_ref())
                .over(&base.annotation_prefix, domain)?,
            audience: Flag::new("token-audience", self.token_audience.as_ref())
                .over(&base.audience, text)?,
            token_expiration: Flag::new("token-expiration", self.token_expiration.as_ref())
                .over(&base.token_expiration, seconds)?,
            sts_endpoints: Flag::new("sts-regional-endpoint", self.sts_regional_endpoint.as_ref())
                .over(&base.sts_endpoints, sts)?,
            region: Flag::new("aws-default-region", self.aws_default_region.as_ref())
                .optional(region)?
                .or_else(|| base.region.clone()),
            session_name: Flag::new("role-session-name", self.role_session_name.as_ref())
                .over(&base.session_name, session)?,
            composer,
        })
    }

    fn container_credentials(
        &self,
        base: &ContainerCredentials,
    ) -> Result<ContainerCredentials, FlagError> {
        let audience = self.container_credentials_audience.as_ref();
        let mount = self.container_credentials_token_mount_path.as_ref();
        let volume = self.container_credentials_token_volume_name.as_ref();
        let token = self.container_credentials_token_path.as_ref();
        let uri = self.container_credentials_full_uri.as_ref();
        Ok(ContainerCredentials {
            audience: Flag::new("container-credentials-audience", audience)
                .over(&base.audience, text)?,
            mount_path: Flag::new("container-credentials-token-mount-path", mount)
                .over(&base.mount_path, mount_path)?,
            volume_name: Flag::new("container-credentials-token-volume-name", volume)
                .over(&base.volume_name, label)?,
            token_path: Flag::new("container-credentials-token-path", token)
                .over(&base.token_path, token_path)?,
            full_uri: Flag::new("container-credentials-full-uri", uri)
                .over(&base.full_uri, |value| url(value).map(|_| value.into()))?,
        })
    }
}

fn account(value: &str) -> Result<Box<str>, &'static str> {
    match Composer::new("aws", value) {
        Ok(_) => Ok(value.into()),
        Err(ComposerError::Account | ComposerError::Partition) => {
            Err("the twelve digits of an AWS account, such as 111122223333")
        }
    }
}

fn partition(value: &str) -> Result<Box<str>, &'static str> {
    match Composer::new(value, "111122223333") {
        Ok(_) => Ok(value.into()),
        Err(ComposerError::Account | ComposerError::Partition) => {
            Err("an AWS partition such as aws, aws-cn or aws-us-gov")
        }
    }
}
