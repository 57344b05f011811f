//! An entry of a `MutatingWebhookConfiguration`: where it calls, for what, and how.
//!
//! What is left out counts as the API server's default, so that nobody who reads an entry has to know
//! them. Whether an entry calls a webhook of this kind is told by its rules and by names, since
//! nothing in a configuration says what software answers.

use std::collections::BTreeMap;

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhook, RuleWithOperations, WebhookClientConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt as _};

/// What the names of webhooks of this kind have in common.
const MARK: &str = "pod-identity";

/// The entry that EKS itself runs, in its control plane.
pub const EKS_ENTRY: &str = "iam-for-pods.amazonaws.com";

/// The default of `timeoutSeconds`.
const TIMEOUT_SECONDS: i32 = 10;

/// The default of a Service reference's port.
const PORT: u16 = 443;

/// An entry that is called for Pods.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The configuration that it stands in.
    pub configuration: Box<str>,
    /// Its own name.
    pub name: Box<str>,
    /// Where it calls.
    pub place: Place,
    /// Its `caBundle`, as it stands: PEM, or whatever somebody wrote.
    pub ca_bundle: Vec<u8>,
    /// Its `admissionReviewVersions`.
    pub review_versions: Vec<String>,
    /// What an unanswered call means for the Pod.
    pub failure_policy: FailurePolicy,
    /// How long the API server waits, in seconds.
    pub timeout_seconds: i32,
    /// Whether it is called again if a later webhook changed the Pod.
    pub reinvocation: Reinvocation,
    /// Which namespaces it is called for.
    pub namespaces: Selector,
    /// Which Pods it is called for.
    pub objects: Selector,
    /// The names of its `matchConditions`, which are not evaluated here.
    pub conditions: Vec<String>,
    /// What it is called for.
    pub called_for: CalledFor,
}

/// Where an entry calls.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// A Service.
    Service {
        /// Its namespace.
        namespace: Box<str>,
        /// Its name.
        name: Box<str>,
        /// Its port.
        port: u16,
        /// The path.
        path: Box<str>,
    },
    /// A URL, as it stands.
    Url(Box<str>),
}

/// What an unanswered call means for the Pod.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FailurePolicy {
    /// It is taken as it is.
    Ignore,
    /// It is rejected.
    Fail,
}

/// Whether an entry is called again if a later webhook changed the Pod.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reinvocation {
    /// It is not.
    Never,
    /// It is.
    IfNeeded,
}

/// What an entry is called for, of what concerns Pods.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CalledFor {
    /// New Pods.
    Creations,
    /// New Pods, and ephemeral containers that join one.
    CreationsAndEphemeralContainers,
    /// Something else.
    NoPods,
}

/// Whether an entry is called for a Pod, as far as its selectors tell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reach {
    /// It is, and `matchConditions` may still say no.
    Called,
    /// Its rules do not name Pods.
    NotByRules,
    /// Its `namespaceSelector` does not match the namespace.
    NotByNamespace,
    /// Its `objectSelector` does not match the Pod.
    NotByLabels,
}

/// Labels of an object.
pub type Labels = BTreeMap<String, String>;

// === impl Entry ===

impl Entry {
    pub(super) fn read(configuration: &str, webhook: MutatingWebhook) -> Self {
        let MutatingWebhook {
            admission_review_versions,
            client_config,
            failure_policy,
            match_conditions,
            match_policy: _,
            name,
            namespace_selector,
            object_selector,
            reinvocation_policy,
            rules,
            side_effects: _,
            timeout_seconds,
        } = webhook;
        let conditions = match_conditions.unwrap_or_default();
        Self {
            configuration: configuration.into(),
            name: name.into(),
            place: Place::read(&client_config),
            ca_bundle: client_config.ca_bundle.map(|bundle| bundle.0).unwrap_or_default(),
            review_versions: admission_review_versions,
            failure_policy: match failure_policy.as_deref() {
                Some("Ignore") => FailurePolicy::Ignore,
                _ => FailurePolicy::Fail,
            },
            timeout_seconds: timeout_seconds.unwrap_or(TIMEOUT_SECONDS),
            reinvocation: match reinvocation_policy.as_deref() {
                Some("IfNeeded") => Reinvocation::IfNeeded,
                _ => Reinvocation::Never,
            },
            namespaces: selector(namespace_selector),
            objects: selector(object_selector),
            conditions: conditions.into_iter().map(|condition| condition.name).collect(),
            called_for: CalledFor::read(rules.as_deref().unwrap_or_default()),
        }
    }

