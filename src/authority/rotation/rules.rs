//! The rules, one by one, of a single replica.

use std::convert::Infallible;

use super::{super::LedgerError, super::policy::Policy, world::epoch, *};

const SECOND: Duration = Duration::from_secs(1);

/// A replica, its clocks, and what it can see.
struct Scene {
    replica: Replica<()>,
    policy: Policy,
    time: Duration,
    ahead: Duration,
    secret: Secret<()>,
    configuration: Configuration,
    made: u32,
}

impl Scene {
    fn new() -> Self {
        let hours = Duration::from_hours;
        Self {
            replica: Replica::default(),
            policy: Policy::new(hours(8760), hours(168), Duration::from_mins(10)).unwrap(),
            time: Duration::ZERO,
            ahead: Duration::ZERO,
            secret: Secret::Missing,
            configuration: present(Bundle::of([])),
            made: 0,
        }
    }

    /// One that serves, with a CA that everybody knows.
    fn settled() -> (Self, Ledger<()>) {
        let mut scene = Self::new();
        let ledger = scene.starts();
        scene.holds(&ledger);
        scene.configuration = present(ledger.bundle());
        for _ in 0..5 {
            scene.looks();
            scene.passes(Duration::from_mins(3));
        }
        (scene, ledger)
    }

    /// The ledger of a first start.
    fn starts(&mut self) -> Ledger<()> {
        match self.looks().pop() {
            Some(Action::CreateSecret { ledger, change: Change::Created }) => ledger,
            other => panic!("{other:?}"),
        }
    }

    fn holds(&mut self, ledger: &Ledger<()>) {
        self.secret =
            Secret::Held { ledger: Box::new(ledger.clone()), resource_version: "7".to_owned() };
    }

    fn corrupt(&mut self, ledger: &Ledger<()>) {
        self.secret = Secret::Corrupt {
            error: std::sync::Arc::new(LedgerError::Absent { key: "ca.key" }),
            salvaged: ledger.certificates().cloned().collect(),
            resource_version: "7".to_owned(),
        };
    }

    fn wall(&self) -> SystemTime {
        epoch() + self.time + self.ahead
    }

    fn passes(&mut self, time: Duration) {
        self.time += time;
    }

    /// Time passes, and the replica looks as often as it has to.
    fn watches(&mut self, time: Duration) -> Vec<Action<()>> {
        let until = self.time + time;
        while self.time < until {
            self.time = (self.time + Duration::from_mins(1)).min(until);
            let actions = self.looks();
            if !actions.is_empty() {
                return actions;
            }
        }
        Vec::new()
    }

    fn ca(&mut self) -> Ca<()> {
        self.made += 1;
        Ca::fake(self.made, Validity::starting(self.wall(), self.policy.ca_validity()))
    }

    /// Looks, serves what it is told to, and hands back the rest of the plan.
    fn looks(&mut self) -> Vec<Action<()>> {
        let now = Now { wall: self.wall(), monotonic: self.time };
        let observed = Observed {
            begun: now,
            configuration: self.configuration.clone(),
            secret: self.secret.clone(),
        };
        let mut made = self.made;
        let mut make = |validity| {
            made += 1;
            Ok::<_, Infallible>(Ca::fake(made, validity))
        };
        let plan = self.replica.next(now, &observed, &self.policy, &mut make).unwrap();
        self.made = made;
        let (orders, rest): (Vec<_>, Vec<_>) =
            plan.actions.into_iter().partition(|action| matches!(action, Action::Serve(_)));
        for order in orders {
            let Action::Serve(LeafOrder { ca, validity }) = order else { continue };
            self.replica.serves(Serving { ca: ca.certificate().clone(), validity });
        }
        rest
    }

    fn serves(&self) -> Option<CaId> {
        self.replica.leaf().map(|leaf| leaf.ca.id())
    }

    fn standing(&self) -> Standing {
        self.replica.standing(&self.configuration, self.wall(), &self.policy)
    }
}

fn present(bundle: Bundle) -> Configuration {
    Configuration::Present { bundles: vec![bundle], resource_version: "3".to_owned() }
}

/// The ledger of the only action.
fn written(actions: &[Action<()>], expected: Change) -> Ledger<()> {
    match actions {
        [Action::CreateSecret { ledger, change } | Action::WriteSecret { ledger, change, .. }]
            if *change == expected =>
        {
            ledger.clone()
        }
        other => panic!("{other:?} is not {expected:?}"),
    }
}

fn ids<'a>(certificates: impl IntoIterator<Item = &'a CaCertificate>) -> Vec<CaId> {
    certificates.into_iter().map(CaCertificate::id).collect()
}

