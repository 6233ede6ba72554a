//! USB controllers and host USB devices (xl.cfg(5), `usbctrl` and `usbdev`).

use super::diagnostic::Diagnostics;
use super::items::{self, number_of};
use super::keys;
use super::source::Text;
use libxl::types::{DeviceUsbctrl, DeviceUsbdev, UsbDevice, UsbHostdev, UsbdevType};

/// Takes one `key=value` into a controller. Whether it was right.
pub(crate) fn controller(token: Text<'_>, usbctrl: &mut DeviceUsbctrl, diagnostics: &mut Diagnostics) -> bool {
    let Some((key, value)) = items::pair(token, "a USB controller", keys::USBCTRL, diagnostics) else { return false };
    match key {
        "type" => items::choice(value, "type of USB controller", &mut usbctrl.type_, diagnostics),
        "version" => number_of(value, 10, &mut usbctrl.version, diagnostics),
        _ => number_of(value, 10, &mut usbctrl.ports, diagnostics),
    }
}

/// Takes one `key=value` into a host device. Whether it was right.
pub(crate) fn device(token: Text<'_>, usbdev: &mut DeviceUsbdev, diagnostics: &mut Diagnostics) -> bool {
    let Some((key, value)) = items::pair(token, "a USB device", keys::USBDEV, diagnostics) else { return false };
    let device = usbdev.device.get_or_insert(UsbDevice::Hostdev(UsbHostdev::default()));
    let UsbDevice::Hostdev(host) = device;
    match key {
        "type" => {
            let mut kind = UsbdevType::Hostdev;
            items::choice(value, "type of USB device", &mut kind, diagnostics)
        }
        "hostbus" => number_of(value, 0, &mut host.hostbus, diagnostics),
        "hostaddr" => number_of(value, 0, &mut host.hostaddr, diagnostics),
        "controller" => {
            // libxl keeps it with a sign.
            let mut controller = 0i32;
            let right = number_of(value, 10, &mut controller, diagnostics);
            usbdev.ctrl = u32::try_from(controller).ok();
            if usbdev.ctrl.is_none() {
                diagnostics.error(value.span, "no controller has a negative number");
            }
            right && usbdev.ctrl.is_some()
        }
        _ => number_of(value, 10, &mut usbdev.port, diagnostics),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libxl::types::UsbctrlType;

    fn text(token: &str) -> Text<'_> {
        Text::new(token, Default::default())
    }

    #[test]
    fn controllers() {
        let mut diagnostics = Diagnostics::new(false);
        let mut ctrl = DeviceUsbctrl::default();
        assert!(controller(text("type=DEVICEMODEL"), &mut ctrl, &mut diagnostics));
        assert!(controller(text("ports=8"), &mut ctrl, &mut diagnostics));
        assert_eq!((ctrl.type_, ctrl.ports), (UsbctrlType::Devicemodel, 8));
        assert!(!controller(text("type=x"), &mut ctrl, &mut diagnostics));
        assert!(!controller(text("foo=1"), &mut ctrl, &mut diagnostics));
    }

    #[test]
    fn devices() {
        let mut diagnostics = Diagnostics::new(false);
        let mut dev = DeviceUsbdev::default();
        assert!(device(text("hostbus=0x1"), &mut dev, &mut diagnostics));
        assert!(device(text("hostaddr=010"), &mut dev, &mut diagnostics));
        assert_eq!(dev.device, Some(UsbDevice::Hostdev(UsbHostdev { hostbus: 1, hostaddr: 8 })));
        assert!(!device(text("hostaddr=300"), &mut dev, &mut diagnostics));
        assert!(!device(text("controller=-1"), &mut dev, &mut diagnostics));
        assert!(!device(text("controller=2147483648"), &mut dev, &mut diagnostics));
    }
}
