//! New devices for a domain that runs: `libxl_device_disk_add` and its kin.
//!
//! The device goes into the domain's stored configuration as it was given, so that it is there again after a
//! reboot or a migration; one that could not be connected is taken out of both. A process that dies in between leaves it in
//! the stored configuration alone, as one that was detached stays there: whoever reads the configuration goes by xenstore
//! (`domain::configuration`), and the next device of its name takes its place.

use super::add::connect;
use super::list::next_devid;
use super::usb::check_usbctrl;
use super::{
    Device, DeviceKind, Force, Nodes, await_qemu, disk, nic, remove, usbctrl, vdispl, vkb, vsnd, vtpm, write_all,
};
use crate::ctx::Ctx;
use crate::domain::{devices, info};
use crate::error::{Error, Result, ResultExt};
use crate::types::{
    DeviceDisk, DeviceNic, DeviceUsbctrl, DeviceVdispl, DeviceVkb, DeviceVsnd, DeviceVtpm, DomainConfig, DomainType,
};
use crate::userdata::Userdata;
use crate::xenstore::Store;
use crate::{defaults, dm};
use libxc::DomId;
use std::path::Path;

/// Gives a domain another disk.
///
/// # Errors
/// `DeviceExists`; a disk that nothing can serve; whatever [`add`] gives. Nothing of the disk is left then.
pub fn attach_disk(ctx: &Ctx, domid: DomId, given: &DeviceDisk) -> Result<()> {
    let guest = guest_kind(ctx, domid)?;
    let vdev = given.vdev.as_deref().unwrap_or_default();
    let step = || format!("attaching disk {vdev} to domain {domid}");
    let mut decided = given.clone();
    defaults::disk::apply(&mut decided, guest, true, ctx).with_context(step)?;
    devices::check_disk(&decided).with_context(step)?;
    let nodes = disk(domid, &decided, guest, &ctx.paths.scripts).with_context(step)?;
    if nodes.device.backend_kind.is_served_by_qemu() && nodes.device.backend_domid == ctx.domid {
        dm::check_running(ctx, domid).with_context(step)?;
    }
    let entry = Entry { list: |config| &mut config.disks, is_same: |a, b| a.vdev == b.vdev, value: given.clone() };
    attach(ctx, domid, || Ok((nodes, entry))).with_context(step).map(drop)
}

/// Gives a domain another network interface, and returns its number.
///
/// # Errors
/// As [`attach_disk`]; a bridge that does not exist.
pub fn attach_nic(ctx: &Ctx, domid: DomId, given: &DeviceNic) -> Result<u32> {
    let guest = guest_kind(ctx, domid)?;
    let step = || format!("attaching a network interface to domain {domid}");
    let mut decided = given.clone();
    defaults::devices::nic(&mut decided, guest, true, ctx).with_context(step)?;
    devices::check_nic(&decided, Path::new(devices::INTERFACES)).with_context(step)?;
    let numbered = || {
        decided.devid = Some(number(ctx, domid, decided.devid, DeviceKind::Vif)?);
        // What must be the same after a reboot is stored as it was decided.
        let value = DeviceNic { devid: decided.devid, nictype: decided.nictype, mac: decided.mac, ..given.clone() };
        let entry = Entry { list: |config| &mut config.nics, is_same: |a, b| a.devid == b.devid, value };
        Ok((nic(domid, &decided, &ctx.paths.scripts)?, entry))
    };
    attach(ctx, domid, numbered).with_context(step)
}

/// Gives a domain another keyboard. As in stock libxl, it is not in the stored configuration.
///
/// # Errors
/// `DeviceExists`; a backend domain that does not exist.
pub fn attach_vkb(ctx: &Ctx, domid: DomId, given: &DeviceVkb) -> Result<()> {
    let step = || format!("attaching a keyboard to domain {domid}");
    let mut decided = given.clone();
    defaults::devices::vkb(&mut decided, ctx).with_context(step)?;
    let mut write = || -> Result<Device> {
        let _lock = Userdata::of(ctx, domid)?.lock(ctx)?;
        decided.devid = Some(number(ctx, domid, given.devid, DeviceKind::Vkbd)?);
        let nodes = vkb(domid, &decided)?;
        write_all(ctx, std::slice::from_ref(&nodes))?;
        Ok(nodes.device)
    };
    write().and_then(|device| connect(ctx, [device].into_iter())).with_context(step)
}

