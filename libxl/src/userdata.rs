//! What the toolstack keeps about a domain in files, the same ones as stock libxl's:
//! `/var/lib/xen/userdata-<class>.<domid>.<uuid>.<id>`, the class being `d` for data, `n` for data being
//! written, `l` for a lock.

use crate::ctx::Ctx;
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::event::Deadline;
use crate::lock::LockFile;
use crate::types::{DomainConfig, json};
use libxc::DomId;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;
use uuid::Uuid;

/// The id under which a domain's configuration is kept.
const CONFIG: &str = "libxl-json";
/// The id of the lock on a domain's data.
const LOCK: &str = "domain-userdata-lock";
/// The id of the lock on the socket of its QEMU.
const QMP_LOCK: &str = "qmp-socket-lock";
/// The id of the lock that whoever suspends the domain holds, for as long as that takes. Stock libxl does not know it.
const SUSPENSION_LOCK: &str = "suspension-lock";
/// How long another process may hold one of the others: for a few file operations.
const LOCK_TIMEOUT: Duration = Duration::from_secs(60);

/// The files of one domain.
#[derive(Clone, Debug)]
pub struct Userdata {
    dir: PathBuf,
    domid: DomId,
    uuid: Uuid,
}

/// The lock on a domain's data, given up when dropped.
#[derive(Debug)]
pub struct UserdataLock {
    _file: LockFile,
}

impl Userdata {
    /// Those of a domain that exists.
    ///
    /// # Errors
    /// `DomainNotFound`.
    pub fn of(ctx: &Ctx, domid: DomId) -> Result<Userdata> {
        match ctx.xc()?.domain(domid)? {
            Some(info) => Ok(Userdata::named(ctx, domid, Uuid::from_bytes(info.uuid))),
            None => Err(Error::new(ErrorKind::DomainNotFound, format!("domain {domid} does not exist"))),
        }
    }

    /// Those of a domain of which we know the uuid; it need not exist.
    pub fn named(ctx: &Ctx, domid: DomId, uuid: Uuid) -> Userdata {
        Userdata { dir: ctx.paths.lib.clone(), domid, uuid }
    }

    fn path(&self, class: char, id: &str) -> PathBuf {
        self.dir.join(format!("{}{id}", self.prefix(class)))
    }

    fn prefix(&self, class: char) -> String {
        format!("userdata-{class}.{}.{}.", self.domid, self.uuid)
    }

    /// Locks the data against other toolstack processes. Taken around every change, and around reads
    /// that a change follows.
    pub fn lock(&self, ctx: &Ctx) -> Result<UserdataLock> {
        let file = LockFile::acquire(ctx, &self.path('l', LOCK), Deadline::after(LOCK_TIMEOUT))?;
        Ok(UserdataLock { _file: file })
    }

    /// Locks the socket of the domain's QEMU, which serves one client after the other.
    pub(crate) fn lock_qmp(&self, ctx: &Ctx) -> Result<LockFile> {
        LockFile::acquire(ctx, &self.path('l', QMP_LOCK), Deadline::after(LOCK_TIMEOUT))
    }

    /// The right to suspend the domain and to let it go on, unless another process has it.
    pub(crate) fn try_lock_suspension(&self) -> Result<Option<LockFile>> {
        LockFile::try_acquire(&self.path('l', SUSPENSION_LOCK))
    }

