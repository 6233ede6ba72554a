//! Pidfiles: the file with a daemon's process id, locked as long as the daemon runs.

use libxl::error::{Error, ErrorKind, Result, ResultExt};
use libxl::lock::is_at;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A pidfile of this process. Dropped, it is removed.
#[derive(Debug)]
pub(crate) struct Pidfile {
    path: PathBuf,
    _locked: File,
}

impl Pidfile {
    /// Takes a pidfile and writes this process into it. One that an earlier process left is taken over.
    ///
    /// # Errors
    /// `LockFail` if another process has it.
    pub(crate) fn take(path: &Path) -> Result<Pidfile> {
        let step = || format!("pidfile {}", path.display());
        loop {
            let mut file = lock(path).with_context(step)?;
            if is_at(&file, path).with_context(step)? {
                write(&mut file).with_context(step)?;
                return Ok(Pidfile { path: path.to_owned(), _locked: file });
            }
        }
    }
}

fn lock(path: &Path) -> Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            (&file).take(20).read_to_string(&mut owner)?;
            Err(Error::new(ErrorKind::LockFail, format!("process {} runs already", owner.trim())))
        }
        Err(TryLockError::Error(e)) => Err(e.into()),
    }
}

fn write(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.write_all(format!("{}\n", std::process::id()).as_bytes())
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        match fs::remove_file(&self.path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                tracing::warn!("{}: {}", self.path.display(), libxc::reason(&e))
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_has_it_and_a_stale_one_is_nobodys() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("xldevd.pid");
        fs::write(&path, "4194304999\n").unwrap();
        let pidfile = Pidfile::take(&path).unwrap();
        let ours = format!("{}\n", std::process::id());
        assert_eq!(fs::read_to_string(&path).unwrap(), ours);
        let error = Pidfile::take(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LockFail);
        assert_eq!(error.to_string(), format!("pidfile {}: process {} runs already", path.display(), ours.trim()));
        drop(pidfile);
        assert!(!path.exists());
        Pidfile::take(&path).unwrap();
    }
}
