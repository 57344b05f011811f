//! Look-ups: what the cache answers, what is asked live, and what that leaves behind.

use futures::FutureExt;
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::super::scripted::{account, fresh, with_role};
use super::*;

const NOBODY: Vec<Value> = Vec::new();

type Say = Box<dyn Fn() -> Reply + Send>;

fn found(object: Value) -> Reply {
    Reply::Json(200, object)
}

fn not_found() -> Reply {
    let message = "serviceaccounts \"app\" not found".to_owned();
    Reply::Failure(404, "NotFound", message)
}

fn later(reply: Reply) -> Reply {
    Reply::After(Duration::from_millis(100), Box::new(reply))
}

#[tokio::test(start_paused = true)]
async fn concurrent_misses_of_an_account_share_one_get() {
    let world = World::synced(NOBODY, |call| later(found(account(call.name(), &json!({}))))).await;
    let all = join_all((0..50).map(|_| world.finds("app"))).await;
    assert!(all.iter().all(|found| found == "no role"));
    assert_eq!(world.gets(), 1);
    assert_eq!(world.looked_up(Lookup::Live), 50);
    assert_eq!(world.residue(), 0);
    let both = join_all([world.finds("one"), world.finds("two")]).await;
    assert_eq!((both.len(), world.gets()), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn the_first_waiter_may_leave_without_the_others_losing_their_get() {
    let world = World::synced(NOBODY, |call| later(found(account(call.name(), &json!({}))))).await;
    let impatient = timeout(Duration::from_millis(50), world.finds("app"));
    let (left, found) = futures::join!(impatient, world.finds("app"));
    assert!(left.is_err());
    assert_eq!(found, "no role");
    assert_eq!((world.gets(), world.server.left()), (1, 0));
    assert_eq!(world.looked_up(Lookup::Live), 1);
}

#[tokio::test(start_paused = true)]
async fn a_get_ends_with_the_last_who_waits_for_it() {
    let world = World::synced(NOBODY, |_| Reply::Hangs).await;
    let limit = Duration::from_millis(100);
    let began = Instant::now();
    let both = futures::join!(
        world.accounts.look_up("ns", "app", limit),
        world.accounts.look_up("ns", "app", limit * 2),
    );
    assert_eq!(began.elapsed(), limit * 2, "bounded by the caller's limit");
    assert_eq!(show(&both.0), "the API server did not answer in time");
    world.passes(Duration::from_millis(1)).await;
    assert_eq!((world.gets(), world.server.left()), (1, 1));
    assert_eq!(world.residue(), 0);
    let began = Instant::now();
    world.finds("app").await;
    assert_eq!(began.elapsed(), GRACE, "bounded by the grace period");
}

/// N6: N failed look-ups leave no residue, and look-up N+1 asks the API again.
#[tokio::test(start_paused = true)]
async fn a_failed_look_up_leaves_nothing_behind() {
    let failure = |code, reason| Reply::Failure(code, reason, "no".to_owned());
    let cases: Vec<(Say, &str)> = vec![
        (
            Box::new(move || failure(403, "Forbidden")),
            "the webhook may not get ServiceAccounts: grant it the verb get",
        ),
        (Box::new(move || failure(429, "TooManyRequests")), "the API server is too busy to answer"),
        (Box::new(move || failure(500, "InternalError")), "the API server failed to answer"),
        (Box::new(move || failure(504, "Timeout")), "the API server failed to answer"),
        (
            Box::new(|| Reply::Json(200, json!({"metadata": []}))),
            "the API server's answer cannot be read",
        ),
        (
            Box::new(|| Reply::Json(404, json!("no API server"))),
            "the API server's answer cannot be read",
        ),
        (Box::new(|| Reply::Breaks), "the API server cannot be reached"),
        (Box::new(|| Reply::Hangs), "the API server did not answer in time"),
    ];
    for (reply, sentence) in cases {
        let world = World::synced(NOBODY, move |_| reply()).await;
        for name in ["app", "app", "other"] {
            assert_eq!(world.finds(name).await, sentence);
        }
        assert_eq!((world.gets(), world.residue()), (3, 0), "{sentence}");
        assert_eq!(world.looked_up(Lookup::Failed), 3);
        world.server.now(|call| found(with_role(call.name(), "arn")));
        assert_eq!(world.finds("app").await, "arn");
    }
}

#[tokio::test(start_paused = true)]
async fn a_404_is_not_remembered_longer_than_a_second() {
    let world = World::synced(NOBODY, |_| not_found()).await;
    assert_eq!(world.finds("app").await, "absent");
    world.passes(Duration::from_millis(900)).await;
    assert_eq!(world.finds("app").await, "absent");
    assert_eq!(world.gets(), 1);
    world.server.now(|call| found(with_role(call.name(), "arn")));
    world.passes(Duration::from_millis(100)).await;
    assert_eq!(world.finds("app").await, "arn");
    assert_eq!(world.looked_up(Lookup::Absent), 2);
    world.passes(Duration::from_secs(1)).await;
    world.server.now(|_| Reply::Breaks);
    world.finds("another").await;
    assert_eq!(world.residue(), 0);
}

/// N7: an identity serves a second, none is asked for again each time.
#[tokio::test(start_paused = true)]
async fn an_account_without_an_identity_is_never_remembered() {
    let world = World::synced(NOBODY, |call| found(account(call.name(), &json!({})))).await;
    assert_eq!(world.finds("app").await, "no role");
    world.server.now(|call| found(with_role(call.name(), "arn")));
    assert_eq!(world.finds("app").await, "arn");
    assert_eq!(world.finds("app").await, "arn");
    assert_eq!(world.gets(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_joins_a_get_that_hangs_gets_one_of_its_own() {
    let mut calls = 0;
    let world = World::synced(NOBODY, move |call| {
        calls += 1;
        match calls {
            1 => Reply::Hangs,
            _ => found(with_role(call.name(), "arn")),
        }
    })
    .await;
    let late = async {
        world.passes(Duration::from_millis(400)).await;
        world.finds("app").await
    };
    let (first, late) = futures::join!(world.finds("app"), late);
    assert_eq!(first, "the API server did not answer in time");
    assert_eq!(late, "arn");
    assert_eq!(world.gets(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_grace_period_of_zero_means_no_live_look_up() {
    let world = World::with(Duration::ZERO, None, |_| streamed(&[fresh("new")], Then::Silence));
    world.passes(Duration::from_millis(10)).await;
    assert!(world.finds("app").await.contains("live look-ups are off"));
    assert_eq!(world.finds("new").await, "no role");
    assert_eq!(world.gets(), 0);
    assert_eq!(world.looked_up(Lookup::Cached), 1);
    assert_eq!(world.looked_up(Lookup::Failed), 1);
}

/// N8: an empty name is answered at once, and nobody is asked for it.
#[tokio::test(start_paused = true)]
async fn a_name_that_no_object_can_have_is_never_looked_up() {
    let world = World::synced(NOBODY, |_| Reply::Hangs).await;
    let began = Instant::now();
    for name in ["", "A", "../secrets/x", "a b", "x?watch=true"] {
        assert_eq!(world.finds(name).await, "absent");
    }
    assert_eq!((world.gets(), began.elapsed()), (0, Duration::ZERO));
    assert_eq!(world.looked_up(Lookup::InvalidName), 5);
}

#[tokio::test(start_paused = true)]
async fn before_the_first_list_a_miss_is_asked_live() {
    let world =
        World::new(
            |call| {
                if call.is_get() { found(with_role(call.name(), "arn")) } else { Reply::Hangs }
            },
        );
    assert_eq!(world.finds("app").await, "arn");
    let call =
        world.server.count(|call| call.path() == "/api/v1/namespaces/ns/serviceaccounts/app");
    assert_eq!(call, 1);
}

/// O5, N7: an account that was just made may get its annotation a moment later.
#[tokio::test(start_paused = true)]
async fn a_fresh_account_without_an_identity_is_asked_for_and_an_old_one_is_not() {
    let objects = vec![fresh("new"), account("old", &json!({})), with_role("named", "cached")];
    let world = World::synced(objects, |call| found(with_role(call.name(), "live"))).await;
    assert_eq!(world.finds("new").await, "live");
    assert_eq!(world.finds("old").await, "no role");
    assert_eq!(world.finds("named").await, "cached");
    assert_eq!(world.gets(), 1);
    assert_eq!(world.looked_up(Lookup::Live), 1);
    assert_eq!(world.looked_up(Lookup::Cached), 2);
}

#[tokio::test(start_paused = true)]
async fn while_the_watch_is_broken_no_missing_identity_is_believed() {
    let objects = [account("old", &json!({})), with_role("named", "cached")];
    let world = World::new(move |call| {
        if call.is_get() {
            found(with_role(call.name(), "live"))
        } else if call.is_streaming() {
            streamed(&objects, Then::Break)
        } else {
            Reply::Breaks
        }
    });
    world.passes(Duration::from_millis(10)).await;
    assert!(!world.stands());
    assert_eq!(world.finds("old").await, "live");
    assert_eq!(world.finds("named").await, "cached");
    assert_eq!(world.gets(), 1);
    world.passes(Duration::from_secs(2)).await;
    world.server.now(|_| not_found());
    assert_eq!(world.finds("old").await, "absent", "deleted meanwhile");
}

#[tokio::test(start_paused = true)]
async fn the_cached_answer_stands_if_the_get_fails() {
    let world = World::synced(vec![fresh("new")], |_| Reply::Hangs).await;
    assert_eq!(world.finds("new").await, "no role");
    assert_eq!(world.gets(), 1);
    assert_eq!(world.looked_up(Lookup::Stale), 1);
    assert_eq!(world.looked_up(Lookup::Failed), 0);
}

/// F14: each look-up counts once, the throttled ones as such.
#[tokio::test(start_paused = true)]
async fn live_gets_are_limited() {
    let world = World::synced(NOBODY, |_| not_found()).await;
    let names: Vec<_> = (0..500).map(|n| format!("app-{n}")).collect();
    let all = join_all(names.iter().map(|name| world.finds(name))).await;
    let throttled = "too many ServiceAccounts had to be looked up at once";
    let turned_away = all.iter().filter(|found| *found == throttled).count();
    assert!(turned_away > 0 && world.gets() >= 200, "{}", world.gets());
    assert_eq!(world.gets() + turned_away, 500);
    assert_eq!(world.looked_up(Lookup::Absent), world.gets() as u64);
    assert_eq!(world.looked_up(Lookup::Throttled), turned_away as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn waiters_that_come_and_go_on_many_threads_leave_nothing_behind() {
    let world = Arc::new(World::new(|call| {
        if call.is_get() { found(account(call.name(), &json!({}))) } else { Reply::Hangs }
    }));
    let mut callers = JoinSet::new();
    for caller in 0..64 {
        let world = Arc::clone(&world);
        callers.spawn(async move {
            for turn in 0..50 {
                let name = ["a", "b", "c", "d"][(caller + turn) % 4];
                if turn % 3 == 0 {
                    let _ = world.finds(name).now_or_never();
                } else {
                    world.finds(name).await;
                }
            }
        });
    }
    callers.join_all().await;
    assert_eq!(world.residue(), 0);
}
