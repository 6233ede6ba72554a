//! PV USB (`xen/include/public/io/usbif.h`): controllers, and the host's devices at their ports.
//!
//! A controller is a device like others. What is plugged into it stands in its backend's directory: `port/N` has the name
//! of a USB device of the host, or nothing. QEMU takes such a device for itself; the kernel's backend has to be given it.

use super::attach::noting;
use super::list::{usb_ports, usbctrls};
use super::{Device, DeviceKind, Nodes, backend_domid, devid, lock_on_host, usbback};
use crate::ctx::Ctx;
use crate::defaults::HostFacts;
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::host::usb;
use crate::lock::LockFile;
use crate::types::{DeviceUsbctrl, DeviceUsbdev, DomainConfig, DomainType, UsbDevice, UsbHostdev, UsbctrlType};
use crate::xenstore::{Store, Xs};
use libxc::DomId;
use std::path::Path;

/// The nodes of a controller, with nothing plugged in.
pub fn usbctrl(domid: DomId, ctrl: &DeviceUsbctrl) -> Result<Nodes> {
    let backend_kind = match ctrl.type_ {
        UsbctrlType::Pv => DeviceKind::Vusb,
        _ => DeviceKind::Qusb,
    };
    let mut nodes = Nodes::new(Device {
        domid,
        kind: DeviceKind::Vusb,
        devid: devid(ctrl.devid, DeviceKind::Vusb)?,
        backend_domid: backend_domid(ctrl.backend_domid)?,
        backend_kind,
    });
    nodes.back("type", ctrl.type_);
    nodes.back("usb-ver", ctrl.version);
    nodes.back("num-ports", ctrl.ports);
    nodes.back("port", "");
    for port in 1..=ctrl.ports {
        nodes.back(&format!("port/{port}"), "");
    }
    Ok(nodes)
}

/// Refuses a controller that nothing would serve.
pub(crate) fn check_usbctrl(ctrl: &DeviceUsbctrl, guest: DomainType, host: &dyn HostFacts) -> Result<()> {
    match ctrl.type_ {
        UsbctrlType::Pv if ctrl.backend_domid == 0 && !host.has_usbback() => {
            Err(Error::invalid("type=pv: this kernel has no backend of PV USB (usbback); type=qusb has QEMU serve it"))
        }
        UsbctrlType::Devicemodel if guest != DomainType::Hvm => {
            Err(Error::invalid(format!("type=devicemodel: a {guest} guest has no emulated controllers")))
        }
        _ => Ok(()),
    }
}

/// Refuses controllers and devices that a new guest could not get.
pub(crate) fn check_usb(ctx: &Ctx, config: &DomainConfig) -> Result<()> {
    for (i, ctrl) in config.usbctrls.iter().enumerate() {
        check_usbctrl(ctrl, config.c_info.type_, ctx).with_context(|| format!("usbctrl {i} (usbctrl=)"))?;
    }
    let mut taken = Vec::new();
    for (i, device) in config.usbdevs.iter().enumerate() {
        check_usbdev(ctx, config, device, &mut taken).with_context(|| format!("usbdev {i} (usbdev=)"))?;
    }
    Ok(())
}

/// `taken` has the controller, port and name of the devices before it.
fn check_usbdev(
    ctx: &Ctx,
    config: &DomainConfig,
    device: &DeviceUsbdev,
    taken: &mut Vec<(u32, i32, String)>,
) -> Result<()> {
    let ctrl = config.usbctrls.iter().find(|ctrl| ctrl.devid == device.ctrl && ctrl.devid.is_some());
    let ctrl = ctrl.ok_or_else(|| Error::invalid("there is no such controller (controller=)"))?;
    let number = devid(ctrl.devid, DeviceKind::Vusb)?;
    takes_devices(ctrl.type_, ctrl.backend_domid)?;
    let port = device.port;
    if !(1..=ctrl.ports).contains(&port) {
        return Err(Error::invalid(format!("controller {number} has ports 1 to {}, not {port}", ctrl.ports)));
    }
    let name = free_device(ctx, Path::new(usb::DEVICES), &hostdev(device))?;
    if taken.iter().any(|(n, p, _)| (*n, *p) == (number, port)) {
        return Err(Error::invalid(format!("port {port} of controller {number} has another device")));
    }
    if taken.iter().any(|(_, _, other)| *other == name) {
        return Err(Error::invalid(format!("USB device {name} is given twice")));
    }
    taken.push((number, port, name));
    Ok(())
}

