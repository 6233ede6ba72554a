//! The lists of USB controllers and of what is plugged into them.

use super::{numbers, of_kind, values};
use crate::ctx::Ctx;
use crate::device::{Device, DeviceKind};
use crate::error::{Error, ErrorKind, Result};
use crate::host::usb;
use crate::types::{UsbHostdev, UsbctrlInfo, UsbctrlType};
use crate::xenstore::Store;
use libxc::DomId;
use std::path::Path;

/// The most ports of a PV controller (`USBIF_MAX_PORTNR`).
const MAX_PORTS: i32 = 31;

/// A USB controller, with the host's devices at its ports.
#[derive(Clone, Debug, PartialEq)]
pub struct Usbctrl {
    /// How it is doing.
    pub info: UsbctrlInfo,
    /// The device at each port, from 1 on.
    pub ports: Vec<Option<UsbHostdev>>,
}

/// The USB controllers of a domain (`libxl_device_usbctrl_list`).
pub fn usbctrls(ctx: &Ctx, domid: DomId) -> Result<Vec<Usbctrl>> {
    let mut found = Vec::new();
    for (devid, device) in of_kind(ctx, domid, DeviceKind::Vusb)? {
        let [kind, version, ports] = values(ctx, &device.libxl_path(), ["type", "usb-ver", "num-ports"])?;
        let number = |value: Option<String>| value.and_then(|value| value.parse::<i32>().ok()).unwrap_or_default();
        let type_ = kind.and_then(|kind| kind.parse().ok()).unwrap_or(UsbctrlType::Auto);
        let [state, evtch, ref_urb, ref_conn] =
            numbers(ctx, &device, ["state", "event-channel", "urb-ring-ref", "conn-ring-ref"])?;
        let count = number(ports).clamp(0, MAX_PORTS);
        let mut ports: Vec<Option<UsbHostdev>> = (0..count).map(|_| None).collect();
        for (port, name) in usb_ports(ctx, &device)? {
            let at = usize::try_from(port).ok().and_then(|port| ports.get_mut(port.checked_sub(1)?));
            if let Some(at) = at {
                *at = usb::address_of(Path::new(usb::DEVICES), &name);
            }
        }
        let (version, ends) = (number(version), device.ends());
        let info =
            UsbctrlInfo { type_, devid: Some(devid), version, ports: count, ends, state, evtch, ref_urb, ref_conn };
        found.push(Usbctrl { info, ports });
    }
    Ok(found)
}

/// The controller of a domain with this number, its kind and how many ports it has.
///
/// # Errors
/// `NotFound` if the domain has none.
pub(in crate::device) fn find_usbctrl(ctx: &Ctx, domid: DomId, devid: u32) -> Result<(Device, UsbctrlType, i32)> {
    let found = of_kind(ctx, domid, DeviceKind::Vusb)?.into_iter().find(|(other, _)| *other == devid);
    let Some((_, device)) = found else {
        let what = format!("domain {domid} has no USB controller {devid} (xl usb-list {domid} shows those it has)");
        return Err(Error::new(ErrorKind::NotFound, what));
    };
    let [kind, ports] = values(ctx, &device.libxl_path(), ["type", "num-ports"])?;
    let kind = kind.and_then(|kind| kind.parse().ok()).unwrap_or(UsbctrlType::Auto);
    let ports: i32 = ports.and_then(|ports| ports.parse().ok()).unwrap_or_default();
    Ok((device, kind, ports.clamp(0, MAX_PORTS)))
}

/// The ports of a controller that have a device, with its name.
pub(in crate::device) fn usb_ports(ctx: &Ctx, ctrl: &Device) -> Result<Vec<(i32, String)>> {
    let directory = format!("{}/port", ctrl.backend_path());
    let ports: Vec<i32> = ctx.xs()?.children(&directory)?.iter().filter_map(|port| port.parse().ok()).collect();
    let names = ctx.xs()?.read_many(ports.iter().map(|port| format!("{directory}/{port}")))?;
    let plugged = ports.into_iter().zip(names).filter_map(|(port, name)| Some((port, name?)));
    Ok(plugged.filter(|(_, name)| !name.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::super::super::nodes::tests::host;
    use super::super::super::{usbctrl, write_all};
    use super::*;
    use crate::types::DeviceUsbctrl;

    #[test]
    fn what_was_written_is_listed() {
        let (fake, ctx) = host(&[1]);
        let ctrl =
            DeviceUsbctrl { devid: Some(3), type_: UsbctrlType::Qusb, version: 1, ports: 4, ..Default::default() };
        write_all(&ctx, &[usbctrl(DomId(1), &ctrl).unwrap()]).unwrap();
        let backend = "/local/domain/0/backend/qusb/1/3";
        fake.set(&format!("{backend}/port/2"), b"7-9");
        fake.set(&format!("{backend}/port/99"), b"../../etc");
        let [listed] = &usbctrls(&ctx, DomId(1)).unwrap()[..] else { panic!() };
        assert_eq!((listed.info.type_, listed.info.version, listed.info.ports), (UsbctrlType::Qusb, 1, 4));
        assert_eq!((listed.info.state, listed.info.evtch, listed.info.devid), (1, -1, Some(3)));
        assert_eq!(listed.ports, [None, None, None, None], "no host has such a device");
        let (device, kind, ports) = find_usbctrl(&ctx, DomId(1), 3).unwrap();
        assert_eq!((device.backend_path().as_str(), kind, ports), (backend, UsbctrlType::Qusb, 4));
        assert!(usb_ports(&ctx, &device).unwrap().contains(&(2, "7-9".to_owned())));
        assert_eq!(find_usbctrl(&ctx, DomId(1), 0).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
