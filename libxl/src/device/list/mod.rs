//! The devices that a domain has, and how they are doing.
//!
//! Which there are is read below `/libxl`. What the guest may have written is believed as far as it can be: a state, an
//! event channel or a ring is the number that it is, or -1, and a terminal is one. What displays and sound cards are
//! called stands in the guest's own directory, and may be any text.

mod small;
mod usb;
mod vdispl;
mod vsnd;

pub use small::{Vkb, channels, vkbs, vtpms};
pub use usb::{Usbctrl, usbctrls};
pub(super) use usb::{find_usbctrl, usb_ports};
pub use vdispl::vdispls;
pub use vsnd::{Vsnd, vsnds};

use super::{Device, DeviceKind, vdev};
use crate::ctx::Ctx;
use crate::error::{Error, ErrorKind, Result};
use crate::types::{DiskInfo, Mac, NicInfo};
use crate::xenstore::{Store, schema};
use libxc::DomId;

/// A network interface, with the address that tells it from others.
#[derive(Clone, Debug, PartialEq)]
pub struct Nic {
    /// Its Ethernet address.
    pub mac: Mac,
    /// How it is doing.
    pub info: NicInfo,
}

/// The disks of a domain, in the order they were made (`libxl_device_disk_list`).
pub fn disks(ctx: &Ctx, domid: DomId) -> Result<Vec<DiskInfo>> {
    let mut found = Vec::new();
    for (devid, device) in of_disks(ctx, domid)? {
        let [state, evtch, rref] = numbers(ctx, &device, ["state", "event-channel", "ring-ref"])?;
        found.push(DiskInfo { ends: device.ends(), devid: Some(devid), state, evtch, rref });
    }
    Ok(found)
}

/// PV disks and virtio disks.
fn of_disks(ctx: &Ctx, domid: DomId) -> Result<Vec<(u32, Device)>> {
    let mut found = of_kind(ctx, domid, DeviceKind::Vbd)?;
    found.extend(of_kind(ctx, domid, DeviceKind::VirtioDisk)?);
    Ok(found)
}

/// The network interfaces of a domain, in the order they were made (`libxl_device_nic_list`).
pub fn nics(ctx: &Ctx, domid: DomId) -> Result<Vec<Nic>> {
    let mut found = Vec::new();
    for (devid, device) in of_kind(ctx, domid, DeviceKind::Vif)? {
        let [state, evtch, rref_tx, rref_rx] =
            numbers(ctx, &device, ["state", "event-channel", "tx-ring-ref", "rx-ring-ref"])?;
        let mac = ctx.xs()?.read_optional(&format!("{}/mac", device.libxl_path()))?;
        let info = NicInfo { ends: device.ends(), devid: Some(devid), state, evtch, rref_tx, rref_rx };
        found.push(Nic { mac: mac.and_then(|mac| mac.parse().ok()).unwrap_or_default(), info });
    }
    Ok(found)
}

/// The disk that the guest calls `vdev`.
///
/// # Errors
/// `Invalid` for what is no disk's name, `NotFound` if the domain has no such disk.
pub fn find_disk(ctx: &Ctx, domid: DomId, vdev: &str) -> Result<Device> {
    let number = vdev::number(vdev).ok_or_else(|| Error::invalid(format!("\"{vdev}\" is no virtual disk")))?;
    let found = of_disks(ctx, domid)?.into_iter().find(|(devid, _)| *devid == number);
    found.map(|(_, device)| device).ok_or_else(|| missing(domid, "disk", vdev, "block-list"))
}

/// The interface with this number or Ethernet address.
///
/// # Errors
/// `NotFound` if the domain has none.
pub fn find_nic(ctx: &Ctx, domid: DomId, name: &str) -> Result<Device> {
    let number = match name.parse::<Mac>() {
        Ok(mac) => nics(ctx, domid)?.into_iter().find(|nic| nic.mac == mac).and_then(|nic| nic.info.devid),
        Err(_) => name.parse().ok(),
    };
    let found = of_kind(ctx, domid, DeviceKind::Vif)?.into_iter().find(|(devid, _)| Some(*devid) == number);
    found.map(|(_, device)| device).ok_or_else(|| missing(domid, "interface", name, "network-list"))
}

/// The device of a kind with this number.
///
/// # Errors
/// `NotFound` if the domain has none.
pub fn find(ctx: &Ctx, domid: DomId, kind: DeviceKind, number: &str, list: &str) -> Result<Device> {
    let devid = number.parse::<u32>().ok();
    let found = of_kind(ctx, domid, kind)?.into_iter().find(|(other, _)| Some(*other) == devid);
    found.map(|(_, device)| device).ok_or_else(|| missing(domid, kind.name(), number, list))
}

/// The trusted platform module with this number or UUID.
///
/// # Errors
/// `NotFound` if the domain has none.
pub fn find_vtpm(ctx: &Ctx, domid: DomId, name: &str) -> Result<Device> {
    let number = match name.parse::<uuid::Uuid>() {
        Ok(uuid) => vtpms(ctx, domid)?.into_iter().find(|vtpm| vtpm.uuid == uuid).and_then(|vtpm| vtpm.devid),
        Err(_) => name.parse().ok(),
    };
    let number = number.map_or_else(|| name.to_owned(), |number| number.to_string());
    find(ctx, domid, DeviceKind::Vtpm, &number, "vtpm-list")
}

