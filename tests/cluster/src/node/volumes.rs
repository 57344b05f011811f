//! A Pod's volumes as folders, laid out and refreshed as kubelet does it.
//!
//! Secrets, ConfigMaps and projected sources are swapped as [`Mount`](crate::Mount) does it. Modes and owners follow `defaultMode`, `fsGroup`
//! and the container's user, so that a file which that user could not read is not readable here.

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::{
    ByteString,
    api::{
        authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
        core::v1::{
            ConfigMap, KeyToPath, Pod, Secret, ServiceAccount, ServiceAccountTokenProjection,
            Volume, VolumeProjection,
        },
    },
};
use kube::{Api, Client, ResourceExt, api::PostParams};
use tokio::time::Instant;

use super::{Privileged, container::User, env::field};
use crate::mount;

/// kubelet's default for files of every kind.
const MODE: i32 = 0o644;
/// What kubelet gives a token that has one reader, and adds where volumes have a group.
const TOKEN_MODE: u32 = 0o600;
const GROUP_MODE: u32 = 0o440;

/// The volumes of one Pod.
#[derive(Debug)]
pub(super) struct Volumes {
    folder: PathBuf,
    laid: BTreeMap<String, Files>,
    tokens: BTreeMap<String, Token>,
}

/// What a volume holds: path, content, mode.
type Files = BTreeMap<PathBuf, (Vec<u8>, u32)>;

#[derive(Debug)]
struct Token {
    text: String,
    renew: Instant,
}

/// Whose volumes they are.
pub(super) struct Owner<'a> {
    pub(super) client: &'a Client,
    pub(super) pod: &'a Pod,
    pub(super) user: &'a User,
    pub(super) privileged: Privileged,
    pub(super) address: std::net::Ipv4Addr,
}

// === impl Volumes ===

impl Volumes {
    /// None are laid out yet.
    pub(super) fn beneath(folder: PathBuf) -> Self {
        Self { folder, laid: BTreeMap::new(), tokens: BTreeMap::new() }
    }

    /// The folder of one of them.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Brings all of them up to date.
    pub(super) async fn refresh(&mut self, owner: &Owner<'_>) -> Result<()> {
        let spec = owner.pod.spec.as_ref().context("a Pod without a spec")?;
        for volume in spec.volumes.iter().flatten() {
            let laid = self.refresh_one(owner, volume).await;
            laid.with_context(|| format!("volume {}", volume.name))?;
        }
        Ok(())
    }

    async fn refresh_one(&mut self, owner: &Owner<'_>, volume: &Volume) -> Result<()> {
        let folder = self.path(&volume.name);
        if volume.empty_dir.is_some() {
            fs::create_dir_all(&folder)?;
            fs::set_permissions(&folder, Permissions::from_mode(0o777))?;
            return Ok(());
        }
        let files = self.files(owner, volume).await?;
        if self.laid.get(&volume.name) != Some(&files) {
            fs::create_dir_all(&folder)?;
            mount::swap(&folder, |version| owner.fill(version, &files))?;
            self.laid.insert(volume.name.clone(), files);
        }
        Ok(())
    }

    async fn files(&mut self, owner: &Owner<'_>, volume: &Volume) -> Result<Files> {
        let namespace = owner.namespace()?;
        if let Some(source) = &volume.secret {
            let name = source.secret_name.as_deref().unwrap_or_default();
            let data = secret(owner.client, &namespace, name, source.optional).await?;
            return select(data, source.items.as_deref(), source.default_mode, source.optional);
        }
        if let Some(source) = &volume.config_map {
            let data = config_map(owner.client, &namespace, &source.name, source.optional).await?;
            return select(data, source.items.as_deref(), source.default_mode, source.optional);
        }
        let Some(projected) = &volume.projected else {
            bail!("its kind is not known to this node");
        };
        let mut files = Files::new();
        for source in projected.sources.iter().flatten() {
            let mode = projected.default_mode;
            files.extend(self.projection(owner, &volume.name, source, mode).await?);
        }
        Ok(files)
    }

    async fn projection(
        &mut self,
        owner: &Owner<'_>,
        volume: &str,
        source: &VolumeProjection,
        mode: Option<i32>,
    ) -> Result<Files> {
        let namespace = owner.namespace()?;
        if let Some(source) = &source.service_account_token {
            let token = self.token(owner, volume, source).await?;
            return Ok([(PathBuf::from(&source.path), (token.into_bytes(), TOKEN_MODE))].into());
        }
        if let Some(source) = &source.config_map {
            let data = config_map(owner.client, &namespace, &source.name, source.optional).await?;
            return select(data, source.items.as_deref(), mode, source.optional);
        }
        if let Some(source) = &source.secret {
            let data = secret(owner.client, &namespace, &source.name, source.optional).await?;
            return select(data, source.items.as_deref(), mode, source.optional);
        }
        let Some(source) = &source.downward_api else {
            bail!("a projected source is not known to this node");
        };
        let files = source.items.iter().flatten().map(|item| {
            let reference = item.field_ref.as_ref().context("downwardAPI: only fieldRef")?;
            let value = field(owner.pod, owner.address, &reference.field_path)?;
            Ok((PathBuf::from(&item.path), (value.into_bytes(), permissions(item.mode.or(mode))?)))
        });
        files.collect()
    }

