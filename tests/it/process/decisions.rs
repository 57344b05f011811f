//! The log of decisions: a line a Pod, as text and as JSON, with the same fields.

use super::*;

/// The fields of the line, besides when and where it was written.
const FIELDS: [&str; 8] =
    ["uid", "namespace", "account", "pod", "outcome", "reason", "method", "source"];

/// The lines of decisions once there are `count`.
async fn decided(webhook: &Webhook, count: usize) -> Vec<String> {
    cluster::eventually("the decisions are logged", SOON, || async {
        let lines: Vec<_> =
            webhook.logs().into_iter().filter(|line| line.contains("decided")).collect();
        anyhow::ensure!(lines.len() >= count, "{lines:#?}");
        Ok(lines)
    })
    .await
    .unwrap()
}

/// `level outcome reason` of a line of JSON, and its fields in their order.
fn of_json(line: &str) -> (String, Vec<String>) {
    let line: Value = serde_json::from_str(line).unwrap();
    let text = |key: &str| line[key].as_str().unwrap().to_owned();
    assert_eq!(text("message"), "decided");
    let of_the_log = ["timestamp", "level", "message", "target"];
    let keys = line.as_object().unwrap().keys().filter(|key| !of_the_log.contains(&key.as_str()));
    let keys = keys.cloned().collect();
    (format!("{} {} {}", text("level"), text("outcome"), text("reason")), keys)
}

/// The same of a line of text.
fn of_text(line: &str) -> (String, Vec<String>) {
    let level = line.split_whitespace().nth(1).unwrap();
    let (_, fields) = line.split_once("decided ").unwrap();
    let pairs: Vec<_> = fields.split(' ').map(|pair| pair.split_once('=').unwrap()).collect();
    let text = |key| pairs.iter().find(|(found, _)| *found == key).unwrap().1.trim_matches('"');
    let keys = pairs.iter().map(|(key, _)| (*key).to_owned()).collect();
    (format!("{level} {} {}", text("outcome"), text("reason")), keys)
}

#[tokio::test]
async fn every_decision_is_a_line_with_the_same_fields_as_text_and_as_json() {
    type Read = fn(&str) -> (String, Vec<String>);

    for (format, read) in [("json", of_json as Read), ("text", of_text)] {
        let format = format!("--log-format={format}");
        let running = Running::ready(&["--log-level=debug", &format]).await;
        let half_a_pair = review_of(&json!({"serviceAccountName": "irsa", "containers": [
            {"name": "app", "env": [{"name": "AWS_ROLE_ARN", "value": "own"}]}]}));
        for body in [review("irsa"), review("agent"), review("nobody"), half_a_pair] {
            let answer = running.webhook.post("/mutate", body, "application/json").await.unwrap();
            assert_eq!(answer.0, StatusCode::OK);
        }
        let lines = decided(&running.webhook, 4).await;
        let (found, fields): (Vec<_>, Vec<_>) = lines.iter().map(|line| read(line)).unzip();
        assert_eq!(
            found,
            [
                "INFO injected injected",
                "INFO injected injected",
                "DEBUG skipped no-identity",
                "WARN incomplete env-conflict"
            ]
        );
        assert!(fields.iter().all(|fields| *fields == FIELDS), "{fields:?}");
    }
}

#[tokio::test]
async fn by_default_only_pods_with_an_identity_are_logged() {
    let running = Running::ready(&[]).await;
    for account in ["nobody", "irsa"] {
        running.review("/mutate", account).await;
    }
    let lines = decided(&running.webhook, 1).await;
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains("\"irsa\""), "{lines:#?}");
}
