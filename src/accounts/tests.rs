//! The whole module against a scripted API server, in virtual time.

mod look_ups;
mod watches;

use std::time::Duration;

use tokio::task::JoinSet;

use super::scripted::{Call, Reply, Server, Then, streamed};
use super::*;
use crate::identity::Key;

const GRACE: Duration = Duration::from_millis(500);
const LONG: Duration = Duration::from_secs(10);

/// A webhook's accounts beside a scripted API server.
struct World {
    server: Server,
    accounts: Accounts,
    metrics: AccountsMetrics,
    _running: JoinSet<Result<(), AccountsError>>,
}

impl World {
    fn new(script: impl FnMut(&Call) -> Reply + Send + 'static) -> Self {
        Self::with(GRACE, None, script)
    }

    fn with(
        grace_period: Duration,
        config_map: Option<&str>,
        script: impl FnMut(&Call) -> Reply + Send + 'static,
    ) -> Self {
        let server = Server::new(script);
        let metrics = AccountsMetrics::default();
        let settings = Settings {
            annotation_prefix: "eks.amazonaws.com".into(),
            grace_period,
            config_map: config_map.map(Into::into),
            credentials_file: None,
            poll_interval: POLL_INTERVAL,
            role_policy: None,
        };
        let (accounts, tasks) = bind(&server.client(), &settings, &metrics);
        Self { server, accounts, metrics, _running: tasks.into_iter().map(Task::run).collect() }
    }

    /// One whose API server lists `objects`, keeps the watch open, and answers GETs by `get`.
    async fn synced(
        objects: Vec<serde_json::Value>,
        mut get: impl FnMut(&Call) -> Reply + Send + 'static,
    ) -> Self {
        let world =
            Self::new(
                move |call| {
                    if call.is_get() { get(call) } else { streamed(&objects, Then::Silence) }
                },
            );
        world.passes(Duration::from_millis(10)).await;
        assert!(world.accounts.readiness().iter().all(|r| r.state == ListState::Complete));
        world
    }

    /// Lets virtual time pass.
    async fn passes(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// What is known of `name` now: its role, or why not.
    async fn finds(&self, name: &str) -> String {
        show(&self.accounts.look_up("ns", name, LONG).await)
    }

    fn gets(&self) -> usize {
        self.server.count(Call::is_get)
    }

    fn looked_up(&self, lookup: Lookup) -> u64 {
        self.metrics.lookups(lookup)
    }

    fn residue(&self) -> usize {
        self.accounts.0.live.residue()
    }

    fn stands(&self) -> bool {
        self.accounts.0.service_accounts.is_standing()
    }

    fn readiness(&self) -> Vec<String> {
        let readiness = self.accounts.readiness();
        readiness.iter().map(ToString::to_string).collect()
    }
}

fn show(facts: &Facts) -> String {
    match &facts.account {
        Found::Known(account) => {
            account.annotations().value(Key::RoleArn).unwrap_or("no role").to_owned()
        }
        Found::Absent => "absent".to_owned(),
        Found::Unknown(why) => (*why).to_owned(),
    }
}
