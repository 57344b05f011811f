//! Each check over observations that are made up: what a test cluster cannot be brought to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer as Signer, KeyPair};
use serde_json::{Value, json};

use crate::certificate::Chain;
use crate::doctor::check::{CHECKS, Selection};
use crate::doctor::line::{Line, Mark};
use crate::doctor::observed::{
    Accounts, Agent, Answer, Injection, Issuer, Keys, Observed, Pods, Probe, Published, Right,
    Served, Standing, Token,
};
use crate::doctor::report::{Health, Report};
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

#[test]
fn nothing_is_said_of_a_healthy_cluster() {
    let report = Report::new(&healthy(), &Selection::of(&[], &[]));
    for judged in &report.checks {
        assert!(judged.status <= Mark::Nothing, "{judged:#?}");
    }
    assert_eq!(report.health(), Health::Good);
}

#[test]
fn what_could_not_be_looked_at_is_no_pass_anywhere() {
    let mut observed = healthy();
    observed.installation = Err(forbidden("mutatingwebhookconfigurations"));
    observed.namespaces = Err(forbidden("namespaces"));
    observed.accounts = Err(forbidden("serviceaccounts"));
    observed.pods = Err(forbidden("pods"));
    observed.fail_open = Err(forbidden("/metrics"));
    observed.probe = Probe::NotTried("no".to_owned());
    observed.token = Err("no".to_owned());
    let skip = ["own-rights", "mappings", "credentials-file", "role-policy"];
    let report = Report::new(&observed, &Selection::of(&[], &skip));
    for judged in &report.checks {
        assert_eq!(judged.status, Mark::NotLookedAt, "{judged:#?}");
    }
    assert_eq!(report.health(), Health::Unknown);
}

#[test]
fn a_consequence_is_not_told_again() {
    let mut observed = healthy();
    let mut gone = backend();
    gone.endpoints = Ok(Vec::new());
    observed.installation = Ok(installation(vec![configuration(NAME, &json!({}))], gone));
    observed.probe = Probe::Back {
        account: "shop/app".into(),
        injection: Injection::Lacking,
        warnings: Vec::new(),
    };
    let report = Report::new(&observed, &Selection::of(&[], &[]));
    assert_eq!((report.findings, report.health()), (1, Health::Bad));
    let probe = report.checks.iter().find(|judged| judged.id == "probe").unwrap();
    assert_eq!((probe.status, probe.explained_by), (Mark::Finding, Some("endpoints")));
    // Without its cause it is told.
    let report = Report::new(&observed, &Selection::of(&["probe"], &[]));
    assert_eq!(report.findings, 1);
    assert_eq!(report.checks[0].explained_by, None);
}

#[test]
fn a_configuration_is_found_by_name_or_by_look_and_must_call_a_path_of_ours() {
    let with = |found, configurations| Observed {
        installation: Ok(Installation::new(NAME, found, configurations).with(vec![backend()])),
        ..healthy()
    };
    let none = with(Found::ByName, Vec::new());
    says(&none, "configuration", Mark::Finding, "no MutatingWebhookConfiguration calls");
    let other = configuration(NAME, &json!({ "rules": null }));
    let other = with(Found::ByName, vec![other]);
    says(&other, "configuration", Mark::Finding, "no entry of pod-identity-webhook is called");
    let chart = configuration("amazon-eks-pod-identity-webhook", &json!({}));
    let chart = with(Found::ByName, vec![chart]);
    says(&chart, "configuration", Mark::Passed, "(there is no pod-identity-webhook)");
    let path = json!({ "clientConfig": { "service": { "path": "/" } } });
    let path = with(Found::ByName, vec![configuration(NAME, &path)]);
    says(&path, "configuration", Mark::Finding, "calls the path \"/\"");
}

/// The Go webhook v0.6.17 answers v1 without apiVersion and kind.
#[test]
fn the_review_version_depends_on_who_answers() {
    let with = |versions: Value, image: &str| {
        let configuration = configuration(NAME, &json!({ "admissionReviewVersions": versions }));
        let backend = Backend { replicas: Ok(vec![replica("webhook-0", image, &[])]), ..backend() };
        Observed { installation: Ok(installation(vec![configuration], backend)), ..healthy() }
    };
    let says = |versions, image, mark, text| {
        self::says(&with(versions, image), "review-versions", mark, text);
    };
    says(json!(["v1beta1"]), OURS, Mark::Finding, "takes v1beta1 only");
    says(json!(["v1beta1", "v1"]), OURS, Mark::Passed, "v1, v1beta1");
    says(json!(["v1beta1"]), GO, Mark::Passed, "v1beta1");
    says(json!(["v1", "v1beta1"]), GO, Mark::Note, "is sent v1 first");
}

