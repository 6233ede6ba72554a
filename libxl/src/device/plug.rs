//! USB devices that come to a guest that runs, and go: their names come to stand at a port of a controller.

use super::attach::{Entry, noting};
use super::list::{find_usbctrl, usb_ports, usbctrls};
use super::usb::{free_device, hostdev, lock_devices, plug, takes_devices, unplug};
use super::{Device, Force, attach_usbctrl, remove};
use crate::ctx::Ctx;
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::host::usb;
use crate::types::{DeviceUsbctrl, DeviceUsbdev, UsbHostdev};
use crate::userdata::Userdata;
use libxc::DomId;
use std::path::Path;

/// Gives a domain a USB device of the host (`libxl_device_usbdev_add`): at the port that it names, or else at the first
/// that is free, of a new controller if need be.
///
/// # Errors
/// A device that is not there, is a hub or has a guest already; a port that is taken. Nothing is changed then.
pub fn attach_usbdev(ctx: &Ctx, domid: DomId, given: &DeviceUsbdev) -> Result<()> {
    attach(ctx, domid, given).with_context(|| format!("attaching a USB device to domain {domid}"))
}

fn attach(ctx: &Ctx, domid: DomId, given: &DeviceUsbdev) -> Result<()> {
    let _devices = lock_devices(ctx)?;
    let name = free_device(ctx, Path::new(usb::DEVICES), &hostdev(given))?;
    if (given.ctrl, given.port) == (None, 0) && first_free(ctx, domid)?.is_none() {
        attach_usbctrl(ctx, domid, &DeviceUsbctrl::default())?;
    }
    plug_in(ctx, domid, &Userdata::of(ctx, domid)?, given, &name)
}

/// Stores the device and plugs it into its port, which nobody else takes while the stored configuration is locked.
fn plug_in(ctx: &Ctx, domid: DomId, userdata: &Userdata, given: &DeviceUsbdev, name: &str) -> Result<()> {
    let _lock = userdata.lock(ctx)?;
    let (ctrl, port) = match (given.ctrl, given.port) {
        (None, 0) => {
            let none = || Error::fail("no USB controller of the domain has a free port for it");
            first_free(ctx, domid)?.ok_or_else(none)?
        }
        (None, _) => return Err(Error::invalid("port= needs controller=")),
        (Some(ctrl), port) => place_at(ctx, domid, ctrl, port)?,
    };
    let value = DeviceUsbdev { ctrl: Some(ctrl.devid), port, ..given.clone() };
    let is_same = |a: &DeviceUsbdev, b: &DeviceUsbdev| (a.ctrl, a.port) == (b.ctrl, b.port);
    let entry = Entry { list: |config| &mut config.usbdevs, is_same, value };
    let mut config = userdata.config()?;
    let earlier = entry.put(&mut config);
    userdata.store_config(&config)?;
    plug(ctx, Path::new(usb::BUS), &ctrl, port, name).map_err(|e| {
        entry.take_back(&mut config, earlier);
        noting(e, userdata.store_config(&config))
    })
}

/// The first free port of a controller that takes devices of the host.
fn first_free(ctx: &Ctx, domid: DomId) -> Result<Option<(Device, i32)>> {
    for listed in usbctrls(ctx, domid)? {
        let Some(devid) = listed.info.devid else { continue };
        let (ctrl, kind, ports) = find_usbctrl(ctx, domid, devid)?;
        if takes_devices(kind, ctrl.backend_domid.0.into()).is_err() {
            continue;
        }
        if let Some(port) = free_port(ctx, &ctrl, ports)? {
            return Ok(Some((ctrl, port)));
        }
    }
    Ok(None)
}

/// This port of a controller, or with 0 its first that is free.
fn place_at(ctx: &Ctx, domid: DomId, number: u32, port: i32) -> Result<(Device, i32)> {
    let (ctrl, kind, ports) = find_usbctrl(ctx, domid, number)?;
    takes_devices(kind, ctrl.backend_domid.0.into())?;
    if port == 0 {
        let free = free_port(ctx, &ctrl, ports)?;
        let none = || Error::fail(format!("USB controller {number} has no free port"));
        return Ok((ctrl, free.ok_or_else(none)?));
    }
    if !(1..=ports).contains(&port) {
        return Err(Error::invalid(format!("USB controller {number} has ports 1 to {ports}, not {port}")));
    }
    match usb_ports(ctx, &ctrl)?.into_iter().find(|(taken, _)| *taken == port) {
        None => Ok((ctrl, port)),
        Some((_, name)) => Err(Error::fail(format!("port {port} of USB controller {number} has device {name}"))),
    }
}

fn free_port(ctx: &Ctx, ctrl: &Device, ports: i32) -> Result<Option<i32>> {
    let taken = usb_ports(ctx, ctrl)?;
    Ok((1..=ports).find(|port| taken.iter().all(|(other, _)| other != port)))
}

/// Takes the device at a port from a domain (`libxl_device_usbdev_remove`).
///
/// # Errors
/// `NotFound` if there is none; whatever Linux says against taking it from its backend or giving it back to its driver.
pub fn detach_usbdev(ctx: &Ctx, domid: DomId, ctrl: u32, port: i32) -> Result<()> {
    let _devices = lock_devices(ctx)?;
    detach(ctx, domid, ctrl, port)
}

