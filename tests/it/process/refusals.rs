//! The command line as a person meets it: wrong values, the environment, help.
//!
//! What flags there are is asked of clap, so that none can be forgotten here.

use std::collections::BTreeSet;

use pod_identity_webhook::{cli, version};
use serde_json::json;

use super::{Ended, run};

/// Every flag of the server that does not take just anything: a value that it refuses, and one that it takes.
const FLAGS: [(&str, &str, &str); 43] = [
    ("port", "http", "0"),
    ("metrics-port", "70000", "0"),
    ("bind-address", "localhost", "127.0.0.1"),
    ("shutdown-delay", "10", "10s"),
    ("enable-debugging-handlers", "yes", "true"),
    ("kube-api", "10.0.0.1", "https://10.0.0.1:6443"),
    ("namespace", "a/b", "kube-system"),
    ("service-name", "A", "webhook"),
    ("watch-config-map", "on", "true"),
    ("service-account-lookup-grace-period", "-1s", "1m30s"),
    ("resync-period", "never", "60s"),
    ("in-cluster", "maybe", "false"),
    ("tls-secret", "_", "tls"),
    ("webhook-configuration", "A", "webhook"),
    ("webhook-url", "webhook.example", "https://webhook.example/mutate"),
    ("ca-validity", "1y", "8760h"),
    ("certificate-validity", "7d", "168h"),
    ("ca-overlap", "-10m", "10m"),
    ("tls-min-version", "1.0", "VersionTLS13"),
    ("tls-cipher-suites", "AES", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
    ("client-name", "a,\u{7}", "kube-apiserver"),
    ("otlp-endpoint", "collector:4318", "http://collector:4318"),
    ("log-format", "xml", "text"),
    ("log-level", "loud", "info"),
    ("v", "high", "4"),
    ("annotation-prefix", "a/b", "example.com"),
    ("token-audience", " ", "sts.amazonaws.com"),
    ("token-mount-path", "relative", "/var/run/token"),
    ("token-expiration", "1h", "3600"),
    ("aws-default-region", "EU", "eu-central-1"),
    ("region-with-env-from", "keep", "skip"),
    ("sts-regional-endpoint", "regional", "true"),
    ("role-session-name", "app", "true"),
    ("invalid-role-arn", "warn", "deny"),
    ("role-not-allowed", "warn", "inject"),
    ("compose-role-arn", "yes", "false"),
    ("aws-account-id", "1111", "111122223333"),
    ("aws-partition", "azure", "aws-cn"),
    ("container-credentials-audience", "\u{7}", "pods.eks.amazonaws.com"),
    ("container-credentials-token-mount-path", "/a:b", "/var/run/token"),
    ("container-credentials-token-volume-name", "A b", "token"),
    ("container-credentials-token-path", "../token", "token"),
    ("container-credentials-full-uri", "169.254.170.23", "http://[fd00:ec2::23]/v1/credentials"),
];

/// The beginning of a command line, and flags with a value that each refuses.
type Command = (&'static [&'static str], &'static [(&'static str, &'static str)]);

/// Every command that has flags, and those of its flags that the server does not have.
const COMMANDS: [Command; 5] = [
    (
        &["mutate", "-f", "/dev/null"],
        &[("default-namespace", "A"), ("output", "xml"), ("check", "some")],
    ),
    (
        &["explain", "pod", "web"],
        &[
            ("default-namespace", "A"),
            ("output", "xml"),
            ("issuer", "http://oidc.example"),
            ("webhook-namespace", "A"),
        ],
    ),
    (&["certificate"], &[("address", "localhost"), ("output", "xml")]),
    (
        &["doctor"],
        &[("only", "weather"), ("skip", "weather"), ("output", "xml"), ("progress", "some")],
    ),
    (
        &["audit", "pods"],
        &[
            ("all-namespaces", "some"),
            ("output", "xml"),
            ("progress", "some"),
            ("flags-from", "nowhere"),
            ("webhook-namespace", "A"),
            ("watch", "some"),
            ("evict", "some"),
            ("evict-per-minute", "many"),
        ],
    ),
];

/// The command that a command line begins with.
fn command_of<'a>(server: &'a clap::Command, args: &[&str]) -> &'a clap::Command {
    args.iter().fold(server, |command, arg| command.find_subcommand(arg).unwrap_or(command))
}

/// The names of all commands that have flags, whole.
fn with_flags(command: &clap::Command, before: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for inner in command.get_subcommands() {
        let name = format!("{before} {}", inner.get_name()).trim().to_owned();
        let mut long = inner.get_arguments().filter_map(clap::Arg::get_long);
        if long.any(|long| !["help", "version"].contains(&long)) {
            names.insert(name.clone());
        }
        names.extend(with_flags(inner, &name));
    }
    names
}

