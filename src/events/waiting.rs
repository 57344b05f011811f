//! What was told and is not written yet: one entry an owner and reason, however often it was told.
//!
//! Bounded in entries, and each entry in bytes. Those that came first are written first.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use k8s_openapi::jiff::Timestamp;
use tokio::sync::Notify;

use super::form::note;
use super::subject::Subject;

/// The owners and reasons that may wait: those of a large cluster that comes up at once.
const CAPACITY: usize = 1_000;

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    queue: Mutex<Queue>,
    come: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    order: VecDeque<Subject>,
    told: HashMap<Subject, Told>,
}

/// What was told of a subject since it was last written.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) note: String,
    pub(super) times: i32,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
}

/// What there is to write.
#[derive(Debug)]
pub(super) enum Next {
    /// This.
    Write(Subject, Told),
    /// Nothing that may be written yet.
    Later,
    /// Nothing.
    Nothing,
}

/// There is no room for another subject.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Full;

// === impl Waiting ===

impl Waiting {
    /// Keeps what was told.
    pub(super) fn tell(&self, subject: Subject, message: &str) -> Result<(), Full> {
        let now = Timestamp::now();
        {
            let mut queue = self.lock();
            let Queue { order, told } = &mut *queue;
            if let Some(before) = told.get_mut(&subject) {
                before.times = before.times.saturating_add(1);
                before.last = now;
                return Ok(());
            }
            if order.len() >= CAPACITY {
                return Err(Full);
            }
            order.push_back(subject.clone());
            told.insert(subject, Told { note: note(message), times: 1, first: now, last: now });
        }
        self.come.notify_one();
        Ok(())
    }

    /// Takes the first of those that `may` be written.
    pub(super) fn take(&self, may: impl Fn(&Subject) -> bool) -> Next {
        let mut queue = self.lock();
        let Queue { order, told } = &mut *queue;
        let next = order.iter().position(may).and_then(|at| order.remove(at));
        match next.and_then(|subject| told.remove_entry(&subject)) {
            Some((subject, told)) => Next::Write(subject, told),
            None if order.is_empty() => Next::Nothing,
            None => Next::Later,
        }
    }

    /// Waits until something may have come.
    pub(super) async fn come(&self) {
        self.come.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Owner, Refused};
    use super::*;

    fn subject(name: &str) -> Subject {
        let owner = Owner { api_version: "apps/v1", kind: "ReplicaSet", name, uid: "1" };
        Subject::read(&Refused { namespace: "ns", owner, reason: "too-large", message: "" })
            .unwrap()
    }

    #[test]
    fn what_is_told_again_takes_no_room_and_is_counted() {
        let waiting = Waiting::default();
        for place in 0..CAPACITY {
            waiting.tell(subject(&place.to_string()), "no").unwrap();
        }
        assert_eq!(waiting.tell(subject("another"), "no"), Err(Full));
        assert_eq!(waiting.tell(subject("7"), "still no"), Ok(()));
        let seventh = subject("7");
        let Next::Write(_, told) = waiting.take(|subject| *subject == seventh) else { panic!() };
        assert_eq!((told.times, told.note.as_str()), (2, "no"));
        let Next::Write(first, _) = waiting.take(|_| true) else { panic!() };
        assert_eq!(first, subject("0"));
        assert!(matches!(waiting.take(|_| false), Next::Later));
        while let Next::Write(..) = waiting.take(|_| true) {}
        assert!(matches!(waiting.take(|_| true), Next::Nothing));
    }
}
