//! Where things are: the source tree, cargo's target directory, the lab's cache in it.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use nix::fcntl::{Flock, FlockArg};
use serde::Deserialize;

/// The source tree and what cargo says about it.
pub(crate) struct Workspace {
    /// The directory of the workspace's Cargo.toml.
    pub root: PathBuf,
    /// Cargo's target directory.
    pub target: PathBuf,
    /// The programs that a host installs: xl and the helpers.
    pub programs: Vec<Binary>,
}

/// A binary target of a package of the workspace.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Binary {
    pub package: String,
    pub name: String,
}

impl Workspace {
    /// Asks cargo about the workspace that this program was built from.
    pub(crate) fn find() -> Result<Self> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let output = Command::new("cargo")
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .current_dir(here)
            .output()
            .context("running cargo metadata")?;
        anyhow::ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
        let metadata: Metadata = serde_json::from_slice(&output.stdout).context("reading cargo metadata")?;
        let programs = metadata.packages.iter().flat_map(Package::binaries).collect();
        Ok(Self { root: metadata.workspace_root, target: metadata.target_directory, programs })
    }

    /// The lab's own sources: profiles, cases, dom0's files.
    pub(crate) fn lab(&self) -> PathBuf {
        self.root.join("tests/lab")
    }

    /// What the lab keeps between runs. (`target/lab` is where cargo puts what the profile "lab" builds.)
    pub(crate) fn cache(&self) -> PathBuf {
        self.target.join("nested-xen")
    }

    /// Lets one `cargo lab` at a time change the cache; the lock ends with the returned value.
    pub(crate) fn lock_cache(&self) -> Result<Flock<File>> {
        fs::create_dir_all(self.cache())?;
        let path = self.cache().join("lock");
        let file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
        Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, e)| e).context("locking the lab's cache")
    }
}

#[derive(Deserialize)]
struct Metadata {
    workspace_root: PathBuf,
    target_directory: PathBuf,
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

impl Package {
    /// The package's programs; the lab itself is not installed.
    fn binaries(&self) -> impl Iterator<Item = Binary> + '_ {
        self.targets
            .iter()
            .filter(|t| self.name != env!("CARGO_PKG_NAME") && t.kind.iter().any(|k| k == "bin"))
            .map(|t| Binary { package: self.name.clone(), name: t.name.clone() })
    }
}

/// A short name for a set of inputs: equal inputs, equal key. A new compiler may change all keys; that costs one
/// rebuild of the cache.
pub(crate) fn key(inputs: &impl Hash) -> String {
    let mut hasher = DefaultHasher::new();
    inputs.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Name and content of every file under `dir`, sorted: the part of a key that a directory contributes.
pub(crate) fn contents(dir: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).with_context(|| format!("reading {}", dir.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else {
                let content = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
                found.push((path, content));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Makes `<cache>/<kind>-<key>` by `build` if it is not there, and removes older ones of its kind.
///
/// `build` fills a temporary directory, which is renamed when it is complete: a directory of the final name is whole.
pub(crate) fn cached(cache: &Path, kind: &str, key: &str, build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let path = cache.join(format!("{kind}-{key}"));
    if path.exists() {
        return Ok(path);
    }
    for entry in fs::read_dir(cache)? {
        let old = entry?.path();
        if old.file_name().is_some_and(|n| n.to_string_lossy().starts_with(&format!("{kind}-"))) {
            fs::remove_dir_all(&old).with_context(|| format!("removing {}", old.display()))?;
        }
    }
    let unfinished = cache.join(format!("{kind}-unfinished"));
    fs::create_dir(&unfinished)?; // the loop above removed what an interrupted build left
    build(&unfinished)?;
    fs::rename(&unfinished, &path)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("lab-workspace-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn an_unfinished_build_is_not_taken_for_a_whole_one() {
        let cache = scratch("unfinished");
        let failed = cached(&cache, "image", "1", |dir| {
            fs::write(dir.join("half"), "")?;
            anyhow::bail!("no space")
        });
        assert!(failed.is_err());
        let path = cached(&cache, "image", "1", |dir| Ok(fs::write(dir.join("whole"), "")?)).unwrap();
        assert!(path.join("whole").exists() && !path.join("half").exists());
        fs::remove_dir_all(cache).unwrap();
    }

    #[test]
    fn a_new_key_replaces_the_old_directory_of_its_kind_only() {
        let cache = scratch("replace");
        let old = cached(&cache, "image", "1", |_| Ok(())).unwrap();
        let other = cached(&cache, "root", "1", |_| Ok(())).unwrap();
        let new = cached(&cache, "image", "2", |_| Ok(())).unwrap();
        assert!(!old.exists() && other.exists() && new.exists());
        fs::remove_dir_all(cache).unwrap();
    }

    #[test]
    fn the_lab_is_not_a_program_of_the_host() {
        let package = |name: &str| Package {
            name: name.into(),
            targets: vec![Target { name: name.into(), kind: vec!["bin".into()] }],
        };
        assert_eq!(package("lab").binaries().count(), 0);
        assert_eq!(package("xl").binaries().next(), Some(Binary { package: "xl".into(), name: "xl".into() }));
    }
}
