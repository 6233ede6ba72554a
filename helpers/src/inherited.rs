//! File descriptors that the parent process left open and named by number on the command line.
#![allow(unsafe_code, reason = "an inherited descriptor exists only as a number until it is taken over here")]

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Mutex;

static TAKEN: Mutex<BTreeSet<RawFd>> = Mutex::new(BTreeSet::new());

/// Takes over an inherited descriptor. Each can be taken once; a closed one is an error.
pub fn take(number: RawFd) -> io::Result<OwnedFd> {
    let mut taken = TAKEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if number < 0 || taken.contains(&number) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("file descriptor {number} is not free to take"),
        ));
    }
    // SAFETY: the borrow ends with this statement, and fcntl reports a number that is not open as EBADF.
    fcntl(unsafe { BorrowedFd::borrow_raw(number) }, FcntlArg::F_GETFD)?;
    taken.insert(number);
    // SAFETY: the descriptor is open, and `taken` makes this the only owner that this function ever hands out.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Closes all descriptors but the first three and `kept`. A kernel that cannot (before Linux 5.9) leaves them open.
pub fn close_all_but(kept: BorrowedFd<'_>) -> io::Result<()> {
    let kept = kept.as_raw_fd() as u32;
    for (first, last) in [(3, kept.saturating_sub(1)), (kept.saturating_add(1).max(3), u32::MAX)] {
        // SAFETY: called before anything but `kept` was opened or taken over: nobody owns what is closed.
        let closed = if first > last { 0 } else { unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } };
        match Errno::result(closed) {
            Err(e) if e != Errno::ENOSYS => return Err(e.into()),
            _ => {}
        }
    }
    Ok(())
}

/// Opens what the option of a stream tool names: a descriptor by its number, else a file.
pub fn open(name: &str) -> io::Result<File> {
    match name.parse::<RawFd>() {
        Ok(number) => take(number).map(File::from),
        Err(_) => File::open(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::IntoRawFd;

    #[test]
    fn a_descriptor_is_taken_once_and_a_closed_one_never() {
        let number = File::open("/dev/null").unwrap().into_raw_fd();
        let owned = take(number).unwrap();
        assert!(take(number).is_err());
        drop(owned);
        assert!(take(1_000_000).is_err());
        assert!(take(-1).is_err());
    }
}
