//! What is released says the same everywhere: version, compiler, image, workflows.
//!
//! Files are read as they stand in the repository; nothing is built, and nothing is asked of a
//! network. That the image works is `make image-smoke`'s to show.

mod image;
mod publication;
mod versions;
mod workflows;

use std::fs;
use std::path::{Path, PathBuf};

/// A file or folder of the repository.
fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// A file of the repository.
#[track_caller]
fn text(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The Rust that `rust-toolchain.toml` pins.
fn channel() -> String {
    quoted(&text("rust-toolchain.toml"), "channel = ").expect("rust-toolchain.toml has a channel")
}

/// The value in quotes of the line that begins with `key`.
fn quoted(text: &str, key: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix(key))?;
    Some(value.trim_matches('"').to_owned())
}
