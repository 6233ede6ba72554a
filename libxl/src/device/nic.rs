//! Network interfaces: vif (`xen/include/public/io/netif.h`).

use super::{Device, DeviceKind, Nodes};
use crate::error::Result;
use crate::types::DeviceNic;
use libxc::DomId;
use std::path::Path;

/// The MTU that is not told to the backend.
const DEFAULT_MTU: i32 = 1500;

/// The nodes of a network interface of which everything has been decided. `scripts` is where hotplug
/// scripts are.
pub fn nic(domid: DomId, nic: &DeviceNic, scripts: &Path) -> Result<Nodes> {
    let device = Device::alike(domid, DeviceKind::Vif, nic.devid, nic.backend_domid)?;
    let mut nodes = Nodes::new(device);
    nodes.back_some("script", nic.script.as_deref().map(|s| scripts.join(s).display().to_string()));
    nodes.back_some("vifname", nic.ifname.as_deref());
    nodes.back("mac", nic.mac);
    nodes.back_some("ip", nic.ip.as_deref());
    nodes.back_some("gatewaydev", nic.gatewaydev.as_deref());
    let rate = || format!("{},{}", nic.rate_bytes_per_interval, nic.rate_interval_usecs);
    nodes.back_some("rate", (nic.rate_interval_usecs > 0).then(rate));
    nodes.back_some("mtu", (nic.mtu != DEFAULT_MTU).then_some(nic.mtu));
    nodes.back_some("bridge", nic.bridge.as_deref());
    nodes.back("handle", device.devid);
    nodes.back("type", nic.nictype.name());
    // The backend waits for the hotplug script to fill it.
    nodes.back("hotplug-status", "");

    nodes.front("handle", device.devid);
    nodes.front("mac", nic.mac);
    nodes.front("trusted", i32::from(nic.trusted.is_true()));
    nodes.front_readonly("mtu", nic.mtu);
    Ok(nodes)
}

#[cfg(test)]
mod tests {
    use super::super::nodes::tests::{assert_written, host};
    use super::super::write_all;
    use super::*;
    use crate::types::{DefBool, Mac, NicType};

    fn base() -> DeviceNic {
        DeviceNic {
            devid: Some(0),
            mtu: 1500,
            mac: Mac([0x00, 0x16, 0x3e, 0x11, 0x22, 0x33]),
            bridge: Some("xenbr0".into()),
            script: Some("/etc/xen/scripts/vif-bridge".into()),
            nictype: NicType::Vif,
            trusted: DefBool::from(true),
            ..Default::default()
        }
    }

    #[test]
    fn as_stock_xl_writes_it() {
        let (fake, ctx) = host(&[1]);
        write_all(&ctx, &[nic(DomId(1), &base(), Path::new("/etc/xen/scripts")).unwrap()]).unwrap();
        assert_written(
            &fake,
            &["/local/domain/1/device", "/local/domain/0/backend/vif/1/0", "/libxl/1/device/vif/0"],
            r#"
/libxl/1/device/vif/0 = ""   (n0)
/libxl/1/device/vif/0/frontend = "/local/domain/1/device/vif/0"   (n0)
/libxl/1/device/vif/0/backend = "/local/domain/0/backend/vif/1/0"   (n0)
/libxl/1/device/vif/0/frontend-id = "1"   (n0)
/libxl/1/device/vif/0/online = "1"   (n0)
/libxl/1/device/vif/0/state = "1"   (n0)
/libxl/1/device/vif/0/script = "/etc/xen/scripts/vif-bridge"   (n0)
/libxl/1/device/vif/0/mac = "00:16:3e:11:22:33"   (n0)
/libxl/1/device/vif/0/bridge = "xenbr0"   (n0)
/libxl/1/device/vif/0/handle = "0"   (n0)
/libxl/1/device/vif/0/type = "vif"   (n0)
/libxl/1/device/vif/0/hotplug-status = ""   (n0)
/local/domain/0/backend/vif/1/0 = ""   (n0,r1)
/local/domain/0/backend/vif/1/0/frontend = "/local/domain/1/device/vif/0"   (n0,r1)
/local/domain/0/backend/vif/1/0/frontend-id = "1"   (n0,r1)
/local/domain/0/backend/vif/1/0/online = "1"   (n0,r1)
/local/domain/0/backend/vif/1/0/state = "1"   (n0,r1)
/local/domain/0/backend/vif/1/0/script = "/etc/xen/scripts/vif-bridge"   (n0,r1)
/local/domain/0/backend/vif/1/0/mac = "00:16:3e:11:22:33"   (n0,r1)
/local/domain/0/backend/vif/1/0/bridge = "xenbr0"   (n0,r1)
/local/domain/0/backend/vif/1/0/handle = "0"   (n0,r1)
/local/domain/0/backend/vif/1/0/type = "vif"   (n0,r1)
/local/domain/0/backend/vif/1/0/hotplug-status = ""   (n0,r1)
/local/domain/1/device = ""   (n0,r1)
/local/domain/1/device/vif = ""   (n0,r1)
/local/domain/1/device/vif/0 = ""   (n1,r0)
/local/domain/1/device/vif/0/backend = "/local/domain/0/backend/vif/1/0"   (n1,r0)
/local/domain/1/device/vif/0/backend-id = "0"   (n1,r0)
/local/domain/1/device/vif/0/state = "1"   (n1,r0)
/local/domain/1/device/vif/0/handle = "0"   (n1,r0)
/local/domain/1/device/vif/0/mac = "00:16:3e:11:22:33"   (n1,r0)
/local/domain/1/device/vif/0/trusted = "1"   (n1,r0)
/local/domain/1/device/vif/0/mtu = "1500"   (n0,r1)
"#,
        );
    }

    #[test]
    fn what_is_optional() {
        let full = DeviceNic {
            mtu: 9000,
            ip: Some("10.0.0.2 fe80::1".into()),
            ifname: Some("web0".into()),
            gatewaydev: Some("eth0".into()),
            script: Some("vif-route".into()),
            rate_bytes_per_interval: 64000,
            rate_interval_usecs: 50000,
            ..base()
        };
        let nodes = nic(DomId(1), &full, Path::new("/etc/xen/scripts")).unwrap();
        for (name, value) in [
            ("mtu", "9000"),
            ("ip", "10.0.0.2 fe80::1"),
            ("vifname", "web0"),
            ("gatewaydev", "eth0"),
            ("script", "/etc/xen/scripts/vif-route"),
            ("rate", "64000,50000"),
        ] {
            assert_eq!(nodes.backend_value(name), Some(value), "{name}");
        }
        assert!(nic(DomId(1), &DeviceNic { devid: None, ..base() }, Path::new("/")).is_err());
    }
}
