//! Framebuffers: vfb (`xen/include/public/io/fbif.h`), shown by QEMU.

use super::{Device, DeviceKind, Nodes};
use crate::error::Result;
use crate::types::{DefBool, DeviceVfb};
use libxc::DomId;

/// The nodes of a framebuffer.
pub fn vfb(domid: DomId, vfb: &DeviceVfb) -> Result<Nodes> {
    let mut nodes = Nodes::new(Device::alike(domid, DeviceKind::Vfb, vfb.devid, vfb.backend_domid)?);
    let flag = |given: DefBool| i32::from(given.is_true());
    nodes.back("vnc", flag(vfb.vnc.enable));
    nodes.back_some("vnclisten", vfb.vnc.listen.as_deref());
    nodes.back_some("vncpasswd", vfb.vnc.passwd.as_deref());
    nodes.back("vncdisplay", vfb.vnc.display);
    nodes.back("vncunused", flag(vfb.vnc.findunused));
    nodes.back("sdl", flag(vfb.sdl.enable));
    nodes.back("opengl", flag(vfb.sdl.opengl));
    nodes.back_some("xauthority", vfb.sdl.xauthority.as_deref());
    nodes.back_some("display", vfb.sdl.display.as_deref());
    Ok(nodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_display_is_told_to_qemu() {
        let mut config = DeviceVfb { devid: Some(0), ..Default::default() };
        config.vnc.enable = DefBool::from(true);
        config.vnc.listen = Some("127.0.0.1".into());
        config.vnc.display = 3;
        let nodes = vfb(DomId(3), &config).unwrap();
        for (name, value) in [("vnc", "1"), ("vnclisten", "127.0.0.1"), ("vncdisplay", "3"), ("sdl", "0")] {
            assert_eq!(nodes.backend_value(name), Some(value), "{name}");
        }
        assert_eq!(nodes.backend_value("vncpasswd"), None);
    }
}