/// Gives a domain another trusted platform module.
///
/// # Errors
/// As [`attach_disk`].
pub fn attach_vtpm(ctx: &Ctx, domid: DomId, given: &DeviceVtpm) -> Result<()> {
    let step = || format!("attaching a trusted platform module to domain {domid}");
    let mut decided = given.clone();
    defaults::devices::vtpm(&mut decided, ctx).with_context(step)?;
    let numbered = || {
        decided.devid = Some(number(ctx, domid, given.devid, DeviceKind::Vtpm)?);
        let value = DeviceVtpm { devid: decided.devid, uuid: decided.uuid, ..given.clone() };
        let entry = Entry { list: |config| &mut config.vtpms, is_same: |a, b| a.devid == b.devid, value };
        Ok((vtpm(domid, &decided)?, entry))
    };
    attach(ctx, domid, numbered).with_context(step).map(drop)
}

/// Gives a domain another display.
///
/// # Errors
/// As [`attach_disk`].
pub fn attach_vdispl(ctx: &Ctx, domid: DomId, given: &DeviceVdispl) -> Result<()> {
    let step = || format!("attaching a display to domain {domid}");
    let mut decided = given.clone();
    defaults::devices::vdispl(&mut decided, ctx).with_context(step)?;
    let numbered = || {
        decided.devid = Some(number(ctx, domid, given.devid, DeviceKind::Vdispl)?);
        let value = DeviceVdispl { devid: decided.devid, ..given.clone() };
        let entry = Entry { list: |config| &mut config.vdispls, is_same: |a, b| a.devid == b.devid, value };
        Ok((vdispl(domid, &decided)?, entry))
    };
    attach(ctx, domid, numbered).with_context(step).map(drop)
}

/// Gives a domain another sound card.
///
/// # Errors
/// As [`attach_disk`].
pub fn attach_vsnd(ctx: &Ctx, domid: DomId, given: &DeviceVsnd) -> Result<()> {
    let step = || format!("attaching a sound card to domain {domid}");
    let mut decided = given.clone();
    defaults::devices::vsnd(&mut decided, ctx).with_context(step)?;
    let numbered = || {
        decided.devid = Some(number(ctx, domid, given.devid, DeviceKind::Vsnd)?);
        let value = DeviceVsnd { devid: decided.devid, ..given.clone() };
        let entry = Entry { list: |config| &mut config.vsnds, is_same: |a, b| a.devid == b.devid, value };
        Ok((vsnd(domid, &decided)?, entry))
    };
    attach(ctx, domid, numbered).with_context(step).map(drop)
}

/// Gives a domain another USB controller, and returns its number.
///
/// # Errors
/// As [`attach_disk`].
pub fn attach_usbctrl(ctx: &Ctx, domid: DomId, given: &DeviceUsbctrl) -> Result<u32> {
    let guest = guest_kind(ctx, domid)?;
    let step = || format!("attaching a USB controller to domain {domid}");
    let mut decided = given.clone();
    defaults::usb::controller(&mut decided, guest, ctx).with_context(step)?;
    check_usbctrl(&decided, guest, ctx).with_context(step)?;
    let numbered = || {
        decided.devid = Some(number(ctx, domid, given.devid, DeviceKind::Vusb)?);
        let nodes = usbctrl(domid, &decided)?;
        if nodes.device.backend_kind.is_served_by_qemu() && nodes.device.backend_domid == ctx.domid {
            dm::check_running(ctx, domid)?;
        }
        let entry = Entry { list: |config| &mut config.usbctrls, is_same: |a, b| a.devid == b.devid, value: decided };
        Ok((nodes, entry))
    };
    attach(ctx, domid, numbered).with_context(step)
}

/// The number that was given, or the next: nobody else takes it while the stored configuration is locked.
fn number(ctx: &Ctx, domid: DomId, given: Option<u32>, kind: DeviceKind) -> Result<u32> {
    given.map_or_else(|| next_devid(ctx, domid, kind), Ok)
}

