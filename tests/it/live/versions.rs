//! The two versions of AdmissionReview.

use cluster::{Registration, ReviewVersion, register};
use http::StatusCode;
use serde_json::{Value, json};

use super::support::{
    Namespace, POD_IDENTITY, ROLE, ROLE_ARN, has_irsa, has_pod_identity, pod, review, webhook,
};
use crate::plane::plane;

/// F13: version, kind and uid come back as they were sent, and the answer is the same.
#[tokio::test]
async fn a_review_is_answered_in_the_version_that_it_came_in() {
    let plane = plane().await;
    let webhook = webhook(plane).start().await.unwrap();
    let namespace = Namespace::new(plane, "direct").await;
    namespace.account("app", &json!({ ROLE_ARN: ROLE })).await;
    let mut answers = Vec::new();
    for version in ["v1", "v1beta1"] {
        let review = review(version, &namespace.name, "7f-1", &pod("app"));
        let content_type = "application/json; charset=utf-8";
        let answer = webhook.post("/mutate", review.to_string(), content_type).await.unwrap();
        assert_eq!(answer.0, StatusCode::OK, "{}", answer.1);
        let answer: Value = serde_json::from_str(&answer.1).unwrap();
        assert_eq!(answer["apiVersion"], format!("admission.k8s.io/{version}"));
        assert_eq!(answer["kind"], "AdmissionReview");
        assert_eq!(answer["response"]["uid"], "7f-1");
        assert_eq!(answer["response"]["patchType"], "JSONPatch");
        answers.push(answer["response"].clone());
    }
    assert_eq!(answers[0], answers[1]);
}

/// F13: what the manifests of the Go webhook ask for, and what an API server still speaks.
#[tokio::test]
async fn pods_are_injected_by_a_webhook_that_is_registered_with_v1beta1() {
    let plane = plane().await;
    let webhook = webhook(plane).start().await.unwrap();
    let registration =
        Registration { review_version: ReviewVersion::V1Beta1, ..Registration::default() };
    register(plane, "v1beta1", &webhook, registration).await.unwrap();
    let namespace = Namespace::new(plane, "v1beta1").await;
    namespace.account("irsa", &json!({ ROLE_ARN: ROLE })).await;
    namespace.account("agent", &json!({ POD_IDENTITY: "true" })).await;
    assert!(has_irsa(&namespace.pod(&pod("irsa")).await));
    assert!(has_pod_identity(&namespace.pod(&pod("agent")).await));
}
