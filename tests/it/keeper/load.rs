//! Clients that create Pods without pause, and remember what failed, and when.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::stage::{Stage, create};

/// Running clients, ended when this is dropped.
pub(super) struct Load {
    begun: Instant,
    shared: Arc<Shared>,
    _clients: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    created: AtomicUsize,
    failures: Mutex<Vec<Failure>>,
}

/// A Pod that was refused, or has no identity.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) at: Instant,
    pub(super) why: String,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) lasted: Duration,
    pub(super) created: usize,
    pub(super) failures: Vec<Failure>,
}

// === impl Load ===

impl Load {
    /// Starts that many clients, each of which creates a Pod every `period`, the last one answered.
    pub(super) fn start(stage: &Stage, clients: usize, period: Duration) -> Self {
        let shared = Arc::<Shared>::default();
        let mut running = JoinSet::new();
        for _ in 0..clients {
            let (client, namespace) = (stage.client.clone(), stage.namespace.clone());
            let shared = Arc::clone(&shared);
            running.spawn(async move {
                let mut ticks = interval(period);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
                loop {
                    ticks.tick().await;
                    match create(&client, &namespace).await {
                        Ok(()) => {
                            shared.created.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => {
                            let why = format!("{error:#}");
                            let failure = Failure { at: Instant::now(), why };
                            shared.failures.lock().unwrap().push(failure);
                        }
                    }
                }
            });
        }
        Self { begun: Instant::now(), shared, _clients: running }
    }

    /// How many Pods there are so far.
    pub(super) fn created(&self) -> usize {
        self.shared.created.load(Ordering::Relaxed)
    }

    /// Ends all clients.
    pub(super) fn end(self) -> Report {
        Report {
            lasted: self.begun.elapsed(),
            created: self.created(),
            failures: self.shared.failures.lock().unwrap().clone(),
        }
    }
}
