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
mod stage;
mod start;

/// The rules of README, those of the cluster first.
pub(crate) fn documented_rules() -> Vec<k8s_openapi::api::rbac::v1::PolicyRule> {
    let rights::Rules { cluster, namespace } = rights::Rules::of_readme();
    [cluster, namespace].concat()
}
