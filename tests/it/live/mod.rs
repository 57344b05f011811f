//! The binary against a real kube-apiserver: what is stored, what a client is told, what is counted.
//!
//! Most tests share one control plane and keep apart by the label of their namespaces; those that
//! stop the API server, or need another one, have their own. `make control-plane` builds what they
//! need. Each test has a webhook process of its own.

mod additions;
mod connection;
mod ephemeral;
mod events;
mod injection;
mod lists;
mod metrics;
mod outage;
mod policy;
mod proxy;
mod race;
mod rbac;
mod rotation;
mod service;
mod sidecar;
mod stopping;
mod strict;
mod support;
mod told;
mod traces;
mod versions;
