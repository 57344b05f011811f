//! Pods and accounts of a real API server: each set-up that people meet is named, with its remedy, and
//! nothing else is said.

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::Api;
use kube::api::PostParams;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::stage::{ANNOTATOR, POD_IDENTITY, ROLE, ROLE_ARN, Stage};

fn object<T: DeserializeOwned>(object: &Value) -> T {
    serde_json::from_value(object.clone()).unwrap()
}

#[tokio::test]
async fn a_healthy_pod_and_its_account_are_complete_and_nothing_else_is_said() {
    let stage = Stage::served("explain-healthy").await;
    stage.account("web", &json!({ ROLE_ARN: ROLE })).await;
    stage.account("agent", &json!({ POD_IDENTITY: "true" })).await;
    for name in ["web", "agent"] {
        stage.pod(name, &json!({})).await;
        for args in [["pod", name], ["sa", name]] {
            let told = stage.explain(&args);
            assert_eq!((told.code, told.json["verdict"].as_str()), (0, Some("complete")));
            assert_eq!(told.json["findings"], json!([]), "{}", told.text);
            assert_eq!(told.json["webhook"]["called"], "yes");
        }
        let told = stage.explain(&["pod", name]);
        assert_eq!(told.json["reason"], "already-injected");
        assert_eq!(told.json["containers"][0]["state"], "has");
        assert!(told.text.lines().count() <= 24, "{}", told.text);
    }
    let told = stage.explain(&["pod", "web"]);
    // The issuer is that of the API server.
    let host = stage.plane.issuer().trim_start_matches("https://");
    let subject = format!("system:serviceaccount:{}:web", stage.namespace);
    let condition = &told.json["trust"]["policy"]["Statement"][0]["Condition"]["StringEquals"];
    assert_eq!(condition[format!("{host}:sub")], subject);
    assert_eq!(condition[format!("{host}:aud")], "sts.amazonaws.com");
    assert_eq!(told.json["containers"][0]["uses"], "web-identity");
}

#[tokio::test]
async fn a_pod_of_an_account_without_an_identity_is_as_it_is_meant_to_be() {
    let stage = Stage::served("explain-none").await;
    stage.account("web", &json!({})).await;
    stage.pod("web", &json!({})).await;
    let told = stage.explain(&["pod", "web"]);
    assert_eq!((told.code, told.json["verdict"].as_str()), (0, Some("not-meant")), "{}", told.text);
    assert_eq!(told.json["findings"], json!([]));
}

/// field.md O5, and the question that people ask third.
#[tokio::test]
async fn an_account_that_was_annotated_after_its_pod_is_told_with_the_time_between() {
    let stage = Stage::served("explain-late").await;
    // The API server keeps no book of an account that had nothing to keep when it was made.
    stage.account("web", &json!({ "example.com/team": "shop" })).await;
    let pod = stage.pod("web", &json!({})).await;
    stage.annotate_after(&pod, "web", &json!({ ROLE_ARN: ROLE })).await;
    let told = stage.explain(&["pod", "web"]);
    told.has("missing-identity", "create it again");
    let changes = &told.json["account"]["annotations"];
    assert_eq!(changes.as_array().unwrap().len(), 1);
    let change = &changes[0];
    assert_eq!((&change["annotation"], &change["changed"]), (&json!(ROLE_ARN), &json!("after")));
    assert_eq!(change["manager"], ANNOTATOR);
    assert!(change["secondsAfterThePod"].as_u64().unwrap() >= 1);
    assert!(told.text.contains("role-arn was written"), "{}", told.text);
    assert_eq!(told.json["containers"][0]["state"], "lacks");
    assert_eq!(told.json["containers"][0]["uses"], "node");
}

#[tokio::test]
async fn where_managed_fields_do_not_tell_it_is_said_that_nothing_can_be_told() {
    let stage = Stage::served("explain-untold").await;
    stage.account("web", &json!({})).await;
    stage.pod("web", &json!({})).await;
    stage.annotate("web", &json!({ ROLE_ARN: ROLE })).await;
    let told = stage.explain(&["pod", "web"]);
    told.has("missing-identity", "create it again");
    assert_eq!(told.json["account"]["annotations"][0]["changed"], "cannot-tell", "{}", told.text);
    assert!(told.text.contains("cannot tell whether role-arn changed"), "{}", told.text);
}

