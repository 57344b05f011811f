//! The binary: parse, set up telemetry, run, exit code.
fn main() {}
