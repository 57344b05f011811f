//! The difference of two texts, as `diff -u` writes it and `patch` reads it.

use std::fmt::{self, Write};

use imara_diff::{
    Algorithm, Diff, InternedInput, Interner, Token, UnifiedDiffConfig, UnifiedDiffPrinter,
};

/// What stands behind a last line that has no end.
const NO_END: &str = "\\ No newline at end of file";

/// What turns `before` into `after`, both of which are called `name`; empty if they are equal.
pub(super) fn unified(name: &str, before: &str, after: &str) -> String {
    let input = InternedInput::new(before, after);
    let mut diff = Diff::compute(Algorithm::Myers, &input);
    if diff.count_additions() == 0 && diff.count_removals() == 0 {
        return String::new();
    }
    diff.postprocess_lines(&input);
    let lines = Lines(&input.interner);
    let hunks = diff.unified_diff(&lines, UnifiedDiffConfig::default(), &input);
    format!("--- {name}\n+++ {name}\n{hunks}")
}

struct Lines<'a>(&'a Interner<&'a str>);

// === impl Lines ===

impl Lines<'_> {
    fn line(&self, f: &mut impl Write, mark: char, token: Token) -> fmt::Result {
        let line = self.0[token];
        write!(f, "{mark}{line}")?;
        if line.ends_with('\n') { Ok(()) } else { writeln!(f, "\n{NO_END}") }
    }
}

impl UnifiedDiffPrinter for Lines<'_> {
    fn display_header(
        &self,
        mut f: impl Write,
        start_before: u32,
        start_after: u32,
        len_before: u32,
        len_after: u32,
    ) -> fmt::Result {
        let (before, after) = (range(start_before, len_before), range(start_after, len_after));
        writeln!(f, "@@ -{before} +{after} @@")
    }

    fn display_context_token(&self, mut f: impl Write, token: Token) -> fmt::Result {
        self.line(&mut f, ' ', token)
    }

    fn display_hunk(&self, mut f: impl Write, before: &[Token], after: &[Token]) -> fmt::Result {
        for token in before {
            self.line(&mut f, '-', *token)?;
        }
        for token in after {
            self.line(&mut f, '+', *token)?;
        }
        Ok(())
    }
}

/// Lines from `start`, which counts from 0, as a header names them: one alone by its number, none by
/// the one before.
fn range(start: u32, len: u32) -> String {
    match len {
        0 => format!("{start},0"),
        1 => format!("{}", start + 1),
        _ => format!("{},{len}", start + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_equal_has_no_difference() {
        assert_eq!(unified("a", "x\n", "x\n"), "");
    }

    #[test]
    fn a_last_line_without_an_end_is_told_from_one_with() {
        assert_eq!(
            unified("pod.yaml", "a\nb", "a\nc\n"),
            "--- pod.yaml\n+++ pod.yaml\n@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+c\n"
        );
    }

    #[test]
    fn one_line_and_none_are_numbered_as_diff_does() {
        assert_eq!(unified("f", "a\n", "b\n"), "--- f\n+++ f\n@@ -1 +1 @@\n-a\n+b\n");
        assert_eq!(unified("f", "", "b\nc\n"), "--- f\n+++ f\n@@ -0,0 +1,2 @@\n+b\n+c\n");
    }

    #[test]
    fn what_is_far_apart_is_two_hunks() {
        let lines = |first: &str, last: &str| format!("{first}\n{}{last}\n", "x\n".repeat(9));
        assert_eq!(
            unified("f", &lines("a", "b"), &lines("A", "B")),
            "--- f\n+++ f\n@@ -1,4 +1,4 @@\n-a\n+A\n x\n x\n x\n@@ -8,4 +8,4 @@\n x\n x\n x\n-b\n+B\n"
        );
    }
}
