//! The chart of `manifests/chart`, and all that is made of it.
//!
//! Everything is rendered by helm itself, which `make chart-tools` builds; nothing here reads a
//! template. What a cluster does with the chart is in `install`.

mod audit;
mod entries;
mod files;
mod helm;
mod refusals;
mod release;
mod rights;
mod server;
mod values;

pub(crate) use helm::tool;
pub(crate) use server::define;
