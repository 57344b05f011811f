//! Each check over observations that are made up: what a test cluster cannot be brought to.
//!
//! A file for each file of checks, and `whole` for what holds of all together. Here is what they are
//! made up from: a healthy cluster, of which each test changes one thing.

mod accounts;
mod called;
mod certificates;
mod configuration;
mod mappings;
mod pods;
mod policy;
mod rights;
mod service;
mod tokens;
mod whole;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer as Signer, KeyPair};
use serde_json::{Value, json};

use crate::certificate::Chain;
use crate::doctor::check::{CHECKS, Selection};
use crate::doctor::line::{Line, Mark};
use crate::doctor::observed::{
    Accounts, Agent, Answer, Injection, Issuer, Keys, Observed, Path, Pods, Probe, Published,
    Right, Seen, Served, Standing, Token,
};
use crate::doctor::report::{Health, Report};
use crate::drift::Verdict;
use crate::identity::{Annotations, DEFAULT_ANNOTATION_PREFIX};
use crate::installation::{
    Backend, Document, Documents, Endpoint, Found, Installation, Port, Readiness, Replica, Service,
    Unseen, What, Why,
};

const NAME: &str = "pod-identity-webhook";
const OURS: &str = "registry.example/pod-identity-webhook:0.1.0";
const GO: &str = "registry.example/amazon-eks-pod-identity-webhook:v0.6.17";

/// A configuration, with `over` laid over its only entry.
fn configuration(name: &str, over: &Value) -> MutatingWebhookConfiguration {
    let mut entry = json!({
        "name": format!("{name}.example"),
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Ignore",
        "reinvocationPolicy": "IfNeeded",
        "clientConfig": { "service": { "namespace": "eks", "name": NAME, "path": "/mutate" } },
        "rules": [{ "apiGroups": [""], "apiVersions": ["v1"],
                    "operations": ["CREATE"], "resources": ["pods"] }],
    });
    json_patch::merge(&mut entry, over);
    serde_json::from_value(json!({ "metadata": { "name": name }, "webhooks": [entry] })).unwrap()
}

fn replica(name: &str, image: &str, args: &[&str]) -> Replica {
    let pod = json!({
        "metadata": { "name": name, "namespace": "eks" },
        "spec": { "serviceAccountName": NAME,
                  "containers": [{ "name": "webhook", "image": image, "args": args }] },
        "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
    });
    Replica::read(serde_json::from_value(pod).unwrap())
}

fn endpoint(address: &str, readiness: Readiness) -> Endpoint {
    let ports = vec![(None, 8443)];
    Endpoint { address: address.into(), ports, readiness, pod: None }
}

fn backend() -> Backend {
    let port = Port { number: 443, name: None, target: "8443".into() };
    Backend {
        namespace: "eks".into(),
        name: NAME.into(),
        service: Ok(Some(Service {
            ports: vec![port],
            selector: [("app".to_owned(), NAME.to_owned())].into(),
            external_name: None,
        })),
        endpoints: Ok(vec![
            endpoint("192.0.2.1", Readiness::Ready),
            endpoint("192.0.2.2", Readiness::Ready),
        ]),
        replicas: Ok(vec![replica("webhook-0", OURS, &[]), replica("webhook-1", OURS, &[])]),
    }
}

fn installation(
    configurations: Vec<MutatingWebhookConfiguration>,
    backend: Backend,
) -> Installation {
    Installation::new(NAME, Found::ByName, configurations).with(vec![backend])
}

fn accounts(all: &[(&str, &str, &str, &str)], documents: &Documents) -> Accounts {
    let all = all.iter().map(|(namespace, name, annotation, value)| {
        let pairs = [(*annotation, *value)];
        (((*namespace).into(), (*name).into()), Annotations::read(DEFAULT_ANNOTATION_PREFIX, pairs))
    });
    Accounts::new(all.collect(), None, documents)
}

