//! The AWS SDK for Rust, as an application in the Pod would use it.
//!
//! The SDK reads its process's environment, which a test must not change: this binary runs itself
//! again, for the one test below that is the application, with the Pod's environment and nothing
//! else of ours.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use aws_config::BehaviorVersion;
use aws_credential_types::provider::ProvideCredentials;
use humantime::format_rfc3339_seconds;
use serde_json::{Value, json};

/// Set for the application, and only for it.
const APPLICATION: &str = "CHAIN_APPLICATION";

/// The application's name in this binary.
const NAME: &str = "chain::sdk::the_application_takes_what_its_environment_offers";

/// What the application's line of output begins with.
const MARK: &str = "the SDK says ";

/// What the application found.
#[derive(Debug)]
pub(super) struct Found {
    /// What it says of that.
    pub(super) report: Value,
    /// Everything that it wrote, on either stream.
    pub(super) output: String,
}

/// Runs the application in `environment`, with STS at `sts` and no configuration of its own.
pub(super) async fn run(environment: BTreeMap<String, String>, sts: &str, folder: &Path) -> Found {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", NAME, "--nocapture"])
        .current_dir(folder)
        .env_clear()
        .envs(environment)
        .env(APPLICATION, "1")
        .env("AWS_ENDPOINT_URL_STS", sts)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    // The endpoints answer from the runtime that waits here.
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let output = format!("{}\n{stdout}{}", output.status, String::from_utf8_lossy(&output.stderr));
    let report = stdout.lines().find_map(|line| line.strip_prefix(MARK));
    let report = report.unwrap_or_else(|| panic!("no report:\n{output}"));
    Found { report: serde_json::from_str(report).unwrap(), output }
}

#[test]
fn the_application_takes_what_its_environment_offers() {
    if std::env::var_os(APPLICATION).is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let report = runtime.block_on(async {
        let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
        let provider = config.credentials_provider().expect("a default chain");
        match provider.provide_credentials().await {
            Ok(credentials) => json!({
                "accessKeyId": credentials.access_key_id(),
                "expiry": credentials.expiry().map(|at| format_rfc3339_seconds(at).to_string()),
                "region": config.region().map(AsRef::as_ref),
                "stsRegionalEndpoints": std::env::var("AWS_STS_REGIONAL_ENDPOINTS").ok(),
            }),
            Err(error) => {
                // Not even so does it tell the token.
                eprintln!("{error:?}");
                json!({ "refused": format!("{:#}", anyhow::Error::new(error)) })
            }
        }
    });
    // The test runner has begun a line.
    println!("\n{MARK}{report}");
}
