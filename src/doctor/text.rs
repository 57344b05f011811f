//! The report as people see it: a line a finding, a line a remedy, and short where all is good.
//!
//! The marks are of Unicode only where the reader's locale is. They have colours, which whoever
//! writes the text leaves out where nobody would see them. Neither changes a word.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Reset};

use super::line::{Line, Mark};
use super::report::{Judged, Report};

/// How many lines of one mark a check shows at most; JSON has all.
const SHOWN: usize = 10;

/// The fewest columns that a sentence is broken to, whatever the terminal.
const NARROW: usize = 30;

/// How a report looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Style {
    /// The marks.
    pub marks: Marks,
    /// How many columns there are; lines are as long as they are where nobody says.
    pub width: Option<usize>,
}

/// The characters of the marks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Marks {
    /// ✓ ✗ ! –
    Unicode,
    /// + x ! -
    Ascii,
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
        for (why, ids) in self.without_matter() {
            style.write(&mut text, Mark::Nothing, "nothing to judge", 0, &format!("{ids} ({why})"));
        }
        for (cause, ids) in self.consequences() {
            let name = format!("follows from {cause}");
            style.write(&mut text, Mark::Nothing, &name, 0, &ids.join(", "));
        }
        // Writing to a String does not fail.
        let _infallible = writeln!(text, "\n{}", self.summary());
        text
    }

    /// Reasons for which there was nothing to judge, each with the checks.
    fn without_matter(&self) -> Vec<(&str, String)> {
        let mut all: Vec<(&str, String)> = Vec::new();
        for judged in self.checks.iter().filter(|judged| judged.status == Mark::Nothing) {
            for line in &judged.lines {
                match all.iter_mut().find(|(known, _)| *known == line.text) {
                    Some((_, ids)) => *ids = format!("{ids}, {}", judged.id),
                    None => all.push((&line.text, judged.id.to_owned())),
                }
            }
        }
        all
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
        format!("{} checks: {}", checks.len(), parts.join(", "))
    }
}

// === impl Judged ===

impl Judged {
    fn write(&self, text: &mut String, width: usize, style: Style) {
        let Self { id, lines, status, .. } = self;
        // Where something is wrong, what is good beside it is not told.
        let is_told = |line: &&Line| match line.mark {
            Mark::Passed => *status <= Mark::NotLookedAt,
            Mark::Nothing => false,
            Mark::NotLookedAt | Mark::Note | Mark::Finding => true,
        };
        let told: Vec<_> = lines.iter().filter(is_told).collect();
        for line in told.iter().take(SHOWN) {
            let what = match line.mark {
                Mark::NotLookedAt => format!("not looked at: {}", line.text),
                Mark::Passed | Mark::Nothing | Mark::Note | Mark::Finding => line.text.clone(),
            };
            style.write(text, line.mark, id, width, &what);
            if let Some(remedy) = &line.remedy {
                let indent = format!("  {:width$}  {} ", "", style.arrow());
                style.wrap(text, &indent, indent.chars().count(), remedy);
            }
        }
        if let Some(more) = told.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            let indent = format!("  {:width$}  ", "");
            let what = format!("and {more} more: --output json has all");
            style.wrap(text, &indent, indent.len(), &what);
        }
    }
}

// === impl Style ===

impl Style {
    /// A line: mark, name, and what there is to say.
    fn write(self, text: &mut String, mark: Mark, name: &str, width: usize, what: &str) {
        let first = format!("{} {name:width$}  ", self.mark(mark));
        self.wrap(text, &first, 2 + name.chars().count().max(width) + 2, what);
    }

    /// `what` behind `first`, which takes `indent` columns, with further lines below it.
    fn wrap(self, text: &mut String, first: &str, indent: usize, what: &str) {
        let room = self.width.map_or(usize::MAX, |width| width.saturating_sub(indent).max(NARROW));
        text.push_str(first);
        let mut column = 0;
        for word in what.split(' ') {
            let length = word.chars().count();
            if column > 0 && column + 1 + length > room {
                text.push('\n');
                text.extend(std::iter::repeat_n(' ', indent));
                column = 0;
            }
            if column > 0 {
                text.push(' ');
                column += 1;
            }
            text.push_str(word);
            column += length;
        }
        text.push('\n');
    }

    fn mark(self, mark: Mark) -> String {
        let Self { marks, width: _ } = self;
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
        format!("{}{character}{Reset}", colour.on_default())
    }

    const fn arrow(self) -> &'static str {
        match self.marks {
            Marks::Unicode => "→",
            Marks::Ascii => "->",
        }
    }
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;

    use super::*;

    fn report() -> Report {
        let judged = |id, status, lines| Judged { id, asks: "", status, explained_by: None, lines };
        let probe = Judged {
            explained_by: Some("selectors"),
            ..judged("probe", Mark::Finding, vec![Line::finding("bare", "look")])
        };
        let many =
            (0..12).map(|n| Line::finding(format!("namespace n{n} is excluded"), "label it"));
        Report {
            checks: vec![
                judged("timeout", Mark::Passed, vec![Line::passed("10 s")]),
                judged("selectors", Mark::Finding, many.collect()),
                judged("flags", Mark::NotLookedAt, vec![Line::not_looked_at("cannot list pods")]),
                judged("overlap", Mark::Nothing, vec![Line::nothing("nothing is called")]),
                judged("service", Mark::Nothing, vec![Line::nothing("nothing is called")]),
                probe,
            ],
            findings: 12,
            notes: 0,
            not_looked_at: 1,
        }
    }

    fn text(marks: Marks, width: Option<usize>) -> String {
        strip_str(&report().text(Style { marks, width })).to_string()
    }

    #[test]
    fn a_long_list_is_cut_and_what_follows_is_named() {
        let text = text(Marks::Unicode, None);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "✓ timeout    10 s");
        assert_eq!(lines[1], "✗ selectors  namespace n0 is excluded");
        assert_eq!(lines[2], "             → label it");
        assert_eq!(
            lines[20..],
            [
                "             → label it",
                "             and 2 more: --output json has all",
                "– flags      not looked at: cannot list pods",
                "– nothing to judge  overlap, service (nothing is called)",
                "– follows from selectors  probe",
                "",
                "6 checks: 12 findings, 1 not looked at",
            ]
        );
    }

    #[test]
    fn a_locale_without_unicode_gets_ascii() {
        let text = text(Marks::Ascii, None);
        assert!(text.is_ascii(), "{text}");
        assert!(text.contains("x selectors  namespace n0 is excluded\n             -> label it\n"));
    }

    #[test]
    fn a_terminal_gets_lines_that_fit() {
        let text = text(Marks::Unicode, Some(34));
        assert!(text.lines().all(|line| line.chars().count() <= 50), "{text}");
        assert!(text.contains("\n– nothing to judge  overlap, service (nothing is\n"), "{text}");
    }

    #[test]
    fn marks_have_colours_and_words_have_none() {
        let style = Style { marks: Marks::Ascii, width: None };
        assert!(report().text(style).starts_with("\u{1b}[32m+\u{1b}[0m timeout    10 s\n"));
    }
}
