//! Which Pods lack their identity now, and which of them somebody was told of.
//!
//! ```text
//! found --(it stands for a while, its account is settled)--> due --> told
//!    \--> gone: deleted, ended, or as it would be
//! ```
//!
//! A Pod that is as it would be takes no memory. Pods and accounts come by different watches, so what
//! is found counts only after a moment in which a change of the account would have come, and not
//! while Pods of that account are looked at again. Clocks and requests are the callers'.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use super::event::Name;
use super::subject::{Controller, Missed, Subject};
use crate::audit::finding::Cause;
use crate::audit::sight::Uid;
use crate::telemetry::audit::AuditMetrics;

/// Time since the watch began.
pub(super) type Moment = Duration;

/// The same in seconds, where many are kept.
type Seconds = u32;

/// How long what is found has to stand.
pub(super) const SETTLES: Duration = Duration::from_secs(2);

/// How long an Event is remembered: as long as API servers keep one (`--event-ttl`).
const REMEMBERED: Duration = Duration::from_hours(1);

/// See the module.
#[derive(Debug)]
pub(super) struct State {
    missed: BTreeMap<Uid, Entry>,
    /// Who is not due yet, in the order in which they will be.
    pending: VecDeque<Turn>,
    subjects: HashSet<Arc<Subject>>,
    controllers: HashSet<Arc<Controller>>,
    /// The mark of the list that comes in, or came in last.
    list: Mark,
    turns: u32,
    unsettled: Unsettled,
    /// Pods that went away while others were looked at again: that look may show them still.
    gone: HashSet<Uid>,
    /// Events that were there when the watch began, by name.
    recalled: HashSet<Name>,
    /// Events about controllers.
    told: HashMap<Name, Seconds>,
    metrics: AuditMetrics,
}

#[derive(Debug)]
struct Entry {
    missed: Missed,
    /// The turn that counts: an earlier one is of what was found before.
    turn: u32,
    stage: Stage,
    seen: Mark,
}

#[derive(Debug)]
struct Turn {
    at: Moment,
    uid: Uid,
    number: u32,
}

/// Which list showed a Pod last: lists take turns.
type Mark = bool;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    /// Found, and perhaps not for long.
    Found,
    /// Counted; somebody is to be told.
    Due,
    /// Somebody was told.
    Told,
}

/// Accounts whose Pods are being looked at again.
#[derive(Debug, Default)]
struct Unsettled {
    accounts: HashSet<(Box<str>, Box<str>)>,
    everything: usize,
}

/// A Pod that lacks its identity, as it was found.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) uid: Uid,
    pub(super) name: &'a str,
    /// In seconds since 1970.
    pub(super) created: u64,
    pub(super) cause: Cause,
    pub(super) subject: Subject,
    pub(super) controller: Option<Controller>,
}

/// Something to tell.
#[derive(Clone, Debug)]
pub(super) struct Due {
    pub(super) uid: Uid,
    pub(super) missed: Missed,
    /// Whether the Pod's own Event is there already.
    pub(super) pod: Telling,
    /// Whether its controller's is.
    pub(super) controller: Telling,
}

/// Whether something is to be told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Telling {
    /// It is.
    New,
    /// It was.
    Done,
}

/// Accounts that changed.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum Again {
    /// The Pods of one account.
    Account { namespace: Box<str>, name: Box<str> },
    /// All Pods.
    Everything,
}

// === impl State ===

impl State {
    pub(super) fn new(metrics: AuditMetrics) -> Self {
        Self {
            missed: BTreeMap::new(),
            pending: VecDeque::new(),
            subjects: HashSet::new(),
            controllers: HashSet::new(),
            list: false,
            turns: 0,
            unsettled: Unsettled::default(),
            gone: HashSet::new(),
            recalled: HashSet::new(),
            told: HashMap::new(),
            metrics,
        }
    }

    /// Events of an earlier run are not written again.
    pub(super) fn recall(&mut self, name: Name) {
        self.recalled.insert(name);
    }

    /// A list of all Pods begins.
    pub(super) fn begins(&mut self) {
        self.list = !self.list;
    }

    /// It has ended: a Pod that it did not show is gone.
    pub(super) fn ends(&mut self) {
        let Self { missed, list, metrics, .. } = self;
        for (_, entry) in missed.extract_if(.., |_, entry| entry.seen != *list) {
            entry.uncount(metrics);
        }
        self.subjects.retain(|subject| Arc::strong_count(subject) > 1);
        self.controllers.retain(|controller| Arc::strong_count(controller) > 1);
    }

