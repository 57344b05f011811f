//! IRSA: from an annotation to the credentials of its role.

use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use super::kubelet;
use super::stage::{ACCOUNT, Stage};
use super::sts::{Call, ROLE_ARN};

/// What the application says when all went well.
fn assert_credentials(report: &serde_json::Value) {
    let expected = json!({
        "accessKeyId": "TEST-ACCESS-KEY-1",
        "expiry": "2100-01-01T00:00:00Z",
        "region": "eu-central-1",
        "stsRegionalEndpoints": "regional",
    });
    assert_eq!(*report, expected);
}

/// The one call that STS got, which it granted, for this Pod's own token.
fn granted(stage: &Stage, pod: &Pod) -> Call {
    let [call] = &stage.sts.calls()[..] else { panic!("{:?}", stage.sts.calls()) };
    let claims = call.verdict.as_ref().unwrap();
    assert_eq!(claims.kubernetes.namespace, stage.namespace);
    assert_eq!(claims.kubernetes.serviceaccount.name, ACCOUNT);
    assert_eq!(Some(&claims.kubernetes.pod.name), pod.metadata.name.as_ref());
    assert_eq!(Some(&claims.kubernetes.pod.uid), pod.metadata.uid.as_ref());
    assert!(stage.agent.verdicts().is_empty());
    call.clone()
}

#[tokio::test]
async fn an_annotated_account_becomes_its_role() {
    let stage = Stage::set("becomes-its-role", None).await;
    stage.account(&[("role-arn", ROLE_ARN)], json!({})).await;
    let pod = stage.pod(ACCOUNT, json!({})).await;

    let projection = kubelet::projection(&pod);
    assert_eq!(projection.source.audience.as_deref(), Some("sts.amazonaws.com"));
    assert_eq!(projection.source.expiration_seconds, Some(86_400));
    assert_eq!(projection.source.path, "token");
    let environment = kubelet::environment(&pod);
    assert_eq!(environment["AWS_ROLE_ARN"], ROLE_ARN);
    assert_eq!(environment["AWS_WEB_IDENTITY_TOKEN_FILE"], projection.file.display().to_string());

    let found = stage.run(&pod).await;
    assert_credentials(&found.report);
    let claims = granted(&stage, &pod).verdict.unwrap();
    assert_eq!(claims.exp - claims.iat, 86_400);
}

#[tokio::test]
async fn the_session_has_the_name_of_the_pod_and_the_token_its_annotated_life() {
    let stage = Stage::set("session-name", None).await;
    let annotations =
        [("role-arn", ROLE_ARN), ("role-session-name", "true"), ("token-expiration", "3600")];
    stage.account(&annotations, json!({})).await;
    let pod = stage.pod(ACCOUNT, json!({})).await;

    let found = stage.run(&pod).await;
    assert_credentials(&found.report);
    let call = granted(&stage, &pod);
    assert_eq!(Some(call.session_name), pod.metadata.name);
    let claims = call.verdict.unwrap();
    assert_eq!(claims.exp - claims.iat, 3_600);
}

#[tokio::test]
async fn a_pod_without_an_api_token_becomes_its_role_all_the_same() {
    let stage = Stage::set("role-no-api-token", None).await;
    let automount = json!({ "automountServiceAccountToken": false });
    stage.account(&[("role-arn", ROLE_ARN)], automount.clone()).await;
    let pod = stage.pod(ACCOUNT, automount).await;

    assert_eq!(kubelet::volume_names(&pod), ["aws-iam-token"]);
    let found = stage.run(&pod).await;
    assert_credentials(&found.report);
    granted(&stage, &pod);
}
