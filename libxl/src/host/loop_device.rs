//! Loop devices: block devices whose content is a file (Linux's `loop.h`, loop(4)).

#![allow(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const LOOP_SET_FD: libc::c_ulong = 0x4c00;
const LOOP_CLR_FD: libc::c_ulong = 0x4c01;
const LOOP_CTL_GET_FREE: libc::c_ulong = 0x4c82;

const CONTROL: &str = "/dev/loop-control";
const BLOCK_DEVICES: &str = "/sys/block";
/// Somebody else may take the free device that was found; so many times is enough for a whole rack of guests.
const ATTEMPTS: u32 = 1000;

/// Makes a file a block device, and returns its path. Without `writable` it cannot be written to.
///
/// # Errors
/// That the file cannot be opened so, or that there are no loop devices (the module `loop`).
pub fn attach(file: &Path, writable: bool) -> io::Result<PathBuf> {
    let backing = OpenOptions::new().read(true).write(writable).open(file)?;
    let control = OpenOptions::new().read(true).write(true).open(CONTROL)?;
    for _ in 0..ATTEMPTS {
        let path = PathBuf::from(format!("/dev/loop{}", ioctl(&control, LOOP_CTL_GET_FREE, 0)?));
        // Opened to read only, the device itself is read-only.
        let device = OpenOptions::new().read(true).write(writable).open(&path)?;
        match ioctl(&device, LOOP_SET_FD, backing.as_raw_fd()) {
            Ok(_) => return Ok(path),
            Err(e) if e.raw_os_error() == Some(libc::EBUSY) => {}
            Err(e) => return Err(e),
        }
    }
    Err(io::Error::other("no loop device is free"))
}

/// Gives a loop device back: at once, or when the last who has it open closes it.
pub fn detach(device: &Path) -> io::Result<()> {
    match ioctl(&File::open(device)?, LOOP_CLR_FD, 0) {
        // It is free already.
        Err(e) if e.raw_os_error() == Some(libc::ENXIO) => Ok(()),
        done => done.map(drop),
    }
}

/// The numbers of the loop devices whose content is this file.
pub fn of_file(file: &Path) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(BLOCK_DEVICES)? {
        let entry = entry?;
        // Only a loop device that is in use has this file.
        let Ok(backing) = fs::read_to_string(entry.path().join("loop/backing_file")) else { continue };
        if backing.trim_end_matches('\n') == file.as_os_str() {
            found.push(fs::metadata(Path::new("/dev").join(entry.file_name()))?.rdev());
        }
    }
    Ok(found)
}

/// A request about a device whose argument is a number or another descriptor.
fn ioctl(device: &File, request: libc::c_ulong, argument: RawFd) -> io::Result<i32> {
    // SAFETY: the descriptor is open as long as the borrow, and all requests above take an integer, not a pointer.
    match unsafe { libc::ioctl(device.as_raw_fd(), request, libc::c_long::from(argument)) } {
        -1 => Err(io::Error::last_os_error()),
        answer => Ok(answer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_loop_device_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("image");
        fs::write(&file, "content").unwrap();
        assert_eq!(detach(&file).unwrap_err().raw_os_error(), Some(libc::ENOTTY));
        assert_eq!(fs::read(&file).unwrap(), b"content");
        assert!(attach(&dir.path().join("none"), true).is_err());
        assert!(of_file(&file).unwrap_or_default().is_empty());
    }
}
