//! EKS Pod Identity: from an annotation, or a line in a file, to what the agent gives.

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::kubelet;
use super::stage::{ACCOUNT, Stage};

/// What the application and the agent say when all went well.
fn assert_credentials(stage: &Stage, pod: &Pod, report: &Value) {
    let expected = json!({
        "accessKeyId": "TEST-ACCESS-KEY-2",
        "expiry": "2100-01-01T00:00:00Z",
        "region": "eu-central-1",
        "stsRegionalEndpoints": "regional",
    });
    assert_eq!(*report, expected);

    let verdicts = stage.agent.verdicts();
    let [Ok(claims)] = &verdicts[..] else { panic!("{verdicts:?}") };
    assert_eq!(claims.kubernetes.namespace, stage.namespace);
    assert_eq!(claims.kubernetes.serviceaccount.name, ACCOUNT);
    assert!(!claims.kubernetes.serviceaccount.uid.is_empty());
    assert_eq!(Some(&claims.kubernetes.pod.name), pod.metadata.name.as_ref());
    assert_eq!(Some(&claims.kubernetes.pod.uid), pod.metadata.uid.as_ref());
    let life = i64::try_from(claims.exp - claims.iat).unwrap();
    assert_eq!(kubelet::projection(pod).source.expiration_seconds, Some(life));
    assert!((79_200..=86_400).contains(&life), "{life}");
    assert!(stage.sts.calls().is_empty());
}

#[tokio::test]
async fn an_annotated_account_gets_what_the_agent_gives() {
    let stage = Stage::set("agent-annotation", None).await;
    stage.account(&[("pod-identity", "true")], json!({})).await;
    let pod = stage.pod(ACCOUNT, json!({})).await;

    let projection = kubelet::projection(&pod);
    assert_eq!(projection.source.audience.as_deref(), Some("pods.eks.amazonaws.com"));
    assert_eq!(projection.source.path, "eks-pod-identity-token");
    let environment = kubelet::environment(&pod);
    assert_eq!(environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"], stage.agent.full_uri());
    let file = &environment["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"];
    assert_eq!(*file, projection.file.display().to_string());

    let found = stage.run(&pod).await;
    assert_credentials(&stage, &pod, &found.report);
}

#[tokio::test]
async fn a_listed_account_gets_what_the_agent_gives() {
    let stage = Stage::set("agent-file", Some(ACCOUNT)).await;
    stage.account(&[], json!({})).await;
    let pod = stage.pod(ACCOUNT, json!({})).await;

    let found = stage.run(&pod).await;
    assert_credentials(&stage, &pod, &found.report);
}

#[tokio::test]
async fn a_pod_without_an_api_token_gets_what_the_agent_gives() {
    let stage = Stage::set("agent-no-api-token", None).await;
    let automount = json!({ "automountServiceAccountToken": false });
    stage.account(&[("pod-identity", "enabled")], automount.clone()).await;
    let pod = stage.pod(ACCOUNT, automount).await;

    assert_eq!(kubelet::volume_names(&pod), ["eks-pod-identity-token"]);
    let found = stage.run(&pod).await;
    assert_credentials(&stage, &pod, &found.report);
}
