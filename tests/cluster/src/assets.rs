//! Where the binaries that this crate runs are.
//!
//! `KUBEBUILDER_ASSETS` is honoured, so that who has such a bundle need not build anything; then
//! `CONTROL_PLANE_ASSETS`; then what `make control-plane` builds into the target folder. The
//! bundles have neither kube-controller-manager nor kube-scheduler, so a binary that one place lacks
//! is looked for in the next. The Go webhook is only ever where `make peer` puts it.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

/// The path of one binary of the control plane.
pub(crate) fn binary(name: &str) -> Result<PathBuf> {
    places()
        .into_iter()
        .map(|place| place.join(name))
        .find(|path| path.is_file())
        .context("the control plane is not built: run `make control-plane`")
}

/// The path of the Go webhook.
pub fn peer() -> Result<PathBuf> {
    let path = target().join("tools/amazon-eks-pod-identity-webhook");
    ensure!(path.is_file(), "the Go webhook is not built: run `make peer`");
    Ok(path)
}

/// The folders to look in, best first.
fn places() -> Vec<PathBuf> {
    let named = ["KUBEBUILDER_ASSETS", "CONTROL_PLANE_ASSETS"].into_iter().filter_map(set);
    named.chain([target().join("control-plane")]).collect()
}

/// The target folder of the workspace.
fn target() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = set("CARGO_TARGET_DIR").unwrap_or_else(|| PathBuf::from("target"));
    workspace.join(target)
}

fn set(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}
