//! The host's PCI devices as the kernel lists them.

use crate::error::{Result, ResultExt};
use libxc::host::PciAddress;
use std::path::Path;

/// Every PCI device of the host, in the order of the kernel's directory.
pub fn devices(sysfs: &Path) -> Result<Vec<PciAddress>> {
    let directory = sysfs.join("bus/pci/devices");
    let entries = match std::fs::read_dir(&directory) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| directory.display().to_string())?,
    };
    let name = |entry: std::fs::DirEntry| address(&entry.file_name().to_string_lossy());
    Ok(entries.flatten().filter_map(name).collect())
}

/// Reads `0000:00:1f.3`.
fn address(text: &str) -> Option<PciAddress> {
    let (rest, function) = text.split_once('.')?;
    let [segment, bus, device] = rest.split(':').collect::<Vec<_>>()[..] else { return None };
    let byte = |text: &str| u8::from_str_radix(text, 16).ok();
    let (device, function) = (byte(device).filter(|d| *d < 32)?, byte(function).filter(|f| *f < 8)?);
    Some(PciAddress { segment: u16::from_str_radix(segment, 16).ok()?, bus: byte(bus)?, devfn: device << 3 | function })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses() {
        assert_eq!(address("0001:02:1f.3"), Some(PciAddress { segment: 1, bus: 2, devfn: 0xfb }));
        for bad in ["", "0000:00:00", "0000:00:20.0", "0000:00:00.8", "x:0:0.0", "0:0:0:0.0"] {
            assert_eq!(address(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_host_without_pci_has_no_devices() {
        assert!(devices(Path::new("/nonexistent")).unwrap().is_empty());
    }
}