    /// The token of a source, a new one after half of its life.
    async fn token(
        &mut self,
        owner: &Owner<'_>,
        volume: &str,
        source: &ServiceAccountTokenProjection,
    ) -> Result<String> {
        let key = format!("{volume}/{}", source.path);
        if let Some(token) = self.tokens.get(&key).filter(|token| Instant::now() < token.renew) {
            return Ok(token.text.clone());
        }
        let seconds = source.expiration_seconds.unwrap_or(3_600);
        let metadata = &owner.pod.metadata;
        let account = owner.pod.spec.as_ref().and_then(|spec| spec.service_account_name.clone());
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: source.audience.clone().into_iter().collect(),
                expiration_seconds: Some(seconds),
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    name: metadata.name.clone(),
                    uid: metadata.uid.clone(),
                }),
            },
            ..TokenRequest::default()
        };
        let accounts: Api<ServiceAccount> =
            Api::namespaced(owner.client.clone(), &owner.namespace()?);
        let account = account.context("a Pod without an account")?;
        let answer =
            accounts.create_token_request(&account, &PostParams::default(), &request).await?;
        let text = answer.status.context("a TokenRequest was answered without a token")?.token;
        let life = Duration::from_secs(seconds.try_into().unwrap_or(3_600));
        let token = Token { text: text.clone(), renew: Instant::now() + life / 2 };
        self.tokens.insert(key, token);
        Ok(text)
    }
}

// === impl Owner ===

impl Owner<'_> {
    fn namespace(&self) -> Result<String> {
        self.pod.namespace().context("a Pod without a namespace")
    }

    /// Writes the files into a folder.
    fn fill(&self, folder: &Path, files: &Files) -> Result<()> {
        for (path, (content, mode)) in files {
            let file = folder.join(path);
            fs::create_dir_all(file.parent().context("a file without a folder")?)?;
            fs::write(&file, content)?;
            self.give(&file, *mode)?;
        }
        Ok(())
    }

    /// Sets mode and owner of one file.
    fn give(&self, file: &Path, mode: u32) -> Result<()> {
        let token = mode == TOKEN_MODE;
        let mode = if self.user.fs_group.is_some() { mode | GROUP_MODE } else { mode };
        fs::set_permissions(file, Permissions::from_mode(mode))?;
        if self.privileged == Privileged::OneUser {
            return Ok(());
        }
        let uid = if token { self.user.uid } else { 0 };
        let gid = self.user.fs_group.unwrap_or(0);
        chown(file, Some(uid.try_into()?), Some(gid.try_into()?))?;
        Ok(())
    }
}

async fn secret(
    client: &Client,
    namespace: &str,
    name: &str,
    optional: Option<bool>,
) -> Result<BTreeMap<String, Vec<u8>>> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let found = secrets.get_opt(name).await?;
    ensure!(found.is_some() || optional == Some(true), "secret {name:?} not found");
    let data = found.and_then(|secret| secret.data).unwrap_or_default();
    Ok(data.into_iter().map(|(key, ByteString(value))| (key, value)).collect())
}

async fn config_map(
    client: &Client,
    namespace: &str,
    name: &str,
    optional: Option<bool>,
) -> Result<BTreeMap<String, Vec<u8>>> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let found = maps.get_opt(name).await?;
    ensure!(found.is_some() || optional == Some(true), "configmap {name:?} not found");
    let data = found.and_then(|map| map.data).unwrap_or_default();
    Ok(data.into_iter().map(|(key, value)| (key, value.into_bytes())).collect())
}

/// The files of the keys that are asked for, or of all.
fn select(
    mut data: BTreeMap<String, Vec<u8>>,
    items: Option<&[KeyToPath]>,
    mode: Option<i32>,
    optional: Option<bool>,
) -> Result<Files> {
    let Some(items) = items else {
        let mode = permissions(mode)?;
        let files = data.into_iter().map(|(key, value)| (PathBuf::from(key), (value, mode)));
        return Ok(files.collect());
    };
    let mut files = Files::new();
    for item in items {
        match data.remove(&item.key) {
            Some(value) => {
                files.insert(PathBuf::from(&item.path), (value, permissions(item.mode.or(mode))?));
            }
            None => ensure!(optional == Some(true), "references non-existent key: {}", item.key),
        }
    }
    Ok(files)
}

fn permissions(mode: Option<i32>) -> Result<u32> {
    Ok(mode.unwrap_or(MODE).try_into()?)
}