fn detach(ctx: &Ctx, domid: DomId, ctrl: u32, port: i32) -> Result<()> {
    let (device, kind, _) = find_usbctrl(ctx, domid, ctrl)?;
    takes_devices(kind, device.backend_domid.0.into())?;
    match usb_ports(ctx, &device)?.into_iter().find(|(plugged, _)| *plugged == port) {
        Some((_, name)) => unplug(ctx, Path::new(usb::BUS), &device, port, &name)
            .with_context(|| format!("detaching USB device {name} from domain {domid}")),
        None => {
            let what =
                format!("port {port} of USB controller {ctrl} has no device (xl usb-list {domid} shows what there is)");
            Err(Error::new(ErrorKind::NotFound, what))
        }
    }
}

/// Takes a controller from a domain, with all that is plugged in (`libxl_device_usbctrl_remove`).
///
/// # Errors
/// As [`remove`].
pub fn detach_usbctrl(ctx: &Ctx, domid: DomId, number: u32) -> Result<()> {
    let (ctrl, ..) = find_usbctrl(ctx, domid, number)?;
    remove(ctx, &[ctrl], Force::AfterTimeout)
}

/// The host's USB devices that a domain has.
pub(crate) fn plugged(ctx: &Ctx, domid: DomId) -> Result<Vec<UsbHostdev>> {
    Ok(usbctrls(ctx, domid)?.into_iter().flat_map(|ctrl| ctrl.ports).flatten().collect())
}

/// Whether this device of a stored configuration is among those.
pub(crate) fn has_usbdev(plugged: &[UsbHostdev], usbdev: &DeviceUsbdev) -> bool {
    plugged.contains(&hostdev(usbdev))
}

#[cfg(test)]
mod tests {
    use super::super::nodes::tests::host;
    use super::super::{usbctrl, write_all};
    use super::*;
    use crate::types::{DomainConfig, UsbctrlType};
    use crate::xenstore::fake::Fake;
    use std::thread;
    use uuid::Uuid;

    const GUEST: DomId = DomId(1);

    /// A guest with two controllers of two ports, the first of them full.
    fn guest() -> (Fake, Ctx) {
        let (fake, ctx) = host(&[1]);
        let ctrl = |devid| DeviceUsbctrl {
            devid: Some(devid),
            type_: UsbctrlType::Qusb,
            version: 2,
            ports: 2,
            ..Default::default()
        };
        write_all(&ctx, &[usbctrl(GUEST, &ctrl(0)).unwrap(), usbctrl(GUEST, &ctrl(1)).unwrap()]).unwrap();
        for port in ["0/port/1", "0/port/2", "1/port/1"] {
            fake.set(&format!("/local/domain/0/backend/qusb/1/{port}"), b"1-1");
        }
        (fake, ctx)
    }

    #[test]
    fn a_free_port_is_found() {
        let (fake, ctx) = guest();
        let (ctrl, port) = first_free(&ctx, GUEST).unwrap().unwrap();
        assert_eq!((ctrl.devid, port), (1, 2));
        assert_eq!(place_at(&ctx, GUEST, 1, 0).unwrap(), (ctrl, 2));
        let error = |ctrl, port| place_at(&ctx, GUEST, ctrl, port).unwrap_err().to_string();
        assert!(error(0, 0).contains("no free port"));
        assert!(error(1, 1).contains("has device 1-1"));
        assert!(error(1, 3).contains("ports 1 to 2, not 3"));
        assert!(error(5, 0).contains("no USB controller 5"));
        fake.set("/local/domain/0/backend/qusb/1/1/port/2", b"1-2");
        assert_eq!(first_free(&ctx, GUEST).unwrap(), None);
    }

    #[test]
    fn each_of_several_gets_a_port_of_its_own() {
        let (fake, mut ctx) = host(&[1]);
        let root = tempfile::tempdir().unwrap();
        ctx.paths.lib = root.path().into();
        let ctrl = DeviceUsbctrl { devid: Some(0), type_: UsbctrlType::Qusb, ports: 8, ..Default::default() };
        write_all(&ctx, &[usbctrl(GUEST, &ctrl).unwrap()]).unwrap();
        let userdata = Userdata::named(&ctx, GUEST, Uuid::nil());
        userdata.store_config(&DomainConfig::default()).unwrap();
        thread::scope(|scope| {
            for n in 0..8 {
                let (fake, userdata) = (fake.clone(), &userdata);
                let name = format!("1-{n}");
                scope.spawn(move || plug_in(&fake.ctx(), GUEST, userdata, &DeviceUsbdev::default(), &name).unwrap());
            }
        });
        let (ctrl, ..) = find_usbctrl(&ctx, GUEST, 0).unwrap();
        assert_eq!(usb_ports(&ctx, &ctrl).unwrap().len(), 8);
        assert_eq!(userdata.config().unwrap().usbdevs.len(), 8);
    }

    #[test]
    fn a_device_goes_from_its_port() {
        let (fake, ctx) = guest();
        detach(&ctx, GUEST, 0, 2).unwrap();
        assert_eq!(fake.get("/local/domain/0/backend/qusb/1/0/port/2").as_deref(), Some(&b""[..]));
        for (ctrl, port) in [(0, 2), (1, 2), (1, 9), (2, 1)] {
            assert_eq!(detach(&ctx, GUEST, ctrl, port).unwrap_err().kind(), ErrorKind::NotFound, "{ctrl} {port}");
        }
    }

    #[test]
    fn what_is_no_longer_plugged_in_is_not_kept() {
        let mouse = UsbHostdev { hostbus: 1, hostaddr: 2 };
        let usbdev = |device: &UsbHostdev| DeviceUsbdev {
            device: Some(crate::types::UsbDevice::Hostdev(device.clone())),
            ..Default::default()
        };
        assert!(has_usbdev(std::slice::from_ref(&mouse), &usbdev(&mouse)));
        assert!(!has_usbdev(&[mouse], &usbdev(&UsbHostdev { hostbus: 1, hostaddr: 3 })));
    }
}
