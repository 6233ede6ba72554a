//! USB controllers as stock xl's table, and as JSON.

use super::small_devices::{DeviceJson, device_json};
use libxl::device::Usbctrl;
use serde::Serialize;
use std::fmt::Write;

/// What `xl usb-list` prints: each controller under a head of its own, with a line for each port.
pub(crate) fn table(ctrls: &[Usbctrl]) -> String {
    let mut text = String::new();
    for Usbctrl { info, ports } in ctrls {
        let (devid, kind) = (info.devid.unwrap_or_default(), info.type_.name());
        let (backend, state, version) = (info.ends.backend_id, info.state, info.version);
        let _ = write!(
            text,
            "{:<6} {:<12} {:<3} {:<5} {:<7} {:<5}\n{devid:<6} {kind:<12} {backend:<3} {state:<5} {version:<7} {:<5}\n",
            "Devid", "Type", "BE", "state", "usb-ver", "ports", info.ports
        );
        for (number, device) in (1..).zip(ports) {
            let _ = match device {
                Some(device) => {
                    writeln!(text, "  Port {number}: Bus {:03x} Device {:03x}", device.hostbus, device.hostaddr)
                }
                None => writeln!(text, "  Port {number}:"),
            };
        }
    }
    text
}

/// The controllers in JSON.
pub(crate) fn json(ctrls: &[Usbctrl]) -> Vec<impl Serialize> {
    ctrls.iter().map(DeviceJson::from).collect()
}

/// A controller in JSON.
#[derive(Serialize)]
struct UsbctrlJson {
    #[serde(rename = "type")]
    kind: &'static str,
    version: i32,
    ports: Vec<PortJson>,
}

/// A port in JSON: what is plugged in, or null.
#[derive(Serialize)]
struct PortJson {
    port: usize,
    hostbus: Option<u8>,
    hostaddr: Option<u8>,
}

impl From<&Usbctrl> for DeviceJson<UsbctrlJson> {
    fn from(Usbctrl { info, ports }: &Usbctrl) -> Self {
        let port = |(port, device): (usize, &Option<libxl::types::UsbHostdev>)| PortJson {
            port,
            hostbus: device.as_ref().map(|device| device.hostbus),
            hostaddr: device.as_ref().map(|device| device.hostaddr),
        };
        let ports = (1..).zip(ports).map(port).collect();
        device_json!(info, UsbctrlJson { kind: info.type_.name(), version: info.version, ports })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libxl::types::{UsbHostdev, UsbctrlInfo, UsbctrlType};

    #[test]
    fn as_stock_xl_prints_it() {
        let info = UsbctrlInfo {
            type_: UsbctrlType::Qusb,
            devid: Some(0),
            version: 2,
            ports: 2,
            state: 1,
            ..Default::default()
        };
        let ctrl = Usbctrl { info, ports: vec![None, Some(UsbHostdev { hostbus: 1, hostaddr: 18 })] };
        let expected = "\
Devid  Type         BE  state usb-ver ports
0      qusb         0   1     2       2    
  Port 1:
  Port 2: Bus 001 Device 012
";
        assert_eq!(table(std::slice::from_ref(&ctrl)), expected);
        let json = serde_json::to_value(json(&[ctrl])).unwrap();
        assert_eq!((json[0]["type"].as_str(), json[0]["ports"][1]["hostaddr"].as_u64()), (Some("qusb"), Some(18)));
        assert!(json[0]["ports"][0]["hostbus"].is_null());
    }
}
