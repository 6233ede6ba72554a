//! Devices: what each kind writes to xenstore, and how devices are added and removed.
//!
//! A device has two ends, the frontend in the guest and the backend in the domain that serves it, each
//! with a directory in xenstore that its domain may write to. The truth about a device is a third
//! directory, below `/libxl`, that only the toolstack can touch. [`Nodes`] is all that a kind has to say
//! for itself; the rest is the same for all.

mod add;
mod attach;
mod connect;
mod devd;
mod hotplug;
mod list;
mod nodes;
mod operation;
mod plug;
mod remove;
mod state;
pub mod vdev;

mod console;
mod disk;
mod nic;
mod p9;
mod pvcalls;
mod usb;
mod usbback;
mod vdispl;
mod vfb;
mod vkb;
mod vsnd;
mod vtpm;

pub use add::{add, await_qemu};
pub use attach::{attach_disk, attach_nic, attach_usbctrl, attach_vdispl, attach_vkb, attach_vsnd, attach_vtpm};
pub use console::{ConsoleBackend, PrimaryConsole, channel, primary_console, secondary_console};
pub use devd::{Devd, own_domid};
pub use disk::disk;
pub use list::{
    Nic, Usbctrl, Vkb, Vsnd, channels, disks, find, find_disk, find_nic, find_vtpm, nics, usbctrls, vdispls, vkbs,
    vsnds, vtpms,
};
pub use nic::nic;
pub use nodes::{Nodes, remove_all, write_all};
pub use p9::p9;
pub use plug::{attach_usbdev, detach_usbctrl, detach_usbdev};
pub(crate) use plug::{has_usbdev, plugged};
pub use pvcalls::pvcalls;
pub use remove::{Force, remove};
pub use state::XenbusState;
pub use usb::usbctrl;
pub(crate) use usb::{check_usb, plug_all};
pub use vdispl::vdispl;
pub use vfb::vfb;
pub use vkb::vkb;
pub use vsnd::vsnd;
pub use vtpm::vtpm;

use crate::ctx::Ctx;
use crate::error::{Error, Result, ResultExt};
use crate::event::Deadline;
use crate::lock::LockFile;
use crate::types::DeviceEnds;
use libxc::DomId;
use std::path::Path;
use std::time::Duration;
use std::{fmt, fs};

/// The domain that runs the toolstack (`LIBXL_TOOLSTACK_DOMID`).
pub(crate) const TOOLSTACK: DomId = DomId(0);

/// The locks on things of the host; the scripts take those on images, too.
const LOCKS: &str = "/run/xen-hotplug";
/// How long another may hold one: as long as a script may take.
const LOCK_TIMEOUT: Duration = Duration::from_secs(40);

/// A kind of device, or of what serves it (`libxl__device_kind`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are libxl's own")]
pub enum DeviceKind {
    Vif,
    Vbd,
    Qdisk,
    Pci,
    Vfb,
    Vkbd,
    Console,
    Vtpm,
    Vusb,
    Qusb,
    P9,
    Vdispl,
    Vuart,
    Pvcalls,
    Vsnd,
    Vinput,
    VirtioDisk,
}

