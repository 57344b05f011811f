//! Logs, metrics and traces: how they are set up and what they are called.
//!
//! The messages and the places where things are counted belong to the other modules; names, help
//! texts, labels and buckets are here. Knows nothing of Kubernetes. Invariant: no label takes its
//! value from clients or from users' objects; every label is an enum of ours or a code.

pub mod accounts;
pub mod audit;
pub mod events;
mod histogram;
mod labels;
pub mod logs;
mod metrics;
pub mod traces;
mod values;

pub use labels::{Injection, Kind, Matching, Route, Turn, Usage, Verb};
pub use metrics::{CONTENT_TYPE, CertificateMetrics, Metrics, Registry};
