//! Logs and metrics: how they are set up and what they are called.
//!
//! The messages and the places where things are counted belong to the other modules; names, help
//! texts, labels and buckets are here. Knows nothing of Kubernetes. Invariant: no label takes its
//! value from clients or from users' objects; every label is an enum of ours or a code.

pub mod accounts;
mod histogram;
pub mod logs;
mod metrics;

pub use metrics::{
    CONTENT_TYPE, CertificateMetrics, Injection, Matching, Metrics, Registry, Route, Usage, Verb,
};
