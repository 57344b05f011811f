//! What is served, held against the `caBundle` and the time.

use super::*;

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

/// One replica that is out of reach is not passed because of another that is good.
#[test]
fn each_replica_counts() {
    let later = SystemTime::now() + Duration::from_hours(48);
    let (chain, pem) = certificate(&["pod-identity-webhook.eks.svc"], later);
    let mut observed = serving(&chain, &pem, Some((200, "ready\n")));
    let answer = Answer::OutOfReach("by port-forward: no answer in time".into());
    let target = "Pod eks/webhook-1, port 8443".into();
    observed.served.push(Served { entries: vec![0], target, answer });
    for id in ["reachable", "certificate", "expiry", "ready"] {
        says(&observed, id, Mark::NotLookedAt, "Pod eks/webhook-1, port 8443: by port-forward");
    }
}
