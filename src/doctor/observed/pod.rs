//! Pods that run, each reduced at once to what a check may want to say of it.
//!
//! Of a Pod whose account has no identity nothing is kept, and of the others no value of any
//! variable: a Pod's JSON is read by the narrow view of `pod` and dropped.

use std::collections::BTreeMap;

use super::account::{Accounts, sentence};
use crate::drift::{self, Difference, Drift, Remedy, State, Verdict};
use crate::identity::Method;
use crate::installation::Reach;
use crate::plan::{self, Ask, Reason, Spread};
use crate::pod::Pod;

/// Pods that run.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Pods {
    /// How many were looked at.
    pub looked_at: usize,
    /// How many could not be read.
    pub unread: usize,
    /// How many have an identity, or should.
    pub with_identity: usize,
    /// Those with an identity for which nobody is called because of their own labels.
    pub unlabelled: Vec<String>,
    /// How many use Pod Identity, by node.
    pub agents_needed: BTreeMap<Box<str>, usize>,
    /// Those of which there is something to say.
    pub seen: Vec<Seen>,
}

/// A Pod of which there is something to say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Seen {
    /// `namespace/name`.
    pub pod: String,
    /// What it lacks of its identity, if a new Pod would have it.
    pub lacks: Option<Verdict>,
    /// The warnings of the decision: reason and sentence, without the code in front.
    pub warnings: Vec<(Reason, String)>,
}

/// Where a Pod runs, and how it is called.
#[derive(Clone, Copy, Debug)]
pub(in crate::doctor) struct Place<'a> {
    /// Its namespace.
    pub(in crate::doctor) namespace: &'a str,
    /// Its name.
    pub(in crate::doctor) name: &'a str,
    /// Its node, if it has one.
    pub(in crate::doctor) node: Option<&'a str>,
    /// Whether somebody is called for it.
    pub(in crate::doctor) reach: Reach,
}

/// Adds to `pods` what is to be said of the Pod `json`.
pub(in crate::doctor) fn examine(
    pods: &mut Pods,
    place: Place<'_>,
    json: &str,
    accounts: &Accounts,
) {
    // A Pod that is stored can be read, except for one of another version's oddities.
    let Ok(pod) = Pod::read(json) else {
        pods.unread += 1;
        return;
    };
    pods.looked_at += 1;
    let ask = Ask::Create(pod);
    let Ok(account) = ask.account() else { return };
    let sources = accounts.sources(place.namespace, account);
    let settings = accounts.settings();
    let spread = Spread::by_names(&[place.namespace, place.name]);
    let decision = plan::decide(&ask, &sources, spread, settings);
    let Some(identity) = &decision.identity else { return };
    pods.with_identity += 1;
    if let (Method::ContainerCredentials, Some(node)) = (&identity.method, place.node) {
        *pods.agents_needed.entry(node.into()).or_default() += 1;
    }
    let Ask::Create(pod) = &ask else { return };
    let drift = drift::compare(pod, &decision, settings);
    let verdict = match role_of_another(&drift).and_then(|role| accounts.settings_by(role)) {
        None => drift.verdict,
        Some(settings) => {
            let decision = plan::decide(&ask, &sources, spread, &settings);
            drift::compare(pod, &decision, &settings).verdict
        }
    };
    let lacks = (verdict.remedy() == Remedy::Recreate).then_some(verdict);
    // A new Pod would be no better where nobody is called, and the namespace is told once.
    let lacks = lacks.filter(|_| place.reach == Reach::Called);
    if place.reach == Reach::NotByLabels {
        pods.unlabelled.push(format!("{}/{}", place.namespace, place.name));
    }
    let warnings: Vec<_> = decision.warnings.iter().map(sentence).collect();
    if lacks.is_some() || !warnings.is_empty() {
        let pod = format!("{}/{}", place.namespace, place.name);
        pods.seen.push(Seen { pod, lacks, warnings });
    }
}

