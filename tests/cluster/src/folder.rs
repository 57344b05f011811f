//! A temporary folder that is removed however we end.
//!
//! Like a [`Process`](crate::process::Process) it has a keeper that reads a pipe of ours and acts
//! when the pipe closes. The programs that write into the folder are killed at that same moment, by
//! keepers of their own, so this one tries until the folder is gone.

use std::{
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};

/// Waits for the pipe's end, then removes `$1`; about ten seconds of tries.
const KEEPER: &str = r#"
while read -r _; do :; done
tries=0
while [ -e "$1" ] && [ "$tries" -lt 100 ]; do
  rm -rf "$1" || sleep 0.1
  tries=$((tries + 1))
done
"#;

/// A folder of our own and its keeper.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    keeper: Child,
}

impl Folder {
    /// Makes a folder, readable by nobody else, in the system's place for temporary files.
    pub(crate) fn new(prefix: &str) -> Result<Self> {
        let made = tempfile::Builder::new()
            .prefix(prefix)
            .tempdir()
            .context("cannot make a temporary folder")?;
        let keeper = Command::new("/bin/sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(made.path())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start the keeper of a temporary folder")?;
        Ok(Self { path: made.keep(), keeper })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file and names its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // Without its keeper the folder stays behind: a nuisance, not a reason to fail a test.
        let _ = self.keeper.wait();
    }
}
