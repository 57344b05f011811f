//! When a Pod may be evicted: the rules that keep healing from doing harm.
//!
//! ```text
//! round of a controller and a reason:  Away --(as many are ready again)--> Back --(next)--> Away
//!                                        \---(what came lacks it, too)---> Useless
//! trust in the webhook:  Untried --> Tried --(what came has its identity)--> Given
//!                                        \---(it has not)---> Withdrawn, for a while
//! ```
//!
//! A round begins with an Event that outlives this process, and lasts an hour. Pods that were made
//! before it are evicted in it, one at a time; what came since is not, so nothing is evicted twice
//! for the same reason within an hour. While it is not known that the webhook works, one Pod of all
//! is tried: a webhook that is still away costs one restart, not one for each Pod. Pure: clocks are
//! the callers'.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::event::Name;
use super::state::Moment;
use crate::audit::sight::Uid;

/// How long a round lasts.
const ROUND: u64 = 3600;

/// How long a round counts in which what came was no better: it will not be tomorrow, unless
/// somebody changes something.
const USELESS_ROUND: u64 = 24 * 3600;

/// How long what was evicted is waited for before another Pod may be tried.
const PATIENCE: Duration = Duration::from_mins(2);

/// How long nothing is evicted after what came lacked its identity.
const DISTRUST: Duration = Duration::from_mins(10);

/// The pause after the API server has said that a Pod may not be evicted now; twice as long each time.
const BLOCKED: Duration = Duration::from_secs(10);

/// The longest such pause.
const LONGEST_BLOCKED: Duration = Duration::from_mins(5);

/// What is known about evictions.
#[derive(Debug)]
pub(super) struct Rules {
    rounds: HashMap<Name, Round>,
    trust: Trust,
    /// Rounds in which nothing may be evicted now: what keeps one Pod of a controller keeps the others.
    retries: HashMap<Name, Retry>,
    /// The time between two evictions.
    interval: Duration,
    next: Moment,
}

/// Both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// Since the watch began.
    pub(super) moment: Moment,
    /// Since 1970, as the API server's timestamps.
    pub(super) seconds: u64,
}

#[derive(Debug)]
struct Round {
    /// When it began, in the API server's time.
    began: u64,
    evicted: usize,
    /// What came since, has its identity and is ready.
    ready: HashSet<Uid>,
    use_: Use,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Use {
    /// Nothing speaks against it.
    Hoped,
    /// What came since lacked its identity for the same reason.
    None,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Trust {
    Untried,
    Tried { at: Moment },
    Given { at: u64 },
    Withdrawn { until: Moment },
}

#[derive(Debug)]
struct Retry {
    at: Moment,
    pause: Duration,
}

/// What may be done with a Pod.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// A round begins with it.
    Begin,
    /// It is evicted in the round that there is.
    Continue,
}

/// What a Pod that was seen has shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Learned {
    /// Nothing that anybody has to know.
    Nothing,
    /// What came instead of an evicted Pod went by the webhook, too.
    NoUse,
}

/// A Pod of a controller, as it was seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) uid: Uid,
    /// In seconds since 1970.
    pub(super) created: u64,
    pub(super) health: Health,
}

/// How it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Health {
    /// It has its identity and is ready.
    Ready,
    /// It has its identity.
    Identified,
    /// It lacks it for the reason of the round, as one does that the webhook has not seen.
    Missed,
    /// It lacks it for the reason of the round, and the webhook may have seen it.
    Lacking,
}

// === impl Rules ===

