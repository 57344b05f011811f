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
