//! The facts of the host that the toolstack runs on.

use std::io;
use std::os::unix::fs::FileTypeExt;

use libxc::host::HostCapabilities;

use super::{FileKind, HostFacts};
use crate::xenstore::Store;
use crate::{Ctx, Error, Result};

/// Where Linux shows that its backend of PV USB controllers is loaded.
const USBBACK: &str = "/sys/bus/usb/drivers/usbback";

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
        let domids: Vec<u32> = self.xc()?.domains()?.iter().map(|domain| domain.domid.0.into()).collect();
        let names = self.xs()?.read_many(domids.iter().map(|domid| format!("/local/domain/{domid}/name")))?;
        named(name_or_number, domids, names).ok_or_else(|| Error::invalid("there is no such domain (xl list)"))
    }

    fn cpupool(&self, name_or_number: &str) -> Result<Option<u32>> {
        let ids: Vec<u32> = self.xc()?.cpupools()?.iter().map(|pool| pool.id).collect();
        if let Ok(number) = name_or_number.parse::<u32>() {
            return Ok(ids.into_iter().find(|id| *id == number));
        }
        let names = self.xs()?.read_many(ids.iter().map(|id| format!("/local/pool/{id}/name")))?;
        Ok(named(name_or_number, ids, names))
    }

    fn has_cpupool(&self, id: u32) -> Result<bool> {
        Ok(self.xc()?.cpupool(id)?.is_some_and(|pool| pool.id == id))
    }

    fn security_id(&self, label: &str) -> Result<Option<u32>> {
        Ok(self.xc()?.security_id(label)?)
    }

    fn has_usbback(&self) -> bool {
        std::path::Path::new(USBBACK).exists()
    }
}

/// The number that goes with a name.
fn named(name: &str, numbers: Vec<u32>, names: Vec<Option<String>>) -> Option<u32> {
    numbers.into_iter().zip(names).find(|(_, found)| found.as_deref() == Some(name)).map(|(number, _)| number)
}