#[tokio::test]
async fn each_broken_set_up_is_named_with_its_remedy_and_nothing_else_is() {
    let stage = Stage::served("explain-broken").await;
    let mount = "/var/run/secrets/eks.amazonaws.com/serviceaccount";
    let nothing = json!({});
    let role = json!({ ROLE_ARN: ROLE });
    let keys = json!({ "env": [{ "name": "AWS_ACCESS_KEY_ID", "value": super::stage::MARKER }] });
    let taken = json!({ "volumeMounts": [{ "name": "v", "mountPath": mount }] });
    let skip = json!({ "eks.amazonaws.com/skip-containers": "proxy" });
    for (name, account, annotations, container, problem, next) in [
        (
            "malformed",
            &json!({ ROLE_ARN: "arn:aws:iam::11112222333:role/web" }),
            &nothing,
            &nothing,
            "invalid-role-arn",
            "is not of the form arn:aws:iam::ACCOUNT:role/NAME; correct it; then delete the Pod and create it again",
        ),
        (
            "near-miss",
            &json!({ "eks.amazon.com/role-arn": ROLE }),
            &nothing,
            &nothing,
            "near-miss",
            "eks.amazon.com/role-arn does nothing; write eks.amazonaws.com/role-arn",
        ),
        (
            "keys",
            &role,
            &nothing,
            &keys,
            "shadowed-by-static-keys",
            "container app sets AWS_ACCESS_KEY_ID, which SDKs prefer; remove it",
        ),
        ("taken", &role, &nothing, &taken, "mount-path-taken", "free /var/run/secrets"),
        (
            "skips",
            &role,
            &skip,
            &nothing,
            "unknown-container",
            "skip-containers names proxy, which the Pod does not have; correct it",
        ),
    ] {
        stage.account(name, account).await;
        stage.pod_with(name, annotations, container).await;
        stage.explain(&["pod", name]).has(problem, next);
    }
}

#[tokio::test]
async fn a_mapping_counts_if_the_webhook_has_it_and_one_to_nothing_is_named() {
    let stage = Stage::served("explain-mapped").await;
    stage.account("web", &json!({})).await;
    stage.account("half", &json!({})).await;
    let key = |name: &str| format!("{}/{name}", stage.namespace);
    let config = json!({ key("w*"): { "RoleARN": ROLE }, key("gone"): { "RoleARN": ROLE }, key("half"): {} });
    stage.mappings(&config).await;
    let here = format!("--webhook-namespace={}", stage.namespace);
    let flags = ["--watch-config-map", &here];
    let with = |name| ["sa", name].into_iter().chain(flags).collect::<Vec<_>>();

    let told = stage.explain(&["sa", "web"]);
    assert_eq!(told.json["verdict"], "not-meant", "the webhook does not watch it: {}", told.text);
    let told = stage.explain(&with("web"));
    assert_eq!((told.code, told.json["verdict"].as_str()), (0, Some("complete")), "{}", told.text);
    assert_eq!(told.json["identity"]["source"], "config-map");
    assert!(told.text.contains(&key("w*")), "{}", told.text);
    stage.explain(&with("gone")).has("service-account-absent", "create it, or name another one");
    stage.explain(&with("half")).has("mapping-without-role", "give it a RoleARN");
    let told = stage.explain(&["sa", "gone"]);
    let sentence = format!(
        "pod-identity-webhook: there is no ServiceAccount {0}/gone: see `kubectl -n {0} get sa`\n",
        stage.namespace
    );
    assert_eq!((told.code, told.text.as_str()), (2, sentence.as_str()));
}

#[tokio::test]
async fn a_pod_whose_account_is_gone_is_told_so() {
    let stage = Stage::served("explain-absent").await;
    stage.account("web", &json!({})).await;
    stage.pod("web", &json!({})).await;
    stage.delete_account("web").await;
    stage.explain(&["pod", "web"]).has("service-account-absent", "there is no ServiceAccount");
}

#[tokio::test]
async fn what_is_not_there_is_one_sentence_and_exit_code_2() {
    let stage = Stage::unserved("explain-nothing").await;
    let told = stage.explain(&["pod", "gone"]);
    let sentence = format!(
        "pod-identity-webhook: there is no Pod {0}/gone: see `kubectl -n {0} get pods`\n",
        stage.namespace
    );
    assert_eq!((told.code, told.text.as_str()), (2, sentence.as_str()));
}

/// The question that people ask first, and the second.
#[tokio::test]
async fn a_pod_that_no_webhook_is_called_for_is_told_before_it_is_recreated_in_vain() {
    let served = Stage::served("explain-called").await;
    let stage = Stage::unserved("explain-not-called").await;
    stage.account("web", &json!({ ROLE_ARN: ROLE })).await;
    stage.pod("web", &json!({})).await;
    let configuration = "--webhook-configuration=explain-called";
    let told = stage.explain(&["pod", "web", configuration]);
    assert_eq!(told.problems(), ["not-called", "missing-identity"], "{}", told.text);
    let step = told.json["next"].as_str().unwrap();
    let why = format!(
        "the namespaceSelector of explain-called.pod-identity.test leaves out namespace {}: ",
        stage.namespace
    );
    assert!(step.starts_with(&why) && step.contains("doctor"), "{step}");
    drop(served);
}

