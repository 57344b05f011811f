//! SIGTERM while it is called: nobody loses a call.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::ensure;
use cluster::{FailurePolicy, Registration, Signal, eventually, register};
use http::{StatusCode, header};
use serde_json::json;
use tokio::{sync::watch, task::JoinSet};

use super::{
    connection::Connector,
    service::Service,
    support::{Namespace, ROLE, ROLE_ARN, Run, SOON, count, has_irsa, pod, review, webhook},
};
use crate::plane::plane;

/// Clients that call one after the other without a pause.
const LANES: usize = 4;
/// How long it is to go on serving.
const DELAY: Duration = Duration::from_secs(10);

/// What a client has seen.
#[derive(Debug, Default)]
struct Seen {
    /// Answers before the signal, and with `Connection: close` after it.
    kept: usize,
    closed: usize,
    /// When it could connect no longer.
    refused: Option<Instant>,
}

/// Calls again and again until it is refused a connection. A call that is not answered with 200
/// and a patch is a failure, and so is a connection that ends without having said so.
async fn call(connector: Connector, review: String, answered: Arc<AtomicUsize>) -> Seen {
    let mut seen = Seen::default();
    loop {
        let Ok(mut connection) = connector.connect().await else {
            seen.refused = Some(Instant::now());
            return seen;
        };
        loop {
            let answer = connection.post("/mutate?timeout=10s", review.clone()).await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
            assert!(String::from_utf8_lossy(answer.body()).contains("\"patch\""));
            answered.fetch_add(1, Ordering::Relaxed);
            if answer.headers().get(header::CONNECTION).is_some_and(|value| value == "close") {
                seen.closed += 1;
                break;
            }
            seen.kept += 1;
        }
    }
}

/// F9, N23: unready at once, every call answered, connections let go of one by one, exit code 0.
#[tokio::test]
async fn no_call_is_lost_when_it_is_terminated_under_load() {
    let plane = plane().await;
    let namespace = Namespace::new(plane, "terminated").await;
    namespace.account("app", &json!({ ROLE_ARN: ROLE })).await;
    let delay = format!("--shutdown-delay={}s", DELAY.as_secs());
    let webhook = webhook(plane).arg(delay).start().await.unwrap();
    let connector = Connector::new(webhook.url(), &[webhook.authority().der()]);
    let review = review("v1", &namespace.name, "7f-1", &pod("app")).to_string();
    // An idle connection, too: it is let go of at the end without having been told so.
    let mut idle = connector.connect().await.unwrap();
    assert_eq!(idle.post("/mutate", review.clone()).await.unwrap().status(), StatusCode::OK);

    let answered = Arc::new(AtomicUsize::new(0));
    let mut lanes = JoinSet::new();
    for _ in 0..LANES {
        lanes.spawn(call(connector.clone(), review.clone(), Arc::clone(&answered)));
    }
    eventually("calls are answered", SOON, || async {
        ensure!(answered.load(Ordering::Relaxed) >= 100, "too few");
        Ok(())
    })
    .await
    .unwrap();

    let signalled = Instant::now();
    webhook.signal(Signal::Terminate).unwrap();
    eventually("it is not ready", SOON, || async {
        let (status, text) = webhook.get("/readyz").await?;
        ensure!(status == StatusCode::SERVICE_UNAVAILABLE, "{status}");
        ensure!(text.contains("[-] shutdown: stopping"), "{text}");
        Ok(())
    })
    .await
    .unwrap();
    let unready = Instant::now();
    assert_eq!(webhook.get("/livez").await.unwrap().0, StatusCode::OK);
    assert!(idle.is_open());
    let last = idle.post("/mutate", review).await.unwrap();
    assert_eq!(
        (last.status(), &last.headers()[header::CONNECTION]),
        (StatusCode::OK, &"close".parse().unwrap())
    );

    let status = webhook.ended(SOON).await.unwrap();
    assert_eq!(status.code(), Some(0), "{:#?}", webhook.logs());
    let mut seen = Vec::new();
    while let Some(lane) = lanes.join_next().await {
        seen.push(lane.unwrap());
    }
    println!("{} calls answered: {seen:?}", answered.load(Ordering::Relaxed));
    for Seen { kept, closed, refused } in seen {
        assert!(kept > 0 && closed > 0, "{kept} {closed}");
        assert!(refused.unwrap() - signalled >= DELAY);
        assert!(refused.unwrap() > unready, "unready before it refuses anybody");
    }
    let stopped = webhook.logs().into_iter().find(|line| line.contains("\"cut_calls\""));
    let stopped = stopped.unwrap();
    assert!(stopped.contains("\"cut_calls\":0"), "{stopped}");
    assert!(stopped.contains("\"cut_connections\":0"), "{stopped}");
}

