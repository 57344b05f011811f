//! `audit pods` against a real kube-apiserver: what it lists, what it tells, what it evicts.
//!
//! Nodes are not needed: Pods name one, and what a kubelet would say of them the stage says. Where
//! the number of Pods matters, `AUDIT_PODS` sets it.

mod changes;
mod healing;
mod once;
mod rights;
mod scale;
pub(crate) mod stage;
