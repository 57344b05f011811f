//! The container-credentials file, read again and again: what counts is what it says now.
//!
//! kubelet puts a new version of a mounted file in place by swapping the `..data` symlink beside
//! it, which no watch of the path ever sees, so the content is compared. A missing or empty file
//! lists nobody, a bad one leaves the last good list in force, and neither holds up anything.

use std::convert::Infallible;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::sleep;

use super::credentials::Credentials;
use super::error::{AccountsError, Document};
use crate::telemetry::accounts::AccountsMetrics;

/// The largest container-credentials file that is read: 20 MiB, many times what a ConfigMap or a
/// Secret can hold (1 MiB).
pub const MAX_FILE_BYTES: u64 = 20 << 20;

/// Keeps the list that is in force.
pub(super) struct Keeper {
    path: PathBuf,
    current: Arc<ArcSwap<Credentials>>,
    metrics: AccountsMetrics,
    seen: Option<Seen>,
}

/// What was at the path when it was last looked at.
#[derive(Eq, PartialEq)]
enum Seen {
    Nothing,
    Bytes(Vec<u8>),
    Unreadable(String),
}

// === impl Keeper ===

impl Keeper {
    pub(super) fn new(
        path: PathBuf,
        current: Arc<ArcSwap<Credentials>>,
        metrics: AccountsMetrics,
    ) -> Self {
        Self { path, current, metrics, seen: None }
    }

    /// Looks at the file now, in the caller's own time.
    pub(super) fn look(&mut self) {
        self.take(&read(&self.path));
    }

    /// Looks at the file every `interval`.
    pub(super) async fn run(mut self, interval: Duration) -> Result<Infallible, AccountsError> {
        loop {
            sleep(interval).await;
            let path = self.path.clone();
            if let Ok(content) = tokio::task::spawn_blocking(move || read(&path)).await {
                self.take(&content);
            }
        }
    }

    fn take(&mut self, content: &Result<Option<Vec<u8>>, AccountsError>) {
        let seen = match content {
            Ok(None) => Seen::Nothing,
            Ok(Some(bytes)) => Seen::Bytes(bytes.clone()),
            Err(error) => Seen::Unreadable(error.to_string()),
        };
        if self.seen.as_ref() == Some(&seen) {
            return;
        }
        self.seen = Some(seen);
        let file = self.path.display();
        let errors = self.metrics.mapping_errors(Document::Credentials.name());
        let parsed = match content {
            Ok(bytes) => Credentials::parse(bytes.as_deref().unwrap_or_default()),
            Err(error) => {
                errors.inc();
                tracing::warn!(%file, reason = %error, "the container-credentials file cannot be read: the last good list stays in force");
                return;
            }
        };
        match parsed {
            Ok((listed, dropped)) => {
                for entry in dropped {
                    errors.inc();
                    tracing::warn!(%file, entry = entry.entry(), reason = entry.reason(), "an entry of the container-credentials file was dropped");
                }
                let accounts = listed.len();
                if accounts == 0 {
                    tracing::warn!(%file, "the container-credentials file is missing or lists nobody");
                } else {
                    tracing::info!(%file, accounts, "the container-credentials file was read");
                }
                self.metrics
                    .credentials_file_entries()
                    .set(accounts.try_into().unwrap_or(i64::MAX));
                self.current.store(Arc::new(listed));
            }
            Err(error) => {
                errors.inc();
                tracing::warn!(%file, reason = %error, "the container-credentials file cannot be used: the last good list stays in force");
            }
        }
    }
}