fn guest_kind(ctx: &Ctx, domid: DomId) -> Result<DomainType> {
    info::kind(ctx, &info::get(ctx, domid)?)
}

/// A device in the stored configuration of its domain.
pub(super) struct Entry<T> {
    pub list: fn(&mut DomainConfig) -> &mut Vec<T>,
    /// Whether two entries mean the same device.
    pub is_same: fn(&T, &T) -> bool,
    pub value: T,
}

impl<T: Clone> Entry<T> {
    /// Puts the device into a configuration, in place of an earlier one of the same name, which is returned.
    pub(super) fn put(&self, config: &mut DomainConfig) -> Option<T> {
        let list = (self.list)(config);
        match list.iter_mut().find(|other| (self.is_same)(other, &self.value)) {
            Some(earlier) => Some(std::mem::replace(earlier, self.value.clone())),
            None => {
                list.push(self.value.clone());
                None
            }
        }
    }

    /// Undoes [`Entry::put`].
    pub(super) fn take_back(&self, config: &mut DomainConfig, earlier: Option<T>) {
        let list = (self.list)(config);
        match (list.iter().position(|other| (self.is_same)(other, &self.value)), earlier) {
            (Some(at), Some(earlier)) => list[at] = earlier,
            (Some(at), None) => _ = list.remove(at),
            (None, _) => {}
        }
    }
}

/// Stores the device that `decide` makes, then connects it, and returns its number; takes everything back if it cannot be
/// connected.
fn attach<T: Clone>(ctx: &Ctx, domid: DomId, decide: impl FnOnce() -> Result<(Nodes, Entry<T>)>) -> Result<u32> {
    let userdata = Userdata::of(ctx, domid)?;
    let Stored { device, entry, earlier } = store(ctx, &userdata, decide)?;
    let forget = || -> Result<()> {
        let _lock = userdata.lock(ctx)?;
        if ctx.xs()?.exists(&device.libxl_path())? {
            return Ok(()); // somebody else's by now
        }
        let mut config = userdata.config()?;
        entry.take_back(&mut config, earlier);
        userdata.store_config(&config)
    };
    match connect(ctx, [device].into_iter()).and_then(|()| await_qemu(ctx, [device].into_iter())) {
        Ok(()) => Ok(device.devid),
        Err(e) => Err(ctx.undisturbed(|| {
            let taken_back = [remove(ctx, &[device], Force::Always), forget()];
            taken_back.into_iter().fold(e, noting)
        })),
    }
}

/// A device that is in the stored configuration and in xenstore.
struct Stored<T> {
    device: Device,
    entry: Entry<T>,
    /// The entry that it replaces.
    earlier: Option<T>,
}

/// Writes the device to the stored configuration, then to xenstore, under the configuration's lock: what xenstore has is
/// always stored, and of two processes that add the same device one finds that it exists.
fn store<T: Clone>(
    ctx: &Ctx,
    userdata: &Userdata,
    decide: impl FnOnce() -> Result<(Nodes, Entry<T>)>,
) -> Result<Stored<T>> {
    let _lock = userdata.lock(ctx)?;
    let (nodes, entry) = decide()?;
    let device = nodes.device;
    refuse_existing(ctx, &device)?;
    let mut config = userdata.config()?;
    let earlier = entry.put(&mut config);
    userdata.store_config(&config)?;
    match write_all(ctx, &[nodes]) {
        Ok(()) => Ok(Stored { device, entry, earlier }),
        Err(e) => {
            entry.take_back(&mut config, earlier);
            Err(noting(e, userdata.store_config(&config)))
        }
    }
}

/// Asked before anything is changed.
fn refuse_existing(ctx: &Ctx, device: &Device) -> Result<()> {
    if !ctx.xs()?.exists(&device.libxl_path())? {
        return Ok(());
    }
    Err(Error::new(crate::ErrorKind::DeviceExists, format!("the domain has {device} already")))
}