    /// Whether it is called for a Pod with the labels `pod`, in a namespace with the labels
    /// `namespace`. A namespace has the label `kubernetes.io/metadata.name` as well, which the API
    /// server sees to.
    pub fn reach(&self, namespace: &Labels, pod: &Labels) -> Reach {
        if self.called_for == CalledFor::NoPods {
            return Reach::NotByRules;
        }
        if !self.selects_namespace(namespace) {
            return Reach::NotByNamespace;
        }
        if !self.objects.matches(pod) {
            return Reach::NotByLabels;
        }
        Reach::Called
    }

    /// Whether its `namespaceSelector` matches a namespace with these labels.
    pub fn selects_namespace(&self, labels: &Labels) -> bool {
        self.namespaces.matches(labels)
    }

    /// Whether it calls a webhook of this kind, as far as its rules and names tell.
    pub(super) fn looks_like_ours(&self) -> bool {
        let Self { configuration, name, place, called_for, .. } = self;
        let service = match place {
            Place::Service { name, .. } => name,
            Place::Url(_) => "",
        };
        *called_for != CalledFor::NoPods
            && (**name == *EKS_ENTRY
                || [configuration, &**name, service].iter().any(|text| text.contains(MARK)))
    }
}

/// What is left out matches everything, and so does what makes no sense, which no API server stores.
fn selector(selector: Option<LabelSelector>) -> Selector {
    selector.and_then(|selector| Selector::try_from(selector).ok()).unwrap_or_default()
}

// === impl Place ===

impl Place {
    fn read(config: &WebhookClientConfig) -> Self {
        match (&config.service, &config.url) {
            (Some(service), _) => Self::Service {
                namespace: service.namespace.as_str().into(),
                name: service.name.as_str().into(),
                port: service.port.and_then(|port| port.try_into().ok()).unwrap_or(PORT),
                path: service.path.as_deref().unwrap_or("/").into(),
            },
            (None, url) => Self::Url(url.as_deref().unwrap_or_default().into()),
        }
    }

    /// Namespace and name of the Service, if it is one.
    pub fn service(&self) -> Option<(&str, &str)> {
        match self {
            Self::Service { namespace, name, .. } => Some((namespace, name)),
            Self::Url(_) => None,
        }
    }

