//! Keyboards, mice and touch screens: vkbd (`xen/include/public/io/kbdif.h`).

use super::{Device, DeviceKind, Nodes, backend_domid, devid};
use crate::error::Result;
use crate::types::{DeviceVkb, VkbBackend};
use libxc::DomId;

/// The nodes of a keyboard and pointer.
pub fn vkb(domid: DomId, vkb: &DeviceVkb) -> Result<Nodes> {
    let backend_kind = match vkb.backend_type {
        VkbBackend::Linux => DeviceKind::Vinput,
        VkbBackend::Qemu | VkbBackend::Unknown => DeviceKind::Vkbd,
    };
    let mut nodes = Nodes::new(Device {
        domid,
        kind: DeviceKind::Vkbd,
        devid: devid(vkb.devid, DeviceKind::Vkbd)?,
        backend_domid: backend_domid(vkb.backend_domid)?,
        backend_kind,
    });
    nodes.back_some("unique-id", vkb.unique_id.as_deref());
    for (name, is_set) in [
        ("feature-disable-keyboard", vkb.feature_disable_keyboard),
        ("feature-disable-pointer", vkb.feature_disable_pointer),
        ("feature-abs-pointer", vkb.feature_abs_pointer),
        ("feature-raw-pointer", vkb.feature_raw_pointer),
        ("feature-multi-touch", vkb.feature_multi_touch),
    ] {
        nodes.back_some(name, is_set.then_some(1));
    }
    if vkb.feature_multi_touch {
        nodes.back("multi-touch-width", vkb.multi_touch_width);
        nodes.back("multi-touch-height", vkb.multi_touch_height);
        nodes.back("multi-touch-num-contacts", vkb.multi_touch_num_contacts);
    }
    nodes.back_some("width", (vkb.width != 0).then_some(vkb.width));
    nodes.back_some("height", (vkb.height != 0).then_some(vkb.height));
    Ok(nodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_told_where_set() {
        let plain = DeviceVkb { devid: Some(0), ..Default::default() };
        let nodes = vkb(DomId(3), &plain).unwrap();
        assert_eq!(nodes.device.backend_path(), "/local/domain/0/backend/vkbd/3/0");
        assert_eq!(nodes.backend_value("width"), None);

        let touch = DeviceVkb {
            backend_type: VkbBackend::Linux,
            feature_multi_touch: true,
            multi_touch_width: 800,
            width: 1024,
            ..plain
        };
        let nodes = vkb(DomId(3), &touch).unwrap();
        assert_eq!(nodes.device.backend_path(), "/local/domain/0/backend/vinput/3/0");
        assert_eq!(nodes.device.frontend_path(), "/local/domain/3/device/vkbd/0");
        for (name, value) in [("feature-multi-touch", "1"), ("multi-touch-width", "800"), ("width", "1024")] {
            assert_eq!(nodes.backend_value(name), Some(value), "{name}");
        }
    }
}
