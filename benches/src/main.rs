//! `make bench`: what the webhook costs, beside the Go webhook and beside a server that does
//! nothing, in one run.
//!
//! ```text
//! accounts: none -> starts; 10,000 -> starts, calls, matrix, creations; 100,000 -> starts, relists, growth
//! ```
//!
//! Nothing is judged here but whether the work was done: figures go into a table with the goals
//! beside them. `--smoke` does everything once, small, to prove that it works.
#![expect(
    clippy::indexing_slicing,
    reason = "members of JSON: one that is missing is null, which is then what is wrong"
)]

mod accounts;
mod chart;
mod direct;
mod end_to_end;
mod figures;
mod load;
mod memory;
mod process;
mod report;
mod review;
mod subject;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use cluster::ControlPlane;
use tempfile::TempDir;

use accounts::Population;
use direct::Cell;
use end_to_end::Creation;
use figures::{Figures, What};
use load::Oha;
use memory::Rows;
use review::{Size, review};
use subject::{Kind, Programs};

/// How much of everything.
#[derive(Clone, Copy, Debug)]
struct Scale {
    rounds: usize,
    relists: usize,
    warm_up: usize,
    fast_calls: usize,
    slow_calls: usize,
    open_calls: usize,
    open_rate: usize,
    served: usize,
    some: usize,
    many: usize,
    creations: usize,
    many_calls: usize,
}

/// Everything that a part of the run needs, and what came of those before.
struct Bench {
    plane: ControlPlane,
    programs: Programs,
    oha: Oha,
    scale: Scale,
    population: Population,
    figures: Figures,
    cells: Vec<Cell>,
    creations: Vec<Creation>,
    bodies: TempDir,
    turns: usize,
    begun: Instant,
}

/// The command line.
struct Settings {
    ours: PathBuf,
    noop: PathBuf,
    oha: PathBuf,
    /// Where `results.md` and `results.svg` go; nowhere in the smoke form.
    out: Option<PathBuf>,
    scale: Scale,
    only: Option<String>,
}

const USAGE: &str = "usage: bench --ours=FILE --noop=FILE --oha=FILE [--out=FOLDER] [--smoke] [--rounds=COUNT] [--only=rows|calls|memory|creations]";

#[tokio::main]
async fn main() -> Result<()> {
    let settings = Settings::parse()?;
    tokio::select! {
        done = run(&settings) => done,
        _ = tokio::signal::ctrl_c() => bail!("interrupted: everything is ended, nothing is written"),
    }
}

async fn run(settings: &Settings) -> Result<()> {
    let Settings { ours, noop, oha, out, scale, only } = settings;
    let wants = |part: &str| only.as_deref().is_none_or(|only| only == part);
    let plane = ControlPlane::builder().apiserver_arg("--audit-log-path=").start().await?;
    let population = Population::begin(&plane).await?;
    let mut bench = Bench {
        plane,
        programs: Programs::new(ours, noop)?,
        oha: Oha::new(oha),
        scale: *scale,
        population,
        figures: Figures::default(),
        cells: Vec::new(),
        creations: Vec::new(),
        bodies: tempfile::tempdir()?,
        turns: 0,
        begun: Instant::now(),
    };
    if wants("memory") {
        bench.say("starts without accounts");
        let (resident, peak) = (Some(What::ResidentNone), None);
        memory::starts(&mut bench, Rows { ready: What::ReadyNone, resident, peak }).await?;
    }
    bench.say(&format!("{} accounts", scale.some));
    bench.population.grow(scale.some).await?;
    if wants("memory") {
        let (resident, peak) = (None, Some(What::PeakSome));
        memory::starts(&mut bench, Rows { ready: What::ReadySome, resident, peak }).await?;
    }
    if wants("calls") || only.as_deref() == Some("rows") {
        direct::rows(&mut bench).await?;
    }
    if wants("calls") {
        direct::matrix(&mut bench).await?;
    }
    if wants("creations") {
        end_to_end::rows(&mut bench).await?;
    }
    if wants("memory") {
        bench.say(&format!("{} accounts", scale.many));
        bench.population.grow(scale.many).await?;
        let rows = Rows { ready: What::ReadyMany, resident: None, peak: None };
        memory::starts(&mut bench, rows).await?;
        memory::relists(&mut bench).await?;
        memory::growth(&mut bench).await?;
    }
    bench.say("done");
    println!("{}", report::page(&bench));
    if let Some(out) = out {
        fs::write(out.join("results.md"), report::page(&bench))?;
        chart::draw(&bench.figures, &out.join("results.svg"))?;
    } else {
        chart::draw(&bench.figures, &bench.bodies.path().join("results.svg"))?;
    }
    Ok(())
}