    /// Whether the same server is behind both, on whatever path.
    pub fn is_server_of(&self, other: &Self) -> bool {
        let authority = |place: &Self| match place {
            Self::Url(url) => {
                url.parse::<http::Uri>().ok().and_then(|url| url.authority().cloned())
            }
            Self::Service { .. } => None,
        };
        match (self.service(), other.service()) {
            (Some(service), Some(other)) => service == other,
            (None, None) => authority(self) == authority(other),
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// For which name API servers want the certificate.
    pub fn host(&self) -> String {
        match self {
            Self::Service { namespace, name, .. } => format!("{name}.{namespace}.svc"),
            Self::Url(url) => {
                let url = url.parse::<http::Uri>().ok();
                let host = url.as_ref().and_then(http::Uri::host).unwrap_or_default();
                host.trim_start_matches('[').trim_end_matches(']').to_owned()
            }
        }
    }

    /// The path that Pods are sent to.
    pub fn path(&self) -> String {
        match self {
            Self::Service { path, .. } => path.clone().into(),
            Self::Url(url) => {
                url.parse::<http::Uri>().map_or_else(|_| String::new(), |url| url.path().to_owned())
            }
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Service { namespace, name, port, path: _ } => {
                write!(f, "Service {namespace}/{name}, port {port}")
            }
            Self::Url(url) => f.write_str(url),
        }
    }
}

// === impl CalledFor ===

impl CalledFor {
    fn read(rules: &[RuleWithOperations]) -> Self {
        let has = |list: &Option<Vec<String>>, wanted: &[&str]| {
            list.iter().flatten().any(|found| wanted.contains(&found.as_str()))
        };
        let covers = |operation: &str, resources: &[&str]| {
            rules.iter().any(|rule| {
                has(&rule.api_groups, &["", "*"])
                    && has(&rule.api_versions, &["v1", "*"])
                    && has(&rule.operations, &[operation, "*"])
                    && has(&rule.resources, resources)
                    && rule.scope.as_deref() != Some("Cluster")
            })
        };
        let ephemeral = ["pods/ephemeralcontainers", "pods/*", "*/ephemeralcontainers", "*/*"];
        match (covers("CREATE", &["pods", "*", "*/*"]), covers("UPDATE", &ephemeral)) {
            (true, true) => Self::CreationsAndEphemeralContainers,
            (true, false) => Self::Creations,
            (false, _) => Self::NoPods,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn entry(configuration: &str, over: &Value) -> Entry {
        let mut webhook = json!({
            "name": "w.example", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "clientConfig": { "service": { "name": "s", "namespace": "n" } },
            "rules": [{
                "apiGroups": [""], "apiVersions": ["v1"],
                "operations": ["CREATE"], "resources": ["pods"],
            }],
        });
        json_patch::merge(&mut webhook, over);
        Entry::read(configuration, serde_json::from_value(webhook).unwrap())
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_is_left_out_is_the_api_server_s_default() {
        let entry = entry("c", &json!({}));
        assert_eq!(entry.failure_policy, FailurePolicy::Fail);
        assert_eq!(entry.reinvocation, Reinvocation::Never);
        assert_eq!(entry.timeout_seconds, 10);
        assert_eq!(entry.place.to_string(), "Service n/s, port 443");
        assert_eq!((entry.place.host(), entry.place.path()), ("s.n.svc".into(), "/".into()));
        assert_eq!(entry.reach(&labels(&[]), &labels(&[])), Reach::Called);
    }

    #[test]
    fn an_entry_reaches_a_pod_by_rules_and_both_selectors() {
        let entry = entry(
            "c",
            &json!({
                "namespaceSelector": { "matchLabels": { "team": "a" } },
                "objectSelector": { "matchExpressions": [
                    { "key": "skip", "operator": "DoesNotExist" },
                ] },
            }),
        );
        let (team, nobody) = (labels(&[("team", "a")]), labels(&[]));
        assert_eq!(entry.reach(&team, &nobody), Reach::Called);
        assert_eq!(entry.reach(&nobody, &nobody), Reach::NotByNamespace);
        assert_eq!(entry.reach(&team, &labels(&[("skip", "")])), Reach::NotByLabels);
    }

    #[test]
    fn rules_are_read_with_their_wildcards() {
        let called_for = |rules: Value| entry("c", &json!({ "rules": rules })).called_for;
        let rule = |operation: &str, resource: &str, group: &str| {
            json!({ "apiGroups": [group], "apiVersions": ["*"],
                    "operations": [operation], "resources": [resource] })
        };
        assert_eq!(
            called_for(json!([rule("*", "*/*", "*")])),
            CalledFor::CreationsAndEphemeralContainers
        );
        assert_eq!(called_for(json!([rule("CREATE", "*", "")])), CalledFor::Creations);
        assert_eq!(called_for(json!([rule("UPDATE", "pods", "")])), CalledFor::NoPods);
        assert_eq!(called_for(json!([rule("CREATE", "pods", "apps")])), CalledFor::NoPods);
        assert_eq!(called_for(Value::Null), CalledFor::NoPods);
    }

    #[test]
    fn webhooks_of_this_kind_are_known_by_their_names() {
        let eks = json!({ "name": EKS_ENTRY, "clientConfig": { "url": "https://127.0.0.1:23443/mutate", "service": null } });
        let service =
            json!({ "clientConfig": { "service": { "name": "amazon-eks-pod-identity-webhook" } } });
        assert!(entry("c", &eks).looks_like_ours());
        assert!(entry("c", &service).looks_like_ours());
        assert!(entry("pod-identity-webhook", &json!({})).looks_like_ours());
        assert!(
            entry("c", &json!({ "name": "pod-identity-webhook.amazonaws.com" })).looks_like_ours()
        );
        assert!(!entry("istio-sidecar-injector", &json!({})).looks_like_ours());
        assert!(!entry("pod-identity-webhook", &json!({ "rules": null })).looks_like_ours());
        assert_eq!(entry("c", &eks).place.host(), "127.0.0.1");
    }
}
