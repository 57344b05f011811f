//! The control plane itself: it starts, it serves, and nothing of it is left behind.
//!
//! These tests need the binaries that `make control-plane` builds, and nothing else.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use cluster::{ControlPlane, Issuer, eventually, namespace};
use k8s_openapi::api::{
    apps::v1::Deployment,
    authentication::v1::SelfSubjectReview,
    core::v1::{ConfigMap, Pod},
};
use kube::{
    Api, Client,
    api::{ListParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};

const END: Duration = Duration::from_mins(1);

/// Processes that have ended, and keepers and folders that are gone.
fn nothing_is_left(processes: &[u32], folder: &Path) -> Result<()> {
    for pid in processes {
        ensure!(!Path::new(&format!("/proc/{pid}")).exists(), "process {pid} is there");
    }
    ensure!(!folder.exists(), "{} is there", folder.display());
    let name = folder.file_name().context("a folder without a name")?.as_encoded_bytes();
    for process in std::fs::read_dir("/proc")? {
        // A process that ends while it is looked at has no command line.
        let command = std::fs::read(process?.path().join("cmdline")).unwrap_or_default();
        let command_names_it = command.windows(name.len()).any(|window| window == name);
        ensure!(!command_names_it, "there is {}", String::from_utf8_lossy(&command));
    }
    Ok(())
}

fn pod() -> Result<Pod> {
    Ok(serde_json::from_value(json!({
        "metadata": { "generateName": "smoke-" },
        "spec": { "containers": [{ "name": "smoke", "image": "smoke" }] },
    }))?)
}

#[tokio::test]
async fn a_control_plane_starts_serves_and_leaves_nothing_behind() {
    let plane = ControlPlane::start().await.unwrap();
    let (processes, folder) = (plane.pids(), plane.folder().to_path_buf());
    assert_eq!(processes.len(), 2);

    // A Pod can be made, and has its account's token volume: the admission plugin is on.
    let name = namespace(&plane, "smoke").await.unwrap();
    let pods: Api<Pod> = Api::namespaced(plane.client().unwrap(), &name);
    let made = pods.create(&PostParams::default(), &pod().unwrap()).await.unwrap();
    let spec = made.spec.unwrap();
    assert_eq!(spec.service_account_name.as_deref(), Some("default"));
    assert_eq!(spec.volumes.unwrap().len(), 1);

    // It stands in the audit log, and who is not known is not served.
    let seen = eventually("the Pod is in the audit log", END, || async {
        let events = plane.audit_events()?;
        let mut names = events.iter().filter_map(|event| event["objectRef"]["namespace"].as_str());
        ensure!(names.any(|seen| seen == name), "{events:?}");
        Ok(())
    });
    seen.await.unwrap();
    let mut stranger = plane.config();
    stranger.auth_info = kube::config::AuthInfo::default();
    let stranger = Client::try_from(stranger).unwrap();
    let refused = stranger.apiserver_version().await.unwrap_err();
    assert!(format!("{refused:?}").contains("401"), "{refused:?}");

    drop(plane);
    nothing_is_left(&processes, &folder).unwrap();
}

#[tokio::test]
async fn an_account_gets_a_kubeconfig_with_its_own_rights() {
    let plane = ControlPlane::builder().issuer(Issuer::Apiserver).start().await.unwrap();
    let name = namespace(&plane, "account").await.unwrap();
    let path = plane.service_account_kubeconfig(&name, "default").await.unwrap();
    let kubeconfig = Kubeconfig::read_from(path).unwrap();
    let options = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
    let client = Client::try_from(config).unwrap();

    let who = Api::<SelfSubjectReview>::all(client.clone())
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await
        .unwrap();
    let user = who.status.unwrap().user_info.unwrap().username.unwrap();
    assert_eq!(user, format!("system:serviceaccount:{name}:default"));
    let pods: Api<Pod> = Api::namespaced(client, &name);
    let refused = pods.list(&ListParams::default()).await.unwrap_err();
    assert!(matches!(refused, kube::Error::Api(status) if status.is_forbidden()));

    // Discovery names the issuer, and its key is RSA.
    let admin = plane.client().unwrap();
    let discovery = http::Request::get("/.well-known/openid-configuration").body(vec![]).unwrap();
    let discovery: Value = admin.request(discovery).await.unwrap();
    assert_eq!(discovery["issuer"], plane.url());
    let keys = http::Request::get("/openid/v1/jwks").body(vec![]).unwrap();
    let keys: Value = admin.request(keys).await.unwrap();
    assert_eq!(keys["keys"][0]["alg"], "RS256");
}

#[tokio::test]
async fn an_apiserver_comes_back_on_its_port_with_its_data() {
    let plane = ControlPlane::builder().feature_gate("WatchList", false).start().await.unwrap();
    let name = namespace(&plane, "back").await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(plane.client().unwrap(), &name);
    let map = json!({ "metadata": { "name": "kept" }, "data": { "a": "b" } });
    let map = serde_json::from_value(map).unwrap();
    maps.create(&PostParams::default(), &map).await.unwrap();

    plane.stop_apiserver().await.unwrap();
    assert_eq!(plane.pids().len(), 1);
    assert!(maps.get("kept").await.is_err());
    plane.start_apiserver().await.unwrap();
    assert_eq!(maps.get("kept").await.unwrap().data, map.data);
}

#[tokio::test]
async fn two_control_planes_run_side_by_side() {
    let (one, other) =
        tokio::join!(ControlPlane::builder().controller_manager().start(), ControlPlane::start(),);
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_ne!(one.url(), other.url());
    let deployment: Deployment = serde_json::from_value(json!({
        "metadata": { "name": "app" },
        "spec": {
            "selector": { "matchLabels": { "app": "app" } },
            "template": {
                "metadata": { "labels": { "app": "app" } },
                "spec": { "containers": [{ "name": "app", "image": "app" }] },
            },
        },
    }))
    .unwrap();
    let mut pods = Vec::new();
    for plane in [&one, &other] {
        let name = namespace(plane, "app").await.unwrap();
        let client = plane.client().unwrap();
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), &name);
        deployments.create(&PostParams::default(), &deployment).await.unwrap();
        pods.push(Api::<Pod>::namespaced(client, &name));
    }
    // The first has controllers, so its Deployment gets a Pod. The other has none.
    let made = eventually("the Deployment has a Pod", END, || async {
        ensure!(pods[0].list(&ListParams::default()).await?.items.len() == 1, "no Pod so far");
        Ok(())
    });
    made.await.with_context(|| one.log_tail()).unwrap();
    assert!(pods[1].list(&ListParams::default()).await.unwrap().items.is_empty());

    // The end of one does not touch the other.
    let (processes, folder) = (one.pids(), one.folder().to_path_buf());
    assert_eq!(processes.len(), 3);
    drop(one);
    nothing_is_left(&processes, &folder).unwrap();
    other.client().unwrap().apiserver_version().await.unwrap();
}

#[tokio::test]
async fn a_start_whose_port_is_taken_is_tried_again_and_says_so() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let start = ControlPlane::builder().apiserver_arg(format!("--secure-port={port}")).start();
    let error = start.await.unwrap_err();
    assert!(format!("{error:#}").contains("lost its port to another process"), "{error:#}");
}

#[tokio::test]
async fn a_killed_test_process_leaves_no_control_plane() {
    let mut process = Command::new(env!("CARGO_BIN_EXE_control-plane"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: Vec<String> = BufReader::new(process.stdout.take().unwrap())
        .lines()
        .take(3)
        .collect::<Result<_, _>>()
        .unwrap();
    let folder = PathBuf::from(lines[1].strip_prefix("folder ").unwrap());
    let processes = lines[2].strip_prefix("processes ").unwrap().split(' ');
    let processes: Vec<u32> = processes.map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(processes.len(), 3);
    assert!(folder.is_dir());
    assert!(processes.iter().all(|pid| Path::new(&format!("/proc/{pid}")).exists()));

    // `kill` of the standard library is SIGKILL.
    process.kill().unwrap();
    process.wait().unwrap();
    eventually("all of it is gone", END, || async { nothing_is_left(&processes, &folder) })
        .await
        .unwrap();
}