/// What is at `path`, if anything.
fn read(path: &Path) -> Result<Option<Vec<u8>>, AccountsError> {
    let failed = |source: std::io::Error| AccountsError::Read { path: path.to_owned(), source };
    let missing =
        |e: &std::io::Error| matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
    // Asked first: to open a pipe would wait for somebody to write.
    match std::fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => {
            return Err(AccountsError::NotAFile { path: path.to_owned() });
        }
        Ok(_) => {}
        Err(e) if missing(&e) => return Ok(None),
        Err(e) => return Err(failed(e)),
    }
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if missing(&e) => return Ok(None),
        Err(e) => return Err(failed(e)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len > MAX_FILE_BYTES) {
        return Err(AccountsError::TooLarge { path: path.to_owned() });
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::identity::Listed;

    const POLL: Duration = Duration::from_secs(10);

    fn document(names: &[&str]) -> String {
        let entries: Vec<_> = names
            .iter()
            .map(|name| format!("{{\"namespace\": \"ns\", \"serviceAccount\": \"{name}\"}}"))
            .collect();
        format!("{{\"identities\": [{}]}}", entries.join(","))
    }

    struct Fixture {
        folder: tempfile::TempDir,
        current: Arc<ArcSwap<Credentials>>,
        metrics: AccountsMetrics,
    }

    impl Fixture {
        fn new() -> Self {
            Self {
                folder: tempfile::tempdir().unwrap(),
                current: Arc::default(),
                metrics: AccountsMetrics::default(),
            }
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("config.json")
        }

        fn keeper(&self) -> Keeper {
            Keeper::new(self.path(), Arc::clone(&self.current), self.metrics.clone())
        }

        fn listed(&self) -> Vec<&'static str> {
            ["one", "two"]
                .into_iter()
                .filter(|name| self.current.load().listed("ns", name) == Listed::Yes)
                .collect()
        }

        fn errors(&self) -> u64 {
            self.metrics.mapping_errors("credentials_file").get()
        }
    }

    /// N15: a mounted ConfigMap that kubelet updates is seen within the interval.
    #[tokio::test(start_paused = true)]
    async fn kubelets_swap_of_the_data_symlink_is_seen_within_the_interval() {
        let mount = cluster::Mount::new(&[("config.json", &document(&["one"]))]).unwrap();
        let fixture = Fixture::new();
        let (current, metrics) = (Arc::clone(&fixture.current), fixture.metrics.clone());
        let mut keeper = Keeper::new(mount.path("config.json"), current, metrics);
        keeper.look();
        assert_eq!(fixture.listed(), ["one"]);
        let mut running = tokio::task::JoinSet::new();
        running.spawn(keeper.run(POLL));
        for name in ["two", "one"] {
            mount.swap(&[("config.json", &document(&[name]))]).unwrap();
            tokio::time::sleep(POLL + Duration::from_secs(1)).await;
            assert_eq!(fixture.listed(), [name]);
        }
        assert_eq!(fixture.errors(), 0);
    }

    /// N16: missing and empty are states that show; a bad document keeps the last good list.
    #[test]
    fn missing_and_empty_clear_the_list_and_bad_keeps_it() {
        let fixture = Fixture::new();
        let entries = || fixture.metrics.credentials_file_entries().get();
        let mut keeper = fixture.keeper();
        keeper.look();
        assert_eq!((entries(), fixture.errors()), (0, 0));
        fs::write(fixture.path(), document(&["one", "two"])).unwrap();
        keeper.look();
        assert_eq!((entries(), fixture.listed().len()), (2, 2));
        fs::write(fixture.path(), "{\"identities\": [").unwrap();
        keeper.look();
        keeper.look();
        assert_eq!((entries(), fixture.listed().len()), (2, 2));
        assert_eq!(fixture.errors(), 1, "once for each content");
        fs::write(fixture.path(), "").unwrap();
        keeper.look();
        assert_eq!((entries(), fixture.listed().len()), (0, 0));
        fs::write(fixture.path(), document(&["two"])).unwrap();
        keeper.look();
        assert_eq!(fixture.listed(), ["two"]);
        fs::remove_file(fixture.path()).unwrap();
        keeper.look();
        assert_eq!((entries(), fixture.listed().len()), (0, 0));
    }

    #[test]
    fn what_is_no_file_or_too_large_keeps_the_list() {
        let fixture = Fixture::new();
        fs::write(fixture.path(), document(&["one"])).unwrap();
        let mut keeper = fixture.keeper();
        keeper.look();
        let file = File::options().write(true).open(fixture.path()).unwrap();
        file.set_len(MAX_FILE_BYTES + 1).unwrap();
        keeper.look();
        assert_eq!((fixture.listed(), fixture.errors()), (vec!["one"], 1));
        fs::remove_file(fixture.path()).unwrap();
        fs::create_dir(fixture.path()).unwrap();
        keeper.look();
        assert_eq!((fixture.listed(), fixture.errors()), (vec!["one"], 2));
    }
}
