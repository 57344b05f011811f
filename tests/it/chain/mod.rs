//! The chain, end to end: a Pod's own token is worth AWS credentials to a real SDK.
//!
//! ```text
//! account --> webhook --> Pod --> kubelet's part --> the AWS SDK's default chain --> STS or agent
//!            (the API server between each)           (a child, the injected env)    (verifies)
//! ```
//!
//! The API server, the token and the SDK are real; what kubelet, STS and the Pod Identity agent do
//! is done here, and the two endpoints believe nothing but the API server's own keys.

mod agent;
mod kubelet;
mod pod_identity;
mod refusals;
mod sdk;
mod stage;
mod sts;
mod trust;
mod web_identity;
