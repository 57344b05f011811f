//! A world in which replicas live: one Secret, one configuration, API servers that see the bundle
//! late, clocks that differ, and everything that can happen to them.
//!
//! Each step of a replica (read the configuration, read the Secret, decide, one write) is a step of
//! the world, so that anything can come in between. After each of them, [`World::check`] holds each
//! replica that says it is ready against every bundle that some API server may still have.

use std::collections::{BTreeMap, VecDeque};

use super::{super::Policy, *};

/// How many replicas there are.
pub(super) const REPLICAS: usize = 3;

/// How late a write arrives at most: a request that takes longer has failed.
const IN_FLIGHT: Duration = Duration::from_secs(20);

/// What a watch takes to tell of a change.
const WATCH: Duration = Duration::from_secs(1);

/// How long replicas have to repair what somebody did.
const REPAIR: Duration = Duration::from_secs(5);

/// What happens next.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// A replica goes some steps, while time stands still.
    Run { replica: usize, steps: u8 },
    /// Seconds pass, while no replica runs.
    Stall { seconds: u64 },
    /// Seconds pass, and replicas run when they want to.
    Pass { seconds: u64 },
    /// A process ends, with all that it remembers.
    Crash { replica: usize },
    /// One starts, if there is none.
    Start { replica: usize },
    /// A replica cannot reach the API server, while API servers reach it.
    Part { replica: usize },
    /// It can again.
    Heal { replica: usize },
    /// A watch of the configuration delivers.
    Glimpse { replica: usize },
    /// Somebody deletes the Secret.
    DeleteSecret,
    /// Somebody breaks it; the certificates may be readable.
    CorruptSecret { readable: bool },
    /// Somebody empties it.
    EmptySecret,
    /// Somebody writes a ledger of their own.
    ForeignSecret,
    /// Somebody restores one that it once held, counted from the last.
    RestoreSecret { back: usize },
    /// Somebody empties the bundle.
    EmptyBundle,
    /// Somebody writes one of their own.
    ForeignBundle,
    /// Somebody writes one that once was there, counted from the last.
    RestoreBundle { back: usize },
    /// Somebody deletes the configuration.
    DeleteConfiguration,
}

#[derive(Clone, Debug)]
enum Content {
    Ledger(Ledger<()>),
    Broken(Vec<CaCertificate>),
    Empty,
}

/// Who made a bundle what it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Author {
    Replica,
    Somebody,
}

/// A bundle that API servers saw, from that moment on. None: no configuration.
#[derive(Clone, Debug)]
struct Published {
    from: Duration,
    bundle: Option<Bundle>,
    author: Author,
}

#[derive(Debug)]
enum Step {
    Idle,
    ReadConfiguration { begun: Now, configuration: Configuration },
    ReadBoth { observed: Observed<()> },
    Act { decided: Duration, actions: VecDeque<Action<()>> },
}

#[derive(Debug)]
struct Process {
    replica: Replica<()>,
    started: Duration,
    configuration: Configuration,
    step: Step,
    wakes: Duration,
    /// What it serves because it had nothing else.
    unchosen: Option<CaId>,
}

#[derive(Debug)]
struct Machine {
    /// Seconds by which its clock is ahead.
    ahead: i64,
    parted: bool,
    process: Option<Process>,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) policy: Policy,
    time: Duration,
    secret: Option<(Content, u64)>,
    configuration: Option<(Bundle, u64)>,
    versions: u64,
    machines: Vec<Machine>,
    ledgers: Vec<Ledger<()>>,
    published: Vec<Published>,
    /// CAs that became current without having been known, and when.
    strange: BTreeMap<CaId, Duration>,
    /// The bundle, by its index, that was there when each CA was made.
    births: BTreeMap<CaId, usize>,
    /// When somebody last did something to the Secret or the bundle, each time.
    tampered: Vec<Duration>,
    made: u32,
    pub(super) writes: usize,
    pub(super) trace: Vec<String>,
}

pub(super) fn epoch() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 365 * 50)
}

