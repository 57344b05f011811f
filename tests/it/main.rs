//! The integration tests, one binary: this file is the table of contents.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod audit;
mod chain;
mod chart;
mod doctor;
mod explain;
mod golden;
mod imds;
mod install;
mod keeper;
mod layering;
mod live;
mod loopback;
mod manual;
mod monitoring;
mod mtls;
mod mutate;
mod oracle;
mod peer;
mod plane;
mod process;
mod properties;
mod readme;
mod release;
mod rights;
mod router;
mod security;
