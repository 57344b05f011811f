//! Stopping in phases, driven from outside.
//!
//! API servers keep connections to webhooks open and lose a POST on a connection that the server
//! closes at that moment. So a server first says `Connection: close` on every answer for a while
//! ([`Phase::Closing`]), and only then stops accepting ([`Phase::Refusing`]). Phases only go
//! forward; a lost [`Shutdown`] counts as refusing.

use tokio::sync::watch;

/// How far a server is in its life.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Phase {
    /// Everything is served, connections are kept.
    #[default]
    Serving,
    /// Everything is served still, new connections too; each answer ends its connection.
    Closing,
    /// No new connection; what is in flight is finished.
    Refusing,
}

/// The side that decides when to stop. Dropping it means [`Phase::Refusing`].
#[derive(Debug)]
pub struct Shutdown {
    phase: watch::Sender<Phase>,
}

/// The side that is told. Clones see the same phase.
#[derive(Clone, Debug)]
pub struct Drain {
    phase: watch::Receiver<Phase>,
}

// === impl Shutdown ===

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    /// A signal that stands at [`Phase::Serving`].
    pub fn new() -> Self {
        Self { phase: watch::Sender::new(Phase::Serving) }
    }

    /// The side to hand to a server.
    pub fn drain(&self) -> Drain {
        Drain { phase: self.phase.subscribe() }
    }

    /// Goes on to `phase`; an earlier one than the present is ignored.
    pub fn advance(&self, phase: Phase) {
        self.phase.send_if_modified(|current| {
            let forward = phase > *current;
            *current = phase.max(*current);
            forward
        });
    }
}

// === impl Drain ===

impl Drain {
    /// The present phase.
    pub fn phase(&self) -> Phase {
        if self.phase.has_changed().is_err() {
            return Phase::Refusing;
        }
        *self.phase.borrow()
    }

    /// Waits for [`Phase::Refusing`].
    pub async fn refusing(mut self) {
        // An error means that the other side is gone, which is the same to us.
        let _gone = self.phase.wait_for(|phase| *phase == Phase::Refusing).await;
    }
}
