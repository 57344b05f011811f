//! Watches: the first list, the ways to list, and what happens when they break.

use futures::channel::mpsc;
use serde_json::{Value, json};

use super::super::scripted::{account, config_map, event, failure, page, with_role};
use super::*;

const MOMENT: Duration = Duration::from_millis(10);

fn refuses(code: u16, message: &str) -> Reply {
    let reason = match code {
        403 => "Forbidden",
        410 => "Expired",
        422 => "Invalid",
        429 => "TooManyRequests",
        _ => "InternalError",
    };
    Reply::Failure(code, reason, message.to_owned())
}

fn role(name: &str, role: &str) -> Value {
    with_role(name, role)
}

/// No list says anything about accounts: what is found is in the cache.
fn no_gets(mut watch: impl FnMut(&Call) -> Reply + Send + 'static) -> World {
    World::new(
        move |call| {
            if call.is_get() { refuses(500, "no GET is meant to be made") } else { watch(call) }
        },
    )
}

/// N5: not ready before the first list, however long it hangs.
#[tokio::test(start_paused = true)]
async fn readiness_is_false_while_the_first_list_hangs() {
    let world = World::with(GRACE, Some("eks"), |_| Reply::Hangs);
    let waiting =
        ["service accounts: waiting for the first list", "mappings: waiting for the first list"];
    assert_eq!(world.readiness(), waiting);
    world.passes(Duration::from_secs(45)).await;
    assert_eq!(world.readiness(), waiting);
    world.server.now(|call| {
        if call.of_config_maps() {
            Reply::Hangs
        } else if call.is_watch() {
            Reply::Events(Vec::new(), Then::Silence)
        } else {
            page(&[], "")
        }
    });
    world.passes(Duration::from_mins(5)).await;
    assert_eq!(world.readiness()[0], "service accounts: ok");
    assert!(world.readiness()[1].starts_with("mappings: waiting for the first list"));
}

/// N5: missing RBAC keeps readiness false and says which rule is missing.
#[tokio::test(start_paused = true)]
async fn missing_rbac_is_named_and_tried_again() {
    let message = "serviceaccounts is forbidden: User \"w\" cannot watch resource \
                   \"serviceaccounts\" in API group \"\" at the cluster scope";
    let world = World::new(move |_| refuses(403, message));
    world.passes(Duration::from_mins(2)).await;
    assert_eq!(
        world.readiness(),
        [format!(
            "service accounts: waiting for the first list: the API server refuses: {message:?}: \
             grant list and watch on serviceaccounts"
        )]
    );
    assert_eq!(world.server.count(Call::is_list), 0, "no fallback");
    let tries = world.server.count(Call::is_streaming);
    assert!((4..=20).contains(&tries), "{tries} tries in two minutes");
    world.server.now(|_| streamed(&[role("app", "arn")], Then::Silence));
    world.passes(Duration::from_mins(1)).await;
    assert_eq!(world.readiness(), ["service accounts: ok"]);
    assert!(world.stands());
}