impl Rules {
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            rounds: HashMap::new(),
            trust: Trust::Untried,
            retries: HashMap::new(),
            interval,
            next: Moment::ZERO,
        }
    }

    /// A round of an earlier run began then.
    pub(super) fn recall(&mut self, round: Name, began: u64) {
        let newer = self.rounds.get(&round).is_some_and(|known| known.began >= began);
        if !newer {
            self.rounds.insert(round, Round::new(began, 1));
        }
    }

    /// Whether there are rounds in which Pods are waited for.
    pub(super) fn waits(&self) -> bool {
        !self.rounds.is_empty()
    }

    /// Whether it is time for an eviction at all.
    pub(super) fn is_time(&self, now: Now) -> bool {
        now.moment >= self.next
            && match self.trust {
                Trust::Untried | Trust::Given { .. } => true,
                Trust::Tried { at } => now.moment >= at + PATIENCE,
                Trust::Withdrawn { until } => now.moment >= until,
            }
    }

    /// What may be done now with a Pod that was created then.
    pub(super) fn step(&self, round: Name, created: u64, now: Now) -> Option<Step> {
        if self.retries.get(&round).is_some_and(|retry| now.moment < retry.at) {
            return None;
        }
        let Some(round) = self.rounds.get(&round).filter(|round| !round.is_over(now)) else {
            return Some(Step::Begin);
        };
        let was_there = created < round.began;
        let is_back = round.ready.len() >= round.evicted;
        (was_there && is_back && round.use_ == Use::Hoped).then_some(Step::Continue)
    }

    /// A round begins, as its Event says.
    pub(super) fn began(&mut self, round: Name, at: u64, now: Now) {
        self.rounds.retain(|_, round| !round.is_over(now));
        self.retries.retain(|_, retry| now.moment < retry.at + LONGEST_BLOCKED);
        self.rounds.insert(round, Round::new(at, 0));
    }

    /// A Pod was evicted.
    pub(super) fn evicted(&mut self, round: Name, now: Now) {
        self.next = now.moment + self.interval;
        self.retries.remove(&round);
        if let Some(round) = self.rounds.get_mut(&round) {
            round.evicted += 1;
        }
        if !matches!(self.trust, Trust::Given { .. }) {
            self.trust = Trust::Tried { at: now.moment };
        }
    }

    /// A Pod was not evicted, and is tried again later; those of others are not kept waiting.
    pub(super) fn blocked(&mut self, round: Name, now: Now) {
        self.next = now.moment + self.interval;
        let pause = self.retries.get(&round).map_or(BLOCKED, |retry| retry.pause * 2);
        let pause = pause.min(LONGEST_BLOCKED);
        self.retries.insert(round, Retry { at: now.moment + pause, pause });
    }

    /// A Pod was seen whose controller and reason have this round.
    pub(super) fn saw(&mut self, round: Name, seen: Seen, now: Now) -> Learned {
        let Seen { uid, created, health } = seen;
        let Some(round) = self.rounds.get_mut(&round).filter(|round| created >= round.began) else {
            return Learned::Nothing;
        };
        match health {
            Health::Lacking => round.use_ = Use::None,
            Health::Missed => {
                if std::mem::replace(&mut round.use_, Use::None) == Use::Hoped {
                    self.trust = Trust::Withdrawn { until: now.moment + DISTRUST };
                    return Learned::NoUse;
                }
            }
            Health::Identified | Health::Ready => {
                if health == Health::Ready {
                    round.ready.insert(uid);
                }
                if !matches!(self.trust, Trust::Given { .. }) {
                    self.trust = Trust::Given { at: created };
                }
            }
        }
        Learned::Nothing
    }

    /// A Pod went by the webhook, whoever made it and whenever.
    pub(super) fn slipped(&mut self, created: u64) {
        if matches!(self.trust, Trust::Given { at } if created > at) {
            self.trust = Trust::Untried;
        }
    }
}

// === impl Round ===

impl Round {
    fn new(began: u64, evicted: usize) -> Self {
        Self { began, evicted, ready: HashSet::new(), use_: Use::Hoped }
    }

