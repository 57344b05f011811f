//! Starting: what keeps it from it is one sentence, and what does not is no reason to give up.

use std::net::TcpListener;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::*;
use crate::router::api::kubeconfig;

/// The flags of a server that would start: files of a pair, a kubeconfig, free ports.
fn flags(files: &Files) -> Vec<String> {
    files.write("kubeconfig", &kubeconfig("http://127.0.0.1:1", TOKEN));
    vec![
        "--in-cluster=false".to_owned(),
        "--bind-address=127.0.0.1".to_owned(),
        "--port=0".to_owned(),
        "--metrics-port=0".to_owned(),
        files.flag("--tls-cert", "tls.crt"),
        files.flag("--tls-key", "tls.key"),
        files.flag("--kubeconfig", "kubeconfig"),
    ]
}

/// Runs it with `more` flags behind those that would start, and takes its one sentence.
async fn fails(files: &Files, more: &[String]) -> String {
    let flags = flags(files);
    let args: Vec<_> = flags.iter().chain(more).map(String::as_str).collect();
    // The sentence is the same where somebody has asked for backtraces.
    let ended = run(&args, &[("RUST_BACKTRACE", "full")]).await;
    let sentence = ended.sentence(1).to_owned();
    assert!(!sentence.contains(TOKEN), "{sentence}");
    sentence
}

/// A certificate whose time is over, and its key.
fn write_expired(files: &Files) {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2021, 1, 1);
    let key = KeyPair::generate().unwrap();
    files.write("old.crt", &params.self_signed(&key).unwrap().pem());
    files.write("old.key", &key.serialize_pem());
}

#[tokio::test]
async fn a_certificate_that_cannot_be_served_is_named() {
    let files = Files::new();
    files.pair("other");
    files.write("junk", "no PEM\n");
    write_expired(&files);
    let cert = |name| files.flag("--tls-cert", name);
    let key = |name| files.flag("--tls-key", name);
    for (flags, names, remedy) in [
        (vec![cert("absent")], "absent", "--tls-cert"),
        (vec![key("absent")], "absent", "--tls-key"),
        (vec![cert("other.crt")], "other.crt", "give both files of one pair"),
        (vec![cert("junk")], "junk", "has to hold the certificate chain"),
        (vec![key("junk")], "junk", "PEM private key"),
        (vec![key("tls.crt")], "tls.crt", "PEM private key"),
        (vec![files.flag("--client-ca", "absent")], "absent", "--client-ca"),
        (vec![files.flag("--client-ca", "junk")], "junk", "certificate"),
        (vec![cert("old.crt"), key("old.key")], "old.crt", "expired at 2021-01-01"),
    ] {
        let sentence = fails(&files, &flags).await;
        assert!(sentence.contains(files.path(names).to_str().unwrap()), "{sentence}");
        assert!(sentence.contains(remedy), "{sentence}");
    }
}

#[tokio::test]
async fn a_role_policy_that_cannot_be_used_is_named_and_not_repeated() {
    let files = Files::new();
    for (text, why) in [
        (format!("rules: {TOKEN}"), "is no role policy: rules: it is not a list"),
        (format!("rules: [{{namespaces: [a], roles: [{TOKEN}]}}]"), "rules[0].roles[0]: no role's"),
        (
            format!(
                "{TOKEN}: [
"
            ),
            ": not valid YAML: ",
        ),
        (String::new(), "holds 0 documents: give one role policy"),
    ] {
        files.write("policy.yaml", &text);
        let sentence = fails(&files, &[files.flag("--role-policy", "policy.yaml")]).await;
        let begin = format!("--role-policy: {}", files.path("policy.yaml").display());
        assert!(sentence.starts_with(&begin) && sentence.contains(why), "{sentence}");
    }
    let sentence = fails(&files, &[files.flag("--role-policy", "absent")]).await;
    let begin = format!("--role-policy: {} cannot be read", files.path("absent").display());
    assert!(sentence.starts_with(&begin) && sentence.contains("No such file"), "{sentence}");
}