/// Whether devices of the host can be plugged into a controller of this kind.
pub(super) fn takes_devices(kind: UsbctrlType, backend_domid: u32) -> Result<()> {
    match kind {
        _ if backend_domid != 0 => {
            Err(Error::invalid("its controller is served by another domain, which has its own devices"))
        }
        UsbctrlType::Pv | UsbctrlType::Qusb => Ok(()),
        kind => {
            let what =
                format!("devices on a controller of type={kind} are not supported yet; use type=pv or type=qusb");
            Err(Error::new(ErrorKind::NotImplemented, what))
        }
    }
}

/// The name of a device of the host that no guest has.
pub(super) fn free_device(ctx: &Ctx, devices: &Path, address: &UsbHostdev) -> Result<String> {
    let name = usb::name_of(devices, address)?;
    for domid in ctx.xs()?.children("/libxl")?.iter().filter_map(|name| name.parse().ok()).map(DomId) {
        for ctrl in usbctrls(ctx, domid)? {
            let device = Device::from_backend_path(ctrl.info.ends.backend.as_deref().unwrap_or_default(), |kind| kind);
            // The devices of another domain are other devices.
            let Some(device) = device.filter(|device| device.backend_domid == DomId(0)) else { continue };
            if usb_ports(ctx, &device)?.iter().any(|(_, other)| *other == name) {
                return Err(Error::invalid(format!("domain {domid} has USB device {name} already")));
            }
        }
    }
    Ok(name)
}

/// Keeps others from giving a device of the host to a guest, from [`free_device`] until the device has its port.
pub(super) fn lock_devices(ctx: &Ctx) -> Result<LockFile> {
    lock_on_host(ctx, "usb")
}

/// Plugs in the devices of a new guest, if no other guest has got one since they were checked.
pub(crate) fn plug_all(ctx: &Ctx, config: &DomainConfig, domid: DomId) -> Result<()> {
    if config.usbdevs.is_empty() {
        return Ok(());
    }
    let _lock = lock_devices(ctx)?;
    for (i, device) in config.usbdevs.iter().enumerate() {
        let ctrl = config.usbctrls.iter().find(|ctrl| ctrl.devid == device.ctrl);
        let Some(ctrl) = ctrl else { continue };
        let name = free_device(ctx, Path::new(usb::DEVICES), &hostdev(device))?;
        let plugged = plug(ctx, Path::new(usb::BUS), &usbctrl(domid, ctrl)?.device, device.port, &name);
        plugged.with_context(|| format!("usbdev {i} (usbdev=)"))?;
    }
    Ok(())
}

/// Plugs a device of the host into a port. `bus` is [`usb::BUS`].
///
/// # Errors
/// That Linux does not give it to the backend; the port is empty then.
pub(super) fn plug(ctx: &Ctx, bus: &Path, ctrl: &Device, port: i32, name: &str) -> Result<()> {
    let path = port_path(ctrl, port);
    ctx.xs()?.write(&path, name)?;
    if ctrl.backend_kind != DeviceKind::Vusb {
        return Ok(());
    }
    usbback::give(ctx, bus, name).map_err(|e| noting(e, ctx.xs().and_then(|xs| Ok(xs.write(&path, "")?))))
}

/// Takes the device of this name from a port. The backend loses it before the port is empty: if it does not let go, the
/// device is still listed, and that can be tried again.
///
/// # Errors
/// That Linux does not take it from the backend, or, when the port is empty, that its own driver does not take it.
pub(super) fn unplug(ctx: &Ctx, bus: &Path, ctrl: &Device, port: i32, name: &str) -> Result<()> {
    let is_given = ctrl.backend_kind == DeviceKind::Vusb;
    if is_given {
        usbback::take(ctx, bus, name)?;
    }
    ctx.xs()?.write(&port_path(ctrl, port), "")?;
    if is_given {
        usbback::give_back(ctx, bus, name)?;
    }
    Ok(())
}

/// Takes all that is plugged in from a controller of this host, which is going to be removed.
///
/// # Errors
/// The first of [`unplug`]; the others are tried all the same.
pub(super) fn unplug_all(ctx: &Ctx, ctrl: &Device) -> Result<()> {
    let plugged = usb_ports(ctx, ctrl)?;
    if plugged.is_empty() {
        return Ok(());
    }
    let _lock = lock_devices(ctx)?;
    let mut first = Ok(());
    for (port, name) in plugged {
        let unplugged = unplug(ctx, Path::new(usb::BUS), ctrl, port, &name);
        first = first.and(unplugged.with_context(|| format!("USB device {name}")));
    }
    first
}

/// The device of the host that a configuration means.
pub(super) fn hostdev(device: &DeviceUsbdev) -> UsbHostdev {
    match &device.device {
        Some(UsbDevice::Hostdev(address)) => address.clone(),
        None => UsbHostdev::default(),
    }
}

