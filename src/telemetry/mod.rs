//! Log set-up and the names of the metrics; knows numbers and labels, and nothing of Kubernetes.

pub mod accounts;
