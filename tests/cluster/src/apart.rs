//! Tests that need addresses of their own: the test binary runs itself again, for that one test,
//! in a network and a mount namespace that nobody else is in.
//!
//! All of the test is inside then, its own client, the control plane and every Pod, so nothing has
//! to be forwarded and no port can be somebody else's. The alternative, to enter a namespace on the
//! threads of a runtime, needs root; this also works for anybody who may make user namespaces. The
//! namespaces go with the last process in them, and the keeper of the inner run ends that when the
//! outer one is killed.
//!
//! A machine that allows neither is told so on standard error, past libtest's capture: a test that
//! was skipped is not silent.

use std::{
    future::Future,
    io::Write,
    net::Ipv4Addr,
    path::Path,
    process::{Command, Stdio},
    sync::LazyLock,
};

use crate::{
    folder::Folder,
    process::{Process, Program},
};

/// The address of everything that is not a Pod: the API server, its controllers, the node.
/// Endpoints of Services may not be loopback addresses, so it is none.
pub(crate) const NODE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// The first address of the Services' range, which API servers give to `default/kubernetes`.
pub(crate) const API_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);

/// By this variable a run knows that it is the inner one.
const INSIDE: &str = "POD_IDENTITY_TEST_APART";
/// The namespaces, as root and as anybody.
const WAYS: [&[&str]; 2] =
    [&["--net", "--mount"], &["--user", "--map-root-user", "--net", "--mount"]];
/// What has to work inside, some of it only for Pods.
const PROBE: &str = "\
set -e
ip link set lo up
ip link add name probe0 type veth peer name probe1
mount -t tmpfs probe /mnt
chroot / true
setpriv --version >/dev/null";
/// Puts the addresses in place, then becomes the inner run.
const ENTER: &str = r#"
set -e
ip link set lo up
ip address add "$1/32" dev lo
ip address add "$2/32" dev lo
shift 2
exec "$@"
"#;

/// How this machine makes namespaces, or why it does not.
static WAY: LazyLock<Result<&'static [&'static str], String>> = LazyLock::new(way);

/// Runs `scenario` inside, for the test function `test`, which does nothing else.
///
/// ```ignore
/// #[test]
/// fn a_pod_is_reached_through_its_service() {
///     cluster::apart(a_pod_is_reached_through_its_service, async { … });
/// }
/// ```
///
/// # Panics
///
/// If the scenario does, with all that it printed.
pub fn apart<T: Fn()>(_test: T, scenario: impl Future<Output = ()>) {
    // The path of the function, behind the name of its crate.
    let name = std::any::type_name::<T>();
    let name = name.split_once("::").map_or(name, |(_, name)| name);
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        match runtime {
            Ok(runtime) => runtime.block_on(scenario),
            Err(error) => fail(name, &error.to_string()),
        }
        return;
    }
    match &*WAY {
        Ok(way) => {
            let folder = Folder::new("pod-identity-apart-");
            let outcome = folder.and_then(|folder| run(way, name, folder.path()));
            match outcome {
                Ok(printed) => println!("{printed}"),
                Err(error) => fail(name, &format!("{error:#}")),
            }
        }
        Err(why) => {
            // Not `eprintln!`: libtest would keep it.
            let _ = writeln!(std::io::stderr(), "skipped: {name}: {why}");
        }
    }
}

#[expect(clippy::panic, reason = "it is the failure of a test")]
fn fail(name: &str, why: &str) -> ! {
    panic!("{name}: {why}")
}

/// Runs one test of this binary inside, and returns what it printed.
fn run(way: &[&str], name: &str, folder: &Path) -> anyhow::Result<String> {
    let log = folder.join("output");
    let mut args: Vec<String> = way.iter().map(|&flag| flag.to_owned()).collect();
    args.extend(["sh", "-c", ENTER, "enter"].map(str::to_owned));
    args.extend([NODE.to_string(), API_SERVICE.to_string()]);
    args.push(std::env::current_exe()?.display().to_string());
    args.extend(["--exact", name, "--include-ignored", "--nocapture"].map(str::to_owned));
    let env = [(INSIDE.to_owned(), "1".to_owned())];
    let binary = Path::new("unshare");
    let program = Program { name, binary, args: &args, env: &env, log: &log };
    let status = Process::start(&program)?.wait()?;
    let printed = String::from_utf8_lossy(&std::fs::read(&log)?).into_owned();
    anyhow::ensure!(status.success(), "it failed inside, {status}:\n{printed}");
    anyhow::ensure!(printed.contains("1 passed"), "there is no such test:\n{printed}");
    Ok(printed)
}

fn way() -> Result<&'static [&'static str], String> {
    let mut reasons = Vec::new();
    for way in WAYS {
        let probe = Command::new("unshare")
            .args(way)
            .args(["sh", "-c", PROBE])
            .stdin(Stdio::null())
            .output();
        match probe {
            Ok(output) if output.status.success() => return Ok(way),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                reasons.push(format!("`unshare {}`: {}", way.join(" "), said.trim()));
            }
            Err(error) => reasons.push(format!("unshare (util-linux): {error}")),
        }
    }
    Err(format!("no namespaces can be made here: {}", reasons.join("; ")))
}
