//! Runs a control plane by hand: `cargo run -p cluster --bin control-plane`.
//!
//! Prints the path of a kubeconfig, then the folder and the process ids, and ends the control
//! plane when its standard input ends or when it is killed itself, be it by Ctrl-C or by SIGKILL.

use std::io::{Read, Write};

use anyhow::Result;
use cluster::ControlPlane;

#[tokio::main]
async fn main() -> Result<()> {
    let plane = ControlPlane::builder().controller_manager().start().await?;
    let pids: Vec<_> = plane.pids().iter().map(ToString::to_string).collect();
    let mut stdout = std::io::stdout();
    writeln!(stdout, "kubeconfig {}", plane.kubeconfig().display())?;
    writeln!(stdout, "folder {}", plane.folder().display())?;
    writeln!(stdout, "processes {}", pids.join(" "))?;
    stdout.flush()?;
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    Ok(())
}
