//! USB controllers, and a place on one for each device.

use super::{HostFacts, devices};
use crate::error::ResultExt;
use crate::types::{DeviceUsbctrl, DomainConfig, DomainType, UsbDevice, UsbHostdev, UsbctrlType};
use crate::{Error, Result};

/// The most ports of a PV controller (`USBIF_MAX_PORTNR`).
const MAX_PV_PORTS: i32 = 31;
/// The most ports of QEMU's version 3 controller.
const MAX_XHCI_PORTS: i32 = 15;
/// Ports of a controller that can have any number of them.
const PORTS: i32 = 8;

/// Decides what controllers and devices leave open, and adds controllers for devices that have no place.
pub(super) fn apply(config: &mut DomainConfig, host: &dyn HostFacts) -> Result<()> {
    let kind = config.c_info.type_;
    for (i, one) in config.usbctrls.iter_mut().enumerate() {
        controller(one, kind, host).with_context(|| format!("usbctrl {i}"))?;
    }
    devices::number(config.usbctrls.iter_mut().map(|d| &mut d.devid).collect());
    for i in 0..config.usbdevs.len() {
        place(config, i, host).with_context(|| format!("usbdev {i}"))?;
    }
    Ok(())
}

/// Decides what a controller leaves open.
pub fn controller(ctrl: &mut DeviceUsbctrl, kind: DomainType, host: &dyn HostFacts) -> Result<()> {
    if ctrl.type_ == UsbctrlType::Auto {
        ctrl.type_ = match kind {
            DomainType::Hvm => UsbctrlType::Devicemodel,
            _ if host.has_usbback() => UsbctrlType::Pv,
            _ => UsbctrlType::Qusb,
        };
    }
    if ctrl.version == 0 {
        ctrl.version = 2;
    }
    let (default, fewest, most) = match (ctrl.type_, ctrl.version) {
        (UsbctrlType::Devicemodel, 1) => (2, 2, 2),
        (UsbctrlType::Devicemodel, 2) => (6, 6, 6),
        (UsbctrlType::Devicemodel, 3) => (PORTS, 1, MAX_XHCI_PORTS),
        (UsbctrlType::Devicemodel, _) => return Err(Error::invalid("version is 1, 2 or 3")),
        (_, 1 | 2) => (PORTS, 1, MAX_PV_PORTS),
        _ => return Err(Error::invalid(format!("version of a {} controller is 1 or 2", ctrl.type_))),
    };
    if ctrl.ports == 0 {
        ctrl.ports = default;
    }
    if !(fewest..=most).contains(&ctrl.ports) {
        let range = if fewest == most { format!("{most}") } else { format!("{fewest} to {most}") };
        let message =
            format!("ports={}: a {} controller of version {} has {range}", ctrl.ports, ctrl.type_, ctrl.version);
        return Err(Error::invalid(message));
    }
    devices::resolve_backend(ctrl.backend_domname.as_deref(), &mut ctrl.backend_domid, host)
}

/// Gives a device a controller and a port: those it names, or else the first that are free, or a new controller's.
fn place(config: &mut DomainConfig, index: usize, host: &dyn HostFacts) -> Result<()> {
    let device = &mut config.usbdevs[index];
    device.device.get_or_insert_with(|| UsbDevice::Hostdev(UsbHostdev::default()));
    if device.ctrl.is_none() && device.port != 0 {
        return Err(Error::invalid("port= needs controller="));
    }
    if device.ctrl.is_some() && device.port != 0 {
        return Ok(());
    }
    let asked = device.ctrl;
    let found = config
        .usbctrls
        .iter()
        .filter(|ctrl| asked.is_none() || ctrl.devid == asked)
        .find_map(|ctrl| free_port(config, ctrl).map(|port| (ctrl.devid, port)));
    let (ctrl, port) = match found {
        Some(place) => place,
        None if asked.is_some() => return Err(Error::invalid("its controller has no free port, or does not exist")),
        None => {
            let mut added = DeviceUsbctrl::default();
            controller(&mut added, config.c_info.type_, host)?;
            config.usbctrls.push(added);
            devices::number(config.usbctrls.iter_mut().map(|d| &mut d.devid).collect());
            (config.usbctrls.last().and_then(|ctrl| ctrl.devid), 1)
        }
    };
    let device = &mut config.usbdevs[index];
    (device.ctrl, device.port) = (ctrl, port);
    Ok(())
}

fn free_port(config: &DomainConfig, ctrl: &DeviceUsbctrl) -> Option<i32> {
    (1..=ctrl.ports).find(|port| !config.usbdevs.iter().any(|used| used.ctrl == ctrl.devid && used.port == *port))
}