fn missing(domid: DomId, kind: &str, name: &str, list: &str) -> Error {
    let what = format!("domain {domid} has no {kind} {name} (xl {list} {domid} shows those it has)");
    Error::new(ErrorKind::NotFound, what)
}

/// The number that the next device of a kind gets (`libxl__device_nextid`).
pub(super) fn next_devid(ctx: &Ctx, domid: DomId, kind: DeviceKind) -> Result<u32> {
    let numbers = ctx.xs()?.children(&directory(domid, kind))?;
    let last = numbers.iter().filter_map(|name| name.parse::<u32>().ok()).max();
    Ok(last.map_or(0, |last| last.saturating_add(1)))
}

fn directory(domid: DomId, kind: DeviceKind) -> String {
    format!("{}/{kind}", schema::devices(domid))
}

/// Values of a device's frontend, which the guest may have written.
fn values<const N: usize>(ctx: &Ctx, directory: &str, nodes: [&str; N]) -> Result<[Option<String>; N]> {
    let values = ctx.xs()?.read_many(nodes.iter().map(|node| format!("{directory}/{node}")))?;
    let mut found = [const { None }; N];
    found.iter_mut().zip(values).for_each(|(to, value)| *to = value);
    Ok(found)
}

/// The directories below one that are called 0, 1, 2 and so on.
fn numbered(ctx: &Ctx, directory: &str) -> Result<Vec<String>> {
    let names = ctx.xs()?.children(directory)?;
    let is_there = |number: &usize| names.contains(&number.to_string());
    Ok((0..names.len()).take_while(is_there).map(|number| format!("{directory}/{number}")).collect())
}

/// A domain's devices of a kind, by number. One without a backend is being removed, and left out.
fn of_kind(ctx: &Ctx, domid: DomId, kind: DeviceKind) -> Result<Vec<(u32, Device)>> {
    let directory = directory(domid, kind);
    let names = ctx.xs()?.children(&directory)?;
    let backends = ctx.xs()?.read_many(names.iter().map(|name| format!("{directory}/{name}/backend")))?;
    let devices = backends.into_iter().flatten().filter_map(|path| Device::from_backend_path(&path, |_| kind));
    Ok(devices.filter(|device| device.domid == domid).map(|device| (device.devid, device)).collect())
}

/// Numbers that the guest has written, -1 where there is none.
fn numbers<const N: usize>(ctx: &Ctx, device: &Device, nodes: [&str; N]) -> Result<[i32; N]> {
    numbers_in(ctx, &device.frontend_path(), nodes)
}

fn numbers_in<const N: usize>(ctx: &Ctx, directory: &str, nodes: [&str; N]) -> Result<[i32; N]> {
    Ok(values(ctx, directory, nodes)?.map(|value| value.and_then(|value| value.trim().parse().ok()).unwrap_or(-1)))
}

#[cfg(test)]
mod tests {
    use super::super::nodes::tests::host;
    use super::super::{Nodes, TOOLSTACK, write_all};
    use super::*;

    fn device(kind: DeviceKind, devid: u32) -> Device {
        Device { domid: DomId(1), kind, devid, backend_domid: TOOLSTACK, backend_kind: kind }
    }

    #[test]
    fn what_a_guest_writes_is_only_a_number() {
        let (fake, ctx) = host(&[1]);
        let disk = device(DeviceKind::Vbd, 51712);
        write_all(&ctx, &[Nodes::new(disk)]).unwrap();
        let frontend = disk.frontend_path();
        fake.set(&format!("{frontend}/state"), b"4");
        fake.set(&format!("{frontend}/event-channel"), b"99999999999999999999");
        // The guest may claim another backend: nobody looks there.
        fake.set(&format!("{frontend}/backend"), b"/local/domain/0/backend/vbd/2/51712");
        let [found] = &disks(&ctx, DomId(1)).unwrap()[..] else { panic!() };
        assert_eq!((found.state, found.evtch, found.rref, found.devid), (4, -1, -1, Some(51712)));
        assert_eq!(found.ends.backend.as_deref(), Some("/local/domain/0/backend/vbd/1/51712"));
        assert!(disks(&ctx, DomId(2)).unwrap().is_empty());
    }

    #[test]
    fn finding_devices() {
        let (_fake, ctx) = host(&[1]);
        let mut nic = Nodes::new(device(DeviceKind::Vif, 3));
        nic.back("mac", "00:16:3e:11:22:33");
        write_all(&ctx, &[nic, Nodes::new(device(DeviceKind::Vbd, 51712))]).unwrap();
        for name in ["3", "00:16:3E:11:22:33"] {
            assert_eq!(find_nic(&ctx, DomId(1), name).unwrap().devid, 3, "{name}");
        }
        for name in ["0", "-1", "", "00:16:3e:11:22:34", "eth0"] {
            assert_eq!(find_nic(&ctx, DomId(1), name).unwrap_err().kind(), ErrorKind::NotFound, "{name}");
        }
        assert_eq!(find_disk(&ctx, DomId(1), "xvda").unwrap().devid, 51712);
        assert_eq!(find_disk(&ctx, DomId(1), "51712").unwrap().devid, 51712);
        assert_eq!(find_disk(&ctx, DomId(1), "xvdb").unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(find_disk(&ctx, DomId(1), "../x").unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(next_devid(&ctx, DomId(1), DeviceKind::Vif).unwrap(), 4);
        assert_eq!(next_devid(&ctx, DomId(1), DeviceKind::Vtpm).unwrap(), 0);
    }
}