impl World {
    pub(super) fn new(ahead: [i64; REPLICAS]) -> Self {
        let minutes = Duration::from_mins;
        let policy = Policy::new(minutes(60), minutes(15), minutes(1)).unwrap();
        let mut world = Self {
            policy,
            time: Duration::ZERO,
            secret: None,
            configuration: None,
            versions: 0,
            machines: ahead
                .map(|ahead| Machine { ahead, parted: false, process: None })
                .into_iter()
                .collect(),
            ledgers: Vec::new(),
            published: Vec::new(),
            strange: BTreeMap::new(),
            births: BTreeMap::new(),
            tampered: Vec::new(),
            made: 0,
            writes: 0,
            trace: Vec::new(),
        };
        world.publish(Some(Bundle::of([])), Author::Somebody);
        world
    }

    pub(super) fn ledger(&self) -> Option<&Ledger<()>> {
        match &self.secret {
            Some((Content::Ledger(ledger), _)) => Some(ledger),
            _ => None,
        }
    }

    /// Every CA that was ever current.
    pub(super) fn currents(&self) -> std::collections::BTreeSet<CaId> {
        self.ledgers.iter().map(|ledger| ledger.current().id()).collect()
    }

    pub(super) fn wall(&self) -> SystemTime {
        epoch() + self.time
    }

    pub(super) fn happen(&mut self, event: &Event) -> Result<(), String> {
        self.note(&format!("{event:?}"));
        if event.is_tampering() {
            self.tampered.push(self.time);
        }
        match *event {
            Event::Run { replica, steps } => {
                for _ in 0..steps {
                    self.step(replica);
                    self.check()?;
                }
            }
            Event::Stall { seconds } => self.time += Duration::from_secs(seconds),
            Event::Pass { seconds } => self.pass(Duration::from_secs(seconds))?,
            Event::Crash { replica } => self.machines[replica].process = None,
            Event::Start { replica } => self.start(replica),
            Event::Part { replica } => self.machines[replica].parted = true,
            Event::Heal { replica } => self.machines[replica].parted = false,
            Event::Glimpse { replica } => {
                let seen = self.configuration();
                let machine = &mut self.machines[replica];
                if let Some(process) = machine.process.as_mut().filter(|_| !machine.parted) {
                    process.replica.glimpses(&seen);
                }
            }
            Event::DeleteSecret => self.secret = None,
            Event::CorruptSecret { readable } => {
                let certificates = self.ledger().into_iter().flat_map(Ledger::certificates);
                let left = certificates.filter(|_| readable).cloned().collect();
                self.store(Content::Broken(left));
            }
            Event::EmptySecret => self.store(Content::Empty),
            Event::ForeignSecret => {
                let ca = self.foreign();
                self.strange.insert(ca.id(), self.time);
                self.store(Content::Ledger(Ledger::new(ca)));
            }
            Event::RestoreSecret { back } => {
                let index = self.ledgers.len().checked_sub(back % 8 + 1);
                if let Some(ledger) = index.map(|index| self.ledgers[index].clone()) {
                    let time = self.time;
                    self.strange.extend(ledger.certificates().map(|ca| (ca.id(), time)));
                    self.store(Content::Ledger(ledger));
                }
            }
            Event::EmptyBundle => self.publish(Some(Bundle::of([])), Author::Somebody),
            Event::ForeignBundle => {
                let ca = self.foreign();
                self.publish(Some(Bundle::of([ca.certificate()])), Author::Somebody);
            }
            Event::RestoreBundle { back } => {
                let index = self.published.len().checked_sub(back % 8 + 1);
                let bundle = index.and_then(|index| self.published[index].bundle.clone());
                if let Some(bundle) = bundle {
                    self.publish(Some(bundle), Author::Somebody);
                }
            }
            Event::DeleteConfiguration => self.publish(None, Author::Somebody),
        }
        self.check()
    }

    /// All faults end: processes run, the network does, and there is a configuration.
    pub(super) fn calm(&mut self) -> Result<(), String> {
        self.note("calm");
        for replica in 0..REPLICAS {
            self.machines[replica].parted = false;
            self.start(replica);
        }
        if self.configuration.is_none() {
            self.publish(Some(Bundle::of([])), Author::Somebody);
        }
        self.check()
    }