/// The first role that a container has instead of its own.
fn role_of_another<'a>(drift: &Drift<'a>) -> Option<&'a str> {
    let differences = drift.containers.iter().filter_map(|container| match &container.state {
        State::HasAnother(differences) => Some(differences),
        _ => None,
    });
    differences.flatten().find_map(|difference| match difference {
        Difference::Role { has } => *has,
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::identity::{Annotations, DEFAULT_ANNOTATION_PREFIX};
    use crate::installation::{Backend, Documents, Found, Installation, Replica};

    const MARKER: &str = "wJalrXUtnFEMI-marker";

    fn examined(spec: &Value, reach: Reach) -> Pods {
        examined_as("arn:aws:iam::111122223333:role/app", None, spec, reach)
    }

    fn examined_as(
        role: &str,
        installation: Option<&Installation>,
        spec: &Value,
        reach: Reach,
    ) -> Pods {
        let pairs = [("eks.amazonaws.com/role-arn", role)];
        let annotations = Annotations::read(DEFAULT_ANNOTATION_PREFIX, pairs);
        let documents = Documents::NONE;
        let all = [(("shop".into(), "app".into()), annotations)].into();
        let accounts = Accounts::new(all, installation, &documents);
        let place = Place { namespace: "shop", name: "pod-0", node: None, reach };
        let mut pods = Pods::default();
        examine(&mut pods, place, &json!({ "spec": spec }).to_string(), &accounts);
        pods
    }

    #[test]
    fn a_pod_without_its_identity_lacks_it_where_somebody_is_called() {
        let bare = json!({ "serviceAccountName": "app", "containers": [{ "name": "app" }] });
        let called = examined(&bare, Reach::Called);
        assert_eq!(called.seen[0].lacks, Some(Verdict::Missing));
        assert_eq!((called.looked_at, called.with_identity), (1, 1));
        // The namespace is told once, by its selector.
        let excluded = examined(&bare, Reach::NotByNamespace);
        assert!(excluded.seen.is_empty() && excluded.unlabelled.is_empty());
        assert_eq!(examined(&bare, Reach::NotByLabels).unlabelled, ["shop/pod-0"]);
        let other = json!({ "serviceAccountName": "other", "containers": [{ "name": "app" }] });
        assert_eq!(examined(&other, Reach::Called), Pods { looked_at: 1, ..Pods::default() });
    }

    #[test]
    fn a_pod_that_cannot_be_read_is_counted() {
        let pods = examined(&json!({ "containers": "none" }), Reach::Called);
        assert_eq!(pods, Pods { unread: 1, ..Pods::default() });
    }

    /// With `--compose-role-arn` alone the account is the node's, which only the webhook knows.
    #[test]
    fn a_composed_role_is_known_by_its_name_alone() {
        let pod = json!({
            "metadata": { "name": "webhook-0" },
            "spec": { "containers": [{ "name": "webhook", "args": ["--compose-role-arn"] }] },
        });
        let backend = Backend {
            namespace: "eks".into(),
            name: "webhook".into(),
            service: Ok(None),
            endpoints: Ok(Vec::new()),
            replicas: Ok(vec![Replica::read(serde_json::from_value(pod).unwrap())]),
        };
        let installation = Installation::new("webhook", Found::ByName, Vec::new());
        let installation = installation.with(vec![backend]);
        let path = "/var/run/secrets/eks.amazonaws.com/serviceaccount";
        let with = |role: &str| {
            let source = json!({ "serviceAccountToken": {
                "audience": "sts.amazonaws.com", "expirationSeconds": 86400, "path": "token",
            } });
            let spec = json!({
                "serviceAccountName": "app",
                "containers": [{
                    "name": "app",
                    "env": [
                        { "name": "AWS_ROLE_ARN", "value": role },
                        { "name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": format!("{path}/token") },
                    ],
                    "volumeMounts": [{ "name": "aws-iam-token", "mountPath": path, "readOnly": true }],
                }],
                "volumes": [{ "name": "aws-iam-token", "projected": { "sources": [source] } }],
            });
            examined_as("team/app", Some(&installation), &spec, Reach::Called).seen
        };
        assert_eq!(with("arn:aws-cn:iam::444455556666:role/team/app"), []);
        let other = with("arn:aws-cn:iam::444455556666:role/other");
        assert_eq!(other[0].lacks, Some(Verdict::OtherRole));
    }

    /// field.md N4.
    #[test]
    fn no_value_of_a_variable_is_kept() {
        let env = |name: &str| json!({ "name": name, "value": MARKER });
        let spec = json!({ "serviceAccountName": "app", "containers": [{
            "name": "app", "args": [MARKER],
            "env": [env("AWS_ACCESS_KEY_ID"), env("AWS_ROLE_ARN"), env("X")],
        }] });
        let pods = examined(&spec, Reach::Called);
        assert!(!pods.seen[0].warnings.is_empty());
        assert!(!format!("{pods:?}").contains(MARKER), "{pods:?}");
    }
}
