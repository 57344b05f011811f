//! The webhook as it is installed: by the chart, on a whole cluster, behind its Service.
//!
//! Each test is in namespaces of its own ([`cluster::apart`]) with a control plane and three nodes,
//! on which the Deployment's Pods run the real binary with the rendered arguments, mounts, probes,
//! user and ServiceAccount. Nothing is registered or granted but what the manifests say.

mod audit;
mod cert_manager;
mod community;
mod lifecycle;
mod policy;
mod rights;
mod rolling;
mod rules;
mod shop;
mod stage;
mod strict;
