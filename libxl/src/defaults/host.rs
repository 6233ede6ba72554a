//! The facts of the host that the toolstack runs on.

use std::io;
use std::os::unix::fs::FileTypeExt;

use libxc::host::HostCapabilities;

use super::{FileKind, HostFacts};
use crate::domain::info;
use crate::host::{cpupool, usb};
use crate::{Ctx, Error, Result};

impl HostFacts for Ctx {
    fn capabilities(&self) -> Result<HostCapabilities> {
        Ok(self.xc()?.physinfo()?.capabilities)
    }

    fn firmware_dir(&self) -> String {
        self.paths.firmware.display().to_string()
    }

    fn script_dir(&self) -> String {
        self.paths.scripts.display().to_string()
    }

    fn qemu(&self) -> String {
        self.paths.qemu.display().to_string()
    }

    fn file_kind(&self, path: &str) -> io::Result<FileKind> {
        let kind = std::fs::metadata(path)?.file_type();
        Ok(match (kind.is_file(), kind.is_block_device()) {
            (true, _) => FileKind::Regular,
            (_, true) => FileKind::Block,
            _ => FileKind::Other,
        })
    }

    fn is_executable(&self, path: &str) -> io::Result<bool> {
        use nix::unistd::{AccessFlags, access};
        match access(path, AccessFlags::X_OK) {
            Ok(()) => Ok(true),
            Err(nix::errno::Errno::EACCES) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    fn domain(&self, name_or_number: &str) -> Result<u32> {
        if let Ok(number) = name_or_number.parse::<u32>() {
            return Ok(number);
        }
        let domid = info::find(self, name_or_number)?;
        domid.map(|domid| domid.0.into()).ok_or_else(|| Error::invalid("there is no such domain (xl list)"))
    }

    fn cpupool(&self, name_or_number: &str) -> Result<Option<u32>> {
        Ok(cpupool::lookup(self, name_or_number)?.map(|pool| pool.info.id))
    }

    fn has_cpupool(&self, id: u32) -> Result<bool> {
        Ok(self.xc()?.cpupool(id)?.is_some_and(|pool| pool.id == id))
    }

    fn security_id(&self, label: &str) -> Result<Option<u32>> {
        Ok(self.xc()?.security_id(label)?)
    }

    fn has_usbback(&self) -> bool {
        usb::usbback(usb::BUS.as_ref()).exists()
    }
}
