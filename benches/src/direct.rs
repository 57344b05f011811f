//! Calls of the webhook itself, as an API server makes them: CPU, throughput, latency.

use std::path::Path;

use anyhow::{Result, ensure};

use crate::{
    Bench,
    accounts::{WITH_ROLE, WITHOUT_ROLE},
    figures::What,
    load::{Load, Outcome, Pace},
    process::cpu_nanos,
    review::{Size, review},
    subject::{Kind, Subject},
};

/// How many connections there are where nothing else is said; an API server has a few.
const CONNECTIONS: usize = 8;

/// The connections of the matrix.
const MATRIX_CONNECTIONS: [usize; 3] = [1, 8, 64];

/// Whether a Pod gets an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outlook {
    Injects,
    Nothing,
}

/// One cell of the matrix.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) kind: Kind,
    pub(crate) size: Size,
    pub(crate) outlook: Outlook,
    pub(crate) connections: usize,
    pub(crate) cpu_micros: f64,
    pub(crate) per_second: f64,
}

/// What a run cost.
struct Run {
    outcome: Outcome,
    cpu_micros: f64,
}

/// All rows of calls, round by round, each subject in turn.
pub(crate) async fn rows(bench: &mut Bench) -> Result<()> {
    let mut subjects = Vec::new();
    for kind in Kind::ALL {
        subjects.push(ready(bench, kind).await?);
    }
    for round in 0..bench.scale.rounds {
        for subject in &subjects {
            bench.say(&format!("round {}: {}", round + 1, subject.kind.name()));
            let kind = subject.kind;
            let calls = bench.scale.calls(kind);
            let usual =
                run(bench, subject, Size::Usual, Outlook::Injects, CONNECTIONS, calls).await?;
            bench.figures.add(What::CpuInjecting, kind, usual.cpu_micros);
            bench.figures.add(What::CallsOfCore, kind, 1e6 / usual.cpu_micros);
            bench.figures.add(What::CpuOfUsualKb, kind, usual.cpu_micros / 5.0);
            let nothing =
                run(bench, subject, Size::Usual, Outlook::Nothing, CONNECTIONS, calls).await?;
            bench.figures.add(What::CpuNothing, kind, nothing.cpu_micros);
            let large =
                run(bench, subject, Size::Large, Outlook::Injects, CONNECTIONS, calls / 10).await?;
            bench.figures.add(What::CpuOfLargeKb, kind, large.cpu_micros / 100.0);
            let closed = run(bench, subject, Size::Usual, Outlook::Injects, 64, calls).await?;
            bench.figures.add(What::CallsClosed, kind, closed.outcome.per_second);
            let open = latency(bench, subject).await?;
            bench.figures.add(What::P50, kind, open.p50);
            bench.figures.add(What::P99, kind, open.p99);
            bench.figures.add(What::P999, kind, open.p999);
        }
    }
    Ok(())
}

/// Every size, outlook and number of connections, once.
pub(crate) async fn matrix(bench: &mut Bench) -> Result<()> {
    for kind in Kind::ALL {
        let subject = ready(bench, kind).await?;
        bench.say(&format!("the matrix: {}", kind.name()));
        for size in Size::ALL {
            for outlook in [Outlook::Injects, Outlook::Nothing] {
                for connections in MATRIX_CONNECTIONS {
                    let calls = bench.scale.calls(kind) / 4;
                    let Run { outcome, cpu_micros } =
                        run(bench, &subject, size, outlook, connections, calls.max(connections))
                            .await?;
                    let per_second = outcome.per_second;
                    let cell = Cell { kind, size, outlook, connections, cpu_micros, per_second };
                    bench.cells.push(cell);
                }
            }
        }
    }
    Ok(())
}

/// A subject that knows the accounts, and answers as it should.
async fn ready(bench: &Bench, kind: Kind) -> Result<Subject> {
    let subject = bench.programs.start(kind, &bench.plane, &[]).await?;
    if kind != Kind::Noop {
        subject.injects(&review(WITH_ROLE, Size::Usual)).await?;
        let nothing = subject.ask(&review(WITHOUT_ROLE, Size::Usual)).await?;
        ensure!(nothing["allowed"] == true, "{} answers {nothing}", kind.name());
    }
    // Whatever is made at the first calls is made now.
    run(bench, &subject, Size::Usual, Outlook::Injects, CONNECTIONS, bench.scale.warm_up).await?;
    Ok(subject)
}

async fn run(
    bench: &Bench,
    subject: &Subject,
    size: Size,
    outlook: Outlook,
    connections: usize,
    calls: usize,
) -> Result<Run> {
    let body = bench.body(account(outlook), size)?;
    let load = load(subject, &body, connections, calls, Pace::Closed);
    let before = cpu_nanos(subject.pid())?;
    let outcome = bench.oha.run(&load).await?;
    let spent = cpu_nanos(subject.pid())?.saturating_sub(before);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let cpu_micros = spent as f64 / 1e3 / calls as f64;
    Ok(Run { outcome, cpu_micros })
}

async fn latency(bench: &Bench, subject: &Subject) -> Result<Outcome> {
    let body = bench.body(WITH_ROLE, Size::Usual)?;
    let (calls, rate) = (bench.scale.open_calls, bench.scale.open_rate);
    let load = load(subject, &body, CONNECTIONS, calls, Pace::Open(rate));
    bench.oha.run(&load).await
}

/// So many calls, closed loop, whatever they cost.
pub(crate) async fn serve(bench: &Bench, subject: &Subject, calls: usize) -> Result<()> {
    let body = bench.body(WITH_ROLE, Size::Usual)?;
    bench.oha.run(&load(subject, &body, CONNECTIONS, calls, Pace::Closed)).await.map(drop)
}

fn load<'a>(
    subject: &Subject,
    body: &'a Path,
    connections: usize,
    calls: usize,
    pace: Pace,
) -> Load<'a> {
    Load {
        url: format!("{}/mutate?timeout=10s", subject.url()),
        body,
        headers: Vec::new(),
        connections,
        calls,
        pace,
        status: 200,
    }
}

fn account(outlook: Outlook) -> &'static str {
    match outlook {
        Outlook::Injects => WITH_ROLE,
        Outlook::Nothing => WITHOUT_ROLE,
    }
}
