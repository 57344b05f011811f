//! The report as people see it: a line a finding, a line a remedy, and short where all is good.
//!
//! The marks are of Unicode only where the reader's locale is; colours are for terminals. Neither
//! changes a word.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Reset};

use super::line::{Line, Mark};
use super::report::{Judged, Report};

/// How many lines of one mark a check shows at most; JSON has all.
const SHOWN: usize = 10;

/// How a report looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Style {
    /// The marks.
    pub marks: Marks,
    /// The colours.
    pub colours: Colours,
}

/// The characters of the marks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Marks {
    /// ✓ ✗ ! –
    Unicode,
    /// + x ! -
    Ascii,
}

/// Whether there are colours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Colours {
    /// There are.
    Some,
    /// There are none.
    None,
}

// === impl Report ===

impl Report {
    /// The report for people.
    pub fn text(&self, style: Style) -> String {
        let width = self.checks.iter().map(|judged| judged.id.len()).max().unwrap_or_default();
        let mut text = String::new();
        let told = self.checks.iter().filter(|judged| judged.explained_by.is_none());
        for judged in told {
            judged.write(&mut text, width, style);
        }
        // Writing to a String does not fail.
        for (cause, ids) in self.consequences() {
            let mark = style.mark(Mark::Nothing);
            let ids = ids.join(", ");
            let _infallible = writeln!(text, "{mark} what follows from {cause}: {ids}");
        }
        let _infallible = writeln!(text, "\n{}", self.summary());
        text
    }

    /// Causes, each with the checks that it explains.
    fn consequences(&self) -> Vec<(&'static str, Vec<&'static str>)> {
        let mut all: Vec<(&'static str, Vec<&'static str>)> = Vec::new();
        for judged in &self.checks {
            let Some(cause) = judged.explained_by else { continue };
            match all.iter_mut().find(|(known, _)| *known == cause) {
                Some((_, ids)) => ids.push(judged.id),
                None => all.push((cause, vec![judged.id])),
            }
        }
        all
    }

    fn summary(&self) -> String {
        let Self { checks, findings, notes, not_looked_at } = self;
        let mut parts = vec![match findings {
            0 => "nothing is wrong".to_owned(),
            1 => "1 finding".to_owned(),
            findings => format!("{findings} findings"),
        }];
        match notes {
            0 => {}
            1 => parts.push("1 note".to_owned()),
            notes => parts.push(format!("{notes} notes")),
        }
        if *not_looked_at > 0 {
            parts.push(format!("{not_looked_at} not looked at"));
        }
        format!("{}, of {} checks", parts.join(", "), checks.len())
    }
}

// === impl Judged ===

impl Judged {
    fn write(&self, text: &mut String, width: usize, style: Style) {
        let Self { id, lines, .. } = self;
        // Only what a person has to act on is told where something is.
        let worst = self.status;
        let is_told = |line: &&Line| {
            line.mark > Mark::NotLookedAt || line.mark >= worst.min(Mark::NotLookedAt)
        };
        let mut shown = [0_usize; 5];
        for line in lines.iter().filter(is_told) {
            let Some(count) = shown.get_mut(line.mark as usize) else { continue };
            *count += 1;
            if *count > SHOWN {
                continue;
            }
            let mark = style.mark(line.mark);
            let what = match line.mark {
                Mark::NotLookedAt => "not looked at: ",
                Mark::Passed | Mark::Nothing | Mark::Note | Mark::Finding => "",
            };
            let _infallible = writeln!(text, "{mark} {id:width$}  {what}{}", line.text);
            if let Some(remedy) = &line.remedy {
                let _infallible = writeln!(text, "  {:width$}  {} {remedy}", "", style.arrow());
            }
        }
        for count in shown.into_iter().filter(|count| *count > SHOWN) {
            let more = count - SHOWN;
            let _infallible =
                writeln!(text, "  {:width$}  and {more} more: --output json has all", "");
        }
    }
}

// === impl Style ===

impl Style {
    fn mark(self, mark: Mark) -> String {
        let Self { marks, colours } = self;
        let character = match (mark, marks) {
            (Mark::Passed, Marks::Unicode) => '✓',
            (Mark::Passed, Marks::Ascii) => '+',
            (Mark::Finding, Marks::Unicode) => '✗',
            (Mark::Finding, Marks::Ascii) => 'x',
            (Mark::Note, _) => '!',
            (Mark::NotLookedAt | Mark::Nothing, Marks::Unicode) => '–',
            (Mark::NotLookedAt | Mark::Nothing, Marks::Ascii) => '-',
        };
        let colour = match mark {
            Mark::Passed => AnsiColor::Green,
            Mark::Finding => AnsiColor::Red,
            Mark::Note | Mark::NotLookedAt => AnsiColor::Yellow,
            Mark::Nothing => return character.to_string(),
        };
        match colours {
            Colours::None => character.to_string(),
            Colours::Some => format!("{}{character}{Reset}", colour.on_default()),
        }
    }

    const fn arrow(self) -> &'static str {
        match self.marks {
            Marks::Unicode => "→",
            Marks::Ascii => "->",
        }
    }
}
