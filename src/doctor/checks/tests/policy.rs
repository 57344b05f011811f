//! The role policy.

use super::*;

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