// === impl Bench ===

impl Bench {
    /// Tells a person where it is.
    fn say(&self, what: &str) {
        eprintln!("{:>5} s  {what}", self.begun.elapsed().as_secs());
    }

    /// A number that no one had before.
    fn turn(&mut self) -> usize {
        self.turns += 1;
        self.turns
    }

    /// A file with the review of a Pod of `account`.
    fn body(&self, account: &str, size: Size) -> Result<PathBuf> {
        self.file(&format!("{account}-{size:?}.json"), &review(account, size))
    }

    fn file(&self, name: &str, content: &[u8]) -> Result<PathBuf> {
        let path = self.bodies.path().join(name);
        if !path.exists() {
            fs::write(&path, content)?;
        }
        Ok(path)
    }
}

// === impl Scale ===

impl Scale {
    const FULL: Self = Self {
        rounds: 5,
        relists: 3,
        warm_up: 2_000,
        fast_calls: 40_000,
        slow_calls: 10_000,
        open_calls: 20_000,
        open_rate: 2_000,
        served: 100_000,
        some: 10_000,
        many: 100_000,
        creations: 1_000,
        many_calls: 1_000_000,
    };

    const SMOKE: Self = Self {
        rounds: 1,
        relists: 1,
        warm_up: 50,
        fast_calls: 320,
        slow_calls: 320,
        open_calls: 100,
        open_rate: 100,
        served: 200,
        some: 20,
        many: 40,
        creations: 10,
        many_calls: 500,
    };

    /// How many calls a row is measured by: enough for a second or so.
    fn calls(&self, kind: Kind) -> usize {
        match kind {
            Kind::Ours | Kind::Noop => self.fast_calls,
            Kind::Theirs => self.slow_calls,
        }
    }
}

// === impl Settings ===

impl Settings {
    fn parse() -> Result<Self> {
        let mut given = BTreeMap::new();
        for arg in std::env::args().skip(1) {
            let (name, value) = arg.split_once('=').unwrap_or((&arg, ""));
            if !["--ours", "--noop", "--oha", "--out", "--only", "--rounds", "--smoke"]
                .contains(&name)
            {
                bail!("unknown argument {arg}; {USAGE}");
            }
            given.insert(name.to_owned(), value.to_owned());
        }
        let file = |name: &str| -> Result<PathBuf> {
            let path = given.get(name).with_context(|| format!("{name} is missing; {USAGE}"))?;
            let path = Path::new(path);
            path.is_file().then(|| path.to_path_buf()).with_context(|| {
                format!("{name}: {} is not there: run `make bench`", path.display())
            })
        };
        let mut scale = if given.contains_key("--smoke") { Scale::SMOKE } else { Scale::FULL };
        if let Some(rounds) = given.get("--rounds") {
            scale.rounds = rounds.parse().with_context(|| format!("--rounds={rounds}; {USAGE}"))?;
        }
        Ok(Self {
            ours: file("--ours")?,
            noop: file("--noop")?,
            oha: file("--oha")?,
            out: given.get("--out").map(PathBuf::from),
            scale,
            only: given.get("--only").cloned(),
        })
    }
}
