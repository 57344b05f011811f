//! Calls as seen from the outside.

use super::*;

#[test]
fn calls_that_failed_open_are_noted() {
    let counts = [(format!("{NAME}.example"), 3), ("other".to_owned(), 9)];
    let observed = Observed { fail_open: Ok(counts.into()), ..healthy() };
    says(&observed, "fail-open", Mark::Note, "let 3 requests pass");
}

#[test]
fn a_probe_that_is_refused_or_comes_back_bare_is_told_with_what_was_said() {
    let with = |probe| Observed { probe, ..healthy() };
    let ours = "failed calling webhook \"pod-identity-webhook.example\": x509: unknown";
    let refused = Probe::Refused { account: "shop/app".into(), message: ours.into() };
    says(&with(refused), "probe", Mark::Finding, "x509: unknown");
    let back = Probe::Back {
        account: "shop/app".into(),
        injection: Injection::Lacking,
        warnings: vec!["lookup-failed: no answer".into()],
    };
    says(&with(back), "probe", Mark::Finding, "lookup-failed: no answer");
    let late = Probe::NotTried("no answer in time".into());
    says(&with(late), "probe", Mark::NotLookedAt, "no answer in time");
}

/// What others refuse is no finding against this webhook, and they are named.
#[test]
fn a_probe_that_others_refuse_could_not_come_through() {
    let with = |message: &str| {
        let probe = Probe::Refused { account: "shop/app".into(), message: message.to_owned() };
        Observed { probe, ..healthy() }
    };
    let denied = |name: &str| {
        format!("admission webhook \"{name}\" denied the request: pod-identity-webhook.example")
    };
    for (message, who) in [
        (&*denied("policy.example"), "the admission webhook policy.example refuses it"),
        (
            "Internal error occurred: failed calling webhook \"mesh.example\": failed to call \
             webhook: Post \"https://mesh.mesh.svc:443/inject\": EOF",
            "the admission webhook mesh.example refuses it, which is not this webhook",
        ),
        (
            "pods \"d\" is forbidden: ValidatingAdmissionPolicy 'registries' with binding 'all' \
             denied request: failed expression: false",
            "the ValidatingAdmissionPolicy registries refuses it",
        ),
        (
            "pods \"d\" is forbidden: exceeded quota: team, requested: pods=1, used: pods=9",
            "the ResourceQuota team refuses it",
        ),
        (
            "pods \"d\" is forbidden: failed quota: team: must specify limits.cpu",
            "the ResourceQuota team refuses it",
        ),
        (
            "pods \"d\" is forbidden: violates PodSecurity \"restricted:latest\": seccompProfile",
            "the namespace's Pod security standard refuses it",
        ),
        ("pods is forbidden: User \"u\" cannot create resource", "does not say for whom"),
        (
            "admission webhook \"pod-identity-webhook.example\" does not support dry run",
            "does not support dry run",
        ),
    ] {
        says(&with(message), "probe", Mark::NotLookedAt, who);
    }
    let ours = denied("pod-identity-webhook.example");
    says(&with(&ours), "probe", Mark::Finding, "is refused (dry run): admission webhook");
}

#[test]
fn a_probe_of_an_account_that_may_be_excluded_says_nothing_when_it_comes_back_bare() {
    let probe =
        |injection| Probe::Back { account: "shop/app".into(), injection, warnings: Vec::new() };
    let with = |injection| Observed {
        namespaces: Err(forbidden("namespaces")),
        probe: probe(injection),
        ..healthy()
    };
    says(&with(Injection::Lacking), "probe", Mark::NotLookedAt, "cannot list namespaces");
    says(&with(Injection::Complete), "probe", Mark::Passed, "comes back with its identity");
}
