//! Why `mutate` stops: each error is one sentence that names the document and what to do. None
//! quotes a scalar of a document, which may be a secret.

use std::io;

use crate::documents::DocumentsError;
use crate::offline::{OfflineError, Place, sentence};

/// Why an input cannot be used, or the output not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MutateError {
    /// The inputs cannot be used.
    #[error(transparent)]
    Offline(#[from] OfflineError),
    /// A changed document cannot be written.
    #[error(transparent)]
    Documents(#[from] DocumentsError),
    /// A patch does not apply, which is a bug.
    #[error("{place}: the patch of {workload} does not apply: please report it")]
    Patch {
        /// The document.
        place: Place,
        /// The workload.
        workload: Box<str>,
        /// Why not.
        #[source]
        source: PatchError,
    },
    /// Standard output does not take what is written.
    #[error("cannot write to standard output")]
    Write(#[source] io::Error),
}

/// What is wrong with a patch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PatchError {
    /// It cannot be made into JSON, or out of it.
    #[error("it is not JSON")]
    Json(#[from] serde_json::Error),
    /// An operation fails.
    #[error(transparent)]
    Apply(#[from] json_patch::PatchError),
    /// The workload is not where it was.
    #[error("its object is not there")]
    Nowhere,
}

// === impl MutateError ===

impl MutateError {
    /// The error and its causes as one sentence.
    pub fn sentence(&self) -> String {
        sentence(self)
    }
}
