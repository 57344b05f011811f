//! Memory and the time to ready, at so many ServiceAccounts, through a relist, and over time.

use anyhow::{Context, Result, ensure};
use cluster::eventually;

use crate::{
    Bench,
    accounts::{TENTH, WITH_ROLE},
    direct,
    figures::What,
    process::Memory,
    review::{Size, review},
    subject::{Kind, Subject},
};

use std::time::Duration;

/// Those that hold accounts.
const HOLDERS: [Kind; 2] = [Kind::Ours, Kind::Theirs];

/// What is read of a start at one population.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows {
    pub(crate) ready: What,
    pub(crate) resident: Option<What>,
    pub(crate) peak: Option<What>,
}

/// Starts each at the present population, once a round.
pub(crate) async fn starts(bench: &mut Bench, rows: Rows) -> Result<()> {
    for _ in 0..bench.scale.rounds {
        for kind in HOLDERS {
            let subject = bench.programs.start(kind, &bench.plane, &[]).await?;
            let ready = subject.injects(&review(WITH_ROLE, Size::Usual)).await?;
            bench.figures.add(rows.ready, kind, ready.as_secs_f64() * 1e3);
            let memory = Memory::of(subject.pid())?;
            for (what, kib) in [(rows.resident, memory.resident), (rows.peak, memory.peak)] {
                if let Some(what) = what {
                    bench.figures.add(what, kind, megabytes(kib));
                }
            }
            if rows.ready == What::ReadyNone {
                direct::serve(bench, &subject, bench.scale.served).await?;
                let memory = Memory::of(subject.pid())?;
                bench.figures.add(What::ResidentServed, kind, megabytes(memory.resident));
            }
        }
    }
    Ok(())
}

/// The peak from the first list on and through a relist, all annotated, then one in ten.
pub(crate) async fn relists(bench: &mut Bench) -> Result<()> {
    for round in 0..bench.scale.relists {
        for kind in HOLDERS {
            for (args, peak, resident) in [
                (Vec::new(), What::PeakMany, Some(What::ResidentMany)),
                (vec![format!("--annotation-prefix={TENTH}")], What::PeakTenth, None),
            ] {
                let args: Vec<_> = args.iter().map(String::as_str).collect();
                bench.say(&format!("relist {}: {} {}", round + 1, kind.name(), args.join(" ")));
                let subject = bench.programs.start(kind, &bench.plane, &args).await?;
                subject.injects(&review(WITH_ROLE, Size::Usual)).await?;
                relist(bench, &subject).await?;
                let memory = Memory::of(subject.pid())?;
                bench.figures.add(peak, kind, megabytes(memory.peak));
                if let Some(resident) = resident {
                    bench.figures.add(resident, kind, megabytes(memory.resident));
                }
            }
        }
    }
    Ok(())
}

/// Has the subject list everything anew: while it is stopped things change and the API server
/// starts again, whose watch cache then begins behind what the subject has seen.
async fn relist(bench: &mut Bench, subject: &Subject) -> Result<()> {
    let name = format!("late-{}", bench.turn());
    signal(subject, "STOP").await?;
    bench.population.add(&name).await?;
    bench.plane.stop_apiserver().await?;
    bench.plane.start_apiserver().await?;
    signal(subject, "CONT").await?;
    subject.injects(&review(&name, Size::Usual)).await?;
    let lists = lists(bench).await?;
    ensure!(lists >= 1.0, "{} took its watch up again and did not list", subject.kind.name());
    Ok(())
}

/// How many lists of ServiceAccounts this API server has answered since it started.
async fn lists(bench: &Bench) -> Result<f64> {
    let client = bench.plane.client()?;
    eventually("the API server counts its requests", Duration::from_secs(30), || async {
        let request = http::Request::get("/metrics").body(Vec::new())?;
        let metrics = client.request_text(request).await?;
        let counts = metrics
            .lines()
            .filter(|line| line.starts_with("apiserver_request_total{"))
            .filter(|line| line.contains("resource=\"serviceaccounts\""))
            .filter(|line| line.contains("verb=\"LIST\"") || line.contains("verb=\"WATCHLIST\""))
            .filter_map(|line| line.rsplit_once(' '))
            .filter_map(|(_, count)| count.parse::<f64>().ok());
        Ok(counts.sum())
    })
    .await
}

/// Memory after many calls and changes, against that after the first.
pub(crate) async fn growth(bench: &mut Bench) -> Result<()> {
    bench.say("many calls and changes");
    let kind = Kind::Ours;
    let subject = bench.programs.start(kind, &bench.plane, &[]).await?;
    subject.injects(&review(WITH_ROLE, Size::Usual)).await?;
    let calls = bench.scale.many_calls;
    direct::serve(bench, &subject, calls / 5).await?;
    let turn = bench.turn();
    bench.population.change(turn).await?;
    let before = Memory::of(subject.pid())?.resident;
    direct::serve(bench, &subject, calls - calls / 5).await?;
    let turn = bench.turn();
    bench.population.change(turn).await?;
    let after = Memory::of(subject.pid())?.resident;
    bench.figures.add(What::Growth, kind, megabytes(after) - megabytes(before));
    Ok(())
}

async fn signal(subject: &Subject, signal: &str) -> Result<()> {
    let pid = subject.pid().to_string();
    let sent = tokio::process::Command::new("kill").args(["-s", signal, &pid]).status().await?;
    ensure!(sent.success(), "cannot send {signal} to {}", subject.kind.name());
    Ok(())
}

fn megabytes(kib: u64) -> f64 {
    u32::try_from(kib).map(f64::from).context("over 4 TB").unwrap_or(f64::MAX) * 1024.0 / 1e6
}