/// Flags that take any text: files, which are looked for later, and what has no effect.
const TAKE_ANYTHING: [&str; 20] = [
    "kubeconfig",
    "tls-cert",
    "tls-key",
    "client-ca",
    "ca-bundle-from",
    "watch-container-credentials-config",
    "role-policy",
    "logtostderr",
    "alsologtostderr",
    "alsologtostderrthreshold",
    "stderrthreshold",
    "vmodule",
    "log_dir",
    "log_file",
    "log_file_max_size",
    "log_backtrace_at",
    "skip_headers",
    "skip_log_headers",
    "add_dir_header",
    "one_output",
];

/// The rest: no value at all, or a table of its own below.
const OTHERS: [&str; 3] = ["help", "version", "legacy_stderr_threshold_behavior"];

/// What every command line here begins with: nothing is ever served with it.
const NOWHERE: [&str; 4] = [
    "--in-cluster=false",
    "--tls-cert=/nonexistent/tls.crt",
    "--client-ca=/nonexistent/ca.crt",
    "--log-level=error",
];

/// What the server says when it has understood all flags and looks for its certificate.
#[track_caller]
fn understood(ended: &Ended) {
    let sentence = ended.sentence(1);
    assert!(sentence.starts_with("cannot read /nonexistent/tls.crt: "), "{sentence}");
}

fn variable(flag: &str) -> String {
    format!("PODIDENTITY_{}", flag.to_uppercase().replace('-', "_"))
}

#[test]
fn no_flag_is_forgotten_here() {
    let server = cli::command();
    let flags = |command: &clap::Command| -> BTreeSet<String> {
        let names = command.get_arguments().filter_map(clap::Arg::get_long);
        names.filter(|name| !["help", "version"].contains(name)).map(str::to_owned).collect()
    };
    let known = |own: &[&str]| -> BTreeSet<String> {
        let names = FLAGS.iter().map(|(flag, ..)| *flag).chain(TAKE_ANYTHING).chain(OTHERS);
        let names = names.filter(|name| !["help", "version"].contains(name));
        names.chain(own.iter().copied()).map(str::to_owned).collect()
    };
    assert_eq!(flags(&server), known(&[]));
    let here: BTreeSet<_> = COMMANDS
        .iter()
        .map(|(args, _)| command_of(&server, args))
        .map(|command| if command.get_name() == "pods" { "audit pods" } else { command.get_name() })
        .map(str::to_owned)
        .collect();
    assert_eq!(with_flags(&server, ""), here);
    for (args, own) in COMMANDS {
        let own: Vec<_> = own.iter().map(|(flag, _)| *flag).chain(["filename"]).collect();
        let flags = flags(command_of(&server, args));
        let known = known(&own);
        let strange: Vec<_> = flags.difference(&known).collect();
        assert!(strange.is_empty(), "{} has {strange:?}", args[0]);
    }
    // And each can be set in the environment.
    for flag in server.get_arguments() {
        let (Some(long), Some(name)) = (flag.get_long(), flag.get_env()) else {
            panic!("{flag} cannot be set in the environment");
        };
        assert_eq!(name.to_str().unwrap(), variable(long));
    }
}

#[tokio::test]
async fn a_wrong_value_is_refused_with_one_sentence() {
    let server = cli::command();
    let refused = async |args: &[&str], flag: &str, wrong: &str| {
        let given = format!("--{flag}={wrong}");
        let ended = run(&[args, &[&given]].concat(), &[]).await;
        let sentence = ended.sentence(2);
        let begin = format!("invalid value {wrong:?} for --{flag}: give ");
        assert!(sentence.starts_with(&begin), "{sentence}");
        assert!(sentence.len() > begin.len() + 5, "{sentence}");
    };
    for (flag, wrong, _) in FLAGS {
        refused(&NOWHERE, flag, wrong).await;
    }
    for (args, own) in COMMANDS {
        for (flag, wrong) in own {
            refused(args, flag, wrong).await;
        }
        let command = command_of(&server, args);
        let has = |flag| command.get_arguments().any(|arg| arg.get_long() == Some(flag));
        for (flag, wrong, _) in FLAGS.into_iter().filter(|(flag, ..)| has(flag)) {
            refused(args, flag, wrong).await;
        }
    }
    // Go's names, and none that can be served.
    let legacy = "--tls-cipher-suites=TLS_RSA_WITH_RC4_128_SHA";
    let ended = run(&[&NOWHERE[..], &[legacy]].concat(), &[]).await;
    assert!(ended.sentence(2).ends_with(": give at least one that has ECDHE with GCM or CHACHA20"));
    let ended = run(&["mutate", "-f", "/dev/null", "--port=1"], &[]).await;
    assert!(ended.sentence(2).starts_with("unknown flag --port: "), "{}", ended.stderr);
}

