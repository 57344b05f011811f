//! Traces below those of a real API server, where that traces.

use anyhow::Context as _;
use cluster::{ControlPlane, Registration, eventually, register};
use serde_json::json;

use super::support::{Namespace, ROLE, ROLE_ARN, SOON, has_irsa, pod, webhook};
use crate::process::traces::{Collector, attribute};

/// The API server's own spans go nowhere; what counts is the header that it sends.
const TRACING: &str = "\
apiVersion: apiserver.config.k8s.io/v1beta1
kind: TracingConfiguration
endpoint: 127.0.0.1:1
samplingRatePerMillion: 1000000
";

#[tokio::test(flavor = "multi_thread")]
async fn the_span_of_a_call_is_below_the_api_servers() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tracing.yaml");
    std::fs::write(&file, TRACING).unwrap();
    let plane = ControlPlane::builder()
        .apiserver_arg(format!("--tracing-config-file={}", file.display()))
        .controller_manager()
        .start()
        .await
        .unwrap();
    let collector = Collector::start().await;
    let webhook = webhook(&plane).arg(collector.flag()).start().await.unwrap();
    register(&plane, "traced", &webhook, Registration::default()).await.unwrap();
    let namespace = Namespace::new(&plane, "traced").await;
    namespace.account("irsa", &json!({ ROLE_ARN: ROLE })).await;
    assert!(has_irsa(&namespace.pod(&pod("irsa")).await));

    let of_the_pod = eventually("the span of the Pod arrives", SOON, || async {
        let spans = collector.wait_for(1).await;
        let found = spans
            .into_iter()
            .find(|span| attribute(&span.attributes, "namespace") == namespace.name);
        found.context("not so far")
    });
    let span = of_the_pod.await.unwrap();
    assert_eq!(attribute(&span.attributes, "reason"), "injected");
    assert_eq!((span.trace_id.len(), span.parent_span_id.len()), (16, 8), "{span:#?}");
}
