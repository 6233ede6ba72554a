//! The file that a guest is saved to: there is the old one until the new one is whole and safe on its disk.

use crate::failure::Failure;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

/// A file that is being written under another name. Dropped before [`Pending::keep`], it goes.
pub(crate) struct Pending {
    file: File,
    /// Where it is written, and where it belongs; none if it is written in place: a device, a pipe.
    names: Option<(PathBuf, PathBuf)>,
    kept: bool,
}

impl Pending {
    /// Begins to write a file; `-` is standard output.
    pub(crate) fn create(name: &str) -> Result<Pending, Failure> {
        Pending::open(name).map_err(|e| Failure::new(1, format!("cannot write {name}: {}", libxc::reason(&e))))
    }

    fn open(name: &str) -> io::Result<Pending> {
        let in_place = |file| Pending { file, names: None, kept: false };
        if name == "-" {
            return Ok(in_place(io::stdout().as_fd().try_clone_to_owned()?.into()));
        }
        // A link stays one: what it leads to is replaced.
        let path = match fs::canonicalize(name) {
            Ok(path) if !path.is_file() => return OpenOptions::new().write(true).open(path).map(in_place),
            Ok(path) => path,
            Err(e) if e.kind() == io::ErrorKind::NotFound => PathBuf::from(name),
            Err(e) => return Err(e),
        };
        let partial = partial_name(&path)?;
        let earlier = path.metadata().ok();
        let mode = if earlier.is_some() { 0o600 } else { 0o644 };
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&partial)?;
        let pending = Pending { file, names: Some((partial, path)), kept: false };
        if let Some(earlier) = earlier
            && let Err(e) = pending.belong_as(&earlier)
        {
            tracing::warn!("{name} is root's alone from here on: {}", libxc::reason(&e));
        }
        Ok(pending)
    }

    /// Gives the file the owner and the mode of the one that it replaces: who may read a guest's memory stays as it was.
    fn belong_as(&self, earlier: &fs::Metadata) -> io::Result<()> {
        fchown(&self.file, Some(earlier.uid()), Some(earlier.gid()))?;
        self.file.set_permissions(earlier.permissions())
    }

    /// Whether it has no reader before it is whole: it is neither a pipe nor a device.
    pub(crate) fn is_apart(&self) -> bool {
        self.names.is_some()
    }

    /// The open file.
    pub(crate) fn as_file(&self) -> &File {
        &self.file
    }

    /// Puts the whole file in its place, once the disk has it.
    pub(crate) fn keep(mut self) -> Result<(), Failure> {
        let Some((partial, path)) = &self.names else { return self.sync_in_place() };
        let keep = || -> io::Result<()> {
            self.file.sync_all()?;
            fs::rename(partial, path)
        };
        keep().map_err(|e| Failure::new(1, format!("writing {}: {}", path.display(), libxc::reason(&e))))?;
        self.kept = true;
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let synced = File::open(dir).and_then(|dir| dir.sync_all());
        synced.map_err(|e| Failure::new(1, format!("writing {}: {}", dir.display(), libxc::reason(&e))))
    }

    /// A block device has it all then.
    fn sync_in_place(&self) -> Result<(), Failure> {
        match self.file.sync_all() {
            Err(e) if !nothing_to_sync(&e) => Err(Failure::new(1, format!("writing the guest: {}", libxc::reason(&e)))),
            _ => Ok(()),
        }
    }
}

/// Whether an error says that there is nothing to be synced: a pipe, a terminal.
fn nothing_to_sync(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::Unsupported)
}

/// Beside the file, so that it is on the same file system; hidden, and nobody else's.
fn partial_name(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::IsADirectory))?;
    let mut partial = std::ffi::OsString::from(".");
    partial.push(name);
    partial.push(format!(".{}.partial", std::process::id()));
    Ok(path.with_file_name(partial))
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some((partial, _)) = self.names.as_ref().filter(|_| !self.kept)
            && let Err(e) = fs::remove_file(partial)
        {
            tracing::warn!("{} is left: {}", partial.display(), libxc::reason(&e));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("xl-saved-file-{name}-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        dir
    }

    #[test]
    fn the_old_file_stays_until_the_new_one_is_kept() {
        let dir = scratch("old");
        let file = dir.join("g.save");
        fs::write(&file, "old").unwrap();
        let write = || {
            let pending = Pending::create(file.to_str().unwrap()).unwrap();
            pending.as_file().write_all(b"new").unwrap();
            assert_eq!(fs::read(&file).unwrap(), b"old");
            pending
        };
        drop(write());
        assert_eq!((names(&dir).len(), fs::read(&file).unwrap()), (1, b"old".to_vec()));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        write().keep().unwrap();
        assert_eq!((names(&dir).len(), fs::read(&file).unwrap()), (1, b"new".to_vec()));
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o640, "nobody else may read it now");
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_link_stays_a_link_and_devices_are_written_in_place() {
        let dir = scratch("link");
        fs::write(dir.join("real"), "old").unwrap();
        symlink("real", dir.join("link")).unwrap();
        Pending::create(dir.join("link").to_str().unwrap()).unwrap().keep().unwrap();
        assert!(dir.join("link").is_symlink());
        assert_eq!(fs::read(dir.join("real")).unwrap(), b"");
        Pending::create("/dev/null").unwrap().keep().unwrap();
        assert!(Pending::create(dir.to_str().unwrap()).is_err());
        assert!(Pending::create(dir.join("none/g.save").to_str().unwrap()).is_err());
        fs::remove_dir_all(dir).unwrap();
    }
}