    /// Whether each replica serves a leaf of the current CA, and is trusted.
    pub(super) fn is_settled(&self) -> Result<(), String> {
        let ledger = self.ledger().ok_or("no ledger")?;
        let bundle = self.configuration.as_ref().map(|(bundle, _)| bundle);
        if bundle != Some(&ledger.bundle()) {
            return Err(format!("bundle {bundle:?} is not that of {ledger:?}"));
        }
        for (replica, machine) in self.machines.iter().enumerate() {
            let process = machine.process.as_ref().ok_or("no process")?;
            let leaf = process.replica.leaf().ok_or("no leaf")?;
            if leaf.ca.id() != ledger.current().id() {
                return Err(format!("{replica} serves {leaf:?}, the ledger is {ledger:?}"));
            }
            let standing = self.standing(machine, process);
            if standing != Standing::Trusted {
                return Err(format!("{replica} is {standing:?}"));
            }
        }
        Ok(())
    }

    pub(super) fn pass(&mut self, time: Duration) -> Result<(), String> {
        let until = self.time + time;
        loop {
            let next = (0..REPLICAS)
                .filter_map(|replica| {
                    Some((self.machines[replica].process.as_ref()?.wakes, replica))
                })
                .min();
            let Some((wakes, replica)) = next.filter(|(wakes, _)| *wakes <= until) else { break };
            self.time = self.time.max(wakes);
            self.step(replica);
            self.check()?;
        }
        self.time = until;
        self.check()
    }

    // --- replicas

    fn start(&mut self, replica: usize) {
        let time = self.time;
        self.machines[replica].process.get_or_insert_with(|| Process {
            replica: Replica::default(),
            started: time,
            configuration: Configuration::Unknown,
            step: Step::Idle,
            wakes: time,
            unchosen: None,
        });
    }

    fn now(&self, replica: usize) -> Option<Now> {
        let machine = &self.machines[replica];
        let process = machine.process.as_ref()?;
        Some(Now {
            wall: machine.wall(self.time),
            monotonic: self.time.saturating_sub(process.started),
        })
    }

    fn step(&mut self, replica: usize) {
        let Some(now) = self.now(replica) else { return };
        let parted = self.machines[replica].parted;
        let seen = self.configuration();
        let secret = self.read_secret();
        let (policy, time) = (self.policy, self.time);
        let latest = self.published.len() - 1;
        let births = &mut self.births;
        let Some(process) = &mut self.machines[replica].process else { return };
        process.wakes = time + Duration::from_millis(1);
        let step = std::mem::replace(&mut process.step, Step::Idle);
        match step {
            _ if parted => process.wakes = time + Duration::from_secs(5),
            Step::Idle => {
                process.configuration = seen.clone();
                process.step = Step::ReadConfiguration { begun: now, configuration: seen };
            }
            Step::ReadConfiguration { begun, configuration } => {
                process.step =
                    Step::ReadBoth { observed: Observed { begun, configuration, secret } };
            }
            Step::ReadBoth { observed } => {
                let mut number = self.made;
                let mut make = |validity| {
                    number += 1;
                    let ca = Ca::fake(number, validity);
                    births.insert(ca.id(), latest);
                    Ok::<_, std::convert::Infallible>(ca)
                };
                let plan = process.replica.next(now, &observed, &policy, &mut make).unwrap();
                self.made = number;
                process.wakes = time + plan.look_again;
                if !plan.actions.is_empty() {
                    process.wakes = time + Duration::from_millis(1);
                    let actions: VecDeque<_> = plan.actions.into();
                    process.step = Step::Act { decided: time, actions };
                }
            }
            Step::Act { decided, mut actions } => {
                let action = actions.pop_front().filter(|_| time <= decided + IN_FLIGHT);
                if !actions.is_empty() {
                    process.step = Step::Act { decided, actions };
                }
                if let Some(action) = action {
                    self.act(replica, action);
                }
            }
        }
    }

