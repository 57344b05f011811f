//! Why files cannot be used: each error is one sentence that names the file, the line where there
//! is one, and what to do. None quotes a scalar of a document, which may be a secret.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::accounts::AccountsError;
use crate::documents::{Document, DocumentsError};
use crate::policy::PolicyError;

/// Where a document begins.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    name: Box<str>,
    line: usize,
}

/// Why an input cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OfflineError {
    /// `-f -` stands there twice.
    #[error("standard input can be read once only: give `-f -` once")]
    StandardInputTwice,
    /// A file or standard input cannot be read.
    #[error("cannot read {name}")]
    Read {
        /// The path, or `stdin`.
        name: Box<str>,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file is not text.
    #[error("{name} is not UTF-8 text: give YAML or JSON documents")]
    NotText {
        /// The path, or `stdin`.
        name: Box<str>,
    },
    /// A document cannot be read.
    #[error(transparent)]
    Documents(#[from] DocumentsError),
    /// An annotation of a ServiceAccount is not a string, which Kubernetes refuses.
    #[error("{place}: the annotation {annotation} of {account} is not a string: put it in quotes")]
    Annotation {
        /// The document.
        place: Place,
        /// The account.
        account: Box<str>,
        /// The annotation's name.
        annotation: Box<str>,
    },
    /// The mappings cannot be read.
    #[error("{place}: the mappings cannot be read")]
    Mappings {
        /// The ConfigMap's document.
        place: Place,
        /// What is wrong with them.
        #[source]
        source: AccountsError,
    },
    /// Two ConfigMaps hold mappings, and a cluster has one.
    #[error("{first} and {second} both hold the mappings ConfigMap {name}: give one of them", name = crate::accounts::CONFIG_MAP)]
    SeveralMappings {
        /// The first one.
        first: Place,
        /// The second one.
        second: Place,
    },
    /// The container-credentials file cannot be used.
    #[error("{} cannot be used", path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: AccountsError,
    },
    /// The role policy cannot be used.
    #[error("--role-policy: {0}")]
    RolePolicy(#[source] PolicyError),
    /// A field of a Pod or of a Pod template has a type that it never has.
    #[error("{place}: {field} of {workload} is not of the type that Kubernetes gives it")]
    Unreadable {
        /// The document.
        place: Place,
        /// The workload.
        workload: Box<str>,
        /// The path of the field in it.
        field: Box<str>,
    },
}

// === impl Place ===

impl Place {
    /// The place of a document.
    pub fn of(document: &Document) -> Self {
        Self { name: document.name().into(), line: document.line() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, line } = self;
        write!(f, "{name}:{line}")
    }
}

/// An error and its causes as one sentence.
pub fn sentence(error: &(dyn Error + 'static)) -> String {
    let mut sentence = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        sentence = format!("{sentence}: {error}");
        cause = error.source();
    }
    sentence
}