#[test]
fn an_attempt_that_failed_is_made_again_with_the_same_ca() {
    let mut scene = Scene::new();
    let first = scene.starts();
    scene.passes(SECOND);
    assert_eq!(scene.starts(), first);
}

#[test]
fn the_one_who_comes_second_takes_what_is_there() {
    let (mut one, mut other) = (Scene::new(), Scene::new());
    other.made = 100;
    let (first, _) = (one.starts(), other.starts());
    other.holds(&first);
    other.looks();
    assert_eq!(other.serves(), Some(first.current().id()));
}

#[test]
fn a_leaf_is_ready_once_its_ca_is_in_every_entry() {
    let mut scene = Scene::new();
    assert_eq!(scene.standing(), Standing::NoLeaf);
    let ledger = scene.starts();
    scene.holds(&ledger);
    let actions = scene.looks();
    assert_eq!(scene.standing(), Standing::NotInBundle);
    let [Action::PublishBundle { bundle, resource_version }] = actions.as_slice() else {
        panic!("{actions:?}")
    };
    assert_eq!((bundle, resource_version.as_str()), (&ledger.bundle(), "3"));
    scene.configuration = Configuration::Present {
        bundles: vec![bundle.clone(), Bundle::of([])],
        resource_version: "4".to_owned(),
    };
    assert_eq!(scene.standing(), Standing::NotInBundle);
    scene.configuration = present(bundle.clone());
    assert_eq!(scene.standing(), Standing::Trusted);
    scene.configuration = Configuration::Unknown;
    assert_eq!(scene.standing(), Standing::Unknown);
    scene.configuration = Configuration::Missing;
    assert_eq!(scene.standing(), Standing::Trusted);
}

#[test]
fn an_empty_secret_is_filled_at_once_and_under_its_guard() {
    let mut scene = Scene::new();
    scene.secret = Secret::Vacant { resource_version: "9".to_owned() };
    let actions = scene.looks();
    written(&actions, Change::Created);
    assert!(
        matches!(&actions[..], [Action::WriteSecret { resource_version, .. }] if resource_version == "9"),
        "{actions:?}"
    );
}

#[test]
fn a_deleted_secret_is_written_from_memory() {
    let (mut scene, ledger) = Scene::settled();
    scene.secret = Secret::Missing;
    assert_eq!(written(&scene.looks(), Change::Restored), ledger);
    assert_eq!(scene.standing(), Standing::Trusted);
}

#[test]
fn a_deleted_secret_is_written_from_memory_though_the_bundle_was_emptied_too() {
    let (mut scene, ledger) = Scene::settled();
    scene.secret = Secret::Missing;
    scene.configuration = present(Bundle::of([]));
    assert_eq!(written(&scene.looks(), Change::Restored), ledger);
}

#[test]
fn a_broken_secret_is_written_from_memory_under_its_guard() {
    let (mut scene, ledger) = Scene::settled();
    scene.corrupt(&Ledger::new(scene.replica.remembered().unwrap().current().clone()));
    let actions = scene.looks();
    assert_eq!(written(&actions, Change::Restored), ledger);
    assert!(
        matches!(&actions[..], [Action::WriteSecret { resource_version, .. }] if resource_version == "7"),
        "{actions:?}"
    );
}

#[test]
fn what_is_written_from_memory_keeps_what_the_bundle_trusts() {
    let (mut scene, ledger) = Scene::settled();
    let other = scene.ca();
    scene.configuration = present(Bundle::of([ledger.current(), &other].map(Ca::certificate)));
    scene.secret = Secret::Missing;
    let restored = written(&scene.looks(), Change::Restored);
    assert_eq!(restored.current(), ledger.current());
    assert_eq!(ids(restored.bundle().certificates()), [ledger.current().id(), other.id()]);
}

#[test]
fn one_without_memory_waits_and_then_keeps_all_that_is_trusted() {
    let mut scene = Scene::new();
    scene.made = 50;
    let (broken, trusted) = (Ledger::new(scene.ca()), scene.ca());
    scene.corrupt(&broken);
    scene.configuration = present(Bundle::of([trusted.certificate()]));
    assert!(scene.looks().is_empty());
    scene.passes(SECOND * 9);
    assert!(scene.looks().is_empty());
    scene.passes(SECOND);
    let made = written(&scene.looks(), Change::Created);
    let retired = ids(made.retired().iter().map(|retired| &retired.certificate));
    assert_eq!(retired, [trusted.id(), broken.current().id()]);
    let farewell = scene.wall() + scene.policy.farewell();
    assert!(made.retired().iter().all(|retired| retired.until == farewell));
}

