//! Set-ups that are broken in one way each: it is named with its remedy, and nothing else is told.

use std::time::SystemTime;

use cluster::{Authority, Signal, eventually};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use serde_json::json;

use super::objects::{account, pod};
use super::stage::{HOME, Injected, NAME, READER, SHOP, SOON, Setting};

/// What no text may hold.
const MARKER: &str = "wJalrXUtnFEMI-marker";

#[tokio::test(flavor = "multi_thread")]
async fn no_configuration() {
    let stage = Setting::of("no-configuration").set().await;
    stage.unregister().await;
    stage.becomes(Injected::No).await;
    stage.shows(1).await;
}

/// field.md O9: the bundle and what is served have parted.
#[tokio::test(flavor = "multi_thread")]
async fn a_ca_bundle_of_somebody_else() {
    let stage = Setting::of("wrong-ca-bundle").set().await;
    let other = Authority::new("somebody else").unwrap();
    let bundle = k8s_openapi::ByteString(other.pem().as_bytes().to_vec());
    stage.register(&json!({ "clientConfig": { "caBundle": bundle } })).await;
    stage.becomes(Injected::No).await;
    stage.shows(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let ca = short_lived(folder.path());
    let file = |name: &str| folder.path().join(name).display().to_string();
    let stage = Setting::of("expired-certificate")
        .arg(format!("--tls-cert={}", file("tls.crt")))
        .arg(format!("--tls-key={}", file("tls.key")))
        .unregistered()
        .set()
        .await;
    let bundle = k8s_openapi::ByteString(ca.into_bytes());
    stage.register(&json!({ "clientConfig": { "caBundle": bundle } })).await;
    eventually("the certificate ends", SOON, || async {
        let seen = stage.doctor(&["--only=expiry"]).await;
        anyhow::ensure!(seen.text.contains("ended at"), "{}", seen.text);
        Ok(())
    })
    .await
    .unwrap();
    stage.becomes(Injected::No).await;
    stage.shows(1).await;
}

/// Writes a pair that ends in some seconds; the CA that vouches for it.
fn short_lived(folder: &std::path::Path) -> String {
    let now = SystemTime::now();
    let key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.distinguished_name.push(DnType::CommonName, "short-lived");
    ca.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let pem = ca.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(ca, key);
    let names = vec![format!("{NAME}.{HOME}.svc"), "localhost".into(), "127.0.0.1".into()];
    let mut leaf = CertificateParams::new(names).unwrap();
    leaf.not_before = (now - std::time::Duration::from_hours(1)).into();
    leaf.not_after = (now + std::time::Duration::from_secs(15)).into();
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().unwrap();
    let certificate = leaf.signed_by(&key, &issuer).unwrap().pem();
    std::fs::write(folder.join("tls.crt"), certificate).unwrap();
    std::fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
    pem
}

/// field.md O8.
#[tokio::test(flavor = "multi_thread")]
async fn v1beta1_only() {
    let stage = Setting::of("v1beta1-only").set().await;
    stage.register(&json!({ "admissionReviewVersions": ["v1beta1"] })).await;
    stage.becomes(Injected::Yes).await;
    stage.shows(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failure_policy_ignore_with_the_webhook_down() {
    let stage = Setting::of("webhook-down").set().await;
    stage.webhook.signal(Signal::Terminate).unwrap();
    stage.webhook.ended(SOON).await.unwrap();
    stage.becomes(Injected::No).await;
    stage.shows(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selector_that_excludes() {
    let stage = Setting::of("excluding-selector").set().await;
    let selector = json!({ "matchExpressions": null, "matchLabels": { "identity": "wanted" } });
    stage.register(&json!({ "namespaceSelector": selector })).await;
    stage.becomes(Injected::No).await;
    // Some other namespace is served.
    stage
        .patch(
            "/api/v1/namespaces/default",
            &json!({ "metadata": { "labels": { "identity": "wanted" } } }),
        )
        .await;
    stage.shows(1).await;
}

/// field.md N5.
#[tokio::test(flavor = "multi_thread")]
async fn missing_rights() {
    let stage = Setting::of("missing-rights").without_rights().set().await;
    eventually("the webhook says so", SOON, || async {
        let (_, text) = stage.webhook.get("/readyz").await?;
        anyhow::ensure!(text.contains("grant"), "{text}");
        Ok(())
    })
    .await
    .unwrap();
    stage.becomes(Injected::No).await;
    stage.shows(1).await;
}

/// field.md N17.
#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_arn() {
    let stage = Setting::of("malformed-arn").set().await;
    let annotations = json!({ "eks.amazonaws.com/role-arn": "arn:aws:iam::1111:role/broken" });
    stage.create(SHOP, "serviceaccounts", &account("broken", &annotations)).await;
    stage.shows(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_annotation_that_misses_by_a_little() {
    let stage = Setting::of("near-miss").set().await;
    let annotations = json!({ "eks.amazon.com/role-arn": "arn:aws:iam::111122223333:role/x" });
    stage.create(SHOP, "serviceaccounts", &account("typo", &annotations)).await;
    stage.shows(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_annotated_after_its_pod() {
    let stage = Setting::of("annotated-after").set().await;
    stage.create(SHOP, "serviceaccounts", &account("late", &json!({}))).await;
    let late = pod("late", &json!({ "metadata": { "generateName": null, "name": "late-0" } }));
    stage.create(SHOP, "pods", &late).await;
    let annotations = json!({ "eks.amazonaws.com/role-arn": super::stage::ROLE });
    let path = format!("/api/v1/namespaces/{SHOP}/serviceaccounts/late");
    stage.patch(&path, &json!({ "metadata": { "annotations": annotations } })).await;
    stage.shows(1).await;
}

/// field.md N4: the names of variables are told, and never a value.
#[tokio::test(flavor = "multi_thread")]
async fn static_keys() {
    let stage = Setting::of("static-keys").set().await;
    let env = json!([
        { "name": "AWS_ACCESS_KEY_ID", "value": MARKER },
        { "name": "AWS_SECRET_ACCESS_KEY", "value": MARKER },
        { "name": "OTHER", "value": MARKER },
    ]);
    let keys = json!({
        "metadata": { "generateName": null, "name": "keys-0" },
        "spec": { "containers": [{ "name": "app", "image": "app", "env": env }] },
    });
    stage.create(SHOP, "pods", &pod(READER, &keys)).await;
    stage.shows(1).await;
    for form in ["text", "json"] {
        let seen = stage.doctor(&["--output", form]).await;
        assert!(seen.text.contains("keys-0") && !seen.text.contains(MARKER), "{}", seen.text);
    }
}

/// field.md O3.
#[tokio::test(flavor = "multi_thread")]
async fn a_mount_path_that_is_taken() {
    let stage = Setting::of("taken-mount-path").set().await;
    let mount = json!({
        "name": "mine",
        "mountPath": "/var/run/secrets/eks.amazonaws.com/serviceaccount",
    });
    let taken = json!({
        "metadata": { "generateName": null, "name": "taken-0" },
        "spec": {
            "containers": [{ "name": "app", "image": "app", "volumeMounts": [mount] }],
            "volumes": [{ "name": "mine", "emptyDir": {} }],
        },
    });
    stage.create(SHOP, "pods", &pod(READER, &taken)).await;
    stage.shows(1).await;
}

/// field.md N26.
#[tokio::test(flavor = "multi_thread")]
async fn a_skip_list_with_an_unknown_container() {
    let stage = Setting::of("unknown-skip-container").set().await;
    let skip = json!({ "metadata": {
        "generateName": null, "name": "skip-0",
        "annotations": { "eks.amazonaws.com/skip-containers": "sidecar" },
    } });
    stage.create(SHOP, "pods", &pod(READER, &skip)).await;
    stage.shows(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_to_nothing() {
    let config = json!({
        "shop/gone": { "RoleARN": "arn:aws:iam::111122223333:role/gone" },
        "nowhere/app": { "RoleARN": "arn:aws:iam::111122223333:role/app" },
        "*/s3-*": { "RoleARN": "arn:aws:iam::111122223333:role/s3" },
    });
    let stage = Setting::of("mapping-to-nothing").arg("--watch-config-map=true").set().await;
    let map = json!({ "metadata": { "name": NAME }, "data": { "config": config.to_string() } });
    stage.create(HOME, "configmaps", &map).await;
    stage.shows(1).await;
}

/// Under `Fail` the API server itself says what keeps it from asking.
#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_is_refused_because_of_the_webhook_is_shown_with_the_reason() {
    let stage = Setting::of("refused-probe").set().await;
    let other = Authority::new("somebody else").unwrap();
    let bundle = k8s_openapi::ByteString(other.pem().as_bytes().to_vec());
    let over = json!({ "failurePolicy": "Fail", "clientConfig": { "caBundle": bundle } });
    stage.register(&over).await;
    eventually("the API server knows", SOON, || async {
        let seen = stage.doctor(&["--only=probe"]).await;
        anyhow::ensure!(seen.code == Some(1), "{}", seen.text);
        let line = "✗ probe  a Pod of shop/s3-reader is refused (dry run): Internal error occurred: \
                    failed calling webhook \"refused-probe.pod-identity.example\"";
        anyhow::ensure!(seen.text.contains(line), "{}", seen.text);
        anyhow::ensure!(seen.text.contains("x509: "), "{}", seen.text);
        Ok(())
    })
    .await
    .unwrap();
}

/// Whoever else refuses the Pod is named, and is no finding against this webhook.
#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_somebody_else_refuses_could_not_be_tried() {
    let stage = Setting::of("probe-of-others").set().await;
    let rule = json!({
        "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"],
    });
    // Nobody listens there.
    let policy = json!({
        "metadata": { "name": "policy" },
        "webhooks": [{
            "name": "pods.policy.example",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Fail",
            "clientConfig": { "url": "https://127.0.0.1:1/validate" },
            "rules": [rule],
        }],
    });
    let path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
    stage.create_at(path, &policy).await;
    eventually("the API server knows", SOON, || async {
        let seen = stage.doctor(&["--only=probe"]).await;
        anyhow::ensure!(seen.code == Some(2), "{}", seen.text);
        let line = "– probe  not looked at: a Pod of shop/s3-reader does not come through (dry run): \
                    the admission webhook pods.policy.example refuses it, which is not this webhook: ";
        anyhow::ensure!(seen.text.contains(line), "{}", seen.text);
        Ok(())
    })
    .await
    .unwrap();
}
