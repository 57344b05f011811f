//! One look: the table, the JSON, the exit code, and what it cannot look at.

use serde_json::{Value, json};

use super::stage::{Kubelet, MARKER, ROLE, Stage, spec};

const FILE: &str = "/var/run/secrets/eks.amazonaws.com/serviceaccount/token";
const MOUNT: &str = "/var/run/secrets/eks.amazonaws.com/serviceaccount";

/// A Pod that a webhook injected with `role`.
fn injected(name: &str, account: &str, role: &str) -> Value {
    let mut spec = spec(account);
    let container = &mut spec["containers"][0];
    container["env"] = json!([
        { "name": "SECRET", "value": MARKER },
        { "name": "AWS_ROLE_ARN", "value": role },
        { "name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": FILE },
    ]);
    container["volumeMounts"] = json!([{ "name": "aws-iam-token", "mountPath": MOUNT }]);
    spec["volumes"] = json!([{ "name": "aws-iam-token", "projected": { "sources": [
        { "serviceAccountToken": { "audience": "sts.amazonaws.com", "expirationSeconds": 86400, "path": "token" } },
    ] } }]);
    json!({ "metadata": { "name": name }, "spec": spec })
}

/// The namespace has five letters of its own at the end.
fn settled(text: &str, namespace: &str) -> String {
    let fixed = format!("{}xxxxx", &namespace[..namespace.len() - 5]);
    text.replace(namespace, &fixed)
}

fn golden(name: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/audit").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, wanted, "see {}: UPDATE_GOLDEN=1 writes it anew", path.display());
}

/// Every kind of finding, as a person sees it; and Pods that are none: complete, of no identity, the
/// author's own, ended.
#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_finding_has_its_row_and_nothing_else_has_one() {
    let stage = Stage::set("audit-once").await;
    stage.account("app", &json!({ "eks.amazonaws.com/role-arn": ROLE })).await;
    stage.account("agent", &json!({ "eks.amazonaws.com/pod-identity": "true" })).await;
    stage.account("plain", &json!({})).await;
    let audience = json!({
        "eks.amazonaws.com/role-arn": ROLE,
        "eks.amazonaws.com/audience": "sts.amazonaws.com.cn",
    });
    stage.account("china", &audience).await;

    stage.pod("a-missed", "app").await;
    stage.pod("b-agent-missed", "agent").await;
    stage.pod_of(&injected("c-role", "app", "arn:aws:iam::444455556666:role/old")).await;
    stage.pod_of(&injected("d-no-arn", "app", MARKER)).await;
    stage.pod_of(&injected("e-audience", "china", ROLE)).await;
    stage.pod_of(&injected("f-method", "agent", ROLE)).await;
    let mut partial = injected("g-partial", "app", ROLE);
    let second = json!({ "name": "second", "image": "second" });
    partial["spec"]["containers"].as_array_mut().unwrap().push(second);
    stage.pod_of(&partial).await;
    let mut taken = spec("app");
    taken["containers"][0]["volumeMounts"] = json!([{ "name": "mine", "mountPath": MOUNT }]);
    taken["volumes"] = json!([{ "name": "mine", "emptyDir": {} }]);
    stage.pod_of(&json!({ "metadata": { "name": "h-taken" }, "spec": taken })).await;
    let mut half = spec("app");
    half["containers"][0]["env"] = json!([{ "name": "AWS_ROLE_ARN", "value": MARKER }]);
    stage.pod_of(&json!({ "metadata": { "name": "i-half" }, "spec": half })).await;

    stage.pod_of(&injected("complete", "app", ROLE)).await;
    stage.pod("plain", "plain").await;
    let mut own = spec("app");
    own["containers"][0]["env"] = json!([
        { "name": "AWS_ROLE_ARN", "value": MARKER },
        { "name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": "/own" },
    ]);
    stage.pod_of(&json!({ "metadata": { "name": "own" }, "spec": own })).await;
    stage.pod("over", "app").await;
    let over = kube::api::Patch::Merge(json!({ "status": { "phase": "Succeeded" } }));
    stage.pods().patch_status("over", &kube::api::PatchParams::default(), &over).await.unwrap();

    let output = stage.look(&[]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "a pipe has no progress");
    golden("findings.txt", &settled(&text, &stage.namespace));

    let output = stage.look(&["--output=json"]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    golden("findings.json", &settled(&text, &stage.namespace));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_found_is_a_line_and_0() {
    let stage = Stage::set("audit-clean").await;
    stage.account("app", &json!({ "eks.amazonaws.com/role-arn": ROLE })).await;
    stage.pod_of(&injected("complete", "app", ROLE)).await;
    stage.pod("plain", "default").await;
    let output = stage.look(&[]).await;
    assert_eq!(output.status.code(), Some(0));
    let line = format!(
        "2 Pods in namespace {}: none lacks the identity of its account\n",
        stage.namespace
    );
    assert_eq!(String::from_utf8(output.stdout).unwrap(), line);

    // A mapping that does not fit this account gives nothing; one that does counts at once.
    let args = ["--watch-config-map", "--webhook-namespace", &stage.namespace];
    let output = stage.look(&args).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("note: there is no configmaps"), "{text}");
    let map = json!({
        "metadata": { "name": "pod-identity-webhook" },
        "data": { "config": json!({ "*/default": { "RoleARN": ROLE } }).to_string() },
    });
    let maps: kube::Api<k8s_openapi::api::core::v1::ConfigMap> =
        kube::Api::namespaced(stage.client.clone(), &stage.namespace);
    let map = serde_json::from_value(map).unwrap();
    maps.create(&kube::api::PostParams::default(), &map).await.unwrap();
    let output = stage.look(&args).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("1 missing-identity"), "{text}");
}

/// 500 is a page.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_several_pages_is_looked_at_to_its_end() {
    let stage = Stage::set("audit-pages").await;
    stage.account("app", &json!({ "eks.amazonaws.com/role-arn": ROLE })).await;
    stage.deployment("many", "default", 520).await;
    stage.pod("zz-last", "app").await;
    let found = stage.findings().await;
    assert_eq!(
        found.into_iter().collect::<Vec<_>>(),
        [("zz-last".into(), "missing-identity".into())]
    );
    drop(Kubelet::start(&stage));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_looked_at_is_a_sentence_and_2() {
    let stage = Stage::set("audit-unseen").await;
    stage.account("nobody", &json!({})).await;
    let kubeconfig =
        stage.plane.service_account_kubeconfig(&stage.namespace, "nobody").await.unwrap();
    let output = stage.run(&kubeconfig, &["-A", "--flags-from=given"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "pod-identity-webhook: cannot list serviceaccounts: the API server refuses it, grant it to \
         whoever asks\n"
    );
    let output = stage.run(&kubeconfig, &["-A"]).await;
    assert_eq!(output.status.code(), Some(2));
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert!(sentence.contains("mutatingwebhookconfigurations"), "{sentence}");
    let output = stage.run(std::path::Path::new("/nowhere"), &["-A"]).await;
    assert_eq!(output.status.code(), Some(2));
}