    /// Keeps data under an id, in place of what was there: whole, or not at all. No data removes it.
    pub fn store(&self, id: &str, data: &[u8]) -> Result<()> {
        if data.is_empty() {
            return self.remove(id);
        }
        let (new, path) = (self.path('n', id), self.path('d', id));
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(data)?;
            fs::rename(&new, &path)
        };
        write().inspect_err(|_| _ = fs::remove_file(&new)).with_context(|| format!("writing {}", path.display()))
    }

    /// The data kept under an id, if any.
    ///
    /// # Errors
    /// An empty file is one: nobody writes such.
    pub fn retrieve(&self, id: &str) -> Result<Option<Vec<u8>>> {
        let path = self.path('d', id);
        match fs::read(&path) {
            Ok(data) if data.is_empty() => Err(Error::fail(format!("{} is empty", path.display()))),
            Ok(data) => Ok(Some(data)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e).with_context(|| format!("reading {}", path.display())),
        }
    }

    /// Removes what is kept under an id; no error if nothing is.
    pub fn remove(&self, id: &str) -> Result<()> {
        let path = self.path('d', id);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e).context(format!("removing {}", path.display())),
            _ => Ok(()),
        }
    }

    /// Removes all that is kept about the domain, of every class and id; the lock goes when it is given up.
    pub fn remove_all(&self, _held: &UserdataLock) -> Result<()> {
        let suffix = &self.prefix('?')["userdata-?".len()..];
        let step = || format!("removing the files of domain {} in {}", self.domid, self.dir.display());
        for entry in fs::read_dir(&self.dir).with_context(step)? {
            let entry = entry.with_context(step)?;
            let name = entry.file_name();
            let Some(rest) = name.to_str().and_then(|n| n.strip_prefix("userdata-")) else { continue };
            let mut chars = rest.chars();
            let is_ours = chars.next().is_some() && chars.as_str().starts_with(suffix);
            if is_ours && !rest.contains(LOCK) {
                fs::remove_file(entry.path()).with_context(step)?;
            }
        }
        Ok(())
    }

    /// Whether a configuration was stored: the last step of making a domain.
    pub fn has_config(&self) -> bool {
        self.path('d', CONFIG).exists()
    }

    /// The domain's configuration as its last change left it.
    ///
    /// # Errors
    /// `JsonConfigEmpty` if none was ever stored.
    pub fn config(&self) -> Result<DomainConfig> {
        let step = || format!("reading the stored configuration of domain {}", self.domid);
        let missing = || Error::new(ErrorKind::JsonConfigEmpty, "there is none");
        let data = self.retrieve(CONFIG).with_context(step)?.ok_or_else(missing).with_context(step)?;
        let text = data.split(|b| *b == 0).next().unwrap_or_default();
        let text = std::str::from_utf8(text).map_err(|_| Error::fail("it is no UTF-8")).with_context(step)?;
        json::from_str(text).with_context(step)
    }

    /// Stores the domain's configuration.
    pub fn store_config(&self, config: &DomainConfig) -> Result<()> {
        // libxl keeps the C string with its NUL, after the newline that yajl ends a text with.
        self.store(CONFIG, (json::to_string(config) + "\n\0").as_bytes())
            .with_context(|| format!("storing the configuration of domain {}", self.domid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::Paths;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    const UUID: Uuid = uuid::uuid!("2b383046-e58e-11f1-8b33-33310486262e");

    fn host() -> (tempfile::TempDir, Ctx) {
        let root = tempfile::tempdir().unwrap();
        let ctx = Ctx::new(Paths::installed(Path::new("/usr")).rooted(root.path()));
        fs::create_dir_all(&ctx.paths.lib).unwrap();
        (root, ctx)
    }

    fn files(ctx: &Ctx) -> Vec<String> {
        let entries = fs::read_dir(&ctx.paths.lib).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = entries.collect();
        names.sort();
        names
    }

    #[test]
    fn the_files_are_libxls() {
        let (_root, ctx) = host();
        let userdata = Userdata::named(&ctx, DomId(1), UUID);
        let lock = userdata.lock(&ctx).unwrap();
        userdata.store("xl", b"text").unwrap();
        userdata.store("xl", b"new text").unwrap();
        let data = "userdata-d.1.2b383046-e58e-11f1-8b33-33310486262e.xl";
        let held = "userdata-l.1.2b383046-e58e-11f1-8b33-33310486262e.domain-userdata-lock";
        assert_eq!(files(&ctx), [data, held]);
        assert_eq!(fs::metadata(ctx.paths.lib.join(data)).unwrap().mode() & 0o777, 0o600);
        assert_eq!(userdata.retrieve("xl").unwrap(), Some(b"new text".to_vec()));
        drop(lock);
        assert_eq!(files(&ctx), [data]);
        userdata.store("xl", b"").unwrap();
        assert!(files(&ctx).is_empty());
        assert_eq!(userdata.retrieve("xl").unwrap(), None);
        userdata.remove("xl").unwrap();
    }

    #[test]
    fn removing_all_takes_every_class_and_leaves_other_domains() {
        let (_root, ctx) = host();
        let userdata = Userdata::named(&ctx, DomId(1), UUID);
        Userdata::named(&ctx, DomId(11), UUID).store("xl", b"x").unwrap();
        Userdata::named(&ctx, DomId(1), Uuid::nil()).store("xl", b"x").unwrap();
        for (class, id) in [('d', "xl"), ('d', CONFIG), ('n', CONFIG)] {
            fs::write(userdata.path(class, id), "x").unwrap();
        }
        userdata.remove_all(&userdata.lock(&ctx).unwrap()).unwrap();
        assert_eq!(
            files(&ctx),
            [
                "userdata-d.1.00000000-0000-0000-0000-000000000000.xl",
                "userdata-d.11.2b383046-e58e-11f1-8b33-33310486262e.xl"
            ]
        );
    }

    #[test]
    fn a_configuration_survives_with_its_nul() {
        let (_root, ctx) = host();
        let userdata = Userdata::named(&ctx, DomId(1), UUID);
        assert_eq!(userdata.config().unwrap_err().kind(), ErrorKind::JsonConfigEmpty);
        let mut config = DomainConfig::default();
        config.c_info.name = Some("web1".into());
        userdata.store_config(&config).unwrap();
        assert!(userdata.retrieve(CONFIG).unwrap().unwrap().ends_with(b"}\n\0"));
        assert_eq!(userdata.config().unwrap().c_info.name, config.c_info.name);
    }

    #[test]
    fn damaged_files_are_errors() {
        let (_root, ctx) = host();
        let userdata = Userdata::named(&ctx, DomId(1), UUID);
        fs::write(userdata.path('d', CONFIG), "").unwrap();
        assert!(userdata.config().unwrap_err().to_string().contains("is empty"));
        fs::write(userdata.path('d', CONFIG), b"{\"c_info\": \xff}\0").unwrap();
        assert!(userdata.config().unwrap_err().to_string().contains("UTF-8"));
        fs::write(userdata.path('d', CONFIG), b"{\"c_info\": 3}\0").unwrap();
        let error = userdata.config().unwrap_err().to_string();
        assert!(error.starts_with("reading the stored configuration of domain 1: c_info: invalid type"), "{error}");
    }
}
