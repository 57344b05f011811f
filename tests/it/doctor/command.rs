//! The command itself: who may see what, which checks are done, how it looks where.

use std::process::Stdio;

use tokio::process::Command;

use super::stage::{HOME, NAME, SHOP, Setting};

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_may_not_see_is_not_looked_at_and_never_passed() {
    let stage = Setting::of("few-rights").set().await;
    // An account that may list ServiceAccounts, and nothing else of what this takes.
    let kubeconfig = stage.plane.service_account_kubeconfig(HOME, NAME).await.unwrap();
    let seen = stage.doctor_as(&kubeconfig, &[]).await;
    assert_eq!(seen.code, Some(2), "{}", seen.text);
    for line in [
        "– configuration     not looked at: cannot get mutatingwebhookconfigurations",
        "– missed-pods       not looked at: cannot list pods: ",
        "– own-rights        not looked at: what takes list namespaces: you may not",
        "✓ role-arns         1 ServiceAccount with an identity",
    ] {
        assert!(seen.text.contains(line), "no {line:?} in\n{}", seen.text);
    }
    assert!(!seen.text.contains('✗'), "{}", seen.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_and_namespace_can_be_chosen() {
    let stage = Setting::of("chosen").set().await;
    let seen = stage.doctor(&["--only=role-arns,service", "-n", SHOP]).await;
    let lines: Vec<_> = seen.text.lines().collect();
    assert_eq!(lines.len(), 4, "{}", seen.text);
    assert!(lines[0].starts_with("✓ service    eks/pod-identity-webhook"), "{}", lines[0]);
    assert!(lines[1].starts_with("✓ role-arns  1 ServiceAccount with"), "{}", lines[1]);
    assert_eq!(lines[3], "2 checks: nothing is wrong");
    assert_eq!(seen.code, Some(0));

    let output = Command::new(env!("CARGO_BIN_EXE_pod-identity-webhook"))
        .args(["doctor", "-n", "shopp", "--kubeconfig"])
        .arg(stage.plane.kubeconfig())
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert!(sentence.contains("there is no namespace shopp"), "{sentence}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_api_server_nothing_is_looked_at() {
    let output = Command::new(env!("CARGO_BIN_EXE_pod-identity-webhook"))
        .args(["doctor", "--kube-api=https://127.0.0.1:1"])
        .env("KUBECONFIG", "/nowhere")
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert!(
        sentence.contains("the API server at https://127.0.0.1:1/ does not answer"),
        "{sentence}"
    );
    assert!(output.stdout.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_without_unicode_or_a_terminal_gets_ascii_without_colours() {
    let stage = Setting::of("ascii").set().await;
    for (locale, mark) in [("C", "+ "), ("POSIX", "+ "), ("de_DE.UTF-8", "✓ ")] {
        let output = Command::new(env!("CARGO_BIN_EXE_pod-identity-webhook"))
            .args(["doctor", "--only=timeout,selectors", "--kubeconfig"])
            .arg(stage.plane.kubeconfig())
            .env("LC_ALL", locale)
            .output()
            .await
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.starts_with(mark) && !text.contains('\u{1b}'), "{locale}: {text:?}");
        assert!(text.is_ascii() || mark == "✓ ", "{locale}: {text}");
    }
}
