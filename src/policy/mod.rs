//! The file of the role policy: read once before anything listens, and followed from then on.
//!
//! ```text
//! file --read--> document --parse--> RolePolicy --> Current, which accounts ask
//! ```
//!
//! A policy is taken as a whole or not at all: were a rule dropped, a policy that allows what it does
//! not name would allow more. What cannot be used ends the start; later, the last good policy stays
//! in force, whatever becomes of the file. Nothing of what stands in it is ever told.

mod document;
mod error;
mod file;

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;

pub use document::parse;
pub use error::PolicyError;
pub use file::{MAX_FILE_BYTES, Task, read};

use crate::identity::RolePolicy;
use crate::telemetry::accounts::AccountsMetrics;

/// The name of the document in the label `source` of the metric of errors.
const SOURCE: &str = "role_policy";

/// The policy that is in force. Clones share it.
#[derive(Clone, Debug)]
pub struct Current(Arc<ArcSwap<RolePolicy>>);

/// Reads the policy at `path`, and readies the task that keeps it up to date.
///
/// # Errors
///
/// If it cannot be used.
pub fn bind(path: &Path, metrics: &AccountsMetrics) -> Result<(Current, Task), PolicyError> {
    let current = Current::new(RolePolicy::default());
    let task = Task::begin(path, current.clone(), metrics.mapping_errors(SOURCE))?;
    Ok((current, task))
}

/// The same of a policy that was read from `path` before.
pub fn follow(path: &Path, policy: RolePolicy, metrics: &AccountsMetrics) -> (Current, Task) {
    let current = Current::new(policy);
    let task = Task::resume(path, current.clone(), metrics.mapping_errors(SOURCE));
    (current, task)
}

// === impl Current ===

impl Current {
    /// One that nobody keeps up to date.
    pub fn new(policy: RolePolicy) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(policy)))
    }

    /// The policy of this moment.
    pub fn load(&self) -> Arc<RolePolicy> {
        self.0.load_full()
    }

    fn store(&self, policy: RolePolicy) {
        self.0.store(Arc::new(policy));
    }
}
