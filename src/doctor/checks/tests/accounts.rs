//! What the annotations of `ServiceAccounts` say.

use super::*;

fn with(args: &[&str], role: &str) -> Observed {
    let replicas = Ok(vec![replica("webhook-0", OURS, args)]);
    let backend = Backend { replicas, ..backend() };
    let installation = installation(vec![configuration(NAME, &json!({}))], backend);
    let documents = Documents::NONE;
    let pairs = [(ROLE_ARN, role)];
    let annotations = Annotations::read(DEFAULT_ANNOTATION_PREFIX, pairs);
    let all = [(("shop".into(), "app".into()), annotations)].into();
    let accounts = Accounts::new(all, Some(&installation), &documents);
    Observed { installation: Ok(installation), accounts: Ok(accounts), ..healthy() }
}

/// With `--compose-role-arn` alone the webhook asks its node for the account, and doctor cannot.
#[test]
fn a_bare_role_that_the_webhook_completes_is_no_malformed_one() {
    let bare = "team/app";
    says(&with(&[], bare), "role-arns", Mark::Finding, "shop/app");
    for args in [
        &["--compose-role-arn"][..],
        &["--compose-role-arn", "--aws-account-id=444455556666"],
        &["--compose-role-arn", "--aws-account-id=444455556666", "--aws-partition=aws"],
    ] {
        says(&with(args, bare), "role-arns", Mark::Passed, "1 ServiceAccount with an identity");
        let told: Vec<_> = with(args, bare).accounts.unwrap().told().collect();
        assert_eq!(told[0].path, Some(Path::WebIdentity));
        // What no account makes an ARN is told.
        says(&with(args, "no role"), "role-arns", Mark::Finding, "shop/app");
    }
}