/// N23: as a Deployment replaces a Pod. The webhook's failurePolicy is Fail, so a call that is lost
/// is a Pod that is refused.
#[tokio::test]
async fn no_pod_is_refused_while_one_instance_replaces_another() {
    let plane = plane().await;
    let old = webhook(plane).arg(format!("--shutdown-delay={}s", DELAY.as_secs()));
    let old = old.start().await.unwrap();
    let certificates = old.cert_dir();
    let new = webhook(plane)
        .arg(format!("--tls-cert={}", certificates.join("tls.crt").display()))
        .arg(format!("--tls-key={}", certificates.join("tls.key").display()))
        .start()
        .await
        .unwrap();
    let service = Service::start(old.url()).await;
    let registration = Registration {
        failure_policy: FailurePolicy::Fail,
        url: Some(service.url().to_owned()),
        ..Registration::default()
    };
    register(plane, "replaced", &old, registration).await.unwrap();
    let namespace = Namespace::new(plane, "replaced").await;
    namespace.account("app", &json!({ ROLE_ARN: ROLE })).await;

    let created = Arc::new(AtomicUsize::new(0));
    let (stop, stopped) = watch::channel(());
    let mut lanes = JoinSet::new();
    for _ in 0..LANES {
        let (namespace, created, stopped) =
            (namespace.clone(), Arc::clone(&created), stopped.clone());
        lanes.spawn(async move {
            while stopped.has_changed().is_ok() {
                let answer = namespace.try_pod(&pod("app"), Run::Dry).await;
                assert_eq!(answer.status, StatusCode::CREATED, "{:#}", answer.body);
                assert!(has_irsa(&answer.body), "{:#}", answer.body);
                created.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let some_more = async || {
        let enough = created.load(Ordering::Relaxed) + 40;
        eventually("Pods are created", SOON, || async {
            ensure!(created.load(Ordering::Relaxed) >= enough, "too few");
            Ok(())
        })
        .await
        .unwrap();
    };
    some_more().await;
    old.signal(Signal::Terminate).unwrap();
    eventually("it is not ready", SOON, || async {
        let (status, _) = old.get("/readyz").await?;
        ensure!(status == StatusCode::SERVICE_UNAVAILABLE, "{status}");
        Ok(())
    })
    .await
    .unwrap();
    service.switch(new.url());
    let status = old.ended(SOON).await.unwrap();
    assert_eq!(status.code(), Some(0), "{:#?}", old.logs());
    some_more().await;
    drop(stop);
    while let Some(lane) = lanes.join_next().await {
        lane.unwrap();
    }
    let injected = [("outcome", "injected")];
    let by_new = count(&new, "pod_identity_webhook_decisions_total", &injected).await;
    println!("{} Pods created, {by_new} by the new instance", created.load(Ordering::Relaxed));
    assert!(by_new >= 40, "{by_new}");
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let plane = plane().await;
    let webhook = webhook(plane).arg("--shutdown-delay=10m").start().await.unwrap();
    webhook.signal(Signal::Terminate).unwrap();
    webhook.wait_for_log("stopping: unready", SOON).await.unwrap();
    assert_eq!(webhook.get("/readyz").await.unwrap().0, StatusCode::SERVICE_UNAVAILABLE);
    webhook.signal(Signal::Terminate).unwrap();
    let status = webhook.ended(SOON).await.unwrap();
    assert_eq!(status.code(), Some(1), "{:#?}", webhook.logs());
}
