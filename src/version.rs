//! What was built: the version, the revision and the compiler, as `--version` and the metric
//! `build_info` say.
//!
//! The version is Cargo.toml's, and no other place decides one: `tests/it/release.rs` holds the
//! chart, the image and the changelog to it. Nothing is asked of git or of a clock, so the same
//! sources and the same revision make the same binary.

/// The version, by semantic versioning.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit that was built, where the build was told by `PODIDENTITY_REVISION`.
pub const REVISION: Option<&str> = match option_env!("PODIDENTITY_REVISION") {
    Some(revision) if !revision.is_empty() => Some(revision),
    _ => None,
};

/// The version of the Rust compiler: the one that `rust-toolchain.toml` pins.
pub fn compiler() -> &'static str {
    const TOOLCHAIN: &str = include_str!("../rust-toolchain.toml");
    TOOLCHAIN
        .lines()
        .find_map(|line| line.strip_prefix("channel = "))
        .map_or("unknown", |name| name.trim_matches('"'))
}

/// One line: the version, and the revision in brackets where there is one.
pub fn line() -> String {
    worded(VERSION, REVISION)
}

fn worded(version: &str, revision: Option<&str>) -> String {
    match revision {
        Some(revision) => format!("{version} ({revision})"),
        None => version.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiler_is_the_pinned_one() {
        assert!(compiler().starts_with(env!("CARGO_PKG_RUST_VERSION")), "{}", compiler());
    }

    #[test]
    fn the_line_has_the_revision_where_there_is_one() {
        assert_eq!(worded("1.2.3", None), "1.2.3");
        assert_eq!(worded("1.2.3", Some("0fcab4de")), "1.2.3 (0fcab4de)");
        assert!(line().starts_with(VERSION));
    }
}
