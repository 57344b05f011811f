//! What can go wrong with the documents and watches that say which account has which identity.
//!
//! Every text names the document, file or resource and never repeats what stands in it: a document
//! may hold anything. Nothing here ends the webhook but a watch that ended for good.

use std::fmt;
use std::path::PathBuf;

use crate::policy::PolicyError;

/// Why a document or a watch could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountsError {
    /// The document is not JSON.
    #[error("{document} is not JSON: look at line {line}, column {column}")]
    Syntax {
        /// The document.
        document: Document,
        /// The line that cannot be read, from 1.
        line: usize,
        /// The column in it, from 1.
        column: usize,
    },
    /// The document is JSON of another shape.
    #[error("{document} is not of the form {expected}")]
    Shape {
        /// The document.
        document: Document,
        /// The form that it should have.
        expected: &'static str,
    },
    /// The path names a folder, a pipe or the like.
    #[error("{} is not a file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The file is larger than [`MAX_FILE_BYTES`](super::MAX_FILE_BYTES).
    #[error("{} is larger than {} MiB", path.display(), super::MAX_FILE_BYTES >> 20)]
    TooLarge {
        /// The path.
        path: PathBuf,
    },
    /// The file is there and cannot be read.
    #[error("{} cannot be read: see that the process may read it", path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The role policy cannot be used.
    #[error(transparent)]
    RolePolicy(#[from] PolicyError),
    /// The watch of a resource ended, which it never does by itself.
    #[error("the watch of {resource} ended")]
    WatchEnded {
        /// The resource, in the plural.
        resource: &'static str,
    },
}

/// A document that gives accounts an identity from outside the account.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Document {
    /// The ConfigMap of `--watch-config-map`.
    Mappings,
    /// The file of `--watch-container-credentials-config`.
    Credentials,
}

/// An entry of a document that was dropped; the other entries count.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the entry {entry:?} was dropped: {reason}")]
pub struct EntryError {
    entry: Box<str>,
    reason: &'static str,
}

// === impl Document ===

impl Document {
    /// The name in the label `source` of the metric of errors.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mappings => "config_map",
            Self::Credentials => "credentials_file",
        }
    }

    /// Turns what serde says into an error that repeats nothing of the document.
    pub(super) fn error(self, source: &serde_json::Error, expected: &'static str) -> AccountsError {
        if source.is_data() {
            return AccountsError::Shape { document: self, expected };
        }
        AccountsError::Syntax { document: self, line: source.line(), column: source.column() }
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mappings => "the key config of the ConfigMap pod-identity-webhook",
            Self::Credentials => "the container-credentials file",
        })
    }
}

// === impl EntryError ===

impl EntryError {
    /// The longest entry that is named in full: a namespace, a slash and a name.
    const MAX_CHARS: usize = 63 + 1 + 253;

    pub(super) fn new(entry: &str, reason: &'static str) -> Self {
        Self { entry: entry.chars().take(Self::MAX_CHARS).collect(), reason }
    }

    /// The entry: its key, or its place in a list.
    pub fn entry(&self) -> &str {
        &self.entry
    }

    /// Why it was dropped.
    pub fn reason(&self) -> &'static str {
        self.reason
    }
}
