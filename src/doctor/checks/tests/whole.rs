//! All checks together: a healthy cluster, one that nobody may look at, and what follows from what.

use super::*;

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
    let report = Report::new(&observed, &Selection::of(&[], &["own-rights"]));
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
fn a_cluster_without_identities_has_nothing_to_ask_a_token_for() {
    let documents = Documents::NONE;
    let accounts = Ok(accounts(&[], &documents));
    let probe = Probe::NoAccount("no ServiceAccount has an identity");
    let observed = Observed { accounts, probe, token: Ok(None), ..healthy() };
    let report = Report::new(&observed, &Selection::of(&[], &[]));
    assert_eq!((report.health(), report.notes), (Health::Good, 0));
}

/// Why nobody could be asked is told once; what was found of others is told all the same.
#[test]
fn who_does_not_answer_has_no_certificate_to_look_at() {
    let later = SystemTime::now() + Duration::from_hours(48);
    let (chain, pem) = certificate(&["pod-identity-webhook.eks.svc"], later);
    let mut observed = serving(&chain, &pem, Some((200, "ready\n")));
    let answer = Answer::Refused("connection refused".into());
    observed.served.push(Served { entries: vec![0], target: "192.0.2.2:8443".into(), answer });
    let told = |observed: &Observed| {
        let report = Report::new(observed, &Selection::of(&["reachable", "certificate"], &[]));
        (report.findings, report.not_looked_at, report.checks[1].explained_by)
    };
    assert_eq!(told(&observed), (1, 0, Some("reachable")));
    observed.now = SystemTime::now();
    let (other, _) = certificate(&["webhook.example"], later);
    observed.served[0].answer = Answer::Shook { chain: other, ready: None };
    assert_eq!(told(&observed), (2, 1, None));
}
