//! Files of domains that are gone, and locks that nobody holds.

use crate::error::{Result, ResultExt};
use crate::lock::LockFile;
use crate::paths::Paths;
use libxc::DomId;
use libxc::domain::DomainInfo;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// The locks of hotplug scripts.
const HOTPLUG_LOCKS: &str = "/run/xen-hotplug";

/// A file about a domain.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OfDomain {
    pub(super) path: PathBuf,
    pub(super) domid: DomId,
    /// If its name has one.
    pub(super) uuid: Option<Uuid>,
}

impl OfDomain {
    /// Whether the domain is gone, when Xen has this one of its number, if any.
    pub(super) fn is_left(&self, domain: Option<&DomainInfo>) -> bool {
        match (domain, self.uuid) {
            (None, _) => true,
            (Some(info), Some(uuid)) => info.uuid != *uuid.as_bytes(),
            (Some(_), None) => false,
        }
    }
}

/// The files about domains, but for locks that others may still take: a console's is of no use once its domain is gone.
pub(super) fn of_domains(paths: &Paths) -> Result<Vec<OfDomain>> {
    let mut found = Vec::new();
    for dir in [&paths.lib, &paths.run, &paths.lock] {
        found.extend(list(dir)?.into_iter().filter_map(of_domain));
    }
    Ok(found)
}

/// The locks that nobody holds: of domains, of hotplug scripts.
pub(super) fn stale_locks(paths: &Paths) -> Result<Vec<PathBuf>> {
    let of_domains = list(&paths.lib)?.into_iter().filter(|path| name(path).starts_with("userdata-l."));
    let of_scripts = list(Path::new(HOTPLUG_LOCKS))?.into_iter().filter(|path| path.is_file());
    let mut stale = Vec::new();
    for path in of_domains.chain(of_scripts) {
        if LockFile::is_stale(&path).with_context(|| path.display().to_string())? {
            stale.push(path);
        }
    }
    Ok(stale)
}

/// Removes a file about a domain that is gone, when Xen has this one of its number now.
pub(super) fn remove(path: &Path, domain: Option<&DomainInfo>) -> Result<()> {
    if !of_domain(path.to_owned()).is_some_and(|file| file.is_left(domain)) {
        return Ok(());
    }
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e).with_context(|| path.display().to_string()),
        _ => Ok(()),
    }
}

/// Removes a lock that nobody holds.
pub(super) fn remove_lock(path: &Path) -> Result<()> {
    LockFile::take_stale(path).map(drop).with_context(|| path.display().to_string())
}

fn list(dir: &Path) -> Result<Vec<PathBuf>> {
    match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => {
            let paths = entries.and_then(|entries| entries.map(|entry| entry.map(|e| e.path())).collect());
            paths.with_context(|| dir.display().to_string())
        }
    }
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// What a file's name says, if it is one of a domain's.
fn of_domain(path: PathBuf) -> Option<OfDomain> {
    let name = name(&path);
    let (domid, uuid) = match name.strip_prefix("userdata-") {
        Some(rest) => {
            let mut parts = rest.split('.');
            let class = parts.next()?;
            let (domid, uuid) = (parts.next()?.parse().ok()?, Uuid::parse_str(parts.next()?).ok()?);
            // Locks are known by who holds them.
            (class != "l").then_some((domid, Some(uuid)))?
        }
        None => {
            let number = ["qemu-save.", "qemu-resume.", "qmp-libxl-", "qmp-libxenstat-", "xenconsole."]
                .iter()
                .find_map(|prefix| name.strip_prefix(prefix))?;
            (number.parse().ok()?, None)
        }
    };
    let domid = Some(DomId(domid)).filter(|domid| domid.is_ordinary() && *domid != DomId(0))?;
    Some(OfDomain { path, domid, uuid })
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "2b383046-e58e-11f1-8b33-33310486262e";

    fn found(name: &str) -> Option<(u16, bool)> {
        of_domain(Path::new("/var/lib/xen").join(name)).map(|file| (file.domid.0, file.uuid.is_some()))
    }

    #[test]
    fn files_are_known_by_their_names() {
        assert_eq!(found(&format!("userdata-d.7.{UUID}.libxl-json")), Some((7, true)));
        assert_eq!(found(&format!("userdata-n.7.{UUID}.libxl-json")), Some((7, true)));
        assert_eq!(found("qemu-save.7"), Some((7, false)));
        assert_eq!(found("qmp-libxl-7"), Some((7, false)));
        assert_eq!(found("xenconsole.7"), Some((7, false)));
        for other in [
            format!("userdata-d.0.{UUID}.libxl-json"),
            format!("userdata-l.7.{UUID}.domain-userdata-lock"),
            "userdata-d.7.nonsense.libxl-json".into(),
            "userdata-d.99999.x".into(),
            "domid-history".into(),
            "qemu-save.".into(),
            "dump".into(),
        ] {
            assert_eq!(found(&other), None, "{other}");
        }
    }

    #[test]
    fn a_number_may_be_another_domains_by_now() {
        let of = |name: &str| of_domain(PathBuf::from(name)).unwrap();
        let (named, numbered) = (of(&format!("userdata-d.7.{UUID}.xl")), of("qemu-save.7"));
        let same = DomainInfo { uuid: *Uuid::parse_str(UUID).unwrap().as_bytes(), ..Default::default() };
        let other = DomainInfo::default();
        assert!(named.is_left(None) && numbered.is_left(None));
        assert!(!named.is_left(Some(&same)) && named.is_left(Some(&other)));
        assert!(!numbered.is_left(Some(&other)));
    }

    #[test]
    fn a_lock_that_is_held_is_not_stale() {
        let root = tempfile::tempdir().unwrap();
        let mut paths = Paths::installed(Path::new("/usr"));
        paths.lib = root.path().to_owned();
        let path = root.path().join(format!("userdata-l.7.{UUID}.domain-userdata-lock"));
        let ours = |locks: Vec<PathBuf>| locks.contains(&path);
        let ctx = crate::Ctx::new(paths.clone());
        let held = LockFile::acquire(&ctx, &path, crate::event::Deadline::NEVER).unwrap();
        assert!(!ours(stale_locks(&paths).unwrap()));
        remove_lock(&path).unwrap();
        assert!(path.exists(), "whoever holds it keeps it");
        drop(held);
        fs::write(&path, "").unwrap();
        assert!(ours(stale_locks(&paths).unwrap()));
        remove_lock(&path).unwrap();
        assert!(!path.exists());
    }
}
