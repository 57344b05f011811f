//! Writes a serving pair for this machine into a folder, for `make run`: `tls.crt`, `tls.key`, and
//! `ca.crt`, which signed it.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use cluster::{Authority, Pair};

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).context("usage: serving-pair FOLDER")?;
    let folder = PathBuf::from(folder);
    fs::create_dir_all(&folder)?;
    let authority = Authority::new("pod-identity-webhook development")?;
    let Pair { certificate, key } = authority.serving(&["localhost", "127.0.0.1"])?;
    fs::write(folder.join("ca.crt"), authority.pem())?;
    fs::write(folder.join("tls.crt"), certificate)?;
    fs::write(folder.join("tls.key"), key)?;
    Ok(())
}