const ROLE_ARN: &str = "eks.amazonaws.com/role-arn";
const ROLE: &str = "arn:aws:iam::111122223333:role/app";

fn published(issuer: &str) -> Published {
    Published {
        issuer: issuer.into(),
        jwks_uri: format!("{issuer}/keys"),
        keys: ["key-0".to_owned()].into(),
    }
}

/// A healthy cluster.
fn healthy() -> Observed {
    let issuer = "https://oidc.example/id";
    let documents = Documents::NONE;
    let labels = |name: &str| {
        let label = ("kubernetes.io/metadata.name".to_owned(), name.to_owned());
        (name.into(), [label].into())
    };
    Observed {
        now: SystemTime::now(),
        within: None,
        installation: Ok(installation(vec![configuration(NAME, &json!({}))], backend())),
        accounts: Ok(accounts(&[("shop", "app", ROLE_ARN, ROLE)], &documents)),
        documents,
        namespaces: Ok([labels("eks"), labels("shop")].into()),
        pods: Ok(Pods { looked_at: 3, with_identity: 1, ..Pods::default() }),
        served: Vec::new(),
        rights: Vec::new(),
        own_rights: Vec::new(),
        fail_open: Ok(BTreeMap::new()),
        probe: Probe::Back {
            account: "shop/app".into(),
            injection: Injection::Complete,
            warnings: Vec::new(),
        },
        token: Ok(Some(Token {
            account: "shop/app".into(),
            issuer: issuer.into(),
            key: "key-0".into(),
            lifetime: 86_400,
            asked: 86_400,
        })),
        issuer: Issuer {
            api_server: Ok(published(issuer)),
            outside: Keys::Published(published(issuer)),
        },
        agent: Ok(Agent::default()),
    }
}

/// What a check has to say.
fn lines(observed: &Observed, id: &str) -> Vec<Line> {
    let check = CHECKS.iter().find(|check| check.id == id).unwrap();
    (check.judge)(observed)
}

/// The one line of a check, which must be of that mark and hold that text.
#[track_caller]
fn says(observed: &Observed, id: &str, mark: Mark, text: &str) {
    let lines = lines(observed, id);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].mark == mark && lines[0].text.contains(text), "{lines:#?}");
    let wants_remedy = matches!(mark, Mark::Finding | Mark::Note);
    assert_eq!(lines[0].remedy.is_some(), wants_remedy, "{lines:#?}");
}

fn forbidden(resource: &'static str) -> Unseen {
    Unseen { verb: "list", what: What::all(resource), why: Why::Forbidden }
}

/// What is served, and the PEM of the CA that vouches for it.
fn certificate(names: &[&str], ca_ends: SystemTime) -> (Chain, String) {
    let key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.not_after = ca_ends.into();
    let pem = ca.self_signed(&key).unwrap().pem();
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut leaf = CertificateParams::new(names).unwrap();
    leaf.not_before = (SystemTime::now() - Duration::from_hours(24)).into();
    leaf.not_after = (SystemTime::now() + Duration::from_hours(24)).into();
    let leaf = leaf.signed_by(&KeyPair::generate().unwrap(), &Signer::new(ca, key)).unwrap();
    (Chain::of_der([leaf.der().to_vec()]), pem)
}

fn serving(chain: &Chain, pem: &str, ready: Option<(u16, &str)>) -> Observed {
    let bundle = k8s_openapi::ByteString(pem.as_bytes().to_vec());
    let over = json!({ "clientConfig": { "caBundle": bundle } });
    let ready = ready.map(|(status, text)| (status, text.to_owned()));
    let answer = Answer::Shook { chain: chain.clone(), ready };
    Observed {
        installation: Ok(installation(vec![configuration(NAME, &over)], backend())),
        served: vec![Served { entries: vec![0], target: "192.0.2.1:8443".into(), answer }],
        ..healthy()
    }
}
