//! Tokens that are worth nothing, at either endpoint, and an SDK that says so.
//!
//! Each is put where a good token was a moment ago and will be again, so that nothing but the
//! token can be the reason.

use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use super::kubelet;
use super::sdk::Found;
use super::stage::{ACCOUNT, Stage};
use super::sts::ROLE_ARN;
use super::trust::{Claims, Refusal};

/// A Pod of the account with a token that lives as short as may be, and one of `default`.
struct Pods {
    own: Pod,
    of_default: Pod,
}

impl Pods {
    async fn make(stage: &Stage, annotation: (&str, &str)) -> Self {
        stage.account(&[annotation, ("token-expiration", "600")], json!({})).await;
        let own = stage.pod(ACCOUNT, json!({})).await;
        let of_default = stage.pod("default", json!({})).await;
        // Nobody gave `default` an identity: it has its API token and the author's variable.
        assert_eq!(kubelet::volume_names(&of_default).len(), 1);
        assert!(kubelet::volume_names(&of_default)[0].starts_with("kube-api-access-"));
        let environment: Vec<_> = kubelet::environment(&of_default).into_keys().collect();
        assert_eq!(environment, ["AUTHORS"]);
        Self { own, of_default }
    }
}

/// The same token with another signature.
fn forged(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{signed}.{other}{}", &signature[1..])
}

/// The application with every token that must be refused, and what the SDK must say of it; with
/// the good one before and after.
async fn refusals(stage: &Stage, pods: &Pods, said: &[(Refusal, &str)], good: &str) {
    let Pods { own, of_default } = pods;
    let source = kubelet::projection(own).source;
    let audience = source.audience.as_deref().unwrap();
    let token = kubelet::token(&stage.client, own, &source, audience).await;
    let is_good = |found: Found| assert_eq!(found.report["accessKeyId"], good, "{found:?}");
    is_good(stage.application(own, &token).await);

    for (refusal, says) in said {
        let refused = match refusal {
            Refusal::Audience => kubelet::token(&stage.client, own, &source, "somebody.else").await,
            Refusal::Subject => kubelet::token(&stage.client, of_default, &source, audience).await,
            Refusal::Signature => forged(&token),
            Refusal::Expired => {
                stage.trust.set_clock_ahead(601);
                token.clone()
            }
            other => panic!("{other:?} is not tried"),
        };
        let found = stage.application(own, &refused).await;
        stage.trust.set_clock_ahead(0);
        let report = found.report["refused"].as_str().unwrap_or_else(|| panic!("{found:?}"));
        assert!(report.contains(says), "{refusal:?}: {report}");
    }
    is_good(stage.application(own, &token).await);
}

/// One call each, refused for its own reason and no other.
fn assert_verdicts(
    verdicts: impl Iterator<Item = Result<Claims, Refusal>>,
    said: &[(Refusal, &str)],
) {
    let verdicts: Vec<_> = verdicts.map(Result::err).collect();
    let refused = said.iter().map(|(refusal, _)| Some(*refusal));
    let expected: Vec<_> = [None].into_iter().chain(refused).chain([None]).collect();
    assert_eq!(verdicts, expected);
}

#[tokio::test]
async fn sts_refuses_what_is_not_the_accounts_own_and_the_sdk_says_so() {
    let stage = Stage::set("sts-refuses", None).await;
    let pods = Pods::make(&stage, ("role-arn", ROLE_ARN)).await;
    let said = [
        (Refusal::Audience, "InvalidIdentityToken"),
        (Refusal::Subject, "AccessDenied"),
        (Refusal::Signature, "InvalidIdentityToken"),
        (Refusal::Expired, "ExpiredTokenException"),
    ];
    refusals(&stage, &pods, &said, "TEST-ACCESS-KEY-1").await;

    let verdicts = stage.sts.calls().into_iter().map(|call| call.verdict);
    assert_verdicts(verdicts, &said);
}

#[tokio::test]
async fn the_agent_refuses_what_is_not_the_accounts_own_and_the_sdk_says_so() {
    let stage = Stage::set("agent-refuses", None).await;
    let pods = Pods::make(&stage, ("pod-identity", "true")).await;
    // The SDK does not read the body of a refusal.
    let said = [
        (Refusal::Audience, "StatusCode(400)"),
        (Refusal::Subject, "StatusCode(403)"),
        (Refusal::Signature, "StatusCode(400)"),
        (Refusal::Expired, "StatusCode(400)"),
    ];
    refusals(&stage, &pods, &said, "TEST-ACCESS-KEY-2").await;

    assert_verdicts(stage.agent.verdicts().into_iter(), &said);
}
