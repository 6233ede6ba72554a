//! The USB devices of this host, as Linux shows them in `/sys/bus/usb/devices`.

use crate::error::{Error, Result};
use crate::types::UsbHostdev;
use std::fs;
use std::path::{Path, PathBuf};

/// Where Linux shows them, and their drivers.
pub(crate) const BUS: &str = "/sys/bus/usb";
/// Where the devices are.
pub(crate) const DEVICES: &str = "/sys/bus/usb/devices";
/// The class of hubs, `bDeviceClass`.
const HUB: &str = "09";

/// The directory of the kernel's backend driver of PV USB on this bus; there is none where it is not loaded.
pub(crate) fn usbback(bus: &Path) -> PathBuf {
    bus.join("drivers/usbback")
}

/// The name (`3-1.2`) of the device at this address, which a guest may have.
///
/// # Errors
/// `NotFound` if there is none; `Invalid` for a hub, which stays with the host.
pub(crate) fn name_of(devices: &Path, address: &UsbHostdev) -> Result<String> {
    let UsbHostdev { hostbus, hostaddr } = address;
    let names = fs::read_dir(devices).map(|entries| entries.flatten().filter_map(|e| e.file_name().into_string().ok()));
    let found = names.ok().and_then(|mut names| names.find(|name| address_of(devices, name).as_ref() == Some(address)));
    let Some(name) = found else {
        let what =
            format!("the host has no USB device hostbus={hostbus},hostaddr={hostaddr} (lsusb shows those it has)");
        return Err(Error::new(crate::ErrorKind::NotFound, what));
    };
    match text(devices, &name, "bDeviceClass").as_deref() {
        Some(HUB) => Err(Error::invalid(format!("USB device {name} is a hub, which no guest can have"))),
        _ => Ok(name),
    }
}

/// The address of the device of this name; none if it has been unplugged, or if that is no device's name.
pub(crate) fn address_of(devices: &Path, name: &str) -> Option<UsbHostdev> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    if !name.bytes().all(is_name) || name.starts_with('.') {
        return None;
    }
    let number = |file| text(devices, name, file)?.parse().ok().filter(|number| *number > 0);
    Some(UsbHostdev { hostbus: number("busnum")?, hostaddr: number("devnum")? })
}

fn text(devices: &Path, name: &str, file: &str) -> Option<String> {
    Some(fs::read_to_string(devices.join(name).join(file)).ok()?.trim().to_owned())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Plugs a device into a directory that stands for the host's.
    pub(crate) fn plug(devices: &Path, name: &str, address: &UsbHostdev, class: &str) {
        fs::create_dir_all(devices.join(name)).unwrap();
        let files = [("busnum", address.hostbus.to_string()), ("devnum", address.hostaddr.to_string())];
        for (file, value) in files.iter().chain([&("bDeviceClass", class.to_owned())]) {
            fs::write(devices.join(name).join(file), format!("{value}\n")).unwrap();
        }
    }

    #[test]
    fn devices_by_their_addresses() {
        let host = tempfile::tempdir().unwrap();
        let at = |hostbus, hostaddr| UsbHostdev { hostbus, hostaddr };
        plug(host.path(), "usb1", &at(1, 1), HUB);
        plug(host.path(), "1-1.2", &at(1, 4), "00");
        fs::create_dir(host.path().join("1-1.2:1.0")).unwrap();
        assert_eq!(name_of(host.path(), &at(1, 4)).unwrap(), "1-1.2");
        assert_eq!(address_of(host.path(), "1-1.2"), Some(at(1, 4)));
        assert!(name_of(host.path(), &at(1, 1)).unwrap_err().to_string().contains("usb1 is a hub"));
        for (bus, address) in [(1, 2), (0, 0)] {
            let error = name_of(host.path(), &at(bus, address)).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::NotFound, "{bus}:{address}");
        }
        for name in ["1-1", "", "..", "../x", "1-1.2:1.0", "/etc"] {
            assert_eq!(address_of(host.path(), name), None, "{name}");
        }
    }
}
