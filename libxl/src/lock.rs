//! Locks on files, shared with stock xl and libxl: either kind of toolstack waits for the other.
//!
//! A lock that is taken is waited for in a thread of its own, because no call of the system waits for a
//! lock and for a deadline or a signal at once.

use crate::ctx::Ctx;
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::event::{self, Deadline, Source, Woken};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

/// A lock file of libxl's (`flock`): it exists while it is held. Dropped, it is removed and given up.
#[derive(Debug)]
pub struct LockFile {
    path: PathBuf,
    _locked: File,
}

impl LockFile {
    /// Waits for the lock. The file is created; whoever held it before may have removed it meanwhile,
    /// and then the lock is on a file that nobody else sees, so the path is looked at again.
    ///
    /// # Errors
    /// `LockFail` if it cannot be had before the deadline; `Aborted` if cancelled.
    pub fn acquire(ctx: &Ctx, path: &Path, deadline: Deadline) -> Result<LockFile> {
        let step = || format!("locking {}", path.display());
        loop {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
            let file = take(ctx, file.with_context(step)?, deadline, try_flock, File::lock).with_context(step)?;
            if is_at(&file, path).with_context(step)? {
                return Ok(LockFile { path: path.to_owned(), _locked: file });
            }
        }
    }

    /// Takes the lock if nobody has it: for what is refused rather than waited for.
    pub fn try_acquire(path: &Path) -> Result<Option<LockFile>> {
        let step = || format!("locking {}", path.display());
        loop {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
            let file = file.with_context(step)?;
            if !try_flock(&file).with_context(step)? {
                return Ok(None);
            }
            if is_at(&file, path).with_context(step)? {
                return Ok(Some(LockFile { path: path.to_owned(), _locked: file }));
            }
        }
    }

    /// Takes a lock that a process left when it crashed: the file is there, and nobody holds it.
    pub fn take_stale(path: &Path) -> Result<Option<LockFile>> {
        Ok(stale(path)?.map(|file| LockFile { path: path.to_owned(), _locked: file }))
    }

    /// Whether a process left this lock when it crashed.
    pub fn is_stale(path: &Path) -> Result<bool> {
        Ok(stale(path)?.is_some())
    }
}

/// Locks a file that is there and that nobody has locked.
fn stale(path: &Path) -> io::Result<Option<File>> {
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    Ok((try_flock(&file)? && is_at(&file, path)?).then_some(file))
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // Before the lock is given up: after it, another could hold the lock on this very file.
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "removing a lock file");
        }
    }
}

fn try_flock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(e)) => Err(e),
    }
}

/// Whether the path still names this file: if not, whoever had the lock before has removed it, and nobody else sees a lock
/// on it.
pub fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// xl's lock (xl.conf's `lockfile`, `fcntl`): held while memory is freed for a new domain and until the
/// domain has it. The file stays.
#[derive(Debug)]
pub struct XlLock {
    _locked: File,
}

impl XlLock {
    /// Waits for the lock.
    ///
    /// # Errors
    /// `LockFail` if it cannot be had before the deadline; `Aborted` if cancelled.
    pub fn acquire(ctx: &Ctx, path: &Path, deadline: Deadline) -> Result<XlLock> {
        let step = || format!("locking {} (xl.conf's lockfile)", path.display());
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o200).open(path);
        let file = take(ctx, file.with_context(step)?, deadline, try_fcntl, fcntl_lock).with_context(step)?;
        Ok(XlLock { _locked: file })
    }
}

/// A write lock on the whole file. Of the open file, not of the process, so that it is given up when
/// the file is closed and not before; it excludes the process's kind that stock xl takes.
const WHOLE_FILE: libc::flock =
    libc::flock { l_type: libc::F_WRLCK as i16, l_whence: libc::SEEK_SET as i16, l_start: 0, l_len: 0, l_pid: 0 };

fn try_fcntl(file: &File) -> io::Result<bool> {
    match fcntl(file, FcntlArg::F_OFD_SETLK(&WHOLE_FILE)) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

fn fcntl_lock(file: &File) -> io::Result<()> {
    Ok(fcntl(file, FcntlArg::F_OFD_SETLKW(&WHOLE_FILE)).map(drop)?)
}

/// Takes a lock on a file: at once, or in a thread that waits.
fn take(
    ctx: &Ctx,
    file: File,
    deadline: Deadline,
    try_lock: fn(&File) -> io::Result<bool>,
    lock: fn(&File) -> io::Result<()>,
) -> Result<File> {
    if try_lock(&file)? {
        return Ok(file);
    }
    tracing::info!("waiting for another toolstack's lock");
    let (done, wakes) = io::pipe()?;
    let (sender, receiver) = mpsc::channel();
    // When the wait is given up the thread stays until the lock comes, and drops it then.
    thread::Builder::new().name("lock".into()).spawn(move || {
        let result = lock(&file).map(|()| file);
        let _ = sender.send(result);
        drop(wakes);
    })?;
    match event::wait(ctx, &[Source::Readable(done.as_fd())], deadline)? {
        Woken::By(_) => {
            Ok(receiver.recv().map_err(|_| Error::fail("the thread that waited for the lock is gone"))??)
        }
        Woken::TimedOut => Err(Error::new(ErrorKind::LockFail, "another process holds it for too long")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::Paths;
    use nix::sys::signal::{Signal, raise};
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    fn ctx() -> Ctx {
        Ctx::new(Paths::installed(Path::new("/usr")))
    }

    fn soon() -> Deadline {
        Deadline::after(Duration::from_millis(30))
    }

    #[test]
    fn a_lock_file_excludes_and_disappears() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = LockFile::acquire(&ctx(), &path, soon()).unwrap();
        let error = LockFile::acquire(&ctx(), &path, soon()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LockFail);
        assert_eq!(error.to_string(), format!("locking {}: another process holds it for too long", path.display()));
        assert!(LockFile::try_acquire(&path).unwrap().is_none());
        drop(held);
        assert!(!path.exists());
        drop(LockFile::try_acquire(&path).unwrap().unwrap());
        assert!(!path.exists());
        drop(LockFile::acquire(&ctx(), &path, soon()).unwrap());
    }

    #[test]
    fn many_waiters_hold_it_one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let inside = AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        let _held = LockFile::acquire(&ctx(), &path, Deadline::NEVER).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(!path.exists());
    }

    #[test]
    fn xls_lock_excludes_stays_and_has_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("xl");
        let held = XlLock::acquire(&ctx(), &path, soon()).unwrap();
        assert_eq!(XlLock::acquire(&ctx(), &path, soon()).unwrap_err().kind(), ErrorKind::LockFail);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o200);
        drop(held);
        assert!(path.exists());
        XlLock::acquire(&ctx(), &path, soon()).unwrap();
    }

    #[test]
    fn a_signal_ends_the_wait_for_a_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("xl");
        let mut ctx = ctx();
        let _held = XlLock::acquire(&ctx, &path, soon()).unwrap();
        ctx.cancel = Some(event::Cancel::on(&[Signal::SIGUSR1]).unwrap());
        raise(Signal::SIGUSR1).unwrap();
        assert_eq!(XlLock::acquire(&ctx, &path, Deadline::NEVER).unwrap_err().kind(), ErrorKind::Aborted);
    }
}
