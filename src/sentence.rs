//! What others say, as our sentences repeat it: on one line, and not without end.
//!
//! Names come from users and causes from libraries and the network; a terminal obeys control
//! characters, and a log keeps what it gets. Nothing here decides whether a text may be told at all.

use std::borrow::Cow;
use std::error::Error;

/// The most characters of a cause.
const MAX_CAUSE: usize = 300;

/// `text` with its control characters escaped.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if c.is_control() {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// What is at the bottom of an error: the cause that has none itself, its first 300 characters.
/// Clients wrap what the system said in what they were doing, which our sentence says already.
pub fn root_cause(error: &(dyn Error + 'static)) -> Box<str> {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string().chars().take(MAX_CAUSE).collect()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] io::Error);

    #[test]
    fn control_characters_are_escaped_and_nothing_else_is_touched() {
        assert!(matches!(escaped("é /"), Cow::Borrowed("é /")));
        assert_eq!(escaped("a\nb\u{1b}[0m"), "a\\nb\\u{1b}[0m");
    }

    #[test]
    fn the_bottom_of_an_error_is_told_and_not_without_end() {
        let error = Outer(io::Error::other("x".repeat(1_000)));
        assert_eq!(&*root_cause(&error), "x".repeat(MAX_CAUSE));
    }
}
