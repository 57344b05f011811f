//! Rights, the webhook's and one's own.

use super::*;

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
