//! `pod-identity-webhook` gives Kubernetes Pods their AWS identity: a mutating admission webhook.
//!
//! ```text
//! certificates --> tls --+
//!                        v
//! HTTPS ------------> server --> http --> admission --> plan --> patch --+
//!                                 |          ^  pod (what was asked)     |
//!                                 v          |                           v
//! ServiceAccounts --> accounts --> identity -+                       the reply
//! role policy ------> policy --^
//!
//! Secret, caBundle <--> keeper --> authority (what to do next) --> tls
//! ```
//!
//! `admission`, `pod`, `identity`, `plan`, `patch` and `drift` are the pure core: values in, values out; no
//! async, no logging, no Kubernetes client. One decision function, `plan::decide`, serves the
//! server and every command.

pub mod accounts;
pub mod admission;
pub mod app;
pub mod audit;
pub mod authority;
pub mod certificate;
pub mod cli;
pub mod doctor;
pub mod documents;
pub mod drift;
pub mod duration;
pub mod events;
pub mod explain;
pub mod http;
pub mod identity;
pub mod imds;
pub mod installation;
pub mod keeper;
pub mod mutate;
pub mod offline;
pub mod patch;
pub mod plan;
pub mod pod;
pub mod policy;
pub mod sentence;
pub mod server;
pub mod telemetry;
pub mod tls;
pub mod version;
