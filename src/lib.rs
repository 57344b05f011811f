//! `pod-identity-webhook` gives Kubernetes Pods their AWS identity.