#[tokio::test(start_paused = true)]
async fn an_api_server_without_streaming_lists_is_listed_in_pages() {
    for code in [400, 422] {
        let world = no_gets(move |call| {
            if call.is_streaming() {
                refuses(code, "sendInitialEvents is forbidden")
            } else if call.is_watch() {
                Reply::Events(vec![event("ADDED", &role("third", "arn"))], Then::Silence)
            } else if call.asks_for_page("next") {
                page(&[role("second", "arn")], "")
            } else {
                page(&[role("first", "arn")], "next")
            }
        });
        world.passes(MOMENT).await;
        assert_eq!(world.readiness(), ["service accounts: ok"]);
        for name in ["first", "second", "third"] {
            assert_eq!(world.finds(name).await, "arn");
        }
        assert!(world.stands());
        assert_eq!(world.server.count(Call::is_streaming), 1);
        assert_eq!(world.server.count(Call::is_list), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_paged_list_that_fails_is_tried_again_ever_more_slowly() {
    for refusal in [429, 500] {
        let world = World::new(move |call| {
            let code = if call.is_streaming() { 422 } else { refusal };
            refuses(code, "not now")
        });
        world.passes(Duration::from_mins(5)).await;
        let tries = world.server.count(Call::is_list);
        assert!((8..=25).contains(&tries), "{tries} tries in five minutes");
        assert_eq!(
            world.readiness(),
            [format!(
                "service accounts: waiting for the first list: \
                 the API server answers {refusal}: \"not now\""
            )]
        );
        world.server.now(|call| {
            if call.is_watch() {
                Reply::Events(Vec::new(), Then::Silence)
            } else {
                page(&[role("app", "arn")], "")
            }
        });
        world.passes(Duration::from_mins(1)).await;
        assert_eq!(world.readiness(), ["service accounts: ok"]);
        assert!(world.stands());
    }
}

#[tokio::test(start_paused = true)]
async fn a_streaming_list_that_never_ends_gives_way_to_pages() {
    // An API server that does not know the parameter sends what it has and goes on watching.
    let swallows = |_: &Call| {
        let events = vec![event("ADDED", &role("app", "streamed"))];
        Reply::Events(events, Then::Silence)
    };
    let hangs = |_: &Call| Reply::Hangs;
    let breaks_off = |_: &Call| Reply::Events(vec![event("ADDED", &role("app", "x"))], Then::End);
    let streams: [fn(&Call) -> Reply; 3] = [swallows, hangs, breaks_off];
    for stream in streams {
        let world = no_gets(move |call| {
            if call.is_streaming() {
                stream(call)
            } else if call.is_watch() {
                Reply::Events(Vec::new(), Then::Silence)
            } else {
                page(&[role("app", "listed")], "")
            }
        });
        world.passes(MOMENT).await;
        assert_ne!(world.readiness(), ["service accounts: ok"]);
        assert!(!world.stands(), "a list that came in is no watch yet");
        world.passes(Duration::from_secs(32)).await;
        assert_eq!(world.readiness(), ["service accounts: ok"]);
        assert_eq!(world.finds("app").await, "listed");
        assert!(world.stands());
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_is_taken_up_quietly() {
    let (_more, watch) = mpsc::unbounded();
    let (ends, streaming) = mpsc::unbounded::<Value>();
    let (mut watch, mut streaming) = (Some(watch), Some(streaming));
    let world = no_gets(move |call| {
        if call.is_streaming() {
            streamed(&[role("app", "arn")], Then::More(streaming.take().unwrap()))
        } else {
            Reply::Events(Vec::new(), Then::More(watch.take().unwrap()))
        }
    });
    world.passes(Duration::from_secs(5)).await;
    drop(ends);
    world.passes(MOMENT).await;
    assert_eq!(world.server.count(Call::is_watch), 1);
    assert!(world.stands());
    assert_eq!(world.finds("app").await, "arn");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_at_once_is_no_busy_loop() {
    let world = no_gets(|call| {
        if call.is_streaming() {
            streamed(&[role("app", "arn")], Then::End)
        } else {
            Reply::Events(Vec::new(), Then::End)
        }
    });
    world.passes(Duration::from_mins(1)).await;
    let watches = world.server.count(Call::is_watch);
    assert!((30..=61).contains(&watches), "{watches} in a minute");
}

#[tokio::test(start_paused = true)]
async fn a_broken_watch_serves_the_last_state_shows_its_age_and_heals() {
    for refusal in [403, 429, 500] {
        let world = no_gets(move |call| {
            if call.is_streaming() {
                streamed(&[role("app", "old")], Then::Break)
            } else {
                refuses(refusal, "not now")
            }
        });
        world.passes(Duration::from_secs(100)).await;
        assert!(!world.stands());
        let age = world.metrics.watch("serviceaccounts").age().unwrap();
        assert!(age > Duration::from_secs(98), "{age:?}");
        assert_eq!(world.finds("app").await, "old");
        let [readiness] = &world.readiness()[..] else { panic!("{:?}", world.readiness()) };
        assert!(readiness.contains("the last known state is served: "), "{readiness}");
        assert_eq!(readiness.contains("grant list and watch"), refusal == 403, "{readiness}");
        let tries = world.server.count(Call::is_watch);
        assert!((4..=20).contains(&tries), "{tries} tries in 100 s");
        world.server.now(|call| {
            assert!(call.is_watch(), "taken up, not listed anew");
            Reply::Events(vec![event("MODIFIED", &role("app", "new"))], Then::Silence)
        });
        world.passes(Duration::from_secs(61)).await;
        assert!(world.stands());
        assert_eq!(world.metrics.watch("serviceaccounts").age(), None);
        assert_eq!(world.readiness(), ["service accounts: ok"]);
        assert_eq!(world.finds("app").await, "new");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_expired_is_listed_anew_while_the_old_state_is_served() {
    let expired_in_stream = || {
        let gone = event("ERROR", &failure(410, "Expired", "too old resource version"));
        Reply::Events(vec![gone], Then::End)
    };
    let expired_at_once = || refuses(410, "too old resource version");
    let expiries: [fn() -> Reply; 2] = [expired_in_stream, expired_at_once];
    for expired in expiries {
        let mut lists = 0;
        let world = no_gets(move |call| {
            if !call.is_streaming() {
                return expired();
            }
            lists += 1;
            match lists {
                1 => streamed(&[role("a", "old"), role("b", "old")], Then::End),
                _ => Reply::After(
                    Duration::from_secs(20),
                    Box::new(streamed(&[role("b", "new")], Then::Silence)),
                ),
            }
        });
        world.passes(Duration::from_secs(10)).await;
        assert!(!world.stands());
        assert_eq!(world.finds("a").await, "old");
        world.passes(Duration::from_secs(20)).await;
        assert!(world.stands());
        assert_eq!(world.finds("b").await, "new");
        assert_ne!(world.finds("a").await, "old", "gone with the new list");
        assert_eq!(world.server.count(Call::is_list), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_hangs_before_its_answer_counts_as_broken() {
    let world = no_gets(|call| {
        if call.is_streaming() { streamed(&[role("app", "arn")], Then::End) } else { Reply::Hangs }
    });
    world.passes(Duration::from_secs(30)).await;
    assert!(!world.stands());
    world.server.now(|_| Reply::Events(Vec::new(), Then::Silence));
    world.passes(Duration::from_secs(40)).await;
    assert!(world.stands());
}

#[tokio::test(start_paused = true)]
async fn an_error_in_the_stream_counts_until_the_next_event() {
    let (more, events) = mpsc::unbounded();
    let mut events = Some(events);
    let world = no_gets(move |_| streamed(&[], Then::More(events.take().unwrap())));
    world.passes(MOMENT).await;
    let wrong = failure(500, "InternalError", "etcd is gone");
    more.unbounded_send(event("ERROR", &wrong)).unwrap();
    world.passes(Duration::from_secs(10)).await;
    assert!(!world.stands());
    let added = event("ADDED", &role("app", "arn"));
    more.unbounded_send(added).unwrap();
    world.passes(MOMENT).await;
    assert!(world.stands());
    assert_eq!(world.finds("app").await, "arn");
}

/// A connection that dies without a word is noticed within 125 s.
#[tokio::test(start_paused = true)]
async fn a_silent_watch_is_taken_up_anew() {
    let world = no_gets(|call| {
        if call.is_streaming() {
            streamed(&[], Then::Silence)
        } else {
            Reply::Events(Vec::new(), Then::Silence)
        }
    });
    world.passes(Duration::from_secs(126)).await;
    assert_eq!(world.server.count(Call::is_watch), 1);
}

/// F5: what is deleted, is deleted, whether or not anybody knew it.
#[tokio::test(start_paused = true)]
async fn a_deleted_account_is_forgotten() {
    let (more, events) = mpsc::unbounded();
    let mut events = Some(events);
    let world =
        no_gets(move |_| streamed(&[role("app", "arn")], Then::More(events.take().unwrap())));
    world.passes(MOMENT).await;
    assert!(world.accounts.in_use());
    for name in ["never-seen", "app"] {
        let deleted = event("DELETED", &role(name, "arn"));
        more.unbounded_send(deleted).unwrap();
    }
    world.passes(MOMENT).await;
    assert_eq!(world.finds("app").await, "the API server failed to answer");
    assert!(!world.accounts.in_use());
}

fn mapping_of(facts: &Facts) -> Option<&str> {
    facts.mapping.as_ref()?.role_arn.as_deref()
}

/// F6, N10: an update of an unannotated account leaves its mapping alone; a deleted ConfigMap
/// clears its mappings, and one that comes back brings nothing old.
#[tokio::test(start_paused = true)]
async fn mappings_follow_the_config_map_and_nothing_else() {
    let (accounts, of_accounts) = mpsc::unbounded();
    let (maps, of_maps) = mpsc::unbounded();
    let (mut of_accounts, mut of_maps) = (Some(of_accounts), Some(of_maps));
    let map = || config_map(r#"{"ns/app": {"RoleARN": "one"}, "*/other": {"RoleARN": "two"}}"#);
    let world = World::with(GRACE, Some("eks"), move |call| {
        if call.is_get() {
            refuses(500, "not now")
        } else if call.of_config_maps() {
            assert_eq!(call.path(), "/api/v1/namespaces/eks/configmaps");
            streamed(&[map()], Then::More(of_maps.take().unwrap()))
        } else {
            let app = account("app", &json!({}));
            streamed(&[app], Then::More(of_accounts.take().unwrap()))
        }
    });
    world.passes(MOMENT).await;
    assert_eq!(world.readiness(), ["service accounts: ok", "mappings: ok"]);
    assert!(world.accounts.in_use());
    let update = event("MODIFIED", &account("app", &json!({"team": "x"})));
    accounts.unbounded_send(update).unwrap();
    world.passes(MOMENT).await;
    let facts = world.accounts.look_up("ns", "app", LONG).await;
    assert_eq!(mapping_of(&facts), Some("one"));
    assert!(matches!(facts.sources().account, Knowledge::Known(_)));
    assert_eq!(facts.sources().mapping, facts.mapping.as_deref());

    maps.unbounded_send(event("DELETED", &map())).unwrap();
    world.passes(MOMENT).await;
    assert!(!world.accounts.in_use());
    let facts = world.accounts.look_up("ns", "app", LONG).await;
    assert_eq!(mapping_of(&facts), None);

    let back = config_map(r#"{"ns/app": {"RoleARN": "three"}}"#);
    maps.unbounded_send(event("ADDED", &back)).unwrap();
    world.passes(MOMENT).await;
    let app = world.accounts.look_up("ns", "app", LONG).await;
    let other = world.accounts.look_up("ns", "other", MOMENT).await;
    assert_eq!(mapping_of(&app), Some("three"));
    assert_eq!(mapping_of(&other), None);
}

/// An absent ConfigMap is synced, and empty.
#[tokio::test(start_paused = true)]
async fn an_absent_config_map_holds_up_nothing() {
    let world = World::with(GRACE, Some("eks"), |_| streamed(&[], Then::Silence));
    world.passes(MOMENT).await;
    assert_eq!(world.readiness(), ["service accounts: ok", "mappings: ok"]);
    assert!(!world.accounts.in_use());
}

/// The container-credentials file is read before anything listens, and holds up nothing.
#[tokio::test(start_paused = true)]
async fn the_credentials_file_is_there_from_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let listed = r#"{"identities": [{"namespace": "ns", "serviceAccount": "app"}]}"#;
    std::fs::write(&path, listed).unwrap();
    let server = Server::new(|_| Reply::Hangs);
    let settings = Settings {
        annotation_prefix: "eks.amazonaws.com".into(),
        grace_period: GRACE,
        config_map: None,
        credentials_file: Some(path),
        poll_interval: POLL_INTERVAL,
        role_policy: None,
    };
    let (accounts, tasks) = bind(&server.client(), &settings, &AccountsMetrics::default());
    let names: Vec<_> = tasks.iter().map(Task::name).collect();
    assert_eq!(names, ["service accounts", "container-credentials file"]);
    assert!(accounts.in_use());
    let facts = accounts.look_up("ns", "app", LONG).await;
    assert_eq!(facts.sources().credentials_file, Listed::Yes);
    assert!(matches!(facts.sources().account, Knowledge::Unknown(_)));
}
