//! The role policy against a real kube-apiserver: what a namespace may not have is not stored, and a
//! change of the file counts for the next Pod.

use anyhow::ensure;
use cluster::{Mount, eventually};
use http::StatusCode;
use serde_json::json;

use super::support::{ROLE, ROLE_ARN, Run, SOON, has_irsa, pod, registered, webhook};
use crate::plane::plane;

/// A policy that leaves one role to the namespaces of this name.
fn leaves(role: &str, namespaces: &str) -> String {
    format!("rules: [{{namespaces: [\"{namespaces}\"], roles: [\"{role}\"]}}]")
}

#[tokio::test]
async fn a_namespace_has_the_roles_that_the_policy_leaves_to_it_and_a_new_policy_counts() {
    let plane = plane().await;
    let mount = Mount::new(&[("policy.yaml", &leaves(ROLE, "guarded-*"))]).unwrap();
    let flag = format!("--role-policy={}", mount.path("policy.yaml").display());
    let (_webhook, namespace) = registered(plane, "guarded", webhook(plane).arg(flag)).await;
    namespace.account("app", &json!({ ROLE_ARN: ROLE })).await;
    namespace.account("other", &json!({ ROLE_ARN: format!("{ROLE}-of-another-team") })).await;

    assert!(has_irsa(&namespace.pod(&pod("app")).await));
    let withheld = namespace.try_pod(&pod("other"), Run::Real).await;
    assert_eq!(withheld.status, StatusCode::CREATED);
    assert!(!has_irsa(&withheld.body));
    let [warning] = withheld.warnings.as_slice() else { panic!("{:?}", withheld.warnings) };
    assert!(warning.starts_with("role-not-allowed: "), "{warning}");

    // Another policy takes the role away, a broken and an empty one give nothing back, a third does.
    for (document, has_role) in [
        (leaves(ROLE, "other-*"), false),
        ("rules: [{}]".to_owned(), false),
        (String::new(), false),
    ]
    .into_iter()
    .chain([(leaves("arn:aws:iam::111122223333:role/a*", "*"), true)])
    {
        mount.swap(&[("policy.yaml", &document)]).unwrap();
        eventually("the policy is the one in the file", SOON, || async {
            let answer = namespace.try_pod(&pod("app"), Run::Dry).await;
            ensure!(has_irsa(&answer.body) == has_role, "{:?}", answer.warnings);
            Ok(())
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn a_role_that_is_not_allowed_is_denied_where_that_is_asked_for() {
    let plane = plane().await;
    let mount = Mount::new(&[("policy.yaml", "rules: []")]).unwrap();
    let denying = webhook(plane)
        .arg(format!("--role-policy={}", mount.path("policy.yaml").display()))
        .arg("--role-not-allowed=deny");
    let (_webhook, namespace) = registered(plane, "denied", denying).await;
    namespace.account("app", &json!({ ROLE_ARN: ROLE })).await;
    namespace.account("none", &json!({})).await;
    let refused = namespace.try_pod(&pod("app"), Run::Real).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{:#}", refused.body);
    let message = refused.body["message"].as_str().unwrap();
    assert!(
        message.contains("role-not-allowed: ") && message.contains("change either"),
        "{message}"
    );
    assert!(!has_irsa(&namespace.pod(&pod("none")).await));
}
