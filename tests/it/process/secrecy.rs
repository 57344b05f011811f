//! N4, through the whole process: at `trace`, over TLS, with the libraries' logs as they are set up,
//! with debug pages and Events.

use super::*;

/// What no log, answer or metric may hold.
const MARKER: &str = "wJalrXUtnFEMI-marker";

/// N4.
#[tokio::test]
async fn nothing_of_a_pod_is_told_to_anybody_at_the_highest_level() {
    for level in ["--log-level=trace", "-v=10"] {
        let running = Running::ready(&[level, "--enable-debugging-handlers"]).await;
        let webhook = &running.webhook;
        let secretive = |account: &str| {
            let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "app-5d9f",
                "uid": "1", "controller": true});
            let spec = json!({"serviceAccountName": account, "tomorrow": [MARKER],
                "volumes": [{"name": "v", "secret": {"secretName": MARKER}}],
                "containers": [{"name": "app", "image": MARKER, "args": [MARKER], "env": [
                    {"name": "AWS_SECRET_ACCESS_KEY", "value": MARKER},
                    {"name": "AWS_ROLE_ARN", "value": MARKER},
                    {"name": "AWS_ACCESS_KEY_ID", "value": MARKER}]}]});
            review_owned(&json!([owner]), &spec)
        };
        let unreadable = review_of(&json!({"containers": MARKER}));
        for path in ["/mutate", "/mutate/strict"] {
            for body in [
                secretive("irsa"),
                secretive("agent"),
                secretive("absent"),
                unreadable.clone(),
                secretive("irsa")[..200].to_vec(),
                MARKER.into(),
            ] {
                let (_, text) = webhook.post(path, body, "application/json").await.unwrap();
                assert!(!text.contains(MARKER), "{text}");
            }
        }
        for page in ["decision?namespace=ns&serviceAccount=irsa", "alpha/cache"] {
            let (status, text) = webhook.get(&format!("/debug/{page}")).await.unwrap();
            assert_eq!(status, StatusCode::OK, "{text}");
            assert!(!text.contains(MARKER) && !text.contains(TOKEN), "{text}");
        }
        cluster::eventually("an Event is written", SOON, || async {
            anyhow::ensure!(running.api.count(Call::is_event) > 0);
            Ok(())
        })
        .await
        .unwrap();
        for event in running.api.calls(Call::is_event) {
            assert!(event.body().to_string().contains("env-conflict"), "{event:?}");
            assert!(!format!("{event:?}").contains(MARKER), "{event:?}");
        }
        let (_, metrics) = webhook.get("/metrics").await.unwrap();
        assert!(!metrics.contains(MARKER) && !metrics.contains(TOKEN), "{metrics}");
        webhook.wait_for_log("unreadable-pod", SOON).await.unwrap();
        let logs = webhook.logs().join("\n");
        assert!(logs.contains("\"TRACE\""), "not at trace: {logs}");
        for secret in [MARKER, TOKEN] {
            let line = logs.lines().find(|line| line.contains(secret));
            assert_eq!(line, None);
        }
    }
}
