//! N4, through the whole process: at `trace`, over TLS, with the libraries' logs as they are set up.

use super::*;

/// What no log, answer or metric may hold.
const MARKER: &str = "wJalrXUtnFEMI-marker";

/// N4.
#[tokio::test]
async fn nothing_of_a_pod_is_told_to_anybody_at_the_highest_level() {
    for level in ["--log-level=trace", "-v=10"] {
        let running = Running::ready(&[level]).await;
        let webhook = &running.webhook;
        let secretive = |account: &str| {
            review_of(&json!({"serviceAccountName": account, "tomorrow": [MARKER],
                "volumes": [{"name": "v", "secret": {"secretName": MARKER}}],
                "containers": [{"name": "app", "image": MARKER, "args": [MARKER], "env": [
                    {"name": "AWS_SECRET_ACCESS_KEY", "value": MARKER},
                    {"name": "AWS_ACCESS_KEY_ID", "value": MARKER}]}]}))
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
