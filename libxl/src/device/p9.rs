//! Shared directories: 9pfs (`xen/include/public/io/9pfs.h`), served by QEMU.

use super::{Device, DeviceKind, Nodes};
use crate::error::Result;
use crate::types::DeviceP9;
use libxc::DomId;

/// The nodes of a shared directory.
pub fn p9(domid: DomId, p9: &DeviceP9) -> Result<Nodes> {
    let mut nodes = Nodes::new(Device::alike(domid, DeviceKind::P9, p9.devid, p9.backend_domid)?);
    nodes.back_some("path", p9.path.as_deref());
    nodes.back_some("security_model", p9.security_model.as_deref());
    nodes.front_some("tag", p9.tag.as_deref());
    Ok(nodes)
}

#[cfg(test)]
mod tests {
    use super::super::nodes::tests::{assert_written, host};
    use super::super::write_all;
    use super::*;

    #[test]
    fn as_stock_xl_writes_it() {
        let share = DeviceP9 {
            devid: Some(0),
            tag: Some("share".into()),
            path: Some("/tmp/w".into()),
            security_model: Some("none".into()),
            ..Default::default()
        };
        let (fake, ctx) = host(&[1]);
        write_all(&ctx, &[p9(DomId(1), &share).unwrap()]).unwrap();
        assert_written(
            &fake,
            &["/local/domain/1/device/9pfs/0", "/local/domain/0/backend/9pfs/1/0", "/libxl/1/device/9pfs/0"],
            r#"
/libxl/1/device/9pfs/0 = ""   (n0)
/libxl/1/device/9pfs/0/frontend = "/local/domain/1/device/9pfs/0"   (n0)
/libxl/1/device/9pfs/0/backend = "/local/domain/0/backend/9pfs/1/0"   (n0)
/libxl/1/device/9pfs/0/frontend-id = "1"   (n0)
/libxl/1/device/9pfs/0/online = "1"   (n0)
/libxl/1/device/9pfs/0/state = "1"   (n0)
/libxl/1/device/9pfs/0/path = "/tmp/w"   (n0)
/libxl/1/device/9pfs/0/security_model = "none"   (n0)
/local/domain/0/backend/9pfs/1/0 = ""   (n0,r1)
/local/domain/0/backend/9pfs/1/0/frontend = "/local/domain/1/device/9pfs/0"   (n0,r1)
/local/domain/0/backend/9pfs/1/0/frontend-id = "1"   (n0,r1)
/local/domain/0/backend/9pfs/1/0/online = "1"   (n0,r1)
/local/domain/0/backend/9pfs/1/0/state = "1"   (n0,r1)
/local/domain/0/backend/9pfs/1/0/path = "/tmp/w"   (n0,r1)
/local/domain/0/backend/9pfs/1/0/security_model = "none"   (n0,r1)
/local/domain/1/device/9pfs/0 = ""   (n1,r0)
/local/domain/1/device/9pfs/0/backend = "/local/domain/0/backend/9pfs/1/0"   (n1,r0)
/local/domain/1/device/9pfs/0/backend-id = "0"   (n1,r0)
/local/domain/1/device/9pfs/0/state = "1"   (n1,r0)
/local/domain/1/device/9pfs/0/tag = "share"   (n1,r0)
"#,
        );
    }
}
