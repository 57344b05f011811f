//! Round after round: look at both objects, ask what to do, do it, say how things stand.
//!
//! The order of the reads, and that nothing is written after a look that has become old, is what
//! `authority` demands of its caller. A round that failed is tried again soon; one that has nothing
//! to do waits for a watch or for the time that the plan names.

use std::error::Error as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use kube::Client;
use tokio::sync::mpsc::Receiver;
use tokio::time::{sleep, timeout};

use super::Settings;
use super::error::KeeperError;
use super::status::{Place, Registered, Status};
use super::target::Entries;
use super::watch::Notice;
use crate::authority::{
    Action, Ca, Change, Configuration, Leaf, LeafOrder, Now, Observed, Replica, Secret, Standing,
};
use crate::telemetry::{CertificateMetrics, Kind, Matching, Turn};
use crate::tls::{Files, Pair, Served};

/// The shortest time between two rounds: somebody who writes what we wrote otherwise, again and
/// again, shall not make us as busy as that.
pub(super) const PACE: Duration = Duration::from_millis(100);

/// The longest time after a round that failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Pauses after failures, from [`PACE`] on, twice as long each, up to [`LONGEST_PAUSE`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pauses {
    failures: u32,
}

/// Everything that rounds need.
pub(super) struct Keeper {
    client: Client,
    settings: Settings,
    replica: Replica,
    served: Arc<Served>,
    status: Arc<Status>,
    metrics: CertificateMetrics,
    notices: Receiver<Notice>,
    begun: Instant,
    /// The last one that could be read.
    configuration: Configuration,
    pauses: Pauses,
    /// What was last said of a Secret that makes no sense.
    told: Option<String>,
}

/// How a round went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Went {
    Well,
    /// Somebody was faster: look again.
    Conflict,
    Badly,
}

// === impl Keeper ===

impl Keeper {
    pub(super) fn new(
        client: Client,
        settings: Settings,
        served: Arc<Served>,
        status: Arc<Status>,
        metrics: CertificateMetrics,
        notices: Receiver<Notice>,
    ) -> Self {
        Self {
            client,
            settings,
            replica: Replica::default(),
            served,
            status,
            metrics,
            notices,
            begun: Instant::now(),
            configuration: Configuration::Unknown,
            pauses: Pauses::default(),
            told: None,
        }
    }

    /// Never ends but with the watches.
    pub(super) async fn run(mut self) -> KeeperError {
        loop {
            let wait = self.round().await;
            sleep(PACE).await;
            match timeout(wait.saturating_sub(PACE), self.notices.recv()).await {
                Ok(Some(notice)) => self.take(notice),
                Ok(None) => return KeeperError::Unwatched,
                Err(_) => {}
            }
            while let Ok(notice) = self.notices.try_recv() {
                self.take(notice);
            }
        }
    }

    fn take(&mut self, notice: Notice) {
        match notice {
            Notice::Changed => {}
            Notice::Configuration(configuration) => self.replica.glimpses(&configuration),
        }
    }

    /// One round; how long to wait until the next.
    async fn round(&mut self) -> Duration {
        let begun = self.now();
        let (configuration, entries) = match self.settings.target.read(&self.client).await {
            Ok(Some(entries)) => {
                self.status.trouble(Place::ReadConfiguration, None);
                (entries.configuration(), Some(entries))
            }
            Ok(None) => {
                self.status.trouble(Place::ReadConfiguration, None);
                (Configuration::Missing, None)
            }
            Err(error) => {
                self.status.trouble(Place::ReadConfiguration, Some(error));
                (Configuration::Unknown, None)
            }
        };
        let secret = match self.settings.secret.read(&self.client).await {
            Ok(secret) => {
                self.status.trouble(Place::ReadSecret, None);
                secret
            }
            Err(error) => {
                self.status.trouble(Place::ReadSecret, Some(error));
                Secret::Unknown
            }
        };
        self.tells(&secret);
        let is_blind =
            matches!(configuration, Configuration::Unknown) || matches!(secret, Secret::Unknown);
        if !matches!(configuration, Configuration::Unknown) {
            self.configuration = configuration.clone();
        }
        let observed = Observed { begun, configuration, secret };
        let (went, look_again) = self.act(&observed, entries.as_ref()).await;
        self.stands(entries.as_ref());
        match went {
            Went::Conflict => PACE,
            Went::Badly => self.pauses.next(),
            Went::Well if is_blind => look_again.min(self.pauses.next()),
            Went::Well => {
                self.pauses = Pauses::default();
                look_again
            }
        }
    }

    /// Does what the plan says, and says how that went, and when the plan wants another look.
    async fn act(&mut self, observed: &Observed, entries: Option<&Entries>) -> (Went, Duration) {
        let now = self.now();
        let policy = self.settings.policy;
        let mut make = |validity| Ca::make(validity);
        let plan = match self.replica.next(now, observed, &policy, &mut make) {
            Ok(plan) => plan,
            Err(error) => {
                self.metrics.turned(Kind::Ca, Turn::Failed);
                self.status.trouble(Place::Act, Some(KeeperError::Ca(Arc::new(error))));
                return (Went::Badly, PACE);
            }
        };
        for action in &plan.actions {
            let age = self.now().monotonic.saturating_sub(observed.begun.monotonic);
            if age > policy.freshness() {
                return (Went::Conflict, PACE);
            }
            let done = self.one(action, entries).await;
            self.counts(action, done.as_ref().err());
            match done {
                Ok(()) => {}
                Err(error @ KeeperError::Conflict { .. }) => {
                    tracing::debug!(reason = %error, "looking again");
                    return (Went::Conflict, PACE);
                }
                Err(error) => {
                    self.status.trouble(Place::Act, Some(error));
                    return (Went::Badly, PACE);
                }
            }
        }
        self.status.trouble(Place::Act, None);
        // After actions at once: what came of them is for another look to say.
        (Went::Well, if plan.actions.is_empty() { plan.look_again } else { PACE })
    }

