//! Text in which `*` stands for any characters or none: a side of a mapping's key, a namespace or a
//! role of the role policy.
//!
//! Nothing else is special. However a pattern is made, a comparison takes time that grows with the
//! length of the text only.

/// Text in which `*` stands for any characters or none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Glob(Box<str>);

// === impl Glob ===

impl Glob {
    /// Every text is one.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How many characters stand for themselves.
    pub fn literals(&self) -> usize {
        self.0.chars().filter(|c| *c != '*').count()
    }

    /// Whether `text` fits.
    pub fn fits(&self, text: &str) -> bool {
        fits(&self.0, text)
    }
}

/// Whether `text` fits `glob`. What stands between two stars is taken where it is found first, which
/// is never wrong and never goes back.
pub fn fits(glob: &str, text: &str) -> bool {
    let Some((head, rest)) = glob.split_once('*') else {
        return glob == text;
    };
    let Some(mut text) = text.strip_prefix(head) else {
        return false;
    };
    let (middle, tail) = match rest.rsplit_once('*') {
        Some((middle, tail)) => (Some(middle), tail),
        None => (None, rest),
    };
    for part in middle.into_iter().flat_map(|middle| middle.split('*')) {
        match text.find(part).and_then(|at| text.get(at + part.len()..)) {
            Some(behind) => text = behind,
            None => return false,
        }
    }
    text.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_stands_for_any_characters_and_nothing_else_does() {
        for (pattern, text) in [
            ("*", ""),
            ("*", "abc"),
            ("a*", "a"),
            ("*a", "a"),
            ("a*a", "aa"),
            ("a*b*c", "abbcbc"),
            ("*ab*", "xxabxx"),
            ("**", "a"),
            ("a*b*", "aab"),
            ("?*", "?x"),
            ("[a]*", "[a]"),
        ] {
            assert!(Glob::new(pattern).fits(text), "{pattern} fits {text}");
        }
        for (pattern, text) in [
            ("a*a", "a"),
            ("a*", "ba"),
            ("a*b*c", "acb"),
            ("*ab*ab", "xab"),
            ("?*", "ax"),
            ("[ab]*", "a"),
            ("ab", "abc"),
        ] {
            assert!(!Glob::new(pattern).fits(text), "{pattern} fits no {text}");
        }
    }

    #[test]
    fn a_hostile_pattern_takes_linear_time() {
        let pattern = Glob::new(&"*a".repeat(50_000));
        assert!(!pattern.fits(&format!("{}b", "a".repeat(100_000))));
        assert!(pattern.fits(&"a".repeat(100_000)));
    }

    /// The obvious matcher, exponential and right.
    fn obvious(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|at| obvious(rest, &text[at..])),
            Some((c, rest)) => text.first() == Some(c) && obvious(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn a_glob_fits_what_the_obvious_matcher_says(pattern in "[ab*]{0,7}", text in "[ab]{0,8}") {
            let glob = Glob::new(&pattern);
            prop_assert_eq!(glob.fits(&text), obvious(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
