//! The metrics that a query names, with the labels that it asks for.
//!
//! Not a parser: promtool is. Words that are neither functions nor keywords nor in brackets are
//! metrics.

use std::iter::Peekable;
use std::str::Chars;

/// A metric as a query names it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Selector {
    pub(super) metric: String,
    /// The labels in its braces.
    pub(super) labels: Vec<String>,
}

/// Operators, and aggregations, which may have a list of labels before their brackets.
const OPERATORS: [&str; 10] =
    ["and", "or", "unless", "offset", "bool", "sum", "min", "max", "count", "avg"];

/// Keywords before a list of labels.
const LISTS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// The metrics of `query`, each time that it names one.
pub(super) fn selectors(query: &str) -> Vec<Selector> {
    let mut found = Vec::new();
    let mut chars = query.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' | '\'' | '`' => skip_text(&mut chars, c),
            '[' => skip_to(&mut chars, ']'),
            c if c.is_ascii_digit() => drop(word(&mut chars, c)),
            c if is_word(c) => {
                let word = word(&mut chars, c);
                skip_space(&mut chars);
                match chars.peek() {
                    Some('(') if LISTS.contains(&word.as_str()) => skip_to(&mut chars, ')'),
                    Some('(') => {}
                    Some('{') => {
                        chars.next();
                        found.push(Selector { metric: word, labels: labels(&mut chars) });
                    }
                    _ if OPERATORS.contains(&word.as_str()) => {}
                    _ => found.push(Selector { metric: word, labels: Vec::new() }),
                }
            }
            _ => {}
        }
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':' || c == '.'
}

fn word(chars: &mut Peekable<Chars<'_>>, first: char) -> String {
    let mut word = first.to_string();
    while let Some(c) = chars.next_if(|c| is_word(*c)) {
        word.push(c);
    }
    word
}

fn skip_space(chars: &mut Peekable<Chars<'_>>) {
    while chars.next_if(|c| c.is_whitespace()).is_some() {}
}

fn skip_to(chars: &mut Peekable<Chars<'_>>, end: char) {
    while chars.next().is_some_and(|c| c != end) {}
}

fn skip_text(chars: &mut Peekable<Chars<'_>>, quote: char) {
    while let Some(c) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            c if c == quote => return,
            _ => {}
        }
    }
}

fn labels(chars: &mut Peekable<Chars<'_>>) -> Vec<String> {
    let mut found = Vec::new();
    while let Some(c) = chars.next() {
        match c {
            '}' => break,
            '"' => skip_text(chars, c),
            c if is_word(c) => found.push(word(chars, c)),
            _ => {}
        }
    }
    found
}

#[test]
fn metrics_are_found_and_nothing_else_is() {
    let selector = |metric: &str, labels: &[&str]| Selector {
        metric: metric.to_owned(),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
    };
    for (query, found) in [
        ("up", vec![selector("up", &[])]),
        (
            r#"histogram_quantile(0.99, sum by (le) (rate(a_bucket{path=~"/m.*", code!="200"}[5m]))) > 0.5"#,
            vec![selector("a_bucket", &["path", "code"])],
        ),
        (
            "sum by (x) (a unless a offset 10m) > 0 or b == bool 1e3",
            vec![selector("a", &[]), selector("a", &[]), selector("b", &[])],
        ),
        (
            r#"min(a{k="}{ b"}) - time() < 4 * 3600 and on (pod) group_left (z) c{}"#,
            vec![selector("a", &["k"]), selector("c", &[])],
        ),
        ("absent(a)", vec![selector("a", &[])]),
    ] {
        assert_eq!(selectors(query), found, "{query}");
    }
}
