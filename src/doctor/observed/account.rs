//! ServiceAccounts, each with what the webhook would decide about a plain Pod of it.
//!
//! The decision is `plan::decide`, on a Pod with one container and nothing else: what it says then
//! is said by the account and the documents alone.

use std::collections::BTreeMap;

use crate::accounts::{Credentials, Mappings};
use crate::cli::{Composition, Injection, Known};
use crate::identity::{
    Annotations, Composer, Guard, Knowledge, Listed, Method, Role, RolePolicy, Sources,
};
use crate::installation::{Documents, Installation};
use crate::plan::{self, Ask, Outcome, Reason, Settings, Spread};
use crate::pod::Pod;

/// Namespace and name.
type Name = (Box<str>, Box<str>);

/// ServiceAccounts, and what else there is to know when a Pod of one is decided.
#[derive(Debug)]
pub struct Accounts {
    all: BTreeMap<Name, Annotations>,
    mappings: Option<Mappings>,
    credentials: Option<Credentials>,
    role_policy: Option<RolePolicy>,
    settings: Settings,
    composition: Composition,
}

/// What stands for the partition and the account of composed ARNs where only the webhook knows
/// them. Whether a name makes an ARN does not depend on them, and no line shows either.
const SOME_PARTITION: &str = "aws";
const SOME_ACCOUNT: &str = "111122223333";

/// What the webhook would say of a plain Pod of an account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Told {
    /// The account's namespace.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// How it gets credentials, if it has an identity.
    pub path: Option<Path>,
    /// What becomes of a plain Pod.
    pub outcome: Outcome,
    /// For whom its token is.
    pub audience: Box<str>,
    /// How long it lives, in seconds.
    pub expiration: u64,
    /// The warnings: reason and sentence, without the code in front.
    pub warnings: Vec<(Reason, String)>,
}

/// How a Pod gets credentials.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Path {
    /// Of IRSA, with a role that has the form of one.
    WebIdentity,
    /// Of IRSA, with a role that has not.
    InvalidRole,
    /// Of EKS Pod Identity.
    PodIdentity,
}

// === impl Accounts ===

impl Accounts {
    /// `all` beside what `documents` say, decided as `installation` would.
    pub fn new(
        all: BTreeMap<Name, Annotations>,
        installation: Option<&Installation>,
        documents: &Documents,
    ) -> Self {
        let injection = installation.map(|i| i.flags().settings.injection.clone());
        let Injection { mut settings, composition, role_policy: _ } = injection.unwrap_or_default();
        if let Composition::Asks(Known { account, partition }) = &composition {
            let partition = partition.as_deref().unwrap_or(SOME_PARTITION);
            let account = account.as_deref().unwrap_or(SOME_ACCOUNT);
            settings.defaults.composer = Composer::new(partition, account).ok();
        }
        Self {
            all,
            mappings: documents.mappings.entries().cloned(),
            credentials: documents.credentials.entries().cloned(),
            role_policy: documents.role_policy.entries().cloned(),
            settings,
            composition,
        }
    }

    /// The settings of the webhook.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The settings of the webhook where `role`, which it gave, has the partition and the account
    /// that only it knows; nothing if it composes no ARNs, or nothing of them is unknown.
    pub fn settings_by(&self, role: &str) -> Option<Settings> {
        let Composition::Asks(Known { account, partition }) = &self.composition else {
            return None;
        };
        let role = Role::read(role, None);
        let (its_partition, its_account) = role.partition_and_account()?;
        let partition = partition.as_deref().unwrap_or(its_partition);
        let account = account.as_deref().unwrap_or(its_account);
        let mut settings = self.settings.clone();
        settings.defaults.composer = Some(Composer::new(partition, account).ok()?);
        Some(settings)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Namespace and name of each.
    pub fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.all.keys().map(|(namespace, name)| (&**namespace, &**name))
    }

    /// Everything that is known about an account.
    pub fn sources<'a>(&'a self, namespace: &'a str, name: &str) -> Sources<'a> {
        let known = self.all.get(&(namespace.into(), name.into()));
        let listed = self.credentials.as_ref().map(|c| c.listed(namespace, name));
        let mapping = self.mappings.as_ref().and_then(|m| m.find(namespace, name));
        Sources {
            credentials_file: listed.unwrap_or(Listed::No),
            account: known.map_or(Knowledge::Absent, Knowledge::Known),
            mapping: mapping.map(AsRef::as_ref),
            guard: self.role_policy.as_ref().map(|policy| Guard { policy, namespace }),
        }
    }

    /// What the webhook would say of a plain Pod of each account: those for which it says anything.
    pub fn told(&self) -> impl Iterator<Item = Told> {
        self.names().filter_map(|(namespace, name)| self.tell(namespace, name))
    }

    fn tell(&self, namespace: &str, name: &str) -> Option<Told> {
        const PLAIN: &str = r#"{"spec":{"containers":[{"name":"app"}]}}"#;
        let ask = Ask::Create(Pod::read(PLAIN).ok()?);
        let sources = self.sources(namespace, name);
        let spread = Spread::by_names(&[]);
        let decision = plan::decide(&ask, &sources, spread, &self.settings);
        let warnings: Vec<_> = decision.warnings.iter().map(sentence).collect();
        let Some(identity) = &decision.identity else {
            return (!warnings.is_empty()).then(|| Told {
                namespace: namespace.into(),
                name: name.into(),
                path: None,
                outcome: decision.outcome,
                audience: "".into(),
                expiration: 0,
                warnings,
            });
        };
        let (path, audience) = match &identity.method {
            Method::WebIdentity { role: Role::Invalid(_), audience, .. } => {
                (Path::InvalidRole, audience.value)
            }
            Method::WebIdentity { audience, .. } => (Path::WebIdentity, audience.value),
            Method::ContainerCredentials => {
                (Path::PodIdentity, &*self.settings.container_credentials.audience)
            }
        };
        Some(Told {
            namespace: namespace.into(),
            name: name.into(),
            path: Some(path),
            outcome: decision.outcome,
            audience: audience.into(),
            expiration: identity.expiration.value,
            warnings,
        })
    }
}

/// A warning without its code.
pub(super) fn sentence(warning: &plan::Warning) -> (Reason, String) {
    let code = format!("{}: ", warning.reason);
    let text = warning.text.strip_prefix(&code).unwrap_or(&warning.text);
    (warning.reason, text.to_owned())
}

// === impl Told ===

impl Told {
    /// The account, `namespace/name`.
    pub fn account(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Whether its Pods have an identity.
    pub fn has_identity(&self) -> bool {
        self.path.is_some()
    }
}