/// An error, with that of taking back what was done until then.
pub(super) fn noting(error: Error, undone: Result<()>) -> Error {
    match undone {
        Ok(()) => error,
        Err(e) => error.note(format!("taking it back: {e}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::nodes::tests::host;
    use super::*;
    use crate::ErrorKind;
    use std::thread;
    use uuid::Uuid;

    fn disk(vdev: &str, path: &str) -> DeviceDisk {
        DeviceDisk { vdev: Some(vdev.into()), pdev_path: Some(path.into()), ..Default::default() }
    }

    fn entry(value: DeviceDisk) -> Entry<DeviceDisk> {
        Entry { list: |config| &mut config.disks, is_same: |a, b| a.vdev == b.vdev, value }
    }

    #[test]
    fn a_stored_device_replaces_the_one_of_its_name() {
        let mut config = DomainConfig { disks: vec![disk("xvda", "/a"), disk("xvdb", "/b")], ..Default::default() };
        let before = config.clone();
        let new = entry(disk("xvdc", "/c"));
        assert_eq!(new.put(&mut config), None);
        assert_eq!(config.disks[2], new.value);
        new.take_back(&mut config, None);
        assert_eq!(config, before);

        let other = entry(disk("xvda", "/other"));
        let earlier = other.put(&mut config);
        assert_eq!((config.disks.len(), &config.disks[0]), (2, &other.value));
        assert_eq!(earlier, Some(disk("xvda", "/a")));
        other.take_back(&mut config, earlier);
        assert_eq!(config, before);
    }

    /// What eight processes get that attach a device at once, and what is stored then.
    fn eight_at_once<T: Clone + Send>(
        decide: impl Fn(&Ctx, u32) -> Result<(Nodes, Entry<T>)> + Sync,
    ) -> (Vec<Result<Stored<T>>>, DomainConfig) {
        let (fake, mut ctx) = host(&[1]);
        let root = tempfile::tempdir().unwrap();
        ctx.paths.lib = root.path().into();
        Userdata::named(&ctx, DomId(1), Uuid::nil()).store_config(&DomainConfig::default()).unwrap();
        let results = thread::scope(|scope| {
            let attaching: Vec<_> = (0..8)
                .map(|n| {
                    let (fake, lib, decide) = (fake.clone(), root.path().to_owned(), &decide);
                    scope.spawn(move || {
                        let mut ctx = fake.ctx();
                        ctx.paths.lib = lib;
                        let userdata = Userdata::named(&ctx, DomId(1), Uuid::nil());
                        store(&ctx, &userdata, || decide(&ctx, n))
                    })
                })
                .collect();
            attaching.into_iter().map(|one| one.join().unwrap()).collect()
        });
        (results, Userdata::named(&ctx, DomId(1), Uuid::nil()).config().unwrap())
    }

    fn device(kind: DeviceKind, devid: u32) -> Nodes {
        Nodes::new(Device { domid: DomId(1), kind, devid, backend_domid: DomId(0), backend_kind: kind })
    }

    #[test]
    fn of_several_that_add_the_same_device_the_one_that_made_it_is_stored() {
        let (results, config) =
            eight_at_once(|_, n| Ok((device(DeviceKind::Vbd, 51712), entry(disk("xvda", &format!("/{n}"))))));
        let (made, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        assert!(refused.into_iter().all(|e| e.is_err_and(|e| e.kind() == ErrorKind::DeviceExists)));
        let [Ok(Stored { entry, earlier: None, .. })] = &made[..] else { panic!("{} were made", made.len()) };
        assert_eq!(config.disks, std::slice::from_ref(&entry.value));
    }

    #[test]
    fn each_of_several_gets_a_number_of_its_own() {
        let (results, config) = eight_at_once(|ctx, _| {
            let devid = number(ctx, DomId(1), None, DeviceKind::Vif)?;
            let value = DeviceNic { devid: Some(devid), ..Default::default() };
            let entry = Entry { list: |config| &mut config.nics, is_same: |a, b| a.devid == b.devid, value };
            Ok((device(DeviceKind::Vif, devid), entry))
        });
        let mut numbers: Vec<u32> = results.into_iter().map(|one| one.unwrap().device.devid).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..8).collect::<Vec<_>>());
        assert_eq!(config.nics.len(), 8);
    }
}
