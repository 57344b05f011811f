//! Certificates that the webhook keeps itself, against a real API server.
//!
//! The API server is the Go client that has to accept them, and the judge: `failurePolicy: Fail`
//! turns each handshake that it does not trust into a Pod that is refused.

mod balancer;
mod command;
mod files;
mod load;
mod openssl;
mod recovery;
mod rights;
mod rotation;
mod service;
pub(crate) mod stage;
mod start;