    /// A Pod lacks its identity.
    pub(super) fn found(&mut self, found: Found<'_>, now: Moment) {
        let Found { uid, name, created, cause, subject, controller } = found;
        if self.gone.contains(&uid) {
            return;
        }
        let subject = shared(&mut self.subjects, subject);
        if let Some(entry) = self.missed.get_mut(&uid) {
            entry.seen = self.list;
            entry.missed.subject = subject.clone();
            if entry.missed.cause == cause {
                return;
            }
            self.remove(uid);
        }
        let missed = Missed {
            name: name.into(),
            subject,
            controller: controller.map(|controller| shared(&mut self.controllers, controller)),
            cause,
            created: created.try_into().unwrap_or(u32::MAX),
        };
        self.turns = self.turns.wrapping_add(1);
        let turn = Turn { at: now + SETTLES, uid, number: self.turns };
        let entry = Entry { missed, turn: turn.number, stage: Stage::Found, seen: self.list };
        self.missed.insert(uid, entry);
        self.pending.push_back(turn);
    }

    /// A Pod is gone, or lacks nothing any more.
    pub(super) fn gone(&mut self, uid: Uid, because: Gone) {
        if because == Gone::Away && self.unsettled.is_any() {
            self.gone.insert(uid);
        }
        self.remove(uid);
    }

    fn remove(&mut self, uid: Uid) {
        if let Some(entry) = self.missed.remove(&uid) {
            entry.uncount(&self.metrics);
        }
    }

    /// Pods are looked at again; what is known of them does not count until that is done.
    pub(super) fn unsettle(&mut self, again: &Again) {
        match again {
            Again::Account { namespace, name } => {
                self.unsettled.accounts.insert((namespace.clone(), name.clone()));
            }
            Again::Everything => self.unsettled.everything += 1,
        }
    }

    /// That is done.
    pub(super) fn settle(&mut self, again: &Again) {
        match again {
            Again::Account { namespace, name } => {
                self.unsettled.accounts.remove(&(namespace.clone(), name.clone()));
            }
            Again::Everything => {
                self.unsettled.everything = self.unsettled.everything.saturating_sub(1);
            }
        }
        if !self.unsettled.is_any() {
            self.gone = HashSet::new();
        }
    }

    /// Up to `most` Pods of which somebody is to be told now; they are counted from now on.
    pub(super) fn due(&mut self, now: Moment, most: usize) -> Vec<Due> {
        let mut due = Vec::new();
        let mut later = Vec::new();
        let seconds = Seconds::try_from(now.as_secs()).unwrap_or(Seconds::MAX);
        let remembered = now.saturating_sub(REMEMBERED).as_secs();
        self.told.retain(|_, at| u64::from(*at) >= remembered);
        if now > REMEMBERED {
            self.recalled = HashSet::new();
        }
        while due.len() < most
            && let Some(turn) = self.pending.pop_front_if(|turn| turn.at <= now)
        {
            let uid = turn.uid;
            let Some(entry) = self.missed.get_mut(&uid) else { continue };
            if entry.stage == Stage::Told || entry.turn != turn.number {
                continue;
            }
            if self.unsettled.concerns(&entry.missed.subject) {
                later.push(Turn { at: now + SETTLES, ..turn });
                continue;
            }
            if entry.stage == Stage::Found {
                entry.stage = Stage::Due;
                self.metrics.missed(entry.missed.cause.code()).inc();
            }
            let missed = entry.missed.clone();
            let pod = if self.recalled.remove(&Name::of_pod(uid, missed.cause)) {
                Telling::Done
            } else {
                Telling::New
            };
            let controller = match missed.controller.as_deref() {
                None => Telling::Done,
                Some(controller) => {
                    let name = Name::of_controller(controller.uid, missed.cause);
                    let is_recalled = self.recalled.remove(&name);
                    match self.told.insert(name, seconds) {
                        None if !is_recalled => Telling::New,
                        Some(_) | None => Telling::Done,
                    }
                }
            };
            due.push(Due { uid, missed, pod, controller });
        }
        self.pending.extend(later);
        if self.pending.is_empty() {
            // After a start it had room for every Pod.
            self.pending = VecDeque::new();
        }
        due
    }

    /// Somebody was told.
    pub(super) fn was_told(&mut self, uid: Uid) {
        if let Some(entry) = self.missed.get_mut(&uid) {
            entry.stage = Stage::Told;
        }
    }