#[test]
fn nothing_is_made_while_the_configuration_cannot_be_read() {
    let mut scene = Scene::new();
    scene.configuration = Configuration::Unknown;
    for secret in [Secret::Missing, Secret::Unknown] {
        scene.secret = secret;
        assert!(scene.looks().is_empty());
    }
}

#[test]
fn a_strange_ca_becomes_the_next_one_and_takes_over_after_the_overlap() {
    let (mut scene, ours) = Scene::settled();
    let strange = scene.ca();
    scene.holds(&Ledger::new(strange.clone()));
    let adopted = written(&scene.looks(), Change::Adopted);
    assert_eq!(adopted.current(), ours.current());
    assert_eq!(adopted.next().map(Ca::id), Some(strange.id()));

    scene.holds(&adopted);
    scene.configuration = present(adopted.bundle());
    assert!(scene.watches(scene.policy.overlap()).is_empty());
    let promoted = written(&scene.watches(Duration::from_mins(2)), Change::Promoted);
    assert_eq!(promoted.current().id(), strange.id());
    assert_eq!(scene.serves(), Some(ours.current().id()));
    scene.holds(&promoted);
    scene.looks();
    assert_eq!(scene.serves(), Some(strange.id()));
}

#[test]
fn one_whose_own_ca_is_new_keeps_it_beside_a_strange_one() {
    let mut scene = Scene::new();
    let ours = scene.starts();
    scene.holds(&ours);
    scene.configuration = present(ours.bundle());
    scene.looks();
    let strange = scene.ca();
    scene.holds(&Ledger::new(strange.clone()));
    let kept = written(&scene.looks(), Change::Kept);
    assert_eq!(ids(kept.certificates()), [strange.id(), ours.current().id()]);
    scene.holds(&kept);
    scene.configuration = present(kept.bundle());
    scene.looks();
    assert_eq!(scene.serves(), Some(ours.current().id()));
    scene.watches(scene.policy.overlap() + SECOND * 60);
    assert_eq!(scene.serves(), Some(strange.id()));
}

#[test]
fn a_ca_is_announced_at_two_thirds_of_its_life_and_followed_after_the_overlap() {
    let (mut scene, ledger) = Scene::settled();
    let due = ledger.current().validity().renewal().duration_since(epoch()).unwrap();
    let year = scene.policy.ca_validity();
    assert!(due.abs_diff(year * 2 / 3) < SECOND * 2, "{due:?}");
    scene.time = due.saturating_sub(SECOND);
    assert!(scene.looks().is_empty());
    scene.passes(SECOND);
    let announced = written(&scene.looks(), Change::Announced);
    assert_eq!(announced.current(), ledger.current());

    // Its overlap begins when it is in the bundle, not in the ledger.
    scene.holds(&announced);
    let published = scene.watches(scene.policy.overlap() * 2);
    assert!(matches!(published[..], [Action::PublishBundle { .. }]), "{published:?}");
    scene.configuration = present(announced.bundle());
    assert!(scene.watches(scene.policy.overlap()).is_empty());
    written(&scene.watches(Duration::from_mins(2)), Change::Promoted);
}

#[test]
fn an_interruption_or_a_restart_begins_the_overlap_anew() {
    let (mut scene, ledger) = Scene::settled();
    let ledger = ledger.followed_by(scene.ca(), scene.wall());
    scene.holds(&ledger);
    scene.configuration = present(ledger.bundle());
    let most = scene.policy.overlap().saturating_sub(SECOND * 60);
    assert!(scene.watches(most).is_empty());
    scene.replica.glimpses(&present(Bundle::of([ledger.current().certificate()])));
    assert!(scene.watches(most).is_empty());
    scene.replica = Replica::default();
    assert!(scene.watches(most).is_empty());
    // Time in which it did not look does not count either.
    scene.passes(scene.policy.overlap());
    assert!(scene.watches(most).is_empty());
    written(&scene.watches(most), Change::Promoted);
}

#[test]
fn without_a_configuration_the_overlap_counts_from_the_ledger() {
    let (mut scene, ledger) = Scene::settled();
    let ledger = ledger.followed_by(scene.ca(), scene.wall());
    scene.holds(&ledger);
    scene.configuration = Configuration::Missing;
    assert!(scene.watches(scene.policy.overlap()).is_empty());
    written(&scene.watches(Duration::from_mins(2)), Change::Promoted);
}

