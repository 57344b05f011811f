//! The wire model of an AdmissionReview: what the API server sends, and what it gets back.
//!
//! ```text
//! bytes --Review::read--> Review, plan::Ask ... plan::Decision --answer--> bytes
//! ```
//!
//! The model is our own: every reply echoes apiVersion, kind and uid, the patch is base64, and
//! the Pod inside stays a slice of the bytes that came. Both versions of the API look the same.

mod reply;
mod review;

pub use reply::{Endpoint, MAX_WARNING_LENGTH, MAX_WARNINGS, answer, refusal};
pub use review::{DryRun, NotAReview, Review};