/// Where it stands what is plugged into a port.
fn port_path(ctrl: &Device, port: i32) -> String {
    format!("{}/port/{port}", ctrl.backend_path())
}

#[cfg(test)]
mod tests {
    use super::super::nodes::tests::{assert_written, host};
    use super::super::write_all;
    use super::*;

    fn ctrl(type_: UsbctrlType) -> DeviceUsbctrl {
        DeviceUsbctrl { devid: Some(0), type_, version: 2, ports: 2, ..Default::default() }
    }

    #[test]
    fn as_stock_xl_writes_it() {
        let (fake, ctx) = host(&[1]);
        write_all(&ctx, &[usbctrl(DomId(1), &ctrl(UsbctrlType::Qusb)).unwrap()]).unwrap();
        assert_written(
            &fake,
            &["/local/domain/1/device/vusb/0", "/local/domain/0/backend/qusb/1/0"],
            r#"
/local/domain/0/backend/qusb/1/0 = ""   (n0,r1)
/local/domain/0/backend/qusb/1/0/frontend = "/local/domain/1/device/vusb/0"   (n0,r1)
/local/domain/0/backend/qusb/1/0/frontend-id = "1"   (n0,r1)
/local/domain/0/backend/qusb/1/0/online = "1"   (n0,r1)
/local/domain/0/backend/qusb/1/0/state = "1"   (n0,r1)
/local/domain/0/backend/qusb/1/0/type = "qusb"   (n0,r1)
/local/domain/0/backend/qusb/1/0/usb-ver = "2"   (n0,r1)
/local/domain/0/backend/qusb/1/0/num-ports = "2"   (n0,r1)
/local/domain/0/backend/qusb/1/0/port = ""   (n0,r1)
/local/domain/0/backend/qusb/1/0/port/1 = ""   (n0,r1)
/local/domain/0/backend/qusb/1/0/port/2 = ""   (n0,r1)
/local/domain/1/device/vusb/0 = ""   (n1,r0)
/local/domain/1/device/vusb/0/backend = "/local/domain/0/backend/qusb/1/0"   (n1,r0)
/local/domain/1/device/vusb/0/backend-id = "0"   (n1,r0)
/local/domain/1/device/vusb/0/state = "1"   (n1,r0)
"#,
        );
        let pv = usbctrl(DomId(1), &ctrl(UsbctrlType::Pv)).unwrap();
        assert_eq!(pv.device.backend_path(), "/local/domain/0/backend/vusb/1/0");
    }

    #[test]
    fn a_device_has_one_guest() {
        let (fake, ctx) = host(&[1]);
        let dir = tempfile::tempdir().unwrap();
        let address = UsbHostdev { hostbus: 1, hostaddr: 2 };
        usb::tests::plug(dir.path(), "1-1", &address, "00");
        let nodes = usbctrl(DomId(1), &ctrl(UsbctrlType::Qusb)).unwrap();
        let device = nodes.device;
        write_all(&ctx, &[nodes]).unwrap();
        assert_eq!(free_device(&ctx, dir.path(), &address).unwrap(), "1-1");
        fake.set(&port_path(&device, 2), b"1-1");
        let error = free_device(&ctx, dir.path(), &address).unwrap_err().to_string();
        assert_eq!(error, "domain 1 has USB device 1-1 already");
    }

    #[test]
    fn what_cannot_be_plugged_in() {
        let (_fake, ctx) = host(&[]);
        let device = |ctrl, port| DeviceUsbdev { ctrl: Some(ctrl), port, device: None };
        let error = |kind, device: DeviceUsbdev| {
            let mut config = DomainConfig { usbctrls: vec![ctrl(kind)], ..Default::default() };
            config.c_info.type_ = DomainType::Pv;
            check_usbdev(&ctx, &config, &device, &mut Vec::new()).unwrap_err().to_string()
        };
        assert!(error(UsbctrlType::Qusb, device(1, 1)).contains("no such controller"));
        assert!(error(UsbctrlType::Qusb, device(0, 3)).contains("ports 1 to 2, not 3"));
        assert!(error(UsbctrlType::Devicemodel, device(0, 1)).contains("type=devicemodel are not supported yet"));
        assert!(error(UsbctrlType::Qusb, device(0, 1)).contains("no USB device hostbus=0"));
        let emulated = check_usbctrl(&ctrl(UsbctrlType::Devicemodel), DomainType::Pv, &ctx).unwrap_err();
        assert!(emulated.to_string().contains("no emulated controllers"), "{emulated}");
    }
}