/// The environment is read, and refused in the same words.
#[tokio::test]
async fn every_flag_can_be_set_in_the_environment() {
    for (flag, wrong, _) in FLAGS {
        // The flag itself would beat it.
        let itself = format!("--{flag}=");
        let args: Vec<_> = NOWHERE.into_iter().filter(|arg| !arg.starts_with(&itself)).collect();
        let ended = run(&args, &[(&variable(flag), wrong)]).await;
        let begin = format!("invalid value {wrong:?} for --{flag}: give ");
        assert!(ended.sentence(2).starts_with(&begin), "{}", ended.stderr);
    }
    let ended = run(&NOWHERE[..1], &[("PODIDENTITY_TLS_CERT", "/nonexistent/other.crt")]).await;
    let sentence = ended.sentence(1);
    assert!(sentence.starts_with("cannot read /nonexistent/other.crt: "), "{sentence}");
}

#[tokio::test]
async fn a_flag_beats_the_environment() {
    for (flag, wrong, right) in FLAGS {
        let given = format!("--{flag}={right}");
        understood(&run(&[&NOWHERE[..], &[&given]].concat(), &[(&variable(flag), wrong)]).await);
    }
}

#[tokio::test]
async fn an_empty_value_is_none() {
    let names: Vec<_> = FLAGS.iter().map(|(flag, ..)| variable(flag)).collect();
    let env: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
    understood(&run(&NOWHERE, &env).await);
    let empty: Vec<_> = FLAGS.iter().map(|(flag, ..)| format!("--{flag}=")).collect();
    let mut args: Vec<_> = empty.iter().map(String::as_str).collect();
    args.extend(NOWHERE);
    understood(&run(&args, &[]).await);
}

/// A Service of the webhook's name makes kubelet set these in its namespace's Pods.
#[tokio::test]
async fn what_kubelet_sets_for_a_service_is_no_flag() {
    let ended = run(
        &NOWHERE,
        &[
            ("POD_IDENTITY_WEBHOOK_PORT", "tcp://1.2.3.4:443"),
            ("POD_IDENTITY_WEBHOOK_SERVICE_PORT", "443"),
            ("POD_IDENTITY_WEBHOOK_NAMESPACE", "a/b"),
        ],
    )
    .await;
    understood(&ended);
}

#[tokio::test]
async fn an_unknown_flag_suggests_the_one_that_was_meant() {
    for (args, sentence) in [
        (["--prot=1"], "unknown flag --prot: did you mean --port?"),
        (["--tls-certs=x"], "unknown flag --tls-certs: did you mean --tls-cert?"),
        (["--zzz"], "unknown flag --zzz: see --help for all flags"),
    ] {
        assert_eq!(run(&args, &[]).await.sentence(2), sentence);
    }
}

#[tokio::test]
async fn help_is_readable() {
    for (args, command) in [
        (["--help"].as_slice(), cli::command()),
        (&["mutate", "--help"], cli::command().find_subcommand("mutate").unwrap().clone()),
        (&["explain", "--help"], cli::command().find_subcommand("explain").unwrap().clone()),
        (&["-h"], cli::command()),
    ] {
        let Ended { code, stdout, stderr } = run(args, &[("COLUMNS", "500")]).await;
        assert_eq!((code, stderr.as_str()), (Some(0), ""));
        for line in stdout.lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
        for flag in command.get_arguments().filter(|arg| arg.get_long().is_some()) {
            let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.split(' ').count() >= 2, "{flag} has no sentence: {help:?}");
            let long = flag.get_long().unwrap();
            let listed = stdout.contains(&format!("--{long}"));
            assert_eq!(listed, !flag.is_hide_set(), "--{long}");
        }
    }
}

#[tokio::test]
async fn the_version_is_one_line() {
    let Ended { code, stdout, stderr } = run(&["--version"], &[]).await;
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert_eq!(stdout, format!("pod-identity-webhook {}\n", version::line()));
}

#[tokio::test]
async fn a_system_without_cas_is_said_and_does_where_none_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let none = folder.path().join("none").display().to_string();
    let env = [("SSL_CERT_FILE", none.as_str()), ("SSL_CERT_DIR", none.as_str())];
    let ended = run(&["certificate", "--kube-api=https://127.0.0.1:1"], &env).await;
    assert_eq!(
        ended.sentence(2),
        "no CA to know the API server by: name it in the kubeconfig (certificate-authority-data), or \
         set SSL_CERT_FILE to a bundle"
    );
    let ended = run(&["certificate", "--kube-api=http://localhost:1"], &env).await;
    assert!(ended.sentence(2).contains("Connection refused"), "{ended:?}");

    let kubeconfig = folder.path().join("kubeconfig");
    let text = json!({"apiVersion": "v1", "kind": "Config", "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "clusters": [{"name": "a", "cluster": {
            "server": "https://localhost:1", "insecure-skip-tls-verify": true}}],
        "users": [{"name": "a", "user": {}}]});
    std::fs::write(&kubeconfig, text.to_string()).unwrap();
    let kubeconfig = format!("--kubeconfig={}", kubeconfig.display());
    let ended = run(&["certificate", &kubeconfig], &env).await;
    assert!(ended.sentence(2).contains("Connection refused"), "{ended:?}");
}
