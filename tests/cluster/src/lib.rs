//! A real control plane for tests and for the demo.
