//! Loop devices: block devices whose content is a file (Linux's `loop.h`, loop(4)).

#![allow(unsafe_code)]

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const LOOP_CLR_FD: libc::c_ulong = 0x4c01;
const LOOP_SET_STATUS64: libc::c_ulong = 0x4c04;
const LOOP_GET_STATUS64: libc::c_ulong = 0x4c05;
const LOOP_CONFIGURE: libc::c_ulong = 0x4c0a;
const LOOP_CTL_GET_FREE: libc::c_ulong = 0x4c82;

/// The kernel gives the device back when the last who has it open closes it.
const LO_FLAGS_AUTOCLEAR: u32 = 4;

const CONTROL: &str = "/dev/loop-control";
const BLOCK_DEVICES: &str = "/sys/block";
/// Somebody else may take the free device that was found; so many times is enough for a whole rack of guests.
const ATTEMPTS: u32 = 1000;

/// `struct loop_info64`.
#[repr(C)]
struct Info {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config`.
#[repr(C)]
struct Config {
    fd: u32,
    block_size: u32,
    info: Info,
    reserved: [u64; 8],
}

/// A loop device that this process has made. The kernel takes it back when this is dropped, or the process is killed,
/// unless it is kept or somebody else has it open by then.
#[derive(Debug)]
pub struct LoopDevice {
    device: File,
    path: PathBuf,
}

impl LoopDevice {
    /// Makes a file a block device (Linux 5.8 and later). Without `writable` it cannot be written to.
    ///
    /// # Errors
    /// That the file cannot be opened so, or that there are no loop devices (the module `loop`).
    pub fn attach(file: &Path, writable: bool) -> io::Result<Self> {
        let backing = OpenOptions::new().read(true).write(writable).open(file)?;
        let control = OpenOptions::new().read(true).write(true).open(CONTROL)?;
        for _ in 0..ATTEMPTS {
            let path = PathBuf::from(format!("/dev/loop{}", ioctl(&control, LOOP_CTL_GET_FREE)?));
            // Opened to read only, the device itself is read-only.
            let device = OpenOptions::new().read(true).write(writable).open(&path)?;
            match configure(&device, &backing) {
                Ok(()) => return Ok(Self { device, path }),
                Err(e) if e.raw_os_error() == Some(libc::EBUSY) => {}
                Err(e) => return Err(e),
            }
        }
        Err(io::Error::other("no loop device is free"))
    }

    /// Its path: `/dev/loopN`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its device number.
    pub fn number(&self) -> io::Result<u64> {
        Ok(self.device.metadata()?.rdev())
    }

    /// Lets it live on until [`detach`].
    pub fn keep(self) -> io::Result<()> {
        let mut info = Info::zeroed();
        ioctl_with(&self.device, LOOP_GET_STATUS64, &mut info)?;
        info.flags &= !LO_FLAGS_AUTOCLEAR;
        ioctl_with(&self.device, LOOP_SET_STATUS64, &mut info)
    }
}

impl Info {
    fn zeroed() -> Self {
        Self {
            device: 0,
            inode: 0,
            rdevice: 0,
            offset: 0,
            size_limit: 0,
            number: 0,
            encrypt_type: 0,
            encrypt_key_size: 0,
            flags: 0,
            file_name: [0; 64],
            crypt_name: [0; 64],
            encrypt_key: [0; 32],
            init: [0; 2],
        }
    }
}

fn configure(device: &File, backing: &File) -> io::Result<()> {
    let info = Info { flags: LO_FLAGS_AUTOCLEAR, ..Info::zeroed() };
    let fd = backing.as_raw_fd().unsigned_abs();
    ioctl_with(device, LOOP_CONFIGURE, &mut Config { fd, block_size: 0, info, reserved: [0; 8] })
}

/// Gives a loop device back: at once, or when the last who has it open closes it.
pub fn detach(device: &Path) -> io::Result<()> {
    match ioctl(&File::open(device)?, LOOP_CLR_FD) {
        // It is free already.
        Err(e) if e.raw_os_error() == Some(libc::ENXIO) => Ok(()),
        done => done.map(drop),
    }
}

/// The numbers of the loop devices whose content is this file, by whatever path they have it.
pub fn of_file(file: &Metadata) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(BLOCK_DEVICES)? {
        let entry = entry?;
        // Only a loop device that is in use has this directory.
        if !entry.path().join("loop").exists() {
            continue;
        }
        match number_if_of(&Path::new("/dev").join(entry.file_name()), file) {
            Ok(number) => found.extend(number),
            // It was given back meanwhile.
            Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ENXIO | libc::ENODEV)) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(found)
}

/// The number of a loop device, if its content is this file.
fn number_if_of(device: &Path, file: &Metadata) -> io::Result<Option<u64>> {
    let device = File::open(device)?;
    let mut info = Info::zeroed();
    ioctl_with(&device, LOOP_GET_STATUS64, &mut info)?;
    let is_it = (info.device, info.inode) == (file.dev(), file.ino());
    Ok(if is_it { Some(device.metadata()?.rdev()) } else { None })
}

/// A request about a device, without argument.
fn ioctl(device: &File, request: libc::c_ulong) -> io::Result<i32> {
    // SAFETY: the descriptor is open as long as the borrow, and the requests made here take no pointer.
    match unsafe { libc::ioctl(device.as_raw_fd(), request, 0) } {
        -1 => Err(io::Error::last_os_error()),
        answer => Ok(answer),
    }
}

/// A request about a device whose argument is the structure `T`, which the kernel reads or fills.
fn ioctl_with<T>(device: &File, request: libc::c_ulong, argument: &mut T) -> io::Result<()> {
    // SAFETY: the descriptor is open as long as the borrow; `T` is the structure of the request, all integers, borrowed
    // for the whole call.
    match unsafe { libc::ioctl(device.as_raw_fd(), request, std::ptr::from_mut(argument)) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_are_as_long_as_the_kernels() {
        assert_eq!(size_of::<Info>(), 232);
        assert_eq!(size_of::<Config>(), 304);
    }

    #[test]
    fn what_is_no_loop_device_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("image");
        fs::write(&file, "content").unwrap();
        assert_eq!(detach(&file).unwrap_err().raw_os_error(), Some(libc::ENOTTY));
        assert_eq!(fs::read(&file).unwrap(), b"content");
        assert!(LoopDevice::attach(&dir.path().join("none"), true).is_err());
        assert!(of_file(&fs::metadata(&file).unwrap()).unwrap_or_default().is_empty());
        let error = number_if_of(&file, &fs::metadata(&file).unwrap()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTTY));
    }
}
