//! What a release carries besides the image: the chart and the plain manifests, which install it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::path;

const VERSION: &str = env!("CARGO_PKG_VERSION");
const PUBLISHED: &str = "ghcr.io/owner/repository";

/// helm, which `make chart-tools` builds.
fn helm() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| path("target"), PathBuf::from);
    let helm = path("").join(target).join("tools/helm");
    assert!(helm.exists(), "{} is missing: run `make chart-tools`", helm.display());
    helm
}

fn publish(image: &str, folder: &Path) -> Output {
    Command::new(path("tests/image/publish.sh"))
        .arg(helm())
        .args([image, VERSION])
        .arg(folder)
        .current_dir(path(""))
        .output()
        .unwrap()
}

/// The images that a text of Kubernetes objects names.
fn images(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.trim().strip_prefix("image: ")).collect()
}

#[test]
fn chart_and_manifests_of_a_release_install_the_published_image() {
    let folder = tempfile::tempdir().unwrap();
    let Output { status, stderr, .. } = publish(PUBLISHED, folder.path());
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));

    let image = format!("\"{PUBLISHED}:{VERSION}\"");
    let manifests = std::fs::read_to_string(folder.path().join("install.yaml")).unwrap();
    assert_eq!(images(&manifests), [&image]);

    let chart = folder.path().join(format!("pod-identity-webhook-{VERSION}.tgz"));
    let rendered = Command::new(helm()).args(["template", "release"]).arg(chart).output().unwrap();
    assert_eq!(images(&String::from_utf8(rendered.stdout).unwrap()), [&image]);
}

#[test]
fn a_name_that_no_registry_takes_is_refused() {
    for name in ["", "repository", "ghcr.io/Owner/repository", "ghcr.io/owner/re|s"] {
        let folder = tempfile::tempdir().unwrap();
        let Output { status, stderr, .. } = publish(name, folder.path());
        assert!(!status.success(), "{name}");
        let said = String::from_utf8(stderr).unwrap();
        let expected = format!("PUBLISHED is '{name}': give registry and repository in lower case");
        assert!(said.starts_with(&expected), "{said}");
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }
}
