//! Looks again at Pods whose account, or whose mapping, says something else than before.
//!
//! Pods of one account are asked for by their account; a change of the documents, or a new list of
//! accounts, concerns all Pods. While Pods are looked at again nobody is told of them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{sleep, timeout};

use super::eye::Shared;
use super::state::Again;
use super::trouble::Troubles;
use crate::accounts::{Change, Documents};
use crate::audit::lists::List;
use crate::audit::{JUDGED, Scope};
use crate::installation::{Look, What};

/// What troubles concern.
const LISTS: &str = "pods of changed accounts";

/// How long changes are gathered: who applies manifests changes many accounts at once.
const GATHERED: Duration = Duration::from_millis(200);

/// How often the documents are compared with what they were.
const COMPARED: Duration = Duration::from_secs(1);

/// The pause after a list failed.
const PAUSE: Duration = Duration::from_secs(5);

/// Where changes are told.
pub(super) struct Changes(UnboundedSender<Change>);

/// See the module.
pub(super) struct Sweep {
    pub(super) client: Client,
    pub(super) scope: Scope,
    pub(super) eye: Shared,
    pub(super) troubles: Arc<Troubles>,
    pub(super) changed: UnboundedReceiver<Change>,
}

/// Both ends.
pub(super) fn channel() -> (Changes, UnboundedReceiver<Change>) {
    let (sender, receiver) = unbounded_channel();
    (Changes(sender), receiver)
}

// === impl Changes ===

impl Changes {
    pub(super) fn tell(&self, change: Change) {
        // Nobody listens only at the end.
        let _ended = self.0.send(change);
    }
}

// === impl Sweep ===

impl Sweep {
    /// Forgets what changed so far. To be called before Pods are looked at for the first time: what
    /// changes later concerns them.
    pub(super) fn begin(&mut self) -> Documents {
        while self.changed.try_recv().is_ok() {}
        self.eye.accounts().documents()
    }

    /// Looks again for ever; `documents` are those of the [beginning](Self::begin).
    pub(super) async fn run(mut self, mut documents: Documents) {
        loop {
            let mut again = HashSet::new();
            let first = timeout(COMPARED, self.changed.recv()).await;
            let now = self.eye.accounts().documents();
            if now != documents {
                documents = now;
                again.insert(Again::Everything);
            }
            match first {
                Err(_) => {}
                Ok(None) => return,
                Ok(Some(change)) => {
                    self.gather(change, &mut again);
                    sleep(GATHERED).await;
                    while let Ok(change) = self.changed.try_recv() {
                        self.gather(change, &mut again);
                    }
                }
            }
            if again.contains(&Again::Everything) {
                again.retain(|again| *again == Again::Everything);
            }
            for again in &again {
                self.eye.state().unsettle(again);
            }
            for again in again {
                while let Err(unseen) = self.look(&again).await {
                    self.troubles.note(LISTS, unseen);
                    sleep(PAUSE).await;
                }
                self.troubles.over(LISTS);
                self.eye.state().settle(&again);
            }
        }
    }

    fn gather(&self, change: Change, again: &mut HashSet<Again>) {
        match change {
            Change::Account { namespace, name } if self.scope.has(&namespace) => {
                again.insert(Again::Account { namespace, name });
            }
            Change::Account { .. } => {}
            Change::Listed => {
                again.insert(Again::Everything);
            }
        }
    }

    async fn look(&self, again: &Again) -> Look<()> {
        let list = match again {
            Again::Everything => {
                List::new(self.scope.what("pods"), self.scope.url("pods")).fields(JUDGED)
            }
            Again::Account { namespace, name } => {
                let scope = Scope::Namespace(namespace.clone());
                let fields = format!("{JUDGED},spec.serviceAccountName={name}");
                List::new(What::within("pods", namespace), scope.url("pods")).fields(&fields)
            }
        };
        list.each(&self.client, |page| page.objects().for_each(|object| self.eye.look(object)))
            .await
    }
}
