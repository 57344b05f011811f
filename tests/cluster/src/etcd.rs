//! etcd, the store of a control plane.
//!
//! It is asked to listen on port 0 and logs the port that it got, so no other process can take that
//! port first, nor can another control plane's store be taken for ours. Its data is worth nothing,
//! so it does not wait for the disk.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

use crate::{
    eventually,
    folder::Folder,
    log,
    process::{Process, Program},
};

/// How long it may take: half a second on an idle machine.
const START: Duration = Duration::from_mins(1);

/// A running etcd and the address it chose.
#[derive(Debug)]
pub(crate) struct Etcd {
    pub(crate) process: Process,
    /// Where clients reach it.
    pub(crate) url: String,
}

impl Etcd {
    /// Starts it with its data in `folder`, and waits until it serves clients.
    pub(crate) async fn start(binary: &Path, folder: &Folder) -> Result<Self> {
        let args = [
            format!("--data-dir={}", folder.path().join("etcd").display()),
            "--unsafe-no-fsync".to_owned(),
            "--listen-client-urls=http://127.0.0.1:0".to_owned(),
            "--advertise-client-urls=http://127.0.0.1:0".to_owned(),
            "--listen-peer-urls=http://127.0.0.1:0".to_owned(),
            "--heartbeat-interval=50".to_owned(),
            "--election-timeout=250".to_owned(),
            // It would dial the advertised port 0, for ever.
            "--enable-grpc-gateway=false".to_owned(),
            "--log-level=info".to_owned(),
        ];
        let log = folder.path().join("etcd.log");
        let program = Program { name: "etcd", binary, args: &args, env: &[], log: &log };
        let mut process = Process::start(&program)?;
        let address = eventually("etcd serves clients", START, || {
            let status = process.exit_status();
            async {
                if let Some(status) = status? {
                    return Ok(Err(anyhow!("etcd ended with {status}:\n{}", log::tail(&log))));
                }
                let lines = log::lines(&log);
                let address = lines.iter().find_map(|line| client_address(line));
                address.map(Ok).with_context(|| log::tail(&log))
            }
        });
        let url = format!("http://{}", address.await??);
        Ok(Self { process, url })
    }
}

/// The address in the line by which etcd says that it serves clients.
fn client_address(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    let message = line.get("msg")?.as_str()?;
    let address = line.get("address")?.as_str()?;
    message.starts_with("serving client traffic").then(|| address.to_owned())
}