    fn act(&mut self, replica: usize, action: Action<()>) {
        match action {
            Action::Serve(LeafOrder { ca, validity }) => {
                self.note(&format!("{replica} serves a leaf of {:?}", ca.id()));
                let standing = self.machines[replica]
                    .process
                    .as_ref()
                    .map(|process| self.standing(&self.machines[replica], process));
                if let Some(process) = &mut self.machines[replica].process {
                    if matches!(standing, Some(Standing::NoLeaf | Standing::Expired)) {
                        process.unchosen = Some(ca.id());
                    } else if process.unchosen != Some(ca.id()) {
                        process.unchosen = None;
                    }
                    process.replica.serves(Serving { ca: ca.certificate().clone(), validity });
                }
            }
            Action::CreateSecret { ledger, change } => {
                if self.secret.is_none() {
                    self.wrote(replica, ledger, change);
                }
            }
            Action::WriteSecret { ledger, resource_version, change } => {
                let present = self.secret.as_ref().map(|(_, version)| version.to_string());
                if present == Some(resource_version) {
                    self.wrote(replica, ledger, change);
                }
            }
            Action::PublishBundle { bundle, resource_version } => {
                let present = self.configuration.as_ref().map(|(_, version)| version.to_string());
                if present == Some(resource_version) {
                    self.note(&format!("{replica} publishes {bundle:?}"));
                    self.publish(Some(bundle), Author::Replica);
                    self.writes += 1;
                }
            }
        }
    }

    fn wrote(&mut self, replica: usize, ledger: Ledger<()>, change: Change) {
        self.note(&format!("{replica} writes {change:?} {ledger:?}"));
        let (wall, margin) = (self.machines[replica].wall(self.time), self.policy.clock_margin());
        // What the present CA signs can be verified by nobody: the next one cannot wait.
        let cannot_wait =
            self.ledger().is_none_or(|ledger| ledger.current().validity().is_spent(wall, margin));
        if matches!(change, Change::Created | Change::Restored)
            || change == Change::Promoted && cannot_wait
        {
            self.strange.insert(ledger.current().id(), self.time);
        }
        self.writes += 1;
        self.store(Content::Ledger(ledger));
    }

    // --- objects

    fn configuration(&self) -> Configuration {
        match &self.configuration {
            None => Configuration::Missing,
            Some((bundle, version)) => Configuration::Present {
                bundles: vec![bundle.clone()],
                resource_version: version.to_string(),
            },
        }
    }

    fn read_secret(&self) -> Secret<()> {
        let Some((content, version)) = &self.secret else { return Secret::Missing };
        let resource_version = version.to_string();
        match content {
            Content::Ledger(ledger) => {
                Secret::Held { ledger: Box::new(ledger.clone()), resource_version }
            }
            Content::Empty => Secret::Vacant { resource_version },
            Content::Broken(salvaged) => Secret::Corrupt {
                error: std::sync::Arc::new(crate::authority::LedgerError::Absent { key: "ca.crt" }),
                salvaged: salvaged.clone(),
                resource_version,
            },
        }
    }

    fn store(&mut self, content: Content) {
        self.versions += 1;
        if let Content::Ledger(ledger) = &content {
            self.ledgers.push(ledger.clone());
        }
        self.secret = Some((content, self.versions));
        self.wake();
    }

    fn publish(&mut self, bundle: Option<Bundle>, author: Author) {
        self.versions += 1;
        self.configuration = bundle.clone().map(|bundle| (bundle, self.versions));
        self.published.push(Published { from: self.time, bundle, author });
        self.wake();
    }

    fn wake(&mut self) {
        let at = self.time + WATCH;
        for machine in self.machines.iter_mut().filter(|machine| !machine.parted) {
            if let Some(process) = &mut machine.process {
                process.wakes = process.wakes.min(at);
            }
        }
    }

    fn foreign(&mut self) -> Ca<()> {
        self.made += 1;
        let ca = Ca::fake(self.made, Validity::starting(self.wall(), self.policy.ca_validity()));
        self.births.insert(ca.id(), self.published.len() - 1);
        ca
    }

    // --- what must hold

