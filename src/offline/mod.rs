//! What files say in place of a cluster: documents, accounts, mappings, credentials, workloads.
//!
//! ```text
//! files, stdin --> streams --> Given (accounts, mappings, credentials)
//!                        \---> Workload (a Pod, or the template of Pods)
//! ```
//!
//! `mutate` and `explain -f` begin here, so that both read the same files alike. Nothing is decided.
//! An account that is not among the documents is not known, with one exception: `default`, which
//! Kubernetes makes in every namespace and nearly nobody writes down, is taken to exist without
//! annotations.

mod error;
mod given;
mod inputs;
mod workload;

pub use error::{OfflineError, Place, sentence};
pub use given::{Given, Presence};
pub use inputs::streams;
pub use workload::{Name, Subject, Workload, name, namespace};
