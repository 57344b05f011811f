//! `pod-identity-webhook certificate`: what it prints, to people and to programs.

use std::path::Path;
use std::process::Output;

use cluster::Webhook;
use serde_json::Value;
use tokio::process::Command;

use super::stage::{SOON, Stage, address};
use crate::plane::plane;

async fn run(stage: &Stage, kubeconfig: &Path, args: &[String]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pod-identity-webhook"))
        .arg("certificate")
        .arg(format!("--kubeconfig={}", kubeconfig.display()))
        .arg(format!("--namespace={}", stage.namespace))
        .arg(format!("--webhook-configuration={}", stage.configuration))
        .arg(format!("--webhook-url={}", stage.url()))
        .args(args)
        .output()
        .await
        .unwrap()
}

fn at(replica: &Webhook) -> String {
    format!("--address={}", address(replica))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_shows_secret_bundle_and_what_is_served_and_whether_they_fit() {
    let stage = Stage::set("command").await;
    let kubeconfig = plane().await.kubeconfig();

    let output = run(&stage, kubeconfig, &[]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(": there is none\n") && text.contains("nobody calls"), "{text}");

    stage.register().await;
    let replica = stage.start(&["--ca-overlap=1s"]).await;
    stage.settled(SOON).await.unwrap();
    let output = run(&stage, kubeconfig, &[at(&replica)]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    for expected in [
        format!("Secret {}/pod-identity-webhook\n", stage.namespace),
        format!("{}, caBundle of ours.pod-identity.test\n", stage.configuration),
        format!("served at {}\n", address(&replica)),
        "  current  CN=pod-identity-webhook CA ".to_owned(),
        "the next CA is made: ".to_owned(),
        "it is renewed: ".to_owned(),
        "\neverything fits\n".to_owned(),
    ] {
        assert!(text.contains(&expected), "no {expected:?} in\n{text}");
    }

    let output = run(&stage, kubeconfig, &[at(&replica), "--output=json".to_owned()]).await;
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let current = &json["secret"]["authorities"][0];
    assert_eq!(current["role"], "current");
    assert_eq!(current["fingerprint"].as_str().unwrap().len(), 64);
    assert_eq!(json["entries"][0]["authorities"][0]["fingerprint"], current["fingerprint"]);
    assert!(json["served"]["certificate"]["turn"]["at"].is_string());
    assert!(json["findings"].as_array().unwrap().is_empty());
    let printed = format!("{text}{json}");
    assert!(!printed.contains("PRIVATE"), "a key is shown");

    // Somebody else's server: its certificate is shown, and that nobody trusts it.
    let stranger = Webhook::builder(plane().await)
        .binary(env!("CARGO_BIN_EXE_pod-identity-webhook"))
        .start()
        .await
        .unwrap();
    let output = run(&stage, kubeconfig, &[at(&stranger)]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("! API servers do not trust what "), "{text}");

    let output = run(&stage, Path::new("/nowhere/kubeconfig"), &[]).await;
    assert_eq!(output.status.code(), Some(2));
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert!(sentence.contains("--kubeconfig: /nowhere/kubeconfig cannot be read"), "{sentence}");
}