/// What stands in a kubeconfig, such as a token, is never repeated.
#[tokio::test]
async fn a_kubeconfig_that_cannot_be_used_is_named_and_not_repeated() {
    let files = Files::new();
    let good = kubeconfig("http://127.0.0.1:1", TOKEN);
    for (text, why) in [
        (format!("users: [{TOKEN}\n"), "is not a kubeconfig: look at line "),
        (TOKEN.to_owned(), "is not a kubeconfig: look at line 1"),
        (format!("users: {TOKEN}\n"), "is not a kubeconfig: look at line 1"),
        (format!("users: [{{name: {{{TOKEN}: 1}}}}]\n"), "is not a kubeconfig: look at line 1"),
        (String::new(), "cannot be used: "),
        ("{}".to_owned(), "cannot be used: "),
        (good.replace("\"current-context\":\"test\"", "\"current-context\":\"x\""), "context"),
        (good.replace("http://127.0.0.1:1", "http://not a url"), "url"),
    ] {
        files.write("bad", &text);
        let sentence = fails(&files, &[files.flag("--kubeconfig", "bad")]).await;
        let begin = format!("--kubeconfig: {} ", files.path("bad").display());
        assert!(sentence.starts_with(&begin) && sentence.contains(why), "{sentence}");
    }
    let sentence = fails(&files, &[files.flag("--kubeconfig", "absent")]).await;
    let begin = format!("--kubeconfig: {} cannot be read: ", files.path("absent").display());
    assert!(sentence.starts_with(&begin) && sentence.contains("No such file"), "{sentence}");
}

#[tokio::test]
async fn without_an_api_server_it_says_where_to_find_one() {
    let files = Files::new();
    let sentence = fails(&files, &["--kubeconfig=".to_owned()]).await;
    assert!(
        sentence.starts_with("no API server: give --kubeconfig, or run in a Pod"),
        "{sentence}"
    );
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let files = Files::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for flag in ["--port", "--metrics-port"] {
        let sentence = fails(&files, &[format!("{flag}={}", address.port())]).await;
        let begin = format!("{flag}: cannot listen on {address}: choose a free port");
        assert!(sentence.starts_with(&begin), "{sentence}");
        assert!(sentence.contains("Address already in use"), "{sentence}");
    }
}

/// N25: the Go webhook's default. No file is looked for, only an API server.
#[tokio::test]
async fn certificates_of_its_own_need_no_files() {
    for args in [[].as_slice(), &["--in-cluster"], &["--in-cluster=true"]] {
        let ended = run(args, &[]).await;
        let sentence = ended.sentence(1);
        assert!(sentence.starts_with("no API server: "), "{sentence}");
    }
}

/// Where the log is for machines, so is the last word.
#[tokio::test]
async fn in_a_json_log_the_failure_is_a_line_of_it() {
    let files = Files::new();
    let mut args = flags(&files);
    args.extend([files.flag("--tls-cert", "absent"), "--log-format=json".to_owned()]);
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let Ended { code, stdout, stderr } = run(&args, &[]).await;
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    let lines: Vec<Value> =
        stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.last().unwrap();
    assert_eq!((&last["level"], &last["message"]), (&json!("ERROR"), &json!("stopped")));
    assert!(last["error"].as_str().unwrap().starts_with("cannot read "), "{last}");
    assert_eq!(last["cause"], "No such file or directory (os error 2)");
}

