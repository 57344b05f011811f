//! One look: the table, the JSON, the exit code, and what it cannot look at.

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::stage::{MARKER, ROLE, Stage, spec};

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
    let over = Patch::Merge(json!({ "status": { "phase": "Succeeded" } }));
    stage.pods().patch_status("over", &PatchParams::default(), &over).await.unwrap();

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
    stage.create::<ConfigMap>(&map).await;
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

/// What is installed says what Pods should have: its flags, its mappings, and for whom it is called.
#[tokio::test(flavor = "multi_thread")]
async fn the_flags_of_the_installed_webhook_count_where_none_is_given() {
    let (home, called) = (Stage::set("audit-home").await, Stage::set("audit-called").await);
    called.account("app", &json!({ "eks.amazonaws.com/role-arn": ROLE })).await;
    called.account("mapped", &json!({})).await;
    called.pod_of(&injected("injected", "app", ROLE)).await;
    called.pod("mapped", "mapped").await;
    called.account("listed", &json!({})).await;
    called.pod("listed", "listed").await;
    home.account("app", &json!({ "eks.amazonaws.com/role-arn": ROLE })).await;
    home.pod("not-called", "app").await;
    home.pod_of(&json!({
        "metadata": { "name": "webhook-0", "labels": { "app": "webhook" } },
        "spec": { "nodeName": "a-node", "containers": [{
            "name": "webhook", "image": "registry.example/pod-identity-webhook:1",
            "args": [
                "--token-audience=aud.example", "--watch-config-map",
                format!("--namespace={}", home.namespace),
                "--watch-container-credentials-config=/etc/associations/config.json",
            ],
            "volumeMounts": [{ "name": "associations", "mountPath": "/etc/associations" }],
        }], "volumes": [{ "name": "associations", "configMap": { "name": "associations" } }] },
    }))
    .await;
    let listed = json!({ "identities": [
        { "namespace": called.namespace, "serviceAccount": "listed" },
    ] });
    home.create::<ConfigMap>(&json!({
        "metadata": { "name": "associations" },
        "data": { "config.json": listed.to_string() },
    }))
    .await;
    let service = json!({
        "metadata": { "name": "webhook" },
        "spec": { "selector": { "app": "webhook" }, "ports": [{ "port": 443 }] },
    });
    home.create::<Service>(&service).await;
    let mapping = json!({ format!("{}/mapped", called.namespace): { "RoleARN": ROLE } });
    let map = json!({
        "metadata": { "name": "pod-identity-webhook" },
        "data": { "config": mapping.to_string() },
    });
    home.create::<ConfigMap>(&map).await;
    let configurations: Api<MutatingWebhookConfiguration> = Api::all(home.client.clone());
    let (seen, hidden) = (home.namespace.clone(), format!("{}-hidden", home.namespace));
    for (name, place) in [
        (&seen, json!({ "service": { "name": "webhook", "namespace": home.namespace } })),
        (&hidden, json!({ "url": "https://127.0.0.1:1/mutate" })),
    ] {
        let selector = json!({ "kubernetes.io/metadata.name": called.namespace });
        let configuration: MutatingWebhookConfiguration = serde_json::from_value(json!({
            "metadata": { "name": name },
            "webhooks": [{
                "name": "installed.pod-identity.test",
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Ignore",
                "timeoutSeconds": 1,
                "clientConfig": place,
                "namespaceSelector": { "matchLabels": selector },
                "rules": [{
                    "apiGroups": [""], "apiVersions": ["v1"],
                    "resources": ["pods"], "operations": ["CREATE"],
                }],
            }],
        }))
        .unwrap();
        configurations.create(&PostParams::default(), &configuration).await.unwrap();
    }

    let found = async |stage: &Stage, args: &[&str]| {
        let named = format!("--webhook-configuration={seen}");
        let mut all = vec!["-n", &stage.namespace, "--output=json", &named];
        all.extend(args);
        let output = stage.run(stage.plane.kubeconfig(), &all).await;
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["notes"], json!([]));
        let findings = report["findings"].as_array().unwrap().iter();
        findings.map(|f| (f["pod"].to_string(), f["reason"].to_string())).collect::<Vec<_>>()
    };
    let row = |pod: &str, reason: &str| (format!("{pod:?}"), format!("{reason:?}"));
    let missing = ["listed", "mapped"].map(|pod| row(pod, "missing-identity"));
    let [listed, _] = missing.clone();
    let audience = row("injected", "other-audience");
    assert_eq!(found(&called, &[]).await, [&[audience], &missing[..]].concat());
    let aud = "--token-audience=sts.amazonaws.com";
    assert_eq!(found(&called, &[aud]).await, missing);
    assert_eq!(found(&called, &[aud, "--watch-config-map=false"]).await, [listed]);
    assert_eq!(found(&home, &[]).await, [row("not-called", "webhook-not-called")]);

    // What is mounted elsewhere changes without a sign; nobody's Pods are evicted on a guess.
    for (name, more, sentence) in [
        (&seen, "--evict=false", "give it with --watch-container-credentials-config"),
        (&hidden, "--evict", "nothing is evicted on a guess"),
    ] {
        let name = format!("--webhook-configuration={name}");
        let args = ["-A", "--watch", more, "--metrics-port=0", &name];
        let output = home.run(home.plane.kubeconfig(), &args).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(sentence), "{said}");
    }
    for name in [seen, hidden] {
        configurations.delete(&name, &DeleteParams::default()).await.unwrap();
    }
}