#[test]
fn a_retired_ca_leaves_when_its_time_is_over_but_not_from_under_a_leaf() {
    let (mut scene, ledger) = Scene::settled();
    let other = scene.ca();
    let own = ledger.current().certificate().clone();
    let ledger = ledger.followed_by(other, scene.wall()).promoted(scene.wall() + SECOND);
    let ledger = ledger.retiring(scene.ca().certificate().clone(), scene.wall() + SECOND * 5);
    scene.holds(&ledger);
    scene.configuration = present(ledger.bundle());
    assert!(scene.looks().is_empty());
    scene.passes(SECOND * 5);
    let dropped = written(&scene.looks(), Change::Dropped);
    assert_eq!(ids(dropped.certificates()), [ledger.current().id(), own.id()]);
}

#[test]
fn leaves_are_renewed_at_two_thirds_of_their_life() {
    let (mut scene, _) = Scene::settled();
    let first = scene.replica.leaf().unwrap().clone();
    let due = scene.policy.leaf_validity() * 2 / 3;
    scene.time = due.saturating_sub(SECOND);
    scene.looks();
    assert_eq!(scene.replica.leaf(), Some(&first));
    scene.time = due + SECOND;
    scene.looks();
    assert_ne!(scene.replica.leaf(), Some(&first));
}

#[test]
fn an_overwritten_bundle_is_repaired_at_once() {
    let (mut scene, ledger) = Scene::settled();
    let strange = scene.ca();
    for bundle in [Bundle::of([]), Bundle::of([strange.certificate()]), Bundle::read(b"junk")] {
        scene.configuration = present(bundle);
        let actions = scene.looks();
        let [Action::PublishBundle { bundle, .. }] = actions.as_slice() else {
            panic!("{actions:?}")
        };
        assert_eq!(bundle, &ledger.bundle());
    }
}

#[test]
fn a_newcomer_drops_nothing_from_the_bundle_that_it_does_not_know() {
    let mut scene = Scene::new();
    let (ours, strange) = (scene.ca(), scene.ca());
    let ledger = Ledger::new(ours.clone());
    scene.holds(&ledger);
    scene.configuration = present(Bundle::of([&ours, &strange].map(Ca::certificate)));
    assert!(scene.looks().is_empty());
    scene.passes(scene.policy.hesitation());
    let kept = written(&scene.looks(), Change::Kept);
    assert_eq!(ids(kept.certificates()), [ours.id(), strange.id()]);
}

#[test]
fn an_old_look_leads_to_nothing() {
    let mut scene = Scene::new();
    let begun = Now { wall: scene.wall(), monotonic: scene.time };
    let configuration = scene.configuration.clone();
    let observed = Observed { begun, configuration, secret: Secret::<()>::Missing };
    let monotonic = scene.policy.freshness() + SECOND;
    let now = Now { monotonic, ..begun };
    let mut make = |_| Err("no CA is needed");
    let plan = scene.replica.next(now, &observed, &scene.policy, &mut make).unwrap();
    assert!(plan.actions.is_empty());
}

#[test]
fn a_clock_that_is_hours_ahead_never_drops_the_current_ca() {
    let (mut scene, ledger) = Scene::settled();
    scene.ahead = scene.policy.ca_validity() * 2;
    let announced = written(&scene.looks(), Change::Announced);
    assert_eq!(announced.current(), ledger.current());
    scene.holds(&announced);
    scene.configuration = present(announced.bundle());
    let promoted = written(&scene.looks(), Change::Promoted);
    assert!(promoted.contains(ledger.current().id()));
    scene.holds(&promoted);
    scene.configuration = present(promoted.bundle());
    scene.looks();

    // Another one, whose clock is right, keeps its leaf: the new CA has not begun.
    let (mut other, _) = Scene::settled();
    other.holds(&promoted);
    other.configuration = present(promoted.bundle());
    other.watches(other.policy.overlap() * 3);
    assert_eq!(other.serves(), Some(ledger.current().id()));
    assert_eq!(other.standing(), Standing::Trusted);
}

#[test]
fn a_secret_that_is_reset_again_and_again_is_no_reason_for_a_storm_of_writes() {
    let (mut scene, ledger) = Scene::settled();
    let own = ledger.current().certificate().clone();
    let current = scene.ca();
    let ledger = ledger.followed_by(current, scene.wall()).promoted(scene.wall());
    // Somebody drops it again and again.
    let dropped = ledger.purged(scene.wall() + SECOND);
    assert!(!dropped.contains(own.id()));
    scene.holds(&dropped);
    let mut writes = 0;
    for _ in 0..60 {
        writes += scene.looks().iter().filter(|a| matches!(a, Action::WriteSecret { .. })).count();
        scene.passes(SECOND);
    }
    assert!((1..=16).contains(&writes), "{writes}");
}
