//! The policy's file, read again and again: what counts is the last good content.
//!
//! kubelet puts a new version of a mounted ConfigMap in place by swapping the `..data` symlink beside
//! the file, which no watch of its path ever sees, so the content is compared. A file that is gone
//! changes nothing: to delete a guardrail is not to lift it.

use std::convert::Infallible;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::time::sleep;

use super::{Current, PolicyError, parse};
use crate::identity::RolePolicy;

/// The largest policy that is read: 20 MiB, many times what a ConfigMap can hold (1 MiB).
pub const MAX_FILE_BYTES: u64 = 20 << 20;

/// How often the file is read again: a change is seen within 10 s.
const POLL_INTERVAL: Duration = Duration::from_secs(10);

/// Keeps the policy that is in force up to date.
#[derive(Debug)]
pub struct Task {
    path: PathBuf,
    current: Current,
    errors: Counter,
    /// What was at the path when it was last looked at.
    seen: Option<Result<String, String>>,
}

/// Reads and checks the policy at `path`, once.
///
/// # Errors
///
/// If it cannot be used.
pub fn read(path: &Path) -> Result<RolePolicy, PolicyError> {
    text(path).and_then(|text| parse(&path.to_string_lossy(), &text))
}

// === impl Task ===

impl Task {
    /// Puts the policy at `path` in force.
    pub(super) fn begin(
        path: &Path,
        current: Current,
        errors: Counter,
    ) -> Result<Self, PolicyError> {
        let text = text(path)?;
        let policy = parse(&path.to_string_lossy(), &text)?;
        let file = path.display();
        tracing::info!(%file, rules = policy.rules.len(), "the role policy is in force");
        current.store(policy);
        Ok(Self { path: path.to_owned(), current, errors, seen: Some(Ok(text)) })
    }

    /// Leaves in force what is, until the file says something else.
    pub(super) fn resume(path: &Path, current: Current, errors: Counter) -> Self {
        Self { path: path.to_owned(), current, errors, seen: None }
    }

    /// Looks at the file every 10 s.
    pub async fn run(mut self) -> Infallible {
        loop {
            sleep(POLL_INTERVAL).await;
            let path = self.path.clone();
            if let Ok(content) = tokio::task::spawn_blocking(move || text(&path)).await {
                self.take(content);
            }
        }
    }

    fn take(&mut self, content: Result<String, PolicyError>) {
        let seen = content.map_err(|error| error.to_string());
        if self.seen.as_ref() == Some(&seen) {
            return;
        }
        let name = self.path.to_string_lossy();
        let policy = match &seen {
            Ok(text) => parse(&name, text).map_err(|error| error.to_string()),
            Err(why) => Err(why.clone()),
        };
        match policy {
            Ok(policy) => {
                tracing::info!(file = %name, rules = policy.rules.len(), "the role policy was read again");
                self.current.store(policy);
            }
            Err(reason) => {
                self.errors.inc();
                tracing::warn!(file = %name, reason, "the role policy cannot be used: the last good one stays in force");
            }
        }
        self.seen = Some(seen);
    }
}

/// The text at `path`.
fn text(path: &Path) -> Result<String, PolicyError> {
    let failed = |source: std::io::Error| PolicyError::Read { path: path.to_owned(), source };
    // Asked first: to open a pipe would wait for somebody to write.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(PolicyError::NotAFile { path: path.to_owned() });
    }
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len > MAX_FILE_BYTES) {
        return Err(PolicyError::TooLarge { path: path.to_owned() });
    }
    String::from_utf8(bytes)
        .map_err(|_| PolicyError::NotText { name: path.to_string_lossy().into() })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::telemetry::accounts::AccountsMetrics;

    fn policy(namespace: &str) -> String {
        format!("rules: [{{namespaces: [{namespace}], roles: [\"*\"]}}]")
    }

    fn first(current: &Current) -> String {
        let policy = current.load();
        policy.rules[0].namespaces[0].as_str().to_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn kubelets_swap_of_the_data_symlink_is_seen_within_the_interval() {
        let mount = cluster::Mount::new(&[("policy.yaml", &policy("one"))]).unwrap();
        let metrics = AccountsMetrics::default();
        let (current, task) = super::super::bind(&mount.path("policy.yaml"), &metrics).unwrap();
        let mut running = tokio::task::JoinSet::new();
        running.spawn(task.run());
        assert_eq!(first(&current), "one");
        for namespace in ["two", "one"] {
            mount.swap(&[("policy.yaml", &policy(namespace))]).unwrap();
            tokio::time::sleep(POLL_INTERVAL + Duration::from_secs(1)).await;
            assert_eq!(first(&current), namespace);
        }
        assert_eq!(metrics.mapping_errors("role_policy").get(), 0);
    }

    /// A file that is emptied or deleted must not lift the guardrail.
    #[test]
    fn what_is_bad_or_gone_leaves_the_last_good_policy_in_force() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.yaml");
        fs::write(&path, policy("one")).unwrap();
        let metrics = AccountsMetrics::default();
        let (current, mut task) = super::super::bind(&path, &metrics).unwrap();
        let errors = || metrics.mapping_errors("role_policy").get();
        for (at, bad) in ["", "rules: [", "rules: [{}]", "default: allow"].iter().enumerate() {
            fs::write(&path, bad).unwrap();
            task.take(text(&path));
            task.take(text(&path));
            assert_eq!((first(&current).as_str(), errors()), ("one", at as u64 + 1), "{bad:?}");
        }
        fs::remove_file(&path).unwrap();
        task.take(text(&path));
        assert_eq!((first(&current).as_str(), errors()), ("one", 5));
        fs::create_dir(&path).unwrap();
        task.take(text(&path));
        assert_eq!((first(&current).as_str(), errors()), ("one", 6));
        fs::remove_dir(&path).unwrap();
        fs::write(&path, policy("two")).unwrap();
        task.take(text(&path));
        assert_eq!((first(&current).as_str(), errors()), ("two", 6));
    }

    #[test]
    fn what_cannot_be_used_at_the_start_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.yaml");
        let refused = || {
            let metrics = AccountsMetrics::default();
            super::super::bind(&path, &metrics).unwrap_err().to_string()
        };
        assert!(refused().ends_with("see that it is there and that the process may read it"));
        fs::write(&path, [0xff]).unwrap();
        assert!(refused().ends_with("is not UTF-8 text: give YAML or JSON"));
        File::options().write(true).open(&path).unwrap().set_len(MAX_FILE_BYTES + 1).unwrap();
        assert!(refused().ends_with("is larger than 20 MiB"));
    }
}
