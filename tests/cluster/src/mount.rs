//! A mounted Secret or ConfigMap, replaced as the kubelet replaces one.
//!
//! Its atomic writer makes a folder for the new version, a link `..data_tmp` to it, and renames that
//! over `..data`; the old folder goes. The paths that are read are links through `..data` that never
//! change, which is why a watch on them hears nothing:
//! <https://kubernetes.io/docs/concepts/configuration/secret/#mounted-secrets-are-updated-automatically>.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

/// A folder as the kubelet mounts it, removed when this is dropped.
#[derive(Debug)]
pub struct Mount {
    folder: TempDir,
}

impl Mount {
    /// A mount that holds these files, by name and content.
    pub fn new(files: &[(&str, &str)]) -> io::Result<Self> {
        let mount = Self { folder: TempDir::new()? };
        mount.swap(files)?;
        Ok(mount)
    }

    /// Replaces all files by these, at once.
    pub fn swap(&self, files: &[(&str, &str)]) -> io::Result<()> {
        swap(self.folder.path(), |version| {
            files.iter().try_for_each(|(name, content)| fs::write(version.join(name), content))
        })
    }

    /// Where a file of this name is, or would be.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Has `fill` write a new version of what is mounted at `folder`, into a folder of its own, and puts
/// that in the place of the old one. Whoever may enter `folder` may read the version.
pub(crate) fn swap<E: From<io::Error>>(
    folder: &Path,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let data = folder.join("..data");
    let old = fs::read_link(&data).ok();
    let readable = fs::metadata(folder)?.permissions();
    let version = tempfile::Builder::new().prefix("..").tempdir_in(folder)?.keep();
    fs::set_permissions(&version, readable)?;
    fill(&version)?;
    let next = folder.join("..data_tmp");
    symlink(version.strip_prefix(folder).map_err(io::Error::other)?, &next)?;
    fs::rename(next, data)?;
    for entry in fs::read_dir(&version)? {
        let name = entry?.file_name();
        if !folder.join(&name).is_symlink() {
            symlink(Path::new("..data").join(&name), folder.join(&name))?;
        }
    }
    if let Some(old) = old {
        fs::remove_dir_all(folder.join(old))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_under_the_same_path_and_the_old_version_goes() {
        let mount = Mount::new(&[("a", "one"), ("b", "one")]).unwrap();
        mount.swap(&[("a", "two"), ("c", "two")]).unwrap();
        let read = |name| fs::read_to_string(mount.path(name)).ok();
        assert_eq!((read("a").as_deref(), read("c").as_deref()), (Some("two"), Some("two")));
        assert_eq!(read("b"), None);
        let names = fs::read_dir(mount.folder()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names.count(), 5, "three links to files, ..data and one version");
    }
}