/// An API server that is away is no reason to give up: unready, and it says why.
#[tokio::test]
async fn an_api_server_that_refuses_connections_is_waited_for() {
    let files = Files::new();
    // A port of which nobody else can be, since this one is held and does not listen.
    let nobody = {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        socket
    };
    let url = format!("http://{}", nobody.local_addr().unwrap());
    files.write("kubeconfig", &kubeconfig(&url, TOKEN));
    let webhook = Webhook::beside(files.path("kubeconfig"))
        .binary(BINARY)
        .do_not_wait()
        .start()
        .await
        .unwrap();
    cluster::eventually("readiness says why", SOON, || async {
        let (status, text) = webhook.get("/readyz").await?;
        anyhow::ensure!(status == StatusCode::SERVICE_UNAVAILABLE, "{text}");
        anyhow::ensure!(
            text.contains(
                "[-] service accounts: waiting for the first list: \
                 the API server cannot be reached: Connection refused"
            ),
            "{text}"
        );
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(webhook.get_tls("/healthz").await.unwrap().0, StatusCode::OK);
    assert_eq!(webhook.get_tls("/readyz").await.unwrap().0, StatusCode::SERVICE_UNAVAILABLE);
    let response = webhook.post("/mutate", review("irsa"), "application/json").await.unwrap();
    assert!(response.1.contains("\"allowed\":true"), "{response:?}");
    assert!(response.1.contains("the API server cannot be reached"), "{response:?}");
    assert!(webhook.terminate().await.unwrap().success());
}

/// field.md, the community chart: its args, as they stand, and klog's.
#[tokio::test]
async fn the_community_charts_args_start_a_server() {
    let files = Files::new();
    let served = Api::listing(accounts(), not_found).serve().await;
    files.write("kubeconfig", &served.kubeconfig(TOKEN));
    let (cert, key) = (files.path("tls.crt"), files.path("tls.key"));
    let chart = [
        ("--annotation-prefix", "eks.amazonaws.com"),
        ("--aws-default-region", "us-east-1"),
        ("--in-cluster=false", ""),
        ("--logtostderr", ""),
        ("--namespace", "kube-system"),
        ("--metrics-port", "0"),
        ("--port", "0"),
        ("--service-name", "amazon-eks-pod-identity-webhook"),
        ("--sts-regional-endpoint=false", ""),
        ("--token-audience", "sts.amazonaws.com"),
        ("--token-expiration", "86400"),
        ("--token-mount-path", "/var/run/secrets/eks.amazonaws.com/serviceaccount"),
        ("--tls-cert", cert.to_str().unwrap()),
        ("--tls-key", key.to_str().unwrap()),
    ];
    let equals = chart.map(|(flag, value)| match value {
        "" => vec![flag.to_owned()],
        value => vec![format!("{flag}={value}")],
    });
    let spaces = chart.map(|(flag, value)| match value {
        "" => vec![flag.to_owned()],
        value => vec![flag.to_owned(), value.to_owned()],
    });
    let klog = [
        "-v",
        "4",
        "--alsologtostderr",
        "--stderrthreshold=2",
        "--vmodule",
        "a=1",
        "--log_dir",
        "/tmp",
        "--log_file_max_size=1800",
        "--skip_headers",
        "--one_output=true",
    ];
    for args in [equals, spaces] {
        let builder = Webhook::beside(files.path("kubeconfig")).binary(BINARY);
        let args = args.concat().into_iter().chain(klog.map(str::to_owned));
        let webhook = args.fold(builder, WebhookBuilder::arg).start().await.unwrap();
        // The probes and the scrape of the chart.
        let address = webhook.url().strip_prefix("https://").unwrap();
        let answer = tls::get(address, files.authority.der(), "/healthz").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok\n"));
        let (status, text) = webhook.get("/metrics").await.unwrap();
        assert_eq!(status, StatusCode::OK);
        assert!(text.contains("pod_identity_webhook_build_info{") && text.ends_with("# EOF\n"));
        let without_effect: Vec<_> =
            webhook.logs().into_iter().filter(|line| line.contains("without effect")).collect();
        assert_eq!(without_effect.len(), 1, "{without_effect:?}");
        assert!(without_effect[0].contains("--logtostderr"), "{without_effect:?}");
        assert!(webhook.terminate().await.unwrap().success());
    }
}

/// The log for people: every line of it is one.
#[tokio::test]
async fn the_log_is_text_by_default() {
    let files = Files::new();
    let served = Api::listing(accounts(), not_found).serve().await;
    files.write("served", &served.kubeconfig(TOKEN));
    let mut args = flags(&files);
    args.extend([files.flag("--kubeconfig", "served"), "--log-format=".to_owned()]);
    let mut child = Command::new(BINARY)
        .args(&args)
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let stderr = child.stderr.take().unwrap();
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(stderr));
    let synced = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            assert!(!line.contains('\u{1b}') && !line.starts_with('{'), "{line}");
            if line.contains("the first list is complete") {
                assert!(line.contains(" INFO "), "{line}");
                return;
            }
        }
        panic!("it ended");
    };
    tokio::time::timeout(SOON, synced).await.unwrap();
    child.kill().await.unwrap();
}