    /// Nobody could be told: to be tried again at `at`.
    pub(super) fn was_not_told(&mut self, due: &Due, at: Moment) {
        if due.controller == Telling::New
            && let Some(controller) = due.missed.controller.as_deref()
        {
            self.told.remove(&Name::of_controller(controller.uid, due.missed.cause));
        }
        if due.pod == Telling::Done {
            self.recalled.insert(Name::of_pod(due.uid, due.missed.cause));
        }
        if let Some(entry) = self.missed.get(&due.uid) {
            self.pending.push_back(Turn { at, uid: due.uid, number: entry.turn });
        }
    }

    /// The Pods that somebody was told of.
    pub(super) fn settled(&self) -> impl Iterator<Item = (Uid, &Missed)> {
        self.missed
            .iter()
            .filter(|(_, entry)| entry.stage == Stage::Told)
            .filter(|(_, entry)| !self.unsettled.concerns(&entry.missed.subject))
            .map(|(uid, entry)| (*uid, &entry.missed))
    }
}

/// Why a Pod is none that was missed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Gone {
    /// It is there no longer, or not for long.
    Away,
    /// It is as it would be.
    Healthy,
}

fn shared<T: Eq + Hash>(kept: &mut HashSet<Arc<T>>, value: T) -> Arc<T> {
    match kept.get(&value) {
        Some(kept) => Arc::clone(kept),
        None => {
            let value = Arc::new(value);
            kept.insert(Arc::clone(&value));
            value
        }
    }
}

// === impl Entry ===

impl Entry {
    fn uncount(&self, metrics: &AuditMetrics) {
        if self.stage != Stage::Found {
            metrics.missed(self.missed.cause.code()).dec();
        }
    }
}

// === impl Unsettled ===

impl Unsettled {
    fn is_any(&self) -> bool {
        self.everything > 0 || !self.accounts.is_empty()
    }

