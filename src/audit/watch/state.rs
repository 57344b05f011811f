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

/// How long what is found has to stand.
pub(super) const SETTLES: Duration = Duration::from_secs(2);

/// How long an Event is remembered: as long as API servers keep one (`--event-ttl`).
const REMEMBERED: Duration = Duration::from_hours(1);

/// See the module.
#[derive(Debug)]
pub(super) struct State {
    missed: BTreeMap<Uid, Entry>,
    /// Who is not due yet, in the order in which they will be.
    pending: VecDeque<(Moment, Uid)>,
    subjects: HashSet<Arc<Subject>>,
    controllers: HashSet<Arc<Controller>>,
    /// The mark of the list that comes in, or came in last.
    list: Mark,
    unsettled: Unsettled,
    /// Pods that went away while others were looked at again: that look may show them still.
    gone: HashSet<Uid>,
    /// Events that were there when the watch began, by name.
    recalled: HashSet<Name>,
    /// Events about controllers.
    told: HashMap<Name, Moment>,
    metrics: AuditMetrics,
}

#[derive(Debug)]
struct Entry {
    missed: Missed,
    since: Moment,
    stage: Stage,
    seen: Mark,
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
        let entry = Entry { missed, since: now, stage: Stage::Found, seen: self.list };
        self.missed.insert(uid, entry);
        self.pending.push_back((now + SETTLES, uid));
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
        self.told.retain(|_, at| now.saturating_sub(*at) < REMEMBERED);
        if now > REMEMBERED {
            self.recalled = HashSet::new();
        }
        while due.len() < most
            && let Some((_, uid)) = self.pending.pop_front_if(|(at, _)| *at <= now)
        {
            let Some(entry) = self.missed.get_mut(&uid) else { continue };
            if entry.stage == Stage::Told || now < entry.since + SETTLES {
                // Told, or found anew since: then there is a later turn.
                continue;
            }
            if self.unsettled.concerns(&entry.missed.subject) {
                later.push((now + SETTLES, uid));
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
                    match self.told.insert(name, now) {
                        None if !is_recalled => Telling::New,
                        Some(_) | None => Telling::Done,
                    }
                }
            };
            due.push(Due { uid, missed, pod, controller });
        }
        self.pending.extend(later);
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
        self.pending.push_back((at, due.uid));
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
