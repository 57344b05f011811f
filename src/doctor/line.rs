//! One line of what a check has to say: a mark, a sentence, and what to do about it.

use serde::Serialize;

/// How something stands.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// Looked at, and good.
    Passed,
    /// There was nothing to look at.
    Nothing,
    /// It could not be looked at: it may be good or bad.
    NotLookedAt,
    /// Good as it is, but somebody should know.
    Note,
    /// Something is wrong.
    Finding,
}

/// A line.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Line {
    /// How it stands.
    pub mark: Mark,
    /// What was seen.
    pub text: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

// === impl Line ===

impl Line {
    /// It is good.
    pub fn passed(text: impl Into<String>) -> Self {
        Self { mark: Mark::Passed, text: text.into(), remedy: None }
    }

    /// There was nothing to look at, and why.
    pub fn nothing(text: impl Into<String>) -> Self {
        Self { mark: Mark::Nothing, text: text.into(), remedy: None }
    }

    /// It could not be looked at, and why.
    pub fn not_looked_at(text: impl Into<String>) -> Self {
        Self { mark: Mark::NotLookedAt, text: text.into(), remedy: None }
    }

    /// Somebody should know.
    pub fn note(text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { mark: Mark::Note, text: text.into(), remedy: Some(remedy.into()) }
    }

    /// Something is wrong.
    pub fn finding(text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { mark: Mark::Finding, text: text.into(), remedy: Some(remedy.into()) }
    }
}
