//! Both webhooks at once, in both orders: one injection, whoever comes first.

use super::compare::doubles;
use super::differences::{Compared, difference};
use super::kinds;
use super::stage::{Call, Changed, Made, Outcome, Seen, Who, outcomes};

/// What has something twice under both, since the Go webhook adds it again.
const DOUBLED: [(&str, &str); 3] = [
    ("by-hand", "the token, in a volume of the author's and in one that nobody mounts"),
    ("by-hand-unmounted", "the same"),
    ("path-taken-with-a-slash", "a mount at the path, with and without the slash"),
];

/// What is refused with ours in front, and is not with the peer in front or under the peer alone:
/// it mounts, by its name, a volume at the path at which ours has mounted the token.
const REFUSED_WITH_OURS_IN_FRONT: [&str; 4] = [
    "by-hand-unmounted",
    "volume-name-taken",
    "volume-name-taken-listed",
    "volume-of-another-audience",
];

impl Outcome {
    fn under_both(&self) -> [(&'static str, &Seen); 2] {
        [("ours first", &self.ours_first), ("the peer first", &self.peer_first)]
    }
}

#[tokio::test]
async fn in_either_order_a_pod_is_what_ours_alone_makes_of_it_or_as_the_table_says() {
    let mut wrong = Vec::new();
    for (flags, outcomes) in outcomes().await.into_iter().enumerate() {
        for outcome in outcomes {
            let (name, made_of) = (&outcome.name, &outcome.made_of);
            let Made::Pod(ours) = &outcome.ours.made else { panic!("{name}: {:?}", outcome.ours) };
            let wanted = difference(name).map_or([Compared::Same; 2], |known| {
                [known.ours_first[flags], known.peer_first[flags]]
            });
            for ((order, seen), wanted) in outcome.under_both().into_iter().zip(wanted) {
                if let Some(otherwise) = wanted.otherwise(&seen.made, ours) {
                    wrong.push(format!("{name}, {made_of}, {order}: {otherwise}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn in_either_order_nothing_is_injected_twice() {
    let mut doubled = Vec::new();
    for outcome in outcomes().await.into_iter().flatten() {
        for (_, seen) in outcome.under_both() {
            let Made::Pod(pod) = &seen.made else { continue };
            if !doubles(pod).is_empty() {
                doubled.push(outcome.name.as_str());
            }
        }
    }
    doubled.sort_unstable();
    doubled.dedup();
    assert_eq!(doubled, DOUBLED.map(|(name, _)| name));
}

#[tokio::test]
async fn whoever_comes_second_finds_the_work_done() {
    for outcome in outcomes().await.into_iter().flatten() {
        if difference(&outcome.name).is_some() || outcome.name == kinds::COMPLETE {
            continue;
        }
        for (order, Seen { calls, .. }) in outcome.under_both() {
            let told = format!("{}, {}, {order}: {calls:?}", outcome.name, outcome.made_of);
            let [first, second] = calls.as_slice() else { panic!("two calls: {told}") };
            assert_ne!(first.who, second.who, "{told}");
            assert_eq!(first.changed, outcome.ours.calls[0].changed, "{told}");
            assert_eq!(second.changed, Changed::No, "{told}");
        }
    }
}

/// N1: the first patch of a Pod counts as a change even if it says what is there, so the Go webhook's
/// has ours asked again for nothing. Ours has no patch for such a Pod.
#[tokio::test]
async fn a_complete_pod_is_patched_by_the_peer_all_the_same() {
    let [plain, _] = outcomes().await;
    let complete = plain.iter().find(|outcome| outcome.name == kinds::COMPLETE).unwrap();
    let call = |who, changed| Call { who, changed };
    let (ours, peer) = (call(Who::Ours, Changed::No), call(Who::Peer, Changed::Yes));
    assert_eq!(complete.ours.calls, [ours]);
    assert_eq!(complete.peer.calls, [peer]);
    assert_eq!(complete.ours_first.calls, [ours, peer, ours]);
    assert_eq!(complete.peer_first.calls, [peer, ours]);
}

/// They never undo or repeat each other's work: the API server asks again once, and hears of nothing.
#[tokio::test]
async fn both_come_to_an_end() {
    for outcome in outcomes().await.into_iter().flatten() {
        for (order, Seen { calls, .. }) in outcome.under_both() {
            let told = format!("{}, {order}: {calls:?}", outcome.name);
            assert!((2..=3).contains(&calls.len()), "{told}");
            assert!(calls.last().is_some_and(|last| last.changed == Changed::No), "{told}");
        }
    }
}

/// Hence the advice to let the Go webhook act first while both are there.
#[tokio::test]
async fn with_the_peer_in_front_no_pod_is_refused_that_it_takes_alone() {
    let mut refused_with_ours_in_front = Vec::new();
    for outcome in outcomes().await.into_iter().flatten() {
        let is_refused = |made: &Made| matches!(made, Made::Refused(_));
        assert_eq!(
            is_refused(&outcome.peer_first.made),
            is_refused(&outcome.peer.made),
            "{}",
            outcome.name
        );
        if is_refused(&outcome.ours_first.made) && !is_refused(&outcome.peer.made) {
            refused_with_ours_in_front.push(outcome.name.as_str());
        }
    }
    refused_with_ours_in_front.sort_unstable();
    assert_eq!(refused_with_ours_in_front, REFUSED_WITH_OURS_IN_FRONT);
}
