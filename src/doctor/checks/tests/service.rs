//! Service, endpoints, who answers there, and what they run.

use super::*;

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
    for id in ["certificate", "expiry", "ready"] {
        says(&out_of_reach, id, Mark::NotLookedAt, "192.0.2.1:8443: no answer in time");
    }
    let hangs_up = with(Answer::NoHandshake("eof".into()), "Ignore");
    says(&hangs_up, "reachable", Mark::Finding, "shakes no hands");
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
    let observed = serving(&chain, &pem, Some((503, "not ready\n")));
    says(&observed, "ready", Mark::Finding, "is not ready: it does not say why");
    let observed = serving(&chain, &pem, None);
    says(&observed, "ready", Mark::NotLookedAt, "does not answer on /readyz");
    let observed = serving(&chain, &pem, Some((500, "")));
    says(&observed, "ready", Mark::NotLookedAt, "with the status 500");
}

/// What may not be listed is not taken for something that is not there.
#[test]
fn pods_that_may_not_be_listed_are_not_said_to_be_absent() {
    let with = |change: &dyn Fn(&mut Backend)| {
        let mut backend = backend();
        change(&mut backend);
        let configuration = configuration(NAME, &json!({}));
        Observed { installation: Ok(installation(vec![configuration], backend)), ..healthy() }
    };
    let unseen = with(&|backend| backend.replicas = Err(forbidden("pods")));
    for id in ["rights", "versions", "review-versions"] {
        says(&unseen, id, Mark::NotLookedAt, "cannot list pods: the API server refuses it");
    }
    let text = "refuses it, grant it to whoever asks: its flags are taken for the defaults";
    says(&unseen, "flags", Mark::NotLookedAt, text);
    let none = with(&|backend| backend.replicas = Ok(Vec::new()));
    says(&none, "rights", Mark::Nothing, "no Pod of the webhook is there");
    says(&none, "versions", Mark::Nothing, "no Pod of the webhook is there");
    says(&none, "flags", Mark::NotLookedAt, "its flags are taken for the defaults");
    let url = json!({ "clientConfig": { "service": null, "url": "https://192.0.2.9/mutate" } });
    let url = Installation::new(NAME, Found::ByName, vec![configuration(NAME, &url)]);
    let url = Observed { installation: Ok(url), ..healthy() };
    for id in ["rights", "versions", "flags"] {
        says(&url, id, Mark::NotLookedAt, "is called by URL, which names no Pod");
    }
}

#[test]
fn endpoints_that_may_not_be_listed_are_not_said_to_be_silent() {
    let with = |change: &dyn Fn(&mut Backend)| {
        let mut backend = backend();
        change(&mut backend);
        let configuration = configuration(NAME, &json!({}));
        Observed { installation: Ok(installation(vec![configuration], backend)), ..healthy() }
    };
    let unseen = with(&|backend| backend.endpoints = Err(forbidden("endpointslices")));
    says(&unseen, "reachable", Mark::NotLookedAt, "cannot list endpointslices");
    let unseen = with(&|backend| backend.service = Err(forbidden("services")));
    says(&unseen, "reachable", Mark::NotLookedAt, "cannot list services");
    says(&unseen, "endpoints", Mark::NotLookedAt, "cannot list services");
    // Asked alone it does not pass over what `endpoints` would tell.
    let nobody = with(&|backend| backend.endpoints = Ok(Vec::new()));
    says(&nobody, "reachable", Mark::Finding, "nobody stands behind Service eks/");
}
