//! What the kinds of Pod are made from: the accounts, and a Pod that is altered step by step.

use serde_json::{Value, json};

/// A role.
pub(super) const ROLE: &str = "arn:aws:iam::111122223333:role/app";

/// An account that both webhooks know, and how its Pods get their identity.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    pub(super) name: &'static str,
    pub(super) path: Path,
    /// The audience of its tokens, where it is not the flag's.
    pub(super) audience: Option<&'static str>,
    pub(super) annotations: Annotations,
}

/// Keys, without the prefix, and values.
type Annotations = &'static [(&'static str, &'static str)];

/// One with a role, and nothing else said.
pub(super) const WEB: Account = Account::of_a_role("role", &[("role-arn", ROLE)]);
/// One in the container-credentials file, and nothing else said.
pub(super) const LISTED: Account = Account::listed("listed", &[]);
/// One in the file that has a role as well.
pub(super) const LISTED_ROLE: Account = Account::listed("listed-role", &[("role-arn", ROLE)]);

/// Where an account's identity comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Path {
    /// A role: web identity.
    WebIdentity,
    /// The container-credentials file.
    ContainerCredentials,
    /// Nowhere.
    None,
}

/// A Pod in the making.
#[derive(Clone, Debug)]
pub(super) struct Sketch {
    pub(super) account: Account,
    pub(super) pod: Value,
    /// The audience of the flags that it is made for.
    pub(super) audience: &'static str,
}

// === impl Account ===

impl Account {
    /// One whose Pods get a role.
    pub(super) const fn of_a_role(name: &'static str, annotations: Annotations) -> Self {
        Self { name, path: Path::WebIdentity, audience: None, annotations }
    }

    /// One that the container-credentials file lists: whose name begins so.
    pub(super) const fn listed(name: &'static str, annotations: Annotations) -> Self {
        Self { name, path: Path::ContainerCredentials, audience: None, annotations }
    }

    /// One whose Pods get nothing.
    pub(super) const fn of_nothing(name: &'static str, annotations: Annotations) -> Self {
        Self { name, path: Path::None, audience: None, annotations }
    }

    /// The same with an audience of its own.
    pub(super) const fn for_audience(self, audience: &'static str) -> Self {
        Self { audience: Some(audience), ..self }
    }
}

// === impl Path ===

impl Path {
    /// Where the token is mounted; of no identity, where IRSA's would be.
    pub(super) fn mount_path(self) -> &'static str {
        match self {
            Self::ContainerCredentials => "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount",
            Self::WebIdentity | Self::None => "/var/run/secrets/eks.amazonaws.com/serviceaccount",
        }
    }

    pub(super) fn volume(self) -> &'static str {
        match self {
            Self::ContainerCredentials => "eks-pod-identity-token",
            Self::WebIdentity | Self::None => "aws-iam-token",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::ContainerCredentials => "eks-pod-identity-token",
            Self::WebIdentity | Self::None => "token",
        }
    }

    /// The two variables that name the credentials.
    pub(super) fn pair(self) -> [&'static str; 2] {
        match self {
            Self::ContainerCredentials => {
                ["AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]
            }
            Self::WebIdentity | Self::None => ["AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"],
        }
    }
}

// === impl Sketch ===

impl Sketch {
    /// The Pod of an account, with one container `app`.
    pub(super) fn new(name: &str, account: Account, audience: &'static str) -> Self {
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "name": name },
            "spec": {
                "serviceAccountName": account.name,
                "containers": [{ "name": "app", "image": "app" }],
            },
        });
        Self { account, pod, audience }
    }

    /// The Pod's name.
    pub(super) fn name(&self) -> String {
        self.pod["metadata"]["name"].as_str().unwrap_or_default().to_owned()
    }

    /// Adds to a list of the Pod's spec.
    pub(super) fn push(&mut self, list: &str, value: Value) -> &mut Self {
        push(&mut self.pod["spec"], list, value);
        self
    }

    /// Adds to a list of the container `app`.
    pub(super) fn push_to_app(&mut self, list: &str, value: Value) -> &mut Self {
        push(&mut self.pod["spec"]["containers"][0], list, value);
        self
    }

    /// Sets a variable of the container `app`.
    pub(super) fn env(&mut self, name: &str, value: &str) -> &mut Self {
        self.push_to_app("env", json!({ "name": name, "value": value }))
    }

    /// Sets an annotation, with the prefix.
    pub(super) fn annotate(&mut self, key: &str, value: &str) -> &mut Self {
        self.pod["metadata"]["annotations"][format!("eks.amazonaws.com/{key}")] = json!(value);
        self
    }

    /// The volume that would be injected, under the name and with the audience given.
    pub(super) fn token_volume(&mut self, name: &str, audience: &str) -> &mut Self {
        let token = json!({
            "audience": audience,
            "expirationSeconds": 86400,
            "path": self.account.path.file(),
        });
        let sources = json!([{ "serviceAccountToken": token }]);
        self.push("volumes", json!({ "name": name, "projected": { "sources": sources } }))
    }

    /// A volume of the author's own.
    pub(super) fn own_volume(&mut self, name: &str) -> &mut Self {
        self.push("volumes", json!({ "name": name, "emptyDir": {} }))
    }

    /// Mounts a volume in the container `app`.
    pub(super) fn mount(&mut self, volume: &str, path: &str) -> &mut Self {
        self.push_to_app("volumeMounts", json!({ "name": volume, "mountPath": path }))
    }

    /// The audience of the account's tokens.
    pub(super) fn audience(&self) -> &'static str {
        match self.account.path {
            Path::ContainerCredentials => "pods.eks.amazonaws.com",
            Path::WebIdentity | Path::None => self.account.audience.unwrap_or(self.audience),
        }
    }
}

fn push(object: &mut Value, list: &str, value: Value) {
    match &mut object[list] {
        Value::Array(list) => list.push(value),
        missing => *missing = json!([value]),
    }
}