    fn standing(&self, machine: &Machine, process: &Process) -> Standing {
        let wall = machine.wall(self.time);
        process.replica.standing(&process.configuration, wall, &self.policy)
    }

    /// No replica that is ready serves what some API server does not trust, unless it was somebody
    /// else who took the CA from the bundle, or there never was a choice.
    fn check(&self) -> Result<(), String> {
        for (replica, machine) in self.machines.iter().enumerate() {
            let Some(process) = &machine.process else { continue };
            let Some(leaf) = process.replica.leaf() else { continue };
            if self.standing(machine, process) != Standing::Trusted {
                continue;
            }
            let (ca, wall) = (leaf.ca.id(), self.wall());
            if !leaf.validity.holds(wall) || !leaf.ca.validity().holds(wall) {
                return Err(format!("{replica} serves {leaf:?} at {wall:?}"));
            }
            let oldest = self.time.saturating_sub(self.policy.overlap());
            for (index, state) in self.published.iter().enumerate() {
                let next = self.published.get(index + 1);
                let is_in_view = next.is_none_or(|next| oldest < next.from);
                if is_in_view && !state.trusts(ca) && !self.is_excused(index, ca, process) {
                    return Err(format!(
                        "{replica} serves a leaf of {ca:?}; the bundle from {:?} on is {:?}",
                        state.from, state.bundle
                    ));
                }
            }
        }
        Ok(())
    }

    fn is_excused(&self, index: usize, ca: CaId, process: &Process) -> bool {
        // Before it was made no CA was trusted, though nothing was verified.
        let birth = self.births.get(&ca).copied().unwrap_or_default();
        let before = self.published.get(birth..=index).unwrap_or_default();
        let trusts = |state: &&Published| state.trusts(ca);
        let had_choice = process.unchosen != Some(ca);
        // Somebody took it from the bundle, or had put it there in the first place.
        if let Some(last) = before.iter().rposition(|state| state.trusts(ca)) {
            let removed = &before[last + 1];
            let mut run = before[..=last].iter().rev().take_while(trusts);
            let is_repair = || {
                self.tampered.iter().any(|at| *at <= removed.from && removed.from <= *at + REPAIR)
            };
            if removed.author == Author::Somebody
                || run.all(|state| state.author == Author::Somebody)
                || (!had_choice && is_repair())
            {
                return true;
            }
        }
        // It had no choice, and API servers have not had it from a replica since it had none.
        let Some(at) = self.strange.get(&ca).filter(|_| !had_choice) else { return false };
        let known = (0..self.published.len()).find(|index| {
            let is_later = self.published.get(index + 1).is_none_or(|next| *at < next.from);
            is_later && self.published[*index].trusts(ca)
        });
        known.is_none_or(|known| index < known)
    }

    fn note(&mut self, line: &str) {
        self.trace.push(format!("{:>8.3} {line}", self.time.as_secs_f64()));
    }
}

impl Event {
    /// Whether somebody does something to the Secret or the bundle.
    fn is_tampering(&self) -> bool {
        match self {
            Self::Run { .. }
            | Self::Stall { .. }
            | Self::Pass { .. }
            | Self::Crash { .. }
            | Self::Start { .. }
            | Self::Part { .. }
            | Self::Heal { .. }
            | Self::Glimpse { .. } => false,
            Self::DeleteSecret
            | Self::CorruptSecret { .. }
            | Self::EmptySecret
            | Self::ForeignSecret
            | Self::RestoreSecret { .. }
            | Self::EmptyBundle
            | Self::ForeignBundle
            | Self::RestoreBundle { .. }
            | Self::DeleteConfiguration => true,
        }
    }
}

impl Machine {
    fn wall(&self, time: Duration) -> SystemTime {
        let wall = epoch() + time;
        let by = Duration::from_secs(self.ahead.unsigned_abs());
        if self.ahead < 0 { wall - by } else { wall + by }
    }
}

impl Published {
    fn trusts(&self, ca: CaId) -> bool {
        self.bundle.as_ref().is_none_or(|bundle| bundle.trusts(ca))
    }
}
