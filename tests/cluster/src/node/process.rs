//! One start of a container: namespaces, a root file system, a user, a process.
//!
//! The process is a child of the keeper of [`Process`] from the first command of the script on, so
//! nothing of it can be left behind; its namespaces, with link, mounts and image, go with it.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use anyhow::Result;

use super::{
    Privileged,
    container::{Access, Capabilities, Container, Privileges, User},
    env::expand,
    volumes::Volumes,
};
use crate::{
    apart,
    process::{Process, Program},
};

/// Makes the Pod's link and its image, puts the volumes in, and becomes the program.
///
/// `/usr` and what leads into it are the machine's, so that a binary that is linked to the
/// machine's libraries runs; everything else is the image's, and empty.
const POD: &str = r#"
set -e
outside=$1 link=$2 node=$3 address=$4 image=$5 access=$6
shift 6
out() { nsenter "--net=/proc/$outside/ns/net" "$@"; }
ip link set lo up
ip link add name eth0 type veth peer name "$link" netns "$outside"
ip address add "$address/32" dev eth0
ip link set eth0 up
out ip link set "$link" up
out ip route replace "$address/32" dev "$link" src "$node"
ip route add "$node/32" dev eth0 src "$address"
ip route add default via "$node" dev eth0

mkdir -p "$image"
mount -t tmpfs -o mode=755 image "$image"
for name in usr lib lib32 lib64 bin sbin nix; do
  if [ -h "/$name" ]; then
    cp -P "/$name" "$image/$name"
  elif [ -d "/$name" ]; then
    mkdir "$image/$name"
    mount --rbind "/$name" "$image/$name"
  fi
done
for name in proc dev; do
  mkdir "$image/$name"
  mount --rbind "/$name" "$image/$name"
done
while [ "$1" != -- ]; do
  if [ -d "$2" ]; then
    mkdir -p "$image$3"
  else
    mkdir -p "$image${3%/*}"
    : >"$image$3"
  fi
  mount --bind "$2" "$image$3"
  if [ "$1" = read-only ]; then mount -o remount,bind,ro "$image$3"; fi
  shift 3
done
shift
if [ "$access" = read-only ]; then mount -o remount,bind,ro "$image"; fi
exec chroot "$image" "$@"
"#;

/// What a start needs besides the container.
#[derive(Debug)]
pub(super) struct Start<'a> {
    pub(super) name: &'a str,
    pub(super) address: Ipv4Addr,
    /// The name of the node's end of its link, which no other start has.
    pub(super) link: &'a str,
    /// Where the image is mounted.
    pub(super) image: PathBuf,
    pub(super) environment: &'a BTreeMap<String, String>,
    pub(super) volumes: &'a Volumes,
    pub(super) privileged: Privileged,
    pub(super) log: &'a Path,
}

// === impl Start ===

impl Start<'_> {
    /// Starts the process.
    pub(super) fn start(&self, container: &Container) -> Result<Process> {
        let mut args: Vec<String> =
            ["--net", "--mount", "sh", "-c", POD, "pod"].map(str::to_owned).to_vec();
        args.extend([
            std::process::id().to_string(),
            self.link.to_owned(),
            apart::NODE.to_string(),
            self.address.to_string(),
            self.image.display().to_string(),
            word(container.root).to_owned(),
        ]);
        for path in &container.image.paths {
            let binary = container.image.binary.display().to_string();
            args.extend(["read-only".to_owned(), binary, path.clone()]);
        }
        for mount in &container.mounts {
            let volume = self.volumes.path(&mount.volume).display().to_string();
            args.extend([word(mount.access).to_owned(), volume, mount.path.clone()]);
        }
        args.push("--".to_owned());
        args.extend(["/usr/bin/env", "-i"].map(str::to_owned));
        args.extend(self.environment.iter().map(|(name, value)| format!("{name}={value}")));
        args.extend(become_user(&container.user, self.privileged));
        args.extend(container.command.iter().map(|word| expand(word, self.environment)));
        Process::start(&Program {
            name: self.name,
            binary: Path::new("unshare"),
            args: &args,
            env: &[],
            log: self.log,
        })
    }
}

fn word(access: Access) -> &'static str {
    match access {
        Access::ReadOnly => "read-only",
        Access::Writable => "writable",
    }
}

/// The command that takes on a user and gives up what that user may not have.
fn become_user(user: &User, privileged: Privileged) -> Vec<String> {
    let mut command = vec!["/usr/bin/setpriv".to_owned()];
    if privileged == Privileged::Root {
        let User { uid, gid, groups, .. } = user;
        command.extend([format!("--reuid={uid}"), format!("--regid={gid}")]);
        let groups: Vec<_> = groups.iter().map(ToString::to_string).collect();
        command.push(match groups.as_slice() {
            [] => "--clear-groups".to_owned(),
            groups => format!("--groups={}", groups.join(",")),
        });
    }
    if user.capabilities == Capabilities::Dropped {
        command.extend(["--inh-caps=-all", "--bounding-set=-all"].map(str::to_owned));
    }
    if user.privileges == Privileges::MayNot {
        command.push("--no-new-privs".to_owned());
    }
    command.push("--".to_owned());
    command
}
