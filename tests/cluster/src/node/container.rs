//! What a Pod's one container is to be, read from its specification once.
//!
//! Everything that would change what runs and is not understood here is refused by name.

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::{Container as Spec, EnvVar, Pod, PodSpec};

use super::{Image, probe::Probe, probe::Probes};

/// The container of a Pod.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) image: Image,
    /// As written, with references to variables.
    pub(super) command: Vec<String>,
    pub(super) env: Vec<EnvVar>,
    pub(super) mounts: Vec<Mount>,
    pub(super) root: Access,
    pub(super) user: User,
    pub(super) probes: Probes,
    /// What its `preStop` hook waits, in seconds.
    pub(super) stop_sleep: i64,
}

/// A volume at a path.
#[derive(Debug)]
pub(super) struct Mount {
    pub(super) volume: String,
    pub(super) path: String,
    pub(super) access: Access,
}

/// Whether files can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    ReadOnly,
    Writable,
}

/// Who the process is, and what it may do.
#[derive(Debug)]
pub(super) struct User {
    pub(super) uid: i64,
    pub(super) gid: i64,
    /// The group that volumes belong to.
    pub(super) fs_group: Option<i64>,
    pub(super) groups: Vec<i64>,
    pub(super) capabilities: Capabilities,
    pub(super) privileges: Privileges,
}

/// The capabilities that a root process keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Capabilities {
    /// Those of the container runtime.
    Default,
    /// None.
    Dropped,
}

/// Whether a process may gain privileges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Privileges {
    May,
    MayNot,
}

// === impl Container ===

impl Container {
    /// Reads it, with the image that one of `images` is.
    pub(super) fn of(pod: &Pod, images: &[Image]) -> Result<Self> {
        let spec = pod.spec.as_ref().context("a Pod without a spec")?;
        let [container] = spec.containers.as_slice() else {
            bail!("this node runs Pods of one container");
        };
        ensure!(spec.init_containers.iter().flatten().next().is_none(), "initContainers");
        ensure!(spec.host_network != Some(true), "hostNetwork is not known to this node");
        ensure!(container.env_from.iter().flatten().next().is_none(), "envFrom");
        let image = image(container, images)?;
        let entry = image.paths.first().context("an image without an entry point")?;
        let command = container.command.clone().filter(|command| !command.is_empty());
        let mut command = command.unwrap_or_else(|| vec![entry.clone()]);
        command.extend(container.args.iter().flatten().cloned());
        let read_only =
            container.security_context.as_ref().and_then(|it| it.read_only_root_filesystem);
        Ok(Self {
            command,
            env: container.env.clone().unwrap_or_default(),
            mounts: mounts(container)?,
            root: Access::read_only_if(read_only),
            user: User::of(spec, container, image.user)?,
            probes: probes(container)?,
            stop_sleep: stop_sleep(container)?,
            image,
        })
    }
}

fn image(container: &Spec, images: &[Image]) -> Result<Image> {
    let named = container.image.as_deref().unwrap_or_default();
    let (name, _) = named.split_once('@').unwrap_or((named, ""));
    // A colon behind the last slash is a tag's, any other a port's.
    let repository = match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    };
    let found = images.iter().find(|image| image.repository == repository);
    found.cloned().with_context(|| format!("ErrImagePull: no image {named:?} on this node"))
}

fn mounts(container: &Spec) -> Result<Vec<Mount>> {
    let mounts = container.volume_mounts.iter().flatten().map(|mount| {
        let part = mount.sub_path.as_ref().or(mount.sub_path_expr.as_ref());
        ensure!(part.is_none(), "subPath is not known to this node");
        Ok(Mount {
            volume: mount.name.clone(),
            path: mount.mount_path.clone(),
            access: Access::read_only_if(mount.read_only),
        })
    });
    mounts.collect()
}

fn probes(container: &Spec) -> Result<Probes> {
    let read = |probe: Option<&_>| probe.map(|probe| Probe::of(probe, container)).transpose();
    Ok(Probes {
        startup: read(container.startup_probe.as_ref())?,
        liveness: read(container.liveness_probe.as_ref())?,
        readiness: read(container.readiness_probe.as_ref())?,
    })
}

fn stop_sleep(container: &Spec) -> Result<i64> {
    let Some(lifecycle) = &container.lifecycle else { return Ok(0) };
    ensure!(lifecycle.post_start.is_none(), "lifecycle.postStart is not known to this node");
    let Some(hook) = &lifecycle.pre_stop else { return Ok(0) };
    let sleep = hook.sleep.as_ref().context("lifecycle.preStop: this node knows only sleep")?;
    Ok(sleep.seconds)
}

// === impl Access ===

impl Access {
    fn read_only_if(read_only: Option<bool>) -> Self {
        if read_only == Some(true) { Self::ReadOnly } else { Self::Writable }
    }
}

// === impl User ===

impl User {
    fn of(spec: &PodSpec, container: &Spec, image_user: i64) -> Result<Self> {
        let pod = spec.security_context.clone().unwrap_or_default();
        let own = container.security_context.clone().unwrap_or_default();
        ensure!(pod.sysctls.iter().flatten().next().is_none(), "sysctls");
        ensure!(own.privileged != Some(true), "privileged containers are not known to this node");
        let uid = own.run_as_user.or(pod.run_as_user).unwrap_or(image_user);
        let checked = own.run_as_non_root.or(pod.run_as_non_root) == Some(true);
        ensure!(uid != 0 || !checked, "runAsNonRoot, and the user is root");
        let capabilities = own.capabilities.unwrap_or_default();
        ensure!(capabilities.add.iter().flatten().next().is_none(), "capabilities.add");
        let dropped = capabilities.drop.unwrap_or_default();
        let capabilities = match dropped.as_slice() {
            [] => Capabilities::Default,
            [all] if all == "ALL" => Capabilities::Dropped,
            other => bail!("capabilities.drop {other:?} is not known to this node"),
        };
        let mut groups = pod.supplemental_groups.unwrap_or_default();
        groups.extend(pod.fs_group);
        Ok(Self {
            uid,
            gid: own.run_as_group.or(pod.run_as_group).unwrap_or(0),
            fs_group: pod.fs_group,
            groups,
            capabilities,
            privileges: match own.allow_privilege_escalation {
                Some(false) => Privileges::MayNot,
                Some(true) | None => Privileges::May,
            },
        })
    }
}