#[tokio::test]
async fn a_right_that_is_missing_is_named_with_verb_and_resource() {
    let stage = Stage::unserved("explain-rights").await;
    stage.account("web", &json!({ ROLE_ARN: ROLE })).await;
    stage.pod("web", &json!({})).await;
    stage.account("nobody", &json!({})).await;
    let kubeconfig = stage.plane.service_account_kubeconfig(&stage.namespace, "nobody").await;
    let stage = stage.asked_by(kubeconfig.unwrap());
    let told = stage.explain(&["pod", "web"]);
    let sentence = format!(
        "pod-identity-webhook: cannot get pods {}/web: the API server refuses it, grant it to whoever asks\n",
        stage.namespace
    );
    assert_eq!((told.code, told.text.as_str()), (2, sentence.as_str()));

    let name = format!("{}-reader", stage.namespace);
    let role: ClusterRole = object(&json!({
        "metadata": { "name": name },
        "rules": [{ "apiGroups": [""], "resources": ["pods", "serviceaccounts"], "verbs": ["get"] }],
    }));
    let binding: ClusterRoleBinding = object(&json!({
        "metadata": { "name": name },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name },
        "subjects": [{ "kind": "ServiceAccount", "name": "nobody", "namespace": stage.namespace }],
    }));
    let params = PostParams::default();
    Api::all(stage.client.clone()).create(&params, &role).await.unwrap();
    Api::all(stage.client.clone()).create(&params, &binding).await.unwrap();
    let told = cluster::eventually("the right is granted", super::stage::SOON, || async {
        let told = stage.explain(&["pod", "web"]);
        anyhow::ensure!(told.code == 1, "{}", told.text);
        Ok(told)
    })
    .await
    .unwrap();
    // What cannot be seen besides is part of the explanation.
    assert_eq!(told.problems(), ["missing-identity"], "{}", told.text);
    assert_eq!(told.json["webhook"]["called"], "cannot-tell");
    assert!(
        told.text.contains("cannot list mutatingwebhookconfigurations")
            || told.text.contains("cannot get mutatingwebhookconfigurations"),
        "{}",
        told.text
    );
}

/// A webhook as it is installed: its flags are those of its Pods.
#[tokio::test]
async fn it_is_judged_with_the_flags_that_the_webhook_runs_with() {
    let stage = Stage::unserved("explain-flags").await;
    stage.account("web", &json!({ ROLE_ARN: ROLE })).await;
    let namespace = stage.namespace.as_str();
    let params = PostParams::default();
    let service: Service = object(&json!({
        "metadata": { "name": "webhook" },
        "spec": { "selector": { "app": "webhook" }, "ports": [{ "port": 443 }] },
    }));
    Api::namespaced(stage.client.clone(), namespace).create(&params, &service).await.unwrap();
    let webhook: Pod = object(&json!({
        "metadata": { "name": "webhook-0", "labels": { "app": "webhook" } },
        "spec": { "containers": [{
            "name": "webhook", "image": "registry.example/pod-identity-webhook:1",
            "args": ["--token-audience=of-the-webhook", "--aws-default-region=eu-west-3", "--of-tomorrow=x"],
        }]},
    }));
    Api::namespaced(stage.client.clone(), namespace).create(&params, &webhook).await.unwrap();
    let labels = Api::<Namespace>::all(stage.client.clone()).get(namespace).await.unwrap();
    assert!(labels.metadata.labels.is_some());
    let configuration: MutatingWebhookConfiguration = object(&json!({
        "metadata": { "name": "explain-flags" },
        "webhooks": [{
            "name": "explain-flags.pod-identity.test",
            "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Ignore",
            "timeoutSeconds": 1,
            "clientConfig": { "service": { "name": "webhook", "namespace": namespace } },
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": namespace } },
            "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"] }],
        }],
    }));
    Api::all(stage.client.clone()).create(&params, &configuration).await.unwrap();

    let told = stage.explain(&["sa", "web", "--aws-default-region=eu-west-1"]);
    assert_eq!(told.code, 0, "{}", told.text);
    let setting = |name: &str| {
        let settings = told.json["settings"].as_array().unwrap();
        let setting = settings.iter().find(|setting| setting["setting"] == name).unwrap();
        (setting["value"].clone(), setting["chosenBy"].clone())
    };
    assert_eq!(setting("audience"), (json!("of-the-webhook"), json!("webhook-flag")));
    assert_eq!(setting("region"), (json!("eu-west-1"), json!("given-flag")));
    assert_eq!(setting("token-expiration"), (json!(86_400), json!("default")));
    let webhook = &told.json["webhook"];
    assert_eq!(webhook["flagsOf"], format!("{namespace}/webhook-0"));
    assert_eq!(webhook["unread"], json!(["--of-tomorrow"]));
    assert_eq!(webhook["given"], json!(["aws-default-region"]));
}
