//! PV displays: vdispl (`xen/include/public/io/displif.h`).

use super::{Device, DeviceKind, Nodes};
use crate::error::Result;
use crate::types::DeviceVdispl;
use libxc::DomId;

/// The nodes of a display. The guest may read what connectors there are, not change them.
pub fn vdispl(domid: DomId, vdispl: &DeviceVdispl) -> Result<Nodes> {
    let mut nodes = Nodes::new(Device::alike(domid, DeviceKind::Vdispl, vdispl.devid, vdispl.backend_domid)?);
    nodes.front_readonly("be-alloc", i32::from(vdispl.be_alloc));
    for (i, connector) in vdispl.connectors.iter().enumerate() {
        nodes.front_readonly(&format!("{i}/resolution"), format!("{}x{}", connector.width, connector.height));
        if let Some(unique_id) = &connector.unique_id {
            nodes.front_readonly(&format!("{i}/unique-id"), unique_id);
        }
    }
    Ok(nodes)
}

#[cfg(test)]
mod tests {
    use super::super::nodes::tests::{assert_written, host};
    use super::super::write_all;
    use super::*;
    use crate::types::ConnectorParam;

    #[test]
    fn the_guest_may_only_read_its_connectors() {
        let connector = ConnectorParam { unique_id: Some("left".into()), width: 1024, height: 768 };
        let config = DeviceVdispl { devid: Some(0), be_alloc: true, connectors: vec![connector], ..Default::default() };
        let (fake, ctx) = host(&[1]);
        write_all(&ctx, &[vdispl(DomId(1), &config).unwrap()]).unwrap();
        assert_written(
            &fake,
            &["/local/domain/1/device/vdispl/0"],
            r#"
/local/domain/1/device/vdispl/0 = ""   (n1,r0)
/local/domain/1/device/vdispl/0/backend = "/local/domain/0/backend/vdispl/1/0"   (n1,r0)
/local/domain/1/device/vdispl/0/backend-id = "0"   (n1,r0)
/local/domain/1/device/vdispl/0/state = "1"   (n1,r0)
/local/domain/1/device/vdispl/0/be-alloc = "1"   (n0,r1)
/local/domain/1/device/vdispl/0/0 = ""   (n1,r0)
/local/domain/1/device/vdispl/0/0/resolution = "1024x768"   (n0,r1)
/local/domain/1/device/vdispl/0/0/unique-id = "left"   (n0,r1)
"#,
        );
    }
}
