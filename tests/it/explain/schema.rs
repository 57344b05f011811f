//! What a program sees: one JSON document for each thing explained, with the fields that are
//! documented, the same whatever is wrong.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Deserializer, Value};

use super::{explain, text};

const VERDICTS: [&str; 3] = ["complete", "not-meant", "wrong"];

const SOURCES: [&str; 4] = [
    "container-credentials-config",
    "pod-identity-annotation",
    "role-arn-annotation",
    "config-map",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden-explain")
}

/// The explanations of a golden case, and the exit code.
fn explained(case: &Path) -> (Vec<Value>, i32) {
    let flags = fs::read_to_string(case.join("flags")).unwrap_or_default();
    let mut args = vec!["-f", "documents.yaml", "--output=json"];
    args.extend(flags.lines());
    let output = explain(case, &args);
    let documents = Deserializer::from_str(text(&output.stdout)).into_iter::<Value>();
    (documents.map(Result::unwrap).collect(), output.status.code().unwrap())
}

fn one(case: &str) -> Value {
    explained(&folder().join(case)).0.remove(0)
}

#[test]
fn every_explanation_has_every_field_of_its_kind() {
    for case in fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()) {
        let (explanations, code) = explained(&case);
        let at = case.display();
        assert!(!explanations.is_empty(), "{at}");
        for explanation in &explanations {
            let fields: Vec<_> = explanation.as_object().unwrap().keys().collect();
            let wanted = [
                "subject",
                "verdict",
                "reason",
                "next",
                "identity",
                "sources",
                "rolePolicy",
                "settings",
                "containers",
                "account",
                "webhook",
                "trust",
                "findings",
            ];
            assert_eq!(fields, wanted, "{at}");
            let verdict = explanation["verdict"].as_str().unwrap();
            assert!(VERDICTS.contains(&verdict), "{at}: {verdict}");
            let sources: Vec<_> =
                explanation["sources"].as_array().unwrap().iter().map(|s| &s["source"]).collect();
            assert_eq!(sources, SOURCES, "{at}");
            let findings = explanation["findings"].as_array().unwrap();
            for finding in findings {
                let (code, text) = (finding["code"].as_str().unwrap(), finding["text"].as_str());
                assert!(text.unwrap().starts_with(&format!("{code}: ")), "{at}: {finding}");
            }
            let problem = findings.iter().any(|finding| finding["weight"] == "problem");
            assert_eq!(problem, verdict == "wrong", "{at}");
            assert!(!explanation["next"].as_str().unwrap().is_empty(), "{at}");
            assert_eq!(explanation["identity"].is_null(), explanation["trust"].is_null(), "{at}");
            for container in explanation["containers"].as_array().unwrap() {
                for field in ["name", "list", "state", "has", "adds", "token", "shadows", "uses"] {
                    assert!(container.get(field).is_some(), "{at}: {field}");
                }
            }
        }
        let wrong = explanations.iter().any(|explanation| explanation["verdict"] == "wrong");
        assert_eq!(code, i32::from(wrong), "{at}");
    }
}

#[test]
fn a_setting_tells_its_value_and_who_chose_it() {
    let explanation = one("settings");
    let of = |name: &str| {
        let settings = explanation["settings"].as_array().unwrap();
        settings.iter().find(|setting| setting["setting"] == name).unwrap().clone()
    };
    assert_eq!(of("audience")["chosenBy"], "service-account");
    assert_eq!(of("token-expiration")["value"], 600);
    assert!(of("token-expiration")["note"].as_str().unwrap().contains("raised"));
    assert_eq!(of("sts-regional-endpoints")["value"], true);
    assert_eq!(of("skip-containers")["value"], serde_json::json!(["proxy"]));
    assert_eq!(of("skip-containers")["chosenBy"], "pod");
    assert_eq!(of("include-containers")["value"], Value::Null);
    assert_eq!(of("token-mount-path")["chosenBy"], "given-flag");
    let refused = one("invalid-annotation");
    let settings = refused["settings"].as_array().unwrap();
    let expiration = settings.iter().find(|s| s["setting"] == "token-expiration").unwrap();
    let holders: Vec<_> =
        expiration["refused"].as_array().unwrap().iter().map(|r| &r["holder"]).collect();
    assert_eq!(holders, ["Pod", "ServiceAccount"]);
    assert_eq!(expiration["chosenBy"], "default");
}

#[test]
fn the_trust_policy_is_the_one_that_aws_documents() {
    let trust = &one("injected")["trust"];
    let host = "oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE";
    assert_eq!(
        trust["policy"],
        serde_json::json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": { "Federated": format!("arn:aws:iam::111122223333:oidc-provider/{host}") },
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": { "StringEquals": {
                    format!("{host}:sub"): "system:serviceaccount:shop:web",
                    format!("{host}:aud"): "sts.amazonaws.com",
                }},
            }],
        })
    );
    assert_eq!(trust["unknown"], serde_json::json!([]));
    // The provider is in the role's account and partition.
    let trust = &one("bare-role-name")["trust"];
    assert_eq!(trust["provider"], "arn:aws-cn:iam::444455556666:oidc-provider/oidc.example");
    let trust = &one("injected-pod-identity")["trust"];
    assert_eq!(
        trust["policy"]["Statement"][0]["Action"],
        serde_json::json!(["sts:AssumeRole", "sts:TagSession"])
    );
    let association = trust["association"].as_str().unwrap();
    assert!(association.contains("--namespace shop --service-account web"), "{association}");
}

#[test]
fn bad_input_is_one_sentence_and_exit_code_2() {
    let folder = tempfile::TempDir::new().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("empty.yaml", "");
    write("bad.yaml", "kind: Pod\nspec:\n  containers: marker\n");
    write("other.yaml", "kind: Service\nmetadata: {name: a}\n");
    write(
        "bare.yaml",
        "kind: ServiceAccount\nmetadata:\n  name: a\n  annotations: {eks.amazonaws.com/role-arn: web}\n",
    );
    for (args, sentence) in [
        (
            &["-f", "empty.yaml"][..],
            "there is no workload and no ServiceAccount among the documents: give some",
        ),
        (
            &["-f", "other.yaml"],
            "there is no workload and no ServiceAccount among the documents: give some",
        ),
        (
            &["-f", "bad.yaml"],
            "bad.yaml:1: spec.containers of pod default/* is not of the type that Kubernetes gives it",
        ),
        (&["-f", "gone.yaml"], "cannot read gone.yaml: No such file or directory (os error 2)"),
        (
            &["-f", "bare.yaml", "--compose-role-arn"],
            "the webhook completes role names with the account of its node: give --aws-account-id and --aws-partition",
        ),
        (&[], "explain what? Give pod NAME, sa NAME or -f FILE"),
    ] {
        let output = explain(folder.path(), args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert_eq!(text(&output.stdout), "");
        assert_eq!(text(&output.stderr), format!("pod-identity-webhook: {sentence}\n"));
    }
}