impl DeviceKind {
    const NAMES: [(DeviceKind, &'static str); 17] = [
        (DeviceKind::Vif, "vif"),
        (DeviceKind::Vbd, "vbd"),
        (DeviceKind::Qdisk, "qdisk"),
        (DeviceKind::Pci, "pci"),
        (DeviceKind::Vfb, "vfb"),
        (DeviceKind::Vkbd, "vkbd"),
        (DeviceKind::Console, "console"),
        (DeviceKind::Vtpm, "vtpm"),
        (DeviceKind::Vusb, "vusb"),
        (DeviceKind::Qusb, "qusb"),
        (DeviceKind::P9, "9pfs"),
        (DeviceKind::Vdispl, "vdispl"),
        (DeviceKind::Vuart, "vuart"),
        (DeviceKind::Pvcalls, "pvcalls"),
        (DeviceKind::Vsnd, "vsnd"),
        (DeviceKind::Vinput, "vinput"),
        (DeviceKind::VirtioDisk, "virtio_disk"),
    ];

    /// Its name in xenstore's paths.
    pub fn name(self) -> &'static str {
        DeviceKind::NAMES.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<DeviceKind> {
        DeviceKind::NAMES.iter().find(|(_, n)| *n == name).map(|(kind, _)| *kind)
    }

    /// Whether QEMU serves backends of this kind.
    pub fn is_served_by_qemu(self) -> bool {
        use DeviceKind::{P9, Qdisk, Qusb, Vfb, Vkbd};
        matches!(self, Qdisk | Vfb | Qusb | P9 | Vkbd)
    }
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which device: whose, served by whom, and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Device {
    /// The guest that has it.
    pub domid: DomId,
    /// What it is to the guest.
    pub kind: DeviceKind,
    /// Its number among the guest's devices of this kind.
    pub devid: u32,
    /// The domain that serves it.
    pub backend_domid: DomId,
    /// What serves it.
    pub backend_kind: DeviceKind,
}

impl Device {
    /// A device that is served by a backend of its own kind, from what a configuration says of it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if it has no number yet, or no domain can have its backend's.
    fn alike(domid: DomId, kind: DeviceKind, number: Option<u32>, backend: u32) -> Result<Device> {
        let (devid, backend_domid) = (devid(number, kind)?, backend_domid(backend)?);
        Ok(Device { domid, kind, devid, backend_domid, backend_kind: kind })
    }

    /// The guest's directory of it: `/local/domain/D/device/KIND/DEVID`.
    pub fn frontend_path(&self) -> String {
        let (domid, kind, devid) = (self.domid, self.kind, self.devid);
        match (kind, devid) {
            // The first console is older than the device directory.
            (DeviceKind::Console, 0) => format!("/local/domain/{domid}/{kind}"),
            (DeviceKind::Vuart, _) => format!("/local/domain/{domid}/{kind}/{devid}"),
            _ => format!("/local/domain/{domid}/device/{kind}/{devid}"),
        }
    }

    /// The backend's directory of it: `/local/domain/BACKEND/backend/KIND/D/DEVID`.
    pub fn backend_path(&self) -> String {
        format!("/local/domain/{}/backend/{}/{}/{}", self.backend_domid, self.backend_kind, self.domid, self.devid)
    }

    /// Its two sides, as the lists of devices show them.
    fn ends(&self) -> DeviceEnds {
        DeviceEnds {
            backend: Some(self.backend_path()),
            backend_id: self.backend_domid.0.into(),
            frontend: Some(self.frontend_path()),
            frontend_id: self.domid.0.into(),
        }
    }

    /// The toolstack's directory of it: `/libxl/D/device/KIND/DEVID`.
    pub fn libxl_path(&self) -> String {
        format!("/libxl/{}/device/{}/{}", self.domid, self.kind, self.devid)
    }

    /// The device of a backend's directory. `kind` is what it is to the guest, which the path does not
    /// tell; a domid or number out of range is no such path.
    pub fn from_backend_path(path: &str, kind: impl FnOnce(DeviceKind) -> DeviceKind) -> Option<Device> {
        let mut parts = path.strip_prefix("/local/domain/")?.split('/');
        let backend_domid = DomId(parts.next()?.parse().ok()?);
        if parts.next()? != "backend" {
            return None;
        }
        let backend_kind = DeviceKind::from_name(parts.next()?)?;
        let domid = DomId(parts.next()?.parse().ok()?);
        let devid = parts.next()?.parse().ok()?;
        let device = Device { domid, kind: kind(backend_kind), devid, backend_domid, backend_kind };
        parts.next().is_none().then_some(device)
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            DeviceKind::Vbd | DeviceKind::VirtioDisk => write!(f, "disk {}", vdev::name(self.devid)),
            kind => write!(f, "{kind} {}", self.devid),
        }
    }
}

/// The backend's domain in a device's configuration.
fn backend_domid(number: u32) -> Result<DomId> {
    u16::try_from(number).map(DomId).map_err(|_| Error::invalid(format!("there is no backend domain {number}")))
}

/// The number that a device's configuration must have by now: the defaulting pass gives them.
fn devid(given: Option<u32>, kind: DeviceKind) -> Result<u32> {
    given.ok_or_else(|| Error::invalid(format!("a {kind} has no number")))
}

/// Keeps others from giving the same thing of the host, an image or a device, to a guest meanwhile.
fn lock_on_host(ctx: &Ctx, name: &str) -> Result<LockFile> {
    fs::create_dir_all(LOCKS).context(LOCKS)?;
    LockFile::acquire(ctx, &Path::new(LOCKS).join(name), Deadline::after(LOCK_TIMEOUT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_there_and_back() {
        let disk = Device {
            domid: DomId(3),
            kind: DeviceKind::Vbd,
            devid: 51712,
            backend_domid: DomId(1),
            backend_kind: DeviceKind::Qdisk,
        };
        assert_eq!(disk.backend_path(), "/local/domain/1/backend/qdisk/3/51712");
        assert_eq!(disk.frontend_path(), "/local/domain/3/device/vbd/51712");
        assert_eq!(disk.libxl_path(), "/libxl/3/device/vbd/51712");
        assert_eq!(Device::from_backend_path(&disk.backend_path(), |_| DeviceKind::Vbd), Some(disk));
        let console = Device { kind: DeviceKind::Console, devid: 0, backend_kind: DeviceKind::Console, ..disk };
        assert_eq!(console.frontend_path(), "/local/domain/3/console");
    }

    #[test]
    fn hostile_backend_paths() {
        for path in [
            "",
            "/local/domain/0/backend/vif/1",
            "/local/domain/0/backend/vif/1/0/state",
            "/local/domain/0/backend/nonsense/1/0",
            "/local/domain/65536/backend/vif/1/0",
            "/local/domain/0/backend/vif/-1/0",
            "/local/domain/0/frontend/vif/1/0",
            "local/domain/0/backend/vif/1/0",
        ] {
            assert_eq!(Device::from_backend_path(path, |kind| kind), None, "{path}");
        }
    }
}