#[test]
fn a_webhook_that_its_own_pods_wait_for_can_never_start_again() {
    let with = |over: Value| Observed {
        installation: Ok(installation(vec![configuration(NAME, &over)], backend())),
        ..healthy()
    };
    let fail = with(json!({ "failurePolicy": "Fail" }));
    says(&fail, "failure-policy", Mark::Finding, "is called for the webhook's own Pods");
    let not_home = json!({ "failurePolicy": "Fail", "namespaceSelector": { "matchExpressions": [
        { "key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["eks"] },
    ] } });
    says(&with(not_home), "failure-policy", Mark::Passed, "Fail: ");
}

#[test]
fn times_that_are_too_long_or_too_short_are_noted() {
    let with = |seconds: i32, args: &[&str]| {
        let configuration = configuration(NAME, &json!({ "timeoutSeconds": seconds }));
        let backend = Backend { replicas: Ok(vec![replica("webhook-0", OURS, args)]), ..backend() };
        Observed { installation: Ok(installation(vec![configuration], backend)), ..healthy() }
    };
    says(&with(30, &[]), "timeout", Mark::Note, "new Pods wait 30 s");
    let grace = ["--service-account-lookup-grace-period=2s"];
    says(&with(2, &grace), "timeout", Mark::Note, "look-ups are cut short");
    says(&with(4, &grace), "timeout", Mark::Passed, "4 s");
}

#[test]
fn webhooks_that_come_later_and_may_add_containers_are_noted() {
    let with = |others: &[&str]| {
        let mut all = vec![configuration(NAME, &json!({ "reinvocationPolicy": "Never" }))];
        all.extend(others.iter().map(|name| {
            configuration(name, &json!({ "clientConfig": { "service": { "name": "mesh" } } }))
        }));
        Observed { installation: Ok(installation(all, backend())), ..healthy() }
    };
    says(&with(&["sidecars"]), "reinvocation", Mark::Note, "containers that sidecars may add");
    says(&with(&["a-mesh"]), "reinvocation", Mark::Passed, "no other webhook comes later");
}

#[test]
fn selectors_that_match_nothing_or_nothing_without_labels_are_told() {
    let with = |over: Value| Observed {
        installation: Ok(installation(vec![configuration(NAME, &over)], backend())),
        ..healthy()
    };
    let nothing = with(json!({ "namespaceSelector": { "matchLabels": { "a": "b" } } }));
    says(&nothing, "selectors", Mark::Finding, "matches none of 2 namespaces");
    let labelled = with(json!({ "objectSelector": { "matchLabels": { "a": "b" } } }));
    says(&labelled, "selectors", Mark::Note, "wants labels that no Pod has by itself");
}

/// A stale Go webhook beside ours.
#[test]
fn another_webhook_of_this_kind_for_the_same_pods_is_told() {
    let with = |over: Value| {
        let other = configuration("eks-pod-identity", &over);
        let all = vec![configuration(NAME, &json!({})), other];
        Observed { installation: Ok(installation(all, backend())), ..healthy() }
    };
    let service = json!({ "clientConfig": { "service": { "name": "go" } } });
    says(&with(service.clone()), "overlap", Mark::Finding, "calls another webhook of this kind");
    let mut elsewhere = service;
    elsewhere["namespaceSelector"] = json!({ "matchLabels": { "a": "b" } });
    says(&with(elsewhere), "overlap", Mark::Passed, "no other webhook");
    let eks = json!({
        "name": "iam-for-pods.amazonaws.com",
        "clientConfig": { "service": null, "url": "https://127.0.0.1:23443/mutate" },
    });
    says(&with(eks), "overlap", Mark::Note, "iam-for-pods.amazonaws.com");
    // Another configuration that calls another path of the same Service is no other webhook.
    let strict = json!({ "clientConfig": { "service": { "path": "/mutate/strict" } } });
    says(&with(strict), "overlap", Mark::Passed, "no other webhook");
    // Two entries of one configuration are one webhook.
    let twice = {
        let mut one = configuration(NAME, &json!({}));
        let strict = json!({ "name": "strict.example", "clientConfig": { "service": { "path": "/mutate/strict" } } });
        one.webhooks.as_mut().unwrap().extend(configuration(NAME, &strict).webhooks.unwrap());
        Observed { installation: Ok(installation(vec![one], backend())), ..healthy() }
    };
    says(&twice, "overlap", Mark::Passed, "no other webhook");
}

#[test]
fn a_service_must_be_there_with_its_port_and_with_replicas() {
    let with = |change: &dyn Fn(&mut Backend)| {
        let mut backend = backend();
        change(&mut backend);
        let configuration = configuration(NAME, &json!({}));
        Observed { installation: Ok(installation(vec![configuration], backend)), ..healthy() }
    };
    let gone = with(&|backend| backend.service = Ok(None));
    says(&gone, "service", Mark::Finding, "there is no Service eks/pod-identity-webhook");
    let port = with(&|backend| {
        if let Ok(Some(service)) = &mut backend.service {
            service.ports[0].number = 8443;
        }
    });
    says(&port, "service", Mark::Finding, "has no port 443, which");
    says(&healthy(), "service", Mark::Passed, "eks/pod-identity-webhook, port 443");
    let unseen = with(&|backend| backend.endpoints = Err(forbidden("endpointslices")));
    says(&unseen, "endpoints", Mark::NotLookedAt, "cannot list endpointslices");
    let none = with(&|backend| backend.endpoints = Ok(Vec::new()));
    says(&none, "endpoints", Mark::Finding, "its selector app=pod-identity-webhook has no Pod");
    let waiting = with(&|backend| {
        backend.endpoints = Ok(vec![endpoint("192.0.2.1", Readiness::NotReady)]);
    });
    says(&waiting, "endpoints", Mark::Finding, "none of 1 replica");
    let half = with(&|backend| {
        let mut endpoints = vec![endpoint("192.0.2.1", Readiness::NotReady)];
        endpoints.push(endpoint("192.0.2.2", Readiness::Ready));
        backend.endpoints = Ok(endpoints);
    });
    says(&half, "endpoints", Mark::Note, "1 of 2 replicas");
    let other_port = with(&|backend| {
        let ports = vec![(Some("metrics".into()), 9999)];
        backend.endpoints = Ok(vec![Endpoint { ports, ..endpoint("192.0.2.1", Readiness::Ready) }]);
    });
    says(&other_port, "endpoints", Mark::Finding, "has the port that is called");
}

#[test]
fn different_versions_and_flags_that_cannot_be_read_are_told() {
    let with = |replicas: Vec<Replica>| {
        let backend = Backend { replicas: Ok(replicas), ..backend() };
        let configuration = configuration(NAME, &json!({}));
        Observed { installation: Ok(installation(vec![configuration], backend)), ..healthy() }
    };
    let newer = "registry.example/pod-identity-webhook:0.2.0";
    let update = with(vec![replica("a", OURS, &[]), replica("b", newer, &[])]);
    says(&update, "versions", Mark::Note, "2 images run side by side");
    let stale = with(vec![replica("a", OURS, &[]), replica("b", GO, &[])]);
    says(&stale, "versions", Mark::Finding, "answer by turns");
    let flag = with(vec![replica("a", newer, &["--of-tomorrow=marker"])]);
    says(&flag, "flags", Mark::NotLookedAt, "--of-tomorrow of Pod a");
    assert!(!lines(&flag, "flags")[0].text.contains("marker"));
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

#[test]
fn a_certificate_must_be_vouched_for_by_a_ca_that_holds_and_be_for_the_name() {
    let later = SystemTime::now() + Duration::from_hours(48);
    let host = "pod-identity-webhook.eks.svc";
    let (chain, pem) = certificate(&[host], later);
    let good = serving(&chain, &pem, None);
    says(&good, "certificate", Mark::Passed, "vouches");
    says(&good, "expiry", Mark::Passed, "until ");
    says(&serving(&chain, "", None), "certificate", Mark::Finding, "is empty");
    says(&serving(&chain, "no PEM", None), "certificate", Mark::Finding, "holds no CA");
    let (_, other) = certificate(&[host], later);
    says(&serving(&chain, &other, None), "certificate", Mark::Finding, "does not vouch for what");
    let both = format!("{other}{pem}");
    says(&serving(&chain, &both, None), "certificate", Mark::Passed, "vouches");
    let (chain, pem) = certificate(&["webhook.example"], later);
    let named = serving(&chain, &pem, None);
    says(&named, "certificate", Mark::Finding, "for webhook.example, and");
    // Go looks at the time of a CA, webpki does not.
    let (chain, pem) = certificate(&[host], SystemTime::now() - Duration::from_hours(1));
    let ended = serving(&chain, &pem, None);
    says(&ended, "expiry", Mark::Finding, "the CA in the caBundle of");
    says(&ended, "certificate", Mark::Passed, "vouches");
}

#[test]
fn a_certificate_that_nobody_renews_is_noted_in_its_last_tenth() {
    let (chain, pem) = certificate(
        &["pod-identity-webhook.eks.svc"],
        SystemTime::now() + Duration::from_hours(48),
    );
    let mut observed = serving(&chain, &pem, None);
    observed.now = SystemTime::now() + Duration::from_hours(20);
    says(&observed, "expiry", Mark::Note, "is not renewed");
    observed.now = SystemTime::now() + Duration::from_hours(30);
    says(&observed, "expiry", Mark::Finding, "ended at");
    says(&observed, "certificate", Mark::Passed, "vouches");
    observed.now = SystemTime::now() - Duration::from_hours(30);
    says(&observed, "expiry", Mark::Finding, "holds only from");
}

/// field.md N5: a webhook that lacks a right says so.
#[test]
fn what_the_webhook_says_of_itself_is_passed_on() {
    let (chain, pem) = certificate(
        &["pod-identity-webhook.eks.svc"],
        SystemTime::now() + Duration::from_hours(48),
    );
    let text = "[+] mappings: ok\n[-] service accounts: grant list\nnot ready\n";
    let observed = serving(&chain, &pem, Some((503, text)));
    says(&observed, "ready", Mark::Finding, "service accounts: grant list");
    let observed = serving(&chain, &pem, Some((200, "[!] certificate: late\nready\n")));
    says(&observed, "ready", Mark::Note, "certificate: late");
    // The Go webhook has no such page.
    let observed = serving(&chain, &pem, Some((404, "404 page not found")));
    says(&observed, "ready", Mark::Nothing, "it has no /readyz");
}

#[test]
fn who_answers_is_told_by_where_it_was_seen_from() {
    let with = |answer: Answer, policy: &str| Observed {
        installation: Ok(installation(
            vec![configuration(NAME, &json!({ "failurePolicy": policy }))],
            backend(),
        )),
        served: vec![Served { entries: vec![0], target: "192.0.2.1:8443".into(), answer }],
        ..healthy()
    };
    let refused = Answer::Refused("connection refused".into());
    let observed = with(refused.clone(), "Ignore");
    says(&observed, "reachable", Mark::Finding, "Pods start without an identity");
    says(&with(refused, "Fail"), "reachable", Mark::Finding, "no Pod can be created");
    let out_of_reach = with(Answer::OutOfReach("no answer in time".into()), "Ignore");
    says(&out_of_reach, "reachable", Mark::NotLookedAt, "no answer in time");
    says(&out_of_reach, "certificate", Mark::Nothing, "nobody answers");
    let hangs_up = with(Answer::NoHandshake("eof".into()), "Ignore");
    says(&hangs_up, "reachable", Mark::Finding, "shakes no hands");
}

#[test]
fn verbs_that_are_missing_make_one_line_and_the_role_that_grants_them() {
    let right = |verb, standing| Right {
        who: Some("system:serviceaccount:eks:w".into()),
        verb,
        group: "",
        resource: "secrets",
        namespace: Some("eks".into()),
        name: Some("ca".into()),
        standing,
    };
    let missing = Ok(Standing::Missing);
    let mut observed = healthy();
    observed.rights = vec![
        right("get", missing.clone()),
        right("watch", Ok(Standing::Granted)),
        right("patch", missing),
    ];
    says(&observed, "rights", Mark::Finding, "eks:w may not get, patch secrets ca in eks");
    assert_eq!(
        lines(&observed, "rights")[0].remedy.as_deref(),
        Some(
            "grant it by a Role with {apiGroups: [\"\"], resources: [secrets], resourceNames: [ca], verbs: [get, patch]}"
        )
    );
    observed.rights = vec![right("get", Err(forbidden("subjectaccessreviews")))];
    says(&observed, "rights", Mark::NotLookedAt, "cannot list subjectaccessreviews");
}

#[test]
fn calls_that_failed_open_are_noted() {
    let counts = [(format!("{NAME}.example"), 3), ("other".to_owned(), 9)];
    let observed = Observed { fail_open: Ok(counts.into()), ..healthy() };
    says(&observed, "fail-open", Mark::Note, "let 3 requests pass");
}

#[test]
fn a_probe_that_is_refused_or_comes_back_bare_is_told_with_what_was_said() {
    let with = |probe| Observed { probe, ..healthy() };
    let refused = Probe::Refused { account: "shop/app".into(), message: "x509: unknown".into() };
    says(&with(refused), "probe", Mark::Finding, "x509: unknown");
    let back = Probe::Back {
        account: "shop/app".into(),
        injection: Injection::Lacking,
        warnings: vec!["lookup-failed: no answer".into()],
    };
    says(&with(back), "probe", Mark::Finding, "lookup-failed: no answer");
    let quota = Probe::NotTried("exceeded quota".into());
    says(&with(quota), "probe", Mark::NotLookedAt, "exceeded quota");
}

fn mapped(json: &str) -> Observed {
    let (entries, dropped) = crate::accounts::Mappings::parse(json).unwrap();
    let place = What::within("configmaps", "eks").named(NAME);
    let documents =
        Documents { mappings: Document::Read { place, entries, dropped }, ..Documents::NONE };
    let accounts = accounts(&[("shop", "app", ROLE_ARN, ROLE)], &documents);
    Observed { accounts: Ok(accounts), documents, ..healthy() }
}

#[test]
fn mappings_that_give_nothing_or_name_nothing_are_told() {
    let says = |json, mark, text| says(&mapped(json), "mappings", mark, text);
    says(
        r#"{"shop/app": {"RoleARN": "r"}, "*/app": {"RoleARN": "r"}}"#,
        Mark::Passed,
        "2 mappings",
    );
    says(r#"{"shop/app": {}}"#, Mark::Finding, "shop/app has no RoleARN");
    says(r#"{"shop/x": {"RoleARN": "r"}}"#, Mark::Finding, "there is no such ServiceAccount");
    says(r#"{"nowhere/x": {"RoleARN": "r"}}"#, Mark::Finding, "there is no namespace nowhere");
    says(r#"{"team-*/app": {"RoleARN": "r"}}"#, Mark::Finding, "no ServiceAccount fits it");
    let dropped = lines(&mapped(r#"{"no-slash": {}}"#), "mappings");
    assert_eq!(dropped[0].mark, Mark::Finding);
    // In one namespace, entries of others are nobody's business.
    let within = Observed {
        within: Some("shop".into()),
        ..mapped(r#"{"nowhere/x": {"RoleARN": "r"}, "shop/app": {"RoleARN": "r"}}"#)
    };
    self::says(&within, "mappings", Mark::Passed, "mapping");
}

#[test]
fn a_rule_for_nobody_and_a_role_that_is_not_allowed_are_told() {
    let place = || What::within("configmaps", "eks").named("roles");
    let guarded = |document: &str| {
        let role_policy = match crate::policy::parse("roles", document) {
            Ok(entries) => Document::Read { place: place(), entries, dropped: Vec::new() },
            Err(error) => Document::Bad { place: place(), error: error.into() },
        };
        let documents = Documents { role_policy, ..Documents::NONE };
        let accounts = accounts(&[("shop", "app", ROLE_ARN, ROLE)], &documents);
        Observed { accounts: Ok(accounts), documents, ..healthy() }
    };
    let says = |document, mark, text| says(&guarded(document), "role-policy", mark, text);
    self::says(&healthy(), "role-policy", Mark::Nothing, "--role-policy is off");
    says("rules: [{namespaces: [shop], roles: ['*']}]", Mark::Passed, "1 rule, each for");
    says("rules: []", Mark::Finding, "shop/app: the role policy does not allow its role");
    says("default: allow\nrules: [{namespaces: [nowhere], roles: []}]", Mark::Finding, "rules[0]");
    says("rules: [{}]", Mark::Finding, "and none starts");
    let missing =
        Documents { role_policy: Document::Missing { place: place() }, ..Documents::NONE };
    let missing = Observed { documents: missing, ..healthy() };
    self::says(&missing, "role-policy", Mark::Finding, "no webhook starts");
}

#[test]
fn documents_that_are_missing_bad_or_out_of_sight_are_told() {
    let with = |mappings, credentials| Observed {
        documents: Documents { mappings, credentials, ..Documents::NONE },
        ..healthy()
    };
    let place = || What::within("configmaps", "eks").named(NAME);
    let missing = with(Document::Missing { place: place() }, Document::OutOfSight);
    says(&missing, "mappings", Mark::Note, "ConfigMap eks/pod-identity-webhook is not there");
    says(&missing, "credentials-file", Mark::NotLookedAt, "is no key of a ConfigMap");
    let error = crate::accounts::Mappings::parse("{").unwrap_err();
    let bad = Document::Bad { place: place(), error };
    let (entries, dropped) = crate::accounts::Credentials::parse(
        br#"{"identities": [{"namespace": "shop", "serviceAccount": "gone"}]}"#,
    )
    .unwrap();
    let listed = Document::Read { place: place(), entries, dropped };
    let observed = with(bad, listed);
    says(&observed, "mappings", Mark::Finding, "keeps the last good one");
    says(&observed, "credentials-file", Mark::Finding, "lists shop/gone");
}

#[test]
fn pods_that_their_own_labels_exclude_are_noted() {
    let mut observed = healthy();
    if let Ok(pods) = &mut observed.pods {
        pods.unlabelled = vec!["shop/a".to_owned(), "shop/b".to_owned()];
    }
    says(&observed, "missed-pods", Mark::Note, "2 running Pods with an identity have labels");
}

#[test]
fn an_issuer_must_be_public_and_publish_what_signs() {
    let with = |change: &dyn Fn(&mut Token, &mut Issuer)| {
        let mut observed = healthy();
        let mut token = observed.token.clone().unwrap().unwrap();
        change(&mut token, &mut observed.issuer);
        Observed { token: Ok(Some(token)), ..observed }
    };
    says(&healthy(), "issuer", Mark::Passed, "https://oidc.example/id publishes the key");
    let inside = with(&|token, issuer| {
        token.issuer = "https://kubernetes.default.svc".into();
        issuer.api_server = Ok(published(&token.issuer));
        issuer.outside = Keys::NotAsked("only the cluster resolves it");
    });
    says(&inside, "issuer", Mark::Finding, "which AWS cannot reach");
    let stale = with(&|_, issuer| {
        let mut published = published("https://oidc.example/id");
        published.keys = BTreeSet::from(["old".to_owned()]);
        issuer.outside = Keys::Published(published);
    });
    says(&stale, "issuer", Mark::Finding, "1 published key of https://oidc.example/id lack");
    let slash = with(&|_, issuer| {
        issuer.outside = Keys::Published(published("https://oidc.example/id/"));
    });
    says(&slash, "issuer", Mark::Finding, "says that the issuer is https://oidc.example/id/");
    let away = with(&|_, issuer| issuer.outside = Keys::OutOfReach("no route".into()));
    says(&away, "issuer", Mark::NotLookedAt, "which AWS has to reach: no route");
    let page = with(&|_, issuer| issuer.outside = Keys::Unreadable("404".into()));
    says(&page, "issuer", Mark::Finding, "publishes no discovery document");
}

#[test]
fn a_lifetime_that_the_api_server_cuts_is_noted() {
    let mut observed = healthy();
    let token = observed.token.clone().unwrap().unwrap();
    observed.token = Ok(Some(Token { lifetime: 3600, ..token }));
    says(&observed, "token-lifetime", Mark::Note, "is to live 86400 s and gets 3600 s");
}

#[test]
fn a_cluster_without_identities_has_nothing_to_ask_a_token_for() {
    let documents = Documents::NONE;
    let accounts = Ok(accounts(&[], &documents));
    let probe = Probe::NoAccount("no ServiceAccount has an identity");
    let observed = Observed { accounts, probe, token: Ok(None), ..healthy() };
    let report = Report::new(&observed, &Selection::of(&[], &[]));
    assert_eq!((report.health(), report.notes), (Health::Good, 0));
}

#[test]
fn the_agent_must_be_ready_where_a_pod_needs_it() {
    let with = |nodes: &[&str], sets: &[&str]| {
        let mut observed = healthy();
        if let Ok(pods) = &mut observed.pods {
            pods.agents_needed = [("node-1".into(), 2), ("node-2".into(), 1)].into();
        }
        observed.agent = Ok(Agent {
            daemon_sets: sets.iter().map(|set| (*set).to_owned()).collect(),
            nodes: nodes.iter().map(|node| (*node).into()).collect(),
        });
        observed
    };
    says(&healthy(), "agent", Mark::Nothing, "no running Pod uses Pod Identity");
    says(&with(&[], &[]), "agent", Mark::Finding, "there is no Pod Identity agent");
    let half = with(&["node-1"], &["-n kube-system eks-pod-identity-agent"]);
    says(&half, "agent", Mark::Finding, "ready on node-2, where 1 running Pod");
    says(&with(&["node-1", "node-2"], &[]), "agent", Mark::Passed, "ready on 2 nodes");
}
