//! The debug pages: there when asked for, true, bounded, and silent about Pods (N21).

use http_body_util::BodyExt;
use pod_identity_webhook::accounts::{CONFIG_KEY, CONFIG_MAP};
use tempfile::TempDir;

use super::api::{Then, streamed};
use super::*;

const CACHE: &str = "/debug/alpha/cache";

fn decision(namespace: &str, account: &str) -> String {
    format!("/debug/decision?namespace={namespace}&serviceAccount={account}")
}

/// A world with pages and all four sources. The folder holds the container-credentials file.
async fn world(accounts: Vec<Value>) -> (World, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials.json");
    let listed = json!({"identities": [
        {"namespace": "ns", "serviceAccount": "listed"}, {"namespace": "zz", "serviceAccount": "listed"}]});
    std::fs::write(&file, listed.to_string()).unwrap();
    let mappings = json!({
        "ns/mapped": {"RoleARN": "arn:aws:iam::444455556666:role/mapped", "TokenExpiration": 3600},
        "ns/irsa": {"RoleARN": "arn:aws:iam::444455556666:role/hidden"},
        "team-*/app": {"RoleARN": "arn:aws:iam::444455556666:role/team", "UseRegionalSTS": true,
            "Audience": "mapped"},
        "*/none": {}});
    let config_map = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": CONFIG_MAP, "namespace": "eks", "resourceVersion": "5"},
        "data": {CONFIG_KEY: mappings.to_string()}});
    let api = Api::new(move |call| match call {
        call if call.is_get() => not_found(call),
        call if call.path().contains("/configmaps") => {
            streamed(std::slice::from_ref(&config_map), Then::Silence)
        }
        _ => streamed(&accounts, Then::Silence),
    });
    let flags = Flags {
        pages: DebugPages::On,
        config_map: Some("eks"),
        credentials_file: Some(file),
        ..Flags::default()
    };
    let world = World::begun(flags, api);
    world.syncs().await;
    (world, folder)
}

fn more_accounts() -> Vec<Value> {
    let prefixed = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(k, v)| (format!("eks.amazonaws.com/{k}"), json!(v))).collect::<Value>()
    };
    let mut accounts = known();
    accounts.extend([
        account("listed", &prefixed(&[("token-expiration", "7200")])),
        account("near", &json!({"eks.amazon.com/role-arn": "arn"})),
        account(
            "chosen",
            &prefixed(&[
                ("role-arn", "arn:aws:iam::111122223333:role/chosen"),
                ("audience", "special"),
                ("include-containers", "a, b"),
                ("skip-containers", "a"),
                ("region", "eu-west-1"),
                ("role-session-name", "true"),
            ]),
        ),
    ]);
    accounts
}

