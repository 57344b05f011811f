//! OpenSSL takes every certificate that is made here, as a client and by `openssl verify`.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::stage::{SOON, Stage, address};

fn openssl(args: &[&str], folder: &Path) -> Output {
    Command::new("openssl").args(args).current_dir(folder).stdin(Stdio::null()).output().unwrap()
}

fn assert_good(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_accepts_the_ca_and_what_is_served_for_each_name_of_the_service() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("skipped: there is no openssl");
        return;
    }
    let stage = Stage::set("openssl").await;
    stage.register().await;
    let replica = stage.start(&[]).await;
    let ca = stage.settled(SOON).await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("ca.crt"), ca).unwrap();
    let output = openssl(&["verify", "-x509_strict", "-CAfile", "ca.crt", "ca.crt"], folder);
    assert_good(&output);

    let at = address(&replica).to_string();
    let namespace = &stage.namespace;
    for name in [
        "pod-identity-webhook".to_owned(),
        format!("pod-identity-webhook.{namespace}"),
        format!("pod-identity-webhook.{namespace}.svc"),
        format!("pod-identity-webhook.{namespace}.svc.cluster.local"),
    ] {
        let output = openssl(
            &[
                "s_client",
                "-connect",
                &at,
                "-servername",
                &name,
                "-verify_hostname",
                &name,
                "-CAfile",
                "ca.crt",
                "-verify_return_error",
                "-showcerts",
            ],
            folder,
        );
        let text = assert_good(&output);
        let from = text.find("-----BEGIN CERTIFICATE-----").unwrap();
        let end = "-----END CERTIFICATE-----\n";
        let to = text.find(end).unwrap() + end.len();
        fs::write(folder.join("leaf.crt"), &text[from..to]).unwrap();
        let output = openssl(
            &[
                "verify",
                "-x509_strict",
                "-purpose",
                "sslserver",
                "-verify_hostname",
                &name,
                "-CAfile",
                "ca.crt",
                "leaf.crt",
            ],
            folder,
        );
        assert_good(&output);
    }
}
