//! Why a role policy cannot be used: one sentence that names the file, the place in it where there
//! is one, and what to do. None repeats what stands there.

use std::path::PathBuf;

use crate::documents::DocumentsError;

/// Why a role policy cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The file cannot be read.
    #[error("{} cannot be read: see that it is there and that the process may read it", path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
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
    /// It is not text.
    #[error("{name} is not UTF-8 text: give YAML or JSON")]
    NotText {
        /// What the document is called.
        name: Box<str>,
    },
    /// It is neither YAML nor JSON.
    #[error(transparent)]
    Documents(#[from] DocumentsError),
    /// There is no document, or more than one.
    #[error("{name} holds {count} documents: give one role policy, `rules: []` to allow nothing")]
    NotOne {
        /// What the document is called.
        name: Box<str>,
        /// How many there are.
        count: usize,
    },
    /// It is something else than a role policy.
    #[error("{name} is no role policy: {}", problems.join("; "))]
    Form {
        /// What the document is called.
        name: Box<str>,
        /// What is wrong, each with its place.
        problems: Vec<String>,
    },
}
