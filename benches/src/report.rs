//! What was measured, as text: the table of goals, the matrix, the creations, and the machine.

use std::fmt::Write as _;

use crate::{
    Bench, Scale,
    direct::Outlook,
    figures::{Bound, Figures, What},
    subject::Kind,
};

/// The whole page, in Markdown.
pub(crate) fn page(bench: &Bench) -> String {
    let Bench { figures, scale, cells, creations, .. } = bench;
    let mut text = String::from(
        "# What it costs\n\nMade by `make bench`: ours, the Go webhook (v0.6.17) and a server that reads \
         each body and answers a constant, measured in turn, in one run, each server on one core and \
         the load generator (oha) on the other. Medians; a ratio is ours by the other. Absolute \
         figures are this machine's on this day.\n\n",
    );
    let _ = writeln!(text, "{}\n", machine(scale));
    text.push_str(&goals(figures));
    text.push_str("\n## Pod creations through the API server (dry run, one after the other)\n\n");
    text.push_str("| who is called | p50 | p99 | a second |\n|---|---:|---:|---:|\n");
    for creation in creations {
        let _ = writeln!(
            text,
            "| {} | {:.0} µs | {:.0} µs | {:.0} |",
            creation.who, creation.p50, creation.p99, creation.per_second
        );
    }
    text.push_str("\n## Every size, with and without an identity, by connections (once)\n\n");
    text.push_str("| Pod | identity | connections |");
    for kind in Kind::ALL {
        let _ = write!(text, " {} CPU per call | {} a second |", kind.name(), kind.name());
    }
    text.push_str("\n|---|---|---:|---:|---:|---:|---:|---:|---:|\n");
    let ours = cells.iter().filter(|cell| cell.kind == Kind::Ours);
    for cell in ours {
        let identity = match cell.outlook {
            Outlook::Injects => "yes",
            Outlook::Nothing => "no",
        };
        let _ = write!(text, "| {} | {identity} | {} |", cell.size.name(), cell.connections);
        for kind in Kind::ALL {
            let same = cells.iter().find(|other| {
                other.kind == kind
                    && other.size == cell.size
                    && other.outlook == cell.outlook
                    && other.connections == cell.connections
            });
            match same {
                Some(cell) => {
                    let _ = write!(text, " {:.1} µs | {:.0} |", cell.cpu_micros, cell.per_second);
                }
                None => text.push_str(" | |"),
            }
        }
        text.push('\n');
    }
    text
}

/// The table of rows that have figures.
pub(crate) fn goals(figures: &Figures) -> String {
    let mut text = String::from(
        "| | ours | Go webhook | no-op¹ | by the Go webhook's | goal | by the no-op's | goal |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for what in What::ALL {
        let Some(ours) = figures.median(what, Kind::Ours) else { continue };
        let (title, unit) = what.title();
        let value = |value: Option<f64>| match value {
            Some(value) => format!("{} {unit}", number(value)),
            None => String::new(),
        };
        let goals = what.goals();
        let is_ratio = what != What::Growth;
        let ratio = |other: Kind| {
            let ratio = figures.ratio(what, other).filter(|_| is_ratio);
            ratio.map_or(String::new(), |ratio| format!("{ratio:.3}"))
        };
        let goal = |bound: Option<Bound>, other: Kind| match (bound, figures.ratio(what, other)) {
            (Some(bound), Some(ratio)) => {
                let mark = if bound.holds(ratio) { "met" } else { "**missed**" };
                match bound {
                    Bound::AtMost(most) => format!("≤ {most:.3} {mark}"),
                    Bound::AtLeast(least) => format!("≥ {least:.3} {mark}"),
                }
            }
            _ => String::new(),
        };
        let _ = writeln!(
            text,
            "| {title} | {} | {} | {} | {} | {} | {} | {} |",
            value(Some(ours)),
            value(figures.median(what, Kind::Theirs)),
            value(figures.median(what, Kind::Noop)),
            ratio(Kind::Theirs),
            goal(goals.theirs, Kind::Theirs),
            ratio(Kind::Noop),
            goal(goals.noop, Kind::Noop),
        );
    }
    text.push_str(
        "\n¹ Of what is added to a creation: a server that answers one constant patch of the same \
         edits, which no webhook can beat.\n\n",
    );
    text.push_str(&large(figures));
    text.push_str(&spreads(figures));
    text
}

/// Whether a large Pod costs more than its bytes.
fn large(figures: &Figures) -> String {
    let kb = |what| figures.median(what, Kind::Ours);
    match (kb(What::CpuOfUsualKb), kb(What::CpuOfLargeKb)) {
        (Some(usual), Some(large)) => {
            let mark = if large <= usual { "met" } else { "**missed**" };
            format!(
                "A Pod of 100 KB costs {:.2} of what one of 5 KB costs per KB (goal: at most 1, {mark}).\n\n",
                large / usual
            )
        }
        _ => String::new(),
    }
}

/// The least and the most of the rounds, for the rows that have goals.
fn spreads(figures: &Figures) -> String {
    let mut text = String::from("Rounds, least to most:\n\n");
    for what in What::ALL {
        let (title, unit) = what.title();
        let shown: Vec<_> = Kind::ALL
            .into_iter()
            .filter_map(|kind| Some((kind, figures.spread(what, kind)?)))
            .filter(|(_, (rounds, ..))| *rounds > 1)
            .map(|(kind, (rounds, least, most))| {
                format!("{} {}–{} ({rounds})", kind.name(), number(least), number(most))
            })
            .collect();
        if !shown.is_empty() {
            let _ = writeln!(text, "- {title}, {unit}: {}", shown.join(", "));
        }
    }
    text
}

/// Three significant digits or so.
fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 100.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// What ran it.
fn machine(scale: &Scale) -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("a processor", |rest| rest.trim_start_matches([':', ' ', '\t']));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!(
        "{model}, {cores} cores, Linux {}; {} rounds, {} calls of ours a row and round.",
        kernel.trim(),
        scale.rounds,
        scale.calls(Kind::Ours)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_that_is_missed_says_so_and_one_that_is_met_too() {
        let mut figures = Figures::default();
        for (kind, value) in [(Kind::Ours, 20.0), (Kind::Theirs, 160.0), (Kind::Noop, 10.0)] {
            figures.add(What::CpuInjecting, kind, value);
        }
        let text = goals(&figures);
        assert!(text.contains("| 0.125 | ≤ 0.100 **missed** | 2.000 | ≤ 3.000 met |"), "{text}");
    }
}
