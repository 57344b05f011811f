//! The documents that give identities.

use super::*;

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

/// A document is unused only where the flags say so.
#[test]
fn whether_there_is_a_document_is_not_known_without_the_flags() {
    let with = |replicas| {
        let backend = Backend { replicas, ..backend() };
        let configuration = configuration(NAME, &json!({}));
        Observed { installation: Ok(installation(vec![configuration], backend)), ..healthy() }
    };
    let seen = with(Ok(vec![replica("webhook-0", OURS, &[])]));
    let unseen = with(Err(forbidden("pods")));
    let other = with(Ok(vec![replica("webhook-0", OURS, &["mutate"])]));
    for (id, flag) in [
        ("mappings", "--watch-config-map"),
        ("credentials-file", "--watch-container-credentials-config"),
    ] {
        says(&seen, id, Mark::Nothing, &format!("{flag} is off"));
        let whether = format!("whether {flag} is set: ");
        says(&unseen, id, Mark::NotLookedAt, &format!("{whether}cannot list pods"));
        let text = format!("{whether}it cannot be read from Pod webhook-0");
        says(&other, id, Mark::NotLookedAt, &text);
    }
}