    fn is_over(&self, now: Now) -> bool {
        let lasts = match self.use_ {
            Use::Hoped => ROUND,
            Use::None => USELESS_ROUND,
        };
        now.seconds >= self.began.saturating_add(lasts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::finding::Cause;
    use crate::drift::Verdict;

    const CAUSE: Cause = Cause::Drift(Verdict::Missing);

    /// When the rounds of the tests begin.
    const BEGAN: u64 = 1_000_000;

    fn round(controller: Uid) -> Name {
        Name::of_evictions(controller, CAUSE)
    }

    /// Some seconds after [`BEGAN`].
    fn after(seconds: u64) -> Now {
        Now { moment: Duration::from_secs(seconds), seconds: BEGAN + seconds }
    }

    fn rules() -> Rules {
        Rules::new(Duration::from_secs(6))
    }

    /// The first Pod of the controller is evicted.
    fn begin(rules: &mut Rules, controller: Uid, now: Now) {
        assert!(rules.is_time(now));
        assert_eq!(rules.step(round(controller), BEGAN - 60, now), Some(Step::Begin));
        rules.began(round(controller), now.seconds, now);
        rules.evicted(round(controller), now);
    }

    fn seen(uid: Uid, health: Health) -> Seen {
        Seen { uid, created: BEGAN + 1, health }
    }

    /// A Pod that was there before the round of the controller.
    fn next(rules: &Rules, controller: Uid, now: Now) -> Option<Step> {
        rules.step(round(controller), BEGAN - 60, now).filter(|_| rules.is_time(now))
    }

    #[test]
    fn the_next_pod_of_a_controller_has_to_wait_until_the_last_one_is_ready_again() {
        let mut rules = rules();
        begin(&mut rules, 1, after(0));
        assert_eq!(next(&rules, 1, after(10)), None);
        let learned = rules.saw(round(1), seen(11, Health::Identified), after(11));
        assert_eq!(learned, Learned::Nothing);
        assert_eq!(next(&rules, 1, after(12)), None);
        rules.saw(round(1), seen(11, Health::Ready), after(13));
        assert_eq!(next(&rules, 1, after(14)), Some(Step::Continue));
        rules.evicted(round(1), after(14));
        // The same one is ready still, and that is not enough for two.
        rules.saw(round(1), seen(11, Health::Ready), after(15));
        assert_eq!(next(&rules, 1, after(30)), None);
        rules.saw(round(1), seen(12, Health::Ready), after(31));
        assert_eq!(next(&rules, 1, after(32)), Some(Step::Continue));
    }

    #[test]
    fn what_came_in_a_round_is_not_evicted_in_it_and_an_hour_later_there_is_another() {
        let mut rules = rules();
        begin(&mut rules, 1, after(0));
        rules.saw(round(1), seen(11, Health::Ready), after(1));
        for created in [BEGAN, BEGAN + 1, BEGAN + 3599] {
            assert_eq!(rules.step(round(1), created, after(3599)), None);
        }
        assert_eq!(rules.step(round(1), BEGAN + 1, after(3600)), Some(Step::Begin));
    }

    #[test]
    fn a_round_of_an_earlier_run_goes_on() {
        let mut rules = rules();
        rules.recall(round(1), BEGAN);
        rules.recall(round(1), BEGAN - 7200);
        assert_eq!(rules.step(round(1), BEGAN + 1, after(60)), None);
        assert_eq!(next(&rules, 1, after(60)), None, "what was evicted is not seen yet");
        rules.saw(round(1), seen(11, Health::Ready), after(61));
        assert_eq!(next(&rules, 1, after(62)), Some(Step::Continue));
        assert_eq!(next(&rules, 2, after(62)), Some(Step::Begin));
    }

    #[test]
    fn while_it_is_not_known_that_the_webhook_works_one_pod_of_all_is_tried() {
        let mut rules = rules();
        begin(&mut rules, 1, after(0));
        assert_eq!(next(&rules, 2, after(60)), None);
        // Nothing came of it: somebody else's turn.
        assert_eq!(next(&rules, 2, after(120)), Some(Step::Begin));
        rules.saw(round(1), seen(11, Health::Identified), after(121));
        assert_eq!(next(&rules, 2, after(122)), Some(Step::Begin));
        assert_eq!(next(&rules, 3, after(122)), Some(Step::Begin));
    }

    #[test]
    fn what_comes_without_its_identity_ends_the_round_and_trust_for_a_while() {
        let mut rules = rules();
        begin(&mut rules, 1, after(0));
        assert_eq!(rules.saw(round(1), seen(11, Health::Missed), after(1)), Learned::NoUse);
        assert_eq!(rules.saw(round(1), seen(11, Health::Missed), after(2)), Learned::Nothing);
        assert_eq!(next(&rules, 2, after(600)), None);
        assert_eq!(next(&rules, 2, after(601)), Some(Step::Begin));
        // For this controller it is of no use for a day.
        assert_eq!(next(&rules, 1, after(3600)), None);
        assert_eq!(next(&rules, 1, after(24 * 3600)), Some(Step::Begin));
    }

    /// The role of a template, say, that is not the account's.
    #[test]
    fn what_comes_with_another_identity_again_is_its_author_s_doing_and_not_the_webhook_s() {
        let mut rules = rules();
        begin(&mut rules, 1, after(0));
        assert_eq!(rules.saw(round(1), seen(11, Health::Lacking), after(1)), Learned::Nothing);
        assert_eq!(next(&rules, 1, after(3600)), None);
        assert_eq!(next(&rules, 2, after(120)), Some(Step::Begin));
    }

    #[test]
    fn trust_ends_with_the_first_pod_that_slips_by_after_it_was_given() {
        let mut rules = rules();
        begin(&mut rules, 1, after(0));
        rules.saw(round(1), seen(11, Health::Ready), after(2));
        rules.slipped(BEGAN - 30);
        begin(&mut rules, 2, after(20));
        assert_eq!(next(&rules, 3, after(30)), Some(Step::Begin), "trusted");
        rules.slipped(BEGAN + 40);
        begin(&mut rules, 3, after(50));
        assert_eq!(next(&rules, 4, after(60)), None, "tried again");
    }

    #[test]
    fn a_controller_that_may_not_lose_a_pod_is_asked_less_and_less_and_keeps_nobody_waiting() {
        let mut rules = rules();
        let mut now = 0;
        for pause in [10, 20, 40, 80, 160, 300, 300] {
            assert!(next(&rules, 1, after(now)).is_some());
            rules.began(round(1), BEGAN, after(0));
            rules.blocked(round(1), after(now));
            assert_eq!(next(&rules, 1, after(now + pause - 1)), None, "{pause}");
            assert_eq!(next(&rules, 2, after(now + 6)), Some(Step::Begin));
            now += pause;
        }
        rules.evicted(round(1), after(now));
        rules.blocked(round(1), after(now + 10));
        assert_eq!(rules.retries[&round(1)].pause, BLOCKED);
    }

    #[test]
    fn between_two_evictions_there_is_the_interval() {
        let mut rules = rules();
        begin(&mut rules, 1, after(0));
        rules.saw(round(1), seen(11, Health::Ready), after(1));
        assert_eq!(next(&rules, 2, after(5)), None);
        assert_eq!(next(&rules, 2, after(6)), Some(Step::Begin));
    }
}