    async fn one(&mut self, action: &Action, entries: Option<&Entries>) -> Result<(), KeeperError> {
        let Settings { policy: _, secret, target, names: _ } = &self.settings;
        match action {
            Action::Serve(order) => self.serve(order),
            Action::CreateSecret { ledger, change } => {
                secret.create(&self.client, ledger).await?;
                tracing::info!(?change, ca = ?ledger.current().id(), "the Secret is created");
                Ok(())
            }
            Action::WriteSecret { ledger, resource_version, change } => {
                secret.write(&self.client, ledger, resource_version).await?;
                let (ca, next) = (ledger.current().id(), ledger.next().map(Ca::id));
                tracing::info!(?change, ?ca, ?next, "the Secret is written");
                Ok(())
            }
            Action::PublishBundle { bundle, resource_version } => {
                let entries = entries.map(|entries| entries.entries.as_slice()).unwrap_or_default();
                target.publish(&self.client, entries, bundle, resource_version).await?;
                let cas = bundle.certificates().len();
                tracing::info!(entries = entries.len(), cas, "the caBundle is put right");
                Ok(())
            }
        }
    }

    fn serve(&mut self, order: &LeafOrder) -> Result<(), KeeperError> {
        let leaf = Leaf::make(order, &self.settings.names)
            .map_err(|error| KeeperError::Leaf(Arc::new(error)))?;
        let names = Files { certificate: PathBuf::from("memory"), key: PathBuf::from("memory") };
        let pair = Pair::parse(leaf.certificate(), leaf.key(), &names, SystemTime::now())
            .map_err(|error| KeeperError::Pair(Arc::new(error)))?;
        self.served.replace(pair);
        let not_after = humantime::format_rfc3339_seconds(leaf.serving().validity.not_after);
        tracing::info!(ca = ?leaf.serving().ca.id(), %not_after, "a new certificate is served");
        self.replica.serves(leaf.serving().clone());
        Ok(())
    }

    /// Counts the turns of certificates: not that CAs are kept, or dropped when nobody needs them.
    fn counts(&self, action: &Action, error: Option<&KeeperError>) {
        let kind = match action {
            Action::Serve(_) => Kind::Leaf,
            Action::CreateSecret { change, .. } | Action::WriteSecret { change, .. }
                if !matches!(change, Change::Kept | Change::Dropped) =>
            {
                Kind::Ca
            }
            _ => return,
        };
        self.metrics.turned(
            kind,
            match error {
                None => Turn::Done,
                Some(KeeperError::Conflict { .. }) => Turn::Conflict,
                Some(_) => Turn::Failed,
            },
        );
    }

    /// Says what the Secret holds.
    fn tells(&mut self, secret: &Secret) {
        match secret {
            Secret::Held { ledger, .. } => {
                self.metrics.expires(Kind::Ca, ledger.current().validity().not_after);
            }
            Secret::Corrupt { error, .. } => {
                // Two causes and no more: the third repeats lines of PEM, which may be of a key.
                let reason = match error.source() {
                    Some(source) => format!("{error}: {source}"),
                    None => error.to_string(),
                };
                if self.told.as_ref() != Some(&reason) {
                    tracing::warn!(reason, "the Secret makes no sense; what was good is served");
                    self.told = Some(reason);
                }
                return;
            }
            Secret::Unknown | Secret::Missing | Secret::Vacant { .. } => {}
        }
        self.told = None;
    }

    /// Says how things stand after a round.
    fn stands(&self, entries: Option<&Entries>) {
        let (now, policy) = (self.now(), &self.settings.policy);
        let standing = self.replica.standing(&self.configuration, now.wall, policy);
        let until = self.replica.leaf().map(|leaf| leaf.validity.last_call(policy.clock_margin()));
        let registered = match entries {
            None => Registered::Nowhere,
            Some(entries) if entries.entries.is_empty() => Registered::Elsewhere,
            Some(_) => Registered::Here,
        };
        match (registered, standing) {
            (Registered::Here, Standing::Trusted) => self.metrics.ca_bundle(Matching::Matches),
            (Registered::Here, Standing::NotInBundle) => self.metrics.ca_bundle(Matching::Differs),
            (Registered::Elsewhere, _) => self.metrics.ca_bundle(Matching::Unknown),
            (Registered::Nowhere, _) if matches!(self.configuration, Configuration::Missing) => {
                self.metrics.ca_bundle(Matching::Unknown);
            }
            (Registered::Here | Registered::Nowhere, _) => {}
        }
        self.status.stands(standing, until, registered);
    }

    fn now(&self) -> Now {
        Now { wall: SystemTime::now(), monotonic: self.begun.elapsed() }
    }
}

// === impl Pauses ===

impl Pauses {
    pub(super) fn next(&mut self) -> Duration {
        let pause = PACE.saturating_mul(2_u32.saturating_pow(self.failures));
        self.failures = self.failures.saturating_add(1);
        pause.min(LONGEST_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_five_seconds() {
        let mut pauses = Pauses::default();
        let all: Vec<_> = (0..40).map(|_| pauses.next().as_millis()).collect();
        assert_eq!(all[..7], [100, 200, 400, 800, 1600, 3200, 5000]);
        assert_eq!(all[39], 5000);
    }
}
