//! `pod-identity-webhook` gives Kubernetes Pods their AWS identity.

pub mod documents;
