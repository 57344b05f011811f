//! The role policy behind both paths: what it does not allow, and that a change of it counts.

use pod_identity_webhook::plan::UnfitRole;
use tokio::time::sleep;

use super::*;

const ALLOWS: &str =
    r#"rules: [{namespaces: ["n*"], roles: ["arn:aws:iam::111122223333:role/*"]}]"#;
const ALLOWS_NOTHING: &str = "rules: []";

/// A file of a role policy, as the kubelet mounts it, and a world that it guards.
struct Guarded {
    mount: cluster::Mount,
    world: World,
    _following: JoinSet<Infallible>,
}

// === impl Guarded ===

impl Guarded {
    async fn new(document: &str, role_not_allowed: UnfitRole) -> Self {
        let mount = cluster::Mount::new(&[("policy.yaml", document)]).unwrap();
        let path = mount.path("policy.yaml");
        let (current, task) = guard::bind(&path, &AccountsMetrics::default()).unwrap();
        let mut following = JoinSet::new();
        following.spawn(task.run());
        let settings = Settings { role_not_allowed, ..Settings::default() };
        let flags = Flags { settings, role_policy: Some(current), ..Flags::default() };
        let world = World::synced(flags, not_found).await;
        Self { mount, world, _following: following }
    }

    async fn response(&self, path: &str, account: &str) -> Value {
        self.world.review(path, &creation("v1", &pod(account))).await.response("v1")
    }
}

#[tokio::test(start_paused = true)]
async fn a_role_that_is_not_allowed_is_withheld_injected_or_refused_as_the_flag_says() {
    for (choice, lenient, strict) in [
        (UnfitRole::Inject, (true, true), (true, true)),
        (UnfitRole::Skip, (true, false), (false, false)),
        (UnfitRole::Deny, (false, false), (false, false)),
    ] {
        let guarded = Guarded::new(ALLOWS_NOTHING, choice).await;
        for (path, (allowed, injected)) in [(LENIENT, lenient), (STRICT, strict)] {
            let response = guarded.response(path, "irsa").await;
            assert_eq!(response["allowed"], allowed, "{choice:?} {path}: {response}");
            assert_eq!(response.get("patch").is_some(), injected, "{choice:?} {path}: {response}");
            let said = if allowed {
                warning(&response).to_owned()
            } else {
                assert_eq!(response["status"]["code"], 403);
                response["status"]["message"].as_str().unwrap().to_owned()
            };
            assert!(said.contains("role-not-allowed: "), "{said}");
        }
        let counted = guarded.world.sample(
            "pod_identity_webhook_decisions_total{outcome=\"incomplete\",\
             method=\"sts_web_identity\",reason=\"role-not-allowed\"}",
        );
        let skips = choice == UnfitRole::Skip;
        assert_eq!(counted.await, skips.then_some(2.0), "{choice:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_policy_allows_or_is_not_about_is_injected() {
    let guarded = Guarded::new(ALLOWS, UnfitRole::Deny).await;
    for account in ["irsa", "agent"] {
        let response = guarded.response(STRICT, account).await;
        assert!(!patch(&response).is_empty() && response.get("warnings").is_none(), "{response}");
    }
    let guarded = Guarded::new(ALLOWS_NOTHING, UnfitRole::Deny).await;
    assert!(!patch(&guarded.response(STRICT, "agent").await).is_empty());
    for account in ["plain", "absent"] {
        assert_eq!(guarded.response(STRICT, account).await, json!({"uid": UID, "allowed": true}));
    }
}

/// N15, of the policy: the kubelet's swap is seen, and a broken or emptied file lifts nothing.
#[tokio::test(start_paused = true)]
async fn a_change_of_the_file_counts_within_ten_seconds_and_a_broken_one_never() {
    let guarded = Guarded::new(ALLOWS, UnfitRole::Skip).await;
    for (document, injected) in [
        (ALLOWS_NOTHING, false),
        ("default: allow", false),
        ("", false),
        (ALLOWS, true),
        ("rules: [{}]", true),
        ("default: allow\nrules: [{namespaces: [ns], roles: []}]", false),
        ("default: allow\nrules: [{namespaces: [other], roles: []}]", true),
    ] {
        guarded.mount.swap(&[("policy.yaml", document)]).unwrap();
        sleep(Duration::from_secs(11)).await;
        let response = guarded.response(LENIENT, "irsa").await;
        assert_eq!(response.get("patch").is_some(), injected, "{document}: {response}");
    }
}
