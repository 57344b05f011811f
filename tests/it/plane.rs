//! The control plane that tests share; one for the process, with controllers.
//!
//! Tests keep apart by namespace: a registration selects the namespaces of its own label.

use cluster::ControlPlane;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

/// Fields of Pods that are newer than most clusters, for the shared control plane to know.
const NEW_FIELDS: [&str; 4] =
    ["ContainerRestartRules", "EnvFiles", "HostnameOverride", "ImageVolume"];

/// The control plane of this process. Its keepers end it with the process.
static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();

/// Held by the one test that takes most of the machine.
static HEAVY: Mutex<()> = Mutex::const_new(());

/// Waits until no other test takes most of the machine: two of those at once would find each other
/// slow, which is not what they are about.
pub(crate) async fn alone() -> MutexGuard<'static, ()> {
    HEAVY.lock().await
}

/// The control plane that tests share, with controllers.
pub(crate) async fn plane() -> &'static ControlPlane {
    let start = || {
        let builder = ControlPlane::builder().controller_manager();
        NEW_FIELDS.iter().fold(builder, |builder, gate| builder.feature_gate(gate, true)).start()
    };
    SHARED.get_or_try_init(start).await.unwrap()
}