    fn concerns(&self, subject: &Subject) -> bool {
        let Subject { namespace, account, identity: _ } = subject;
        // Nearly always there is nothing to compare with.
        self.everything > 0
            || (!self.accounts.is_empty()
                && self.accounts.contains(&(namespace.clone(), account.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::Verdict;

    const CAUSE: Cause = Cause::Drift(Verdict::Missing);

    fn at(seconds: u64) -> Moment {
        Duration::from_secs(seconds)
    }

    fn subject(account: &str) -> Subject {
        Subject {
            namespace: "shop".into(),
            account: account.into(),
            identity: "IRSA arn:aws:iam::111122223333:role/app".into(),
        }
    }

    fn controller(uid: Uid) -> Controller {
        Controller {
            api_version: "apps/v1".into(),
            kind: "ReplicaSet".into(),
            name: format!("checkout-service-{uid:010}").into(),
            uid,
        }
    }

    fn found(uid: Uid, cause: Cause) -> Found<'static> {
        let (subject, controller) = (subject("app"), Some(controller(uid / 10)));
        Found {
            uid,
            name: "web-5d9c7b6f4d-x2x4z",
            created: 1_700_000_000,
            cause,
            subject,
            controller,
        }
    }

    fn state() -> (State, AuditMetrics) {
        let metrics = AuditMetrics::default();
        (State::new(metrics.clone()), metrics)
    }

    fn missed(metrics: &AuditMetrics) -> i64 {
        metrics.missed(CAUSE.code()).get()
    }

    fn uids(due: &[Due]) -> Vec<Uid> {
        due.iter().map(|due| due.uid).collect()
    }

    #[test]
    fn what_is_found_counts_once_it_has_stood_for_a_while() {
        let (mut state, metrics) = state();
        state.found(found(11, CAUSE), at(10));
        assert!(state.due(at(11), 9).is_empty());
        assert_eq!(missed(&metrics), 0);
        let due = state.due(at(12), 9);
        assert_eq!((uids(&due), missed(&metrics)), (vec![11], 1));
        assert_eq!(state.settled().count(), 0, "nobody was told yet");
        state.was_told(11);
        assert_eq!(state.settled().count(), 1);
        state.found(found(11, CAUSE), at(13));
        assert!(state.due(at(20), 9).is_empty(), "told once");
        state.gone(11, Gone::Healthy);
        assert_eq!((state.settled().count(), missed(&metrics)), (0, 0));
        state.found(found(12, CAUSE), at(30));
        state.gone(12, Gone::Away);
        assert!(state.due(at(40), 9).is_empty(), "it was gone before its time");
    }

    #[test]
    fn a_controller_is_told_of_once_and_a_pod_without_one_by_itself() {
        let (mut state, _) = state();
        for uid in [11, 12, 21] {
            state.found(found(uid, CAUSE), at(0));
        }
        state.found(Found { controller: None, ..found(31, CAUSE) }, at(0));
        let due = state.due(at(2), 9);
        let controllers: Vec<_> = due.iter().map(|due| due.controller).collect();
        assert_eq!(controllers, [Telling::New, Telling::Done, Telling::New, Telling::Done]);
        // The first could not be told: it is its controller's turn again.
        state.was_not_told(&due[0], at(5));
        let again = state.due(at(5), 9);
        assert_eq!((uids(&again), again[0].controller), (vec![11], Telling::New));
    }

    #[test]
    fn what_an_earlier_run_told_is_not_told_again() {
        let (mut state, metrics) = state();
        state.recall(Name::of_pod(11, CAUSE));
        state.recall(Name::of_controller(1, CAUSE));
        state.found(found(11, CAUSE), at(0));
        state.found(found(12, CAUSE), at(0));
        let due = state.due(at(2), 9);
        let told: Vec<_> = due.iter().map(|due| (due.pod, due.controller)).collect();
        assert_eq!(told, [(Telling::Done, Telling::Done), (Telling::New, Telling::Done)]);
        assert_eq!(missed(&metrics), 2);
    }

    #[test]
    fn another_reason_is_another_finding() {
        let (mut state, metrics) = state();
        let other = Cause::Drift(Verdict::OtherRole);
        state.found(found(11, CAUSE), at(0));
        assert_eq!(state.due(at(2), 9).len(), 1);
        state.was_told(11);
        state.found(found(11, other), at(3));
        assert_eq!(missed(&metrics), 0);
        let due = state.due(at(5), 9);
        assert_eq!((due.len(), due[0].missed.cause), (1, other));
        assert_eq!(metrics.missed(other.code()).get(), 1);
    }

    #[test]
    fn nobody_is_told_while_the_pods_of_an_account_are_looked_at_again() {
        let (mut state, _) = state();
        let again = Again::Account { namespace: "shop".into(), name: "app".into() };
        state.found(found(11, CAUSE), at(0));
        state.unsettle(&again);
        assert!(state.due(at(2), 9).is_empty());
        // A Pod that went away meanwhile does not come back by an older list.
        state.gone(11, Gone::Away);
        state.found(found(11, CAUSE), at(3));
        state.found(found(12, CAUSE), at(3));
        state.settle(&again);
        assert_eq!(uids(&state.due(at(9), 9)), [12]);
        let other = Again::Account { namespace: "shop".into(), name: "other".into() };
        state.unsettle(&other);
        state.found(found(13, CAUSE), at(10));
        assert_eq!(uids(&state.due(at(12), 9)), [13]);
        state.unsettle(&Again::Everything);
        state.was_told(13);
        assert_eq!(state.settled().count(), 0);
        state.settle(&Again::Everything);
        assert_eq!(state.settled().count(), 1);
    }

    #[test]
    fn a_pod_that_a_new_list_does_not_show_is_gone() {
        let (mut state, metrics) = state();
        state.begins();
        state.found(found(11, CAUSE), at(0));
        state.found(found(12, CAUSE), at(0));
        state.ends();
        assert_eq!(state.due(at(2), 9).len(), 2);
        state.begins();
        state.found(found(12, CAUSE), at(3));
        assert_eq!(missed(&metrics), 2, "the list is not complete");
        state.ends();
        assert_eq!(missed(&metrics), 1);
        assert!(state.due(at(9), 9).is_empty(), "the other one was told");
    }

    /// A Pod that is as it would be costs nothing; this is what the others cost, the worst of them:
    /// each told, four to a controller, twenty to an account.
    #[test]
    fn a_pod_that_was_missed_costs_under_200_bytes() {
        const PODS: usize = 20_000;

        let (mut state, _) = state();
        let measured = allocation_counter::measure(|| {
            for n in 0..PODS {
                // As random as uids are.
                let uid = (n as Uid).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
                state.found(
                    Found {
                        uid,
                        name: &format!("checkout-service-5d9c7b6f4d-{n:05}"),
                        subject: subject(&format!("account-{}", n / 20)),
                        controller: Some(controller((n / 4) as Uid)),
                        ..found(0, CAUSE)
                    },
                    at(0),
                );
            }
            loop {
                let due = state.due(at(2), 128);
                if due.is_empty() {
                    break;
                }
                for due in &due {
                    state.was_told(due.uid);
                }
            }
        });
        let bytes = usize::try_from(measured.bytes_current).unwrap() / PODS;
        println!("{bytes} bytes a Pod");
        assert!(bytes < 200, "{bytes} bytes a Pod");
        assert_eq!(state.settled().count(), PODS);
    }
}
