//! Lines for a person: a column of labels, text that is wrapped beside it, colours if they are
//! wanted. Nothing here knows what is said.
//!
//! What is written may come from documents and annotations, and a terminal obeys: control characters
//! are escaped before anything else is done. No word is ever broken, so that what is copied is whole.

use std::fmt::Write as _;

use crate::sentence::escaped;
use anstyle::{AnsiColor, Style};
use textwrap::{Options, WordSeparator, WordSplitter};

/// The width of the column of labels.
const LABEL: usize = 12;

/// How a text is laid out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Page {
    /// The columns of the terminal.
    pub width: usize,
    /// Whether there are colours.
    pub colour: Colour,
    /// The characters of the marks.
    pub marks: Marks,
}

/// The characters of the marks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Marks {
    /// ✓ ✗ ! - >
    Unicode,
    /// + x ! - >
    Ascii,
}

/// Whether there are colours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Colour {
    /// There are.
    Ansi,
    /// There are none.
    None,
}

/// What stands before a text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Mark {
    Good,
    Bad,
    Hint,
    Neutral,
    Chosen,
    None,
}

/// A text that grows.
pub(super) struct Sheet {
    page: Page,
    text: String,
}

// === impl Mark ===

impl Mark {
    const fn sign(self, marks: Marks) -> &'static str {
        match (self, marks) {
            (Self::Good, Marks::Unicode) => "✓ ",
            (Self::Good, Marks::Ascii) => "+ ",
            (Self::Bad, Marks::Unicode) => "✗ ",
            (Self::Bad, Marks::Ascii) => "x ",
            (Self::Hint, _) => "! ",
            (Self::Neutral, _) => "- ",
            (Self::Chosen, _) => "> ",
            (Self::None, _) => "",
        }
    }

    const fn style(self) -> Style {
        let colour = match self {
            Self::Good => AnsiColor::Green,
            Self::Bad => AnsiColor::Red,
            Self::Hint => AnsiColor::Yellow,
            Self::Chosen => AnsiColor::Cyan,
            Self::Neutral | Self::None => return Style::new(),
        };
        colour.on_default().bold()
    }
}

// === impl Sheet ===

impl Sheet {
    pub(super) fn new(page: Page) -> Self {
        Self { page, text: String::new() }
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    pub(super) fn blank(&mut self) {
        self.text.push('\n');
    }

    /// A line over the whole width, all of it in the colour of its mark.
    pub(super) fn headline(&mut self, mark: Mark, text: &str) {
        let text = escaped(text);
        for (at, line) in self.wrapped(&text, 2).into_iter().enumerate() {
            let sign = if at == 0 { mark.sign(self.page.marks) } else { "  " };
            self.styled(mark.style(), &format!("{sign}{line}"));
            self.blank();
        }
    }

    /// A text beside a label; an empty label belongs to the one above.
    pub(super) fn row(&mut self, label: &str, mark: Mark, text: &str) {
        self.cell(label, mark, "", text);
    }

    /// A text beside a label and a name, wrapped behind the name.
    pub(super) fn cell(&mut self, label: &str, mark: Mark, name: &str, text: &str) {
        let name = escaped(name);
        let indent = LABEL + mark.sign(self.page.marks).chars().count() + name.chars().count();
        self.styled(Style::new().bold(), label);
        self.pad(LABEL.saturating_sub(label.chars().count()));
        self.styled(mark.style(), mark.sign(self.page.marks));
        self.text.push_str(&name);
        self.hang(indent, text);
    }

    /// A text below one beside a name of `columns`.
    pub(super) fn below(&mut self, columns: usize, mark: Mark, text: &str) {
        let sign = mark.sign(self.page.marks);
        // Every name has a mark in front.
        let indent = LABEL + 2 + columns;
        self.pad(indent);
        self.styled(mark.style(), sign);
        self.hang(indent + sign.chars().count(), text);
    }

    /// The rest of a line that has `indent` columns by now, and the lines below.
    fn hang(&mut self, indent: usize, text: &str) {
        for (at, line) in self.wrapped(&escaped(text), indent).iter().enumerate() {
            if at > 0 {
                self.pad(indent);
            }
            self.text.push_str(line);
            self.trim();
            self.blank();
        }
    }

    /// Lines that are never wrapped, since they are to be copied.
    pub(super) fn verbatim(&mut self, text: &str) {
        for line in text.lines() {
            self.pad(LABEL);
            self.text.push_str(&escaped(line));
            self.blank();
        }
    }

    fn wrapped(&self, text: &str, indent: usize) -> Vec<String> {
        let width = self.page.width.saturating_sub(indent).max(1);
        let options = Options::new(width)
            .break_words(false)
            .word_separator(WordSeparator::AsciiSpace)
            .word_splitter(WordSplitter::NoHyphenation);
        textwrap::wrap(text, options).into_iter().map(std::borrow::Cow::into_owned).collect()
    }

    fn pad(&mut self, columns: usize) {
        self.text.extend(std::iter::repeat_n(' ', columns));
    }

    fn trim(&mut self) {
        let end = self.text.trim_end_matches(' ').len();
        self.text.truncate(end);
    }

    fn styled(&mut self, style: Style, text: &str) {
        match self.page.colour {
            Colour::Ansi if !text.is_empty() && style != Style::new() => {
                // Writing to a string does not fail.
                let _ = write!(self.text, "{style}{text}{style:#}");
            }
            Colour::Ansi | Colour::None => self.text.push_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet(width: usize, colour: Colour) -> Sheet {
        Sheet::new(Page { width, colour, marks: Marks::Unicode })
    }

    #[test]
    fn text_is_wrapped_beside_its_label_and_no_word_is_broken() {
        let mut sheet = sheet(30, Colour::None);
        sheet.row("label", Mark::Good, "a well-known arn:aws:iam::111122223333:role/web and more");
        assert_eq!(
            sheet.finish(),
            "label       ✓ a well-known
              arn:aws:iam::111122223333:role/web
              and more
"
        );
    }

    #[test]
    fn a_terminal_is_given_no_orders() {
        for colour in [Colour::None, Colour::Ansi] {
            let mut sheet = sheet(80, colour);
            sheet.headline(Mark::None, "a\u{1b}[2Jb\nc");
            sheet.cell("", Mark::None, "n\u{7}", "t\u{9b}");
            sheet.verbatim("v\u{1b}c");
            let text = sheet.finish();
            assert!(!text.contains("\u{1b}[2J") && !text.contains('\u{7}'), "{text:?}");
            assert!(!text.contains("\u{1b}c") && !text.contains('\u{9b}'), "{text:?}");
        }
    }

    #[test]
    fn marks_are_of_ascii_where_nothing_else_can_be_read() {
        let mut sheet = Sheet::new(Page { width: 80, colour: Colour::None, marks: Marks::Ascii });
        for mark in [Mark::Good, Mark::Bad, Mark::Hint, Mark::Neutral, Mark::Chosen, Mark::None] {
            sheet.row("", mark, "a");
        }
        assert!(sheet.finish().is_ascii());
    }

    #[test]
    fn colours_are_there_only_if_they_are_wanted() {
        let text = |colour| {
            let mut sheet = sheet(80, colour);
            sheet.headline(Mark::Bad, "a");
            sheet.row("label", Mark::Good, "b");
            sheet.finish()
        };
        assert!(text(Colour::Ansi).contains("\u{1b}[1m\u{1b}[31m✗ a\u{1b}[0m"));
        assert_eq!(text(Colour::None), "✗ a\nlabel       ✓ b\n");
    }
}
