//! `make bench-count`: holds the instructions that callgrind counted against those of before.
//!
//! Takes gungraun's summaries on standard input, one JSON object a line, and the file with the
//! counts of before: a line each, a name and a number. A count that grew by over 5 % ends it with
//! 1; `--update` writes the file anew instead.

use std::{collections::BTreeMap, fmt::Write as _, fs, io, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// By how much a count may grow, in percent: compilers differ by less.
const MOST: f64 = 5.0;

const USAGE: &str = "usage: held --counts=FILE [--update] <SUMMARIES";

fn main() -> Result<ExitCode> {
    let mut file = None;
    let mut is_update = false;
    for arg in std::env::args().skip(1) {
        match arg.strip_prefix("--counts=") {
            Some(path) => file = Some(PathBuf::from(path)),
            None if arg == "--update" => is_update = true,
            None => bail!("unknown argument {arg}; {USAGE}"),
        }
    }
    let file = file.context(USAGE)?;
    let counted = counted(&io::read_to_string(io::stdin())?)?;
    if is_update {
        let mut lines = String::new();
        for (name, count) in &counted {
            writeln!(lines, "{name} {count}")?;
        }
        fs::write(&file, lines)?;
        println!("{} counts are in {}", counted.len(), file.display());
        return Ok(ExitCode::SUCCESS);
    }
    let stored = fs::read_to_string(&file)
        .with_context(|| format!("{}: run `make bench-count UPDATE=1`", file.display()))?;
    let stored = parsed(&stored)?;
    let mut grown = 0_usize;
    println!("{:<32} {:>12} {:>12} {:>8}", "instructions", "before", "now", "change");
    if let Some(name) = stored.keys().find(|name| !counted.contains_key(*name)) {
        bail!("{name} was not counted: take it out of {}, or count it", file.display());
    }
    for (name, now) in &counted {
        let Some(before) = stored.get(name) else {
            bail!("{name} has no count in {}: run `make bench-count UPDATE=1`", file.display());
        };
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let change = (*now as f64 / (*before).max(1) as f64 - 1.0) * 100.0;
        let mark = if change > MOST { "  over 5 %" } else { "" };
        grown += usize::from(change > MOST);
        println!("{name:<32} {before:>12} {now:>12} {change:>+7.1}%{mark}");
    }
    if grown > 0 {
        eprintln!("{grown} of {} counts grew by over 5 %", counted.len());
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// The instructions of each benchmark, by function and case.
fn counted(summaries: &str) -> Result<BTreeMap<String, u64>> {
    let mut counted = BTreeMap::new();
    for line in summaries.lines().filter(|line| line.starts_with('{')) {
        let summary: Value = serde_json::from_str(line)?;
        let member = |name: &str| summary.get(name).and_then(Value::as_str);
        let name = member("function_name").context("a summary without a name")?;
        let name = member("id").map_or_else(|| name.to_owned(), |id| format!("{name}_{id}"));
        let count = instructions(&summary).with_context(|| format!("{name} has no count"))?;
        anyhow::ensure!(
            count > 0,
            "{name} counted nothing: callgrind knows functions by their symbols"
        );
        counted.insert(name, count);
    }
    anyhow::ensure!(!counted.is_empty(), "no summaries came: {USAGE}");
    Ok(counted)
}

/// The number behind the first `Ir`, wherever this version of the schema has it.
fn instructions(value: &Value) -> Option<u64> {
    match value {
        Value::Object(members) => match members.get("Ir") {
            Some(metric) => first_number(metric),
            None => members.values().find_map(instructions),
        },
        Value::Array(items) => items.iter().find_map(instructions),
        _ => None,
    }
}

fn first_number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::Object(members) => members.values().find_map(first_number),
        Value::Array(items) => items.iter().find_map(first_number),
        _ => None,
    }
}

fn parsed(stored: &str) -> Result<BTreeMap<String, u64>> {
    stored
        .lines()
        .map(|line| {
            let (name, count) =
                line.split_once(' ').with_context(|| format!("not a count: {line}"))?;
            Ok((name.to_owned(), count.parse().with_context(|| format!("not a count: {line}"))?))
        })
        .collect()
}