#[tokio::test(start_paused = true)]
async fn without_the_flag_there_are_no_pages() {
    let world = World::new().await;
    for path in [CACHE, "/debug", &decision("ns", "irsa")] {
        assert_eq!(world.get_metrics(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let (world, _folder) = world_of_pages().await;
    for path in [CACHE, &decision("ns", "irsa")] {
        assert_eq!(world.get(path).await.status, StatusCode::NOT_FOUND, "{path}: webhook port");
        let posted = request(Method::POST, path, None, Body::empty());
        assert_eq!(ask(&world.metrics, posted).await.status, StatusCode::METHOD_NOT_ALLOWED);
    }
}

async fn world_of_pages() -> (World, TempDir) {
    world(more_accounts()).await
}

/// N21: the effective mapping with its source, whichever it is.
#[tokio::test(start_paused = true)]
async fn the_decision_of_an_account_is_shown_with_its_source() {
    let (world, _folder) = world_of_pages().await;
    let team = json!({
        "namespace": "team-7", "serviceAccount": "app", "account": "not-in-cache",
        "outcome": "injected", "reason": "injected",
        "identity": {
            "source": "config-map", "method": "sts_web_identity",
            "roleARN": "arn:aws:iam::444455556666:role/team", "audience": "mapped",
            "tokenExpiration": 86400, "tokenExpirationChosenBy": "flag",
            "stsRegionalEndpoints": true, "roleSessionName": false},
        "mapping": "team-*/app"});
    assert_eq!(world.get_metrics(&decision("team-7", "app")).await.json(), team);
    let chosen = json!({
        "namespace": "ns", "serviceAccount": "chosen", "account": "cached",
        "outcome": "injected", "reason": "injected",
        "identity": {
            "source": "role-arn-annotation", "method": "sts_web_identity",
            "roleARN": "arn:aws:iam::111122223333:role/chosen", "audience": "special",
            "tokenExpiration": 86400, "tokenExpirationChosenBy": "flag",
            "stsRegionalEndpoints": false, "region": "eu-west-1", "roleSessionName": true,
            "skipContainers": ["a"], "includeContainers": ["a", "b"]}});
    assert_eq!(world.get_metrics(&decision("ns", "chosen")).await.json(), chosen);
    let listed = world.get_metrics(&decision("ns", "listed")).await.json();
    assert_eq!(listed["identity"]["source"], "container-credentials-config");
    assert_eq!(listed["identity"]["audience"], "pods.eks.amazonaws.com");
    assert_eq!(listed["identity"]["tokenExpiration"], 7200);
    assert_eq!(listed["identity"]["tokenExpirationChosenBy"], "annotation");
    // A mapping that the account's own annotation beats is named, and is not the source.
    let irsa = world.get_metrics(&decision("ns", "irsa")).await.json();
    assert_eq!(irsa["identity"]["source"], "role-arn-annotation");
    assert_eq!(irsa["mapping"], "ns/irsa");
    let near = world.get_metrics(&decision("ns", "near")).await.json();
    assert_eq!([&near["outcome"], &near["reason"]], ["skipped", "no-identity"]);
    assert!(near["warnings"][0].as_str().unwrap().starts_with("near-miss: "), "{near:#}");
}

/// N21: the page has the decision of the server, not one of its own.
#[tokio::test(start_paused = true)]
async fn the_page_shows_what_a_plain_pod_is_answered() {
    let (world, _folder) = world_of_pages().await;
    for account in ["irsa", "agent", "plain", "bad-arn", "listed", "mapped", "near", "none", "who"]
    {
        let page = world.get_metrics(&decision("ns", account)).await.json();
        let decided = format!(
            "pod_identity_webhook_decisions_total{{outcome={},method={},reason={}}}",
            page["outcome"],
            page["identity"].get("method").unwrap_or(&json!("none")),
            page["reason"]
        );
        let before = world.sample(&decided).await.unwrap_or_default();
        let answer = world.post(LENIENT, v1(&pod(account))).await.response("v1");
        assert_eq!(world.sample(&decided).await, Some(before + 1.0), "{account}: {page:#}");
        let warnings = answer.get("warnings").unwrap_or(&Value::Null);
        assert_eq!(page.get("warnings").unwrap_or(&Value::Null), warnings, "{account}");
    }
}

/// A page that anyone may open spends no look-up that a Pod may need.
#[tokio::test(start_paused = true)]
async fn a_page_asks_nobody() {
    let (world, _folder) = world_of_pages().await;
    for account in ["irsa", "plain", "absent"] {
        assert_eq!(world.get_metrics(&decision("ns", account)).await.status, StatusCode::OK);
    }
    assert_eq!(world.get_metrics(CACHE).await.status, StatusCode::OK);
    assert_eq!(world.api.count(Call::is_get), 0);
    let unsynced = World::begun(
        Flags { pages: DebugPages::On, ..Flags::default() },
        Api::new(|_| Reply::Hangs),
    );
    let page = unsynced.get_metrics(&decision("ns", "irsa")).await.json();
    assert_eq!([&page["account"], &page["reason"]], ["unknown", "lookup-failed"], "{page:#}");
    assert!(page["warnings"][0].as_str().unwrap().contains("have not been listed yet"), "{page:#}");
    assert_eq!(unsynced.get_metrics(CACHE).await.json()["accounts"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_name_is_answered_with_one_sentence() {
    let (world, _folder) = world_of_pages().await;
    for query in [
        "",
        "?namespace=ns",
        "?serviceAccount=irsa",
        "?namespace=marker%0A&serviceAccount=irsa",
        "?namespace=ns&serviceAccount=MARKER",
        "?namespace=ns&serviceAccount=%FF",
    ] {
        let answer = world.get_metrics(&format!("/debug/decision{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        let text = answer.text();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.to_lowercase().contains("marker"), "{text}");
    }
    let encoded = "/debug/decision?serviceAccount=bad%2Darn&x=y&namespace=%6Es";
    let page = world.get_metrics(encoded).await.json();
    assert_eq!(page["reason"], "injected", "{page:#}");
    assert!(page["warnings"][0].as_str().unwrap().starts_with("invalid-role-arn: "));
}

/// N21: not the ServiceAccounts alone, but everybody whom any source names, once.
#[tokio::test(start_paused = true)]
async fn the_cache_shows_everybody_whom_a_source_names() {
    let (world, _folder) = world_of_pages().await;
    let answer = world.get_metrics(CACHE).await;
    let page = answer.json();
    let accounts = page["accounts"].as_array().unwrap();
    let shown = accounts.iter().map(|account| {
        let text = |key: &str| account[key].as_str().unwrap().to_owned();
        let source = account["identity"]["source"].as_str().unwrap_or("none").to_owned();
        (text("namespace"), text("serviceAccount"), text("account"), source)
    });
    let wanted = [
        ("ns", "agent", "cached", "pod-identity-annotation"),
        ("ns", "bad-arn", "cached", "role-arn-annotation"),
        ("ns", "chosen", "cached", "role-arn-annotation"),
        ("ns", "irsa", "cached", "role-arn-annotation"),
        ("ns", "listed", "cached", "container-credentials-config"),
        ("ns", "mapped", "not-in-cache", "config-map"),
        ("ns", "near", "cached", "none"),
        ("ns", "plain", "cached", "none"),
        ("zz", "listed", "not-in-cache", "container-credentials-config"),
    ];
    let wanted = wanted.map(|(a, b, c, d)| (a.into(), b.into(), c.into(), d.into()));
    assert_eq!(shown.collect::<Vec<_>>(), wanted);
    let patterns = json!([
        {"key": "team-*/app", "roleARN": "arn:aws:iam::444455556666:role/team",
            "audience": "mapped", "stsRegionalEndpoints": true},
        {"key": "*/none"}]);
    assert_eq!(page["patterns"], patterns);
    // An account a line, for grep.
    assert_eq!(answer.text().lines().count(), 1 + accounts.len() + 1 + 2 + 1);
    for account in accounts {
        let [namespace, name] =
            ["namespace", "serviceAccount"].map(|key| account[key].as_str().unwrap());
        assert_eq!(world.get_metrics(&decision(namespace, name)).await.json(), *account);
    }
}

/// However many accounts there are, a dump is written in pieces, and few at once.
#[tokio::test(start_paused = true)]
async fn a_large_cache_is_written_piece_by_piece() {
    const MANY: usize = 20_000;

    let role = json!({"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/many"});
    let accounts = (0..MANY).map(|n| account(&format!("app-{n}"), &role)).collect();
    let (world, _folder) = world(accounts).await;
    let dump = || async {
        let get = Request::get(CACHE).body(Body::empty()).unwrap();
        world.metrics.clone().oneshot(get).await.unwrap()
    };
    let (one, other) = (dump().await, dump().await);
    assert_eq!([one.status(), other.status()], [StatusCode::OK; 2]);
    let third = dump().await;
    assert_eq!(third.status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(other);
    assert_eq!(dump().await.status(), StatusCode::OK, "one that is given up makes room");

    let (mut body, mut text, mut pieces) = (one.into_body(), Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let piece = frame.unwrap().into_data().unwrap();
        assert!(piece.len() < 64 * 1024, "{} bytes", piece.len());
        text.extend_from_slice(&piece);
        pieces += 1;
    }
    assert!(pieces > 100, "{pieces}");
    let page: Value = serde_json::from_slice(&text).unwrap();
    // Those that documents name besides.
    assert_eq!(page["accounts"].as_array().unwrap().len(), MANY + 4);
}
