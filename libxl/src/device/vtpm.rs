//! Trusted platform modules: vtpm, served by a vtpm domain.

use super::{Device, DeviceKind, Nodes};
use crate::error::Result;
use crate::types::DeviceVtpm;
use libxc::DomId;

/// The nodes of a trusted platform module.
pub fn vtpm(domid: DomId, vtpm: &DeviceVtpm) -> Result<Nodes> {
    let device = Device::alike(domid, DeviceKind::Vtpm, vtpm.devid, vtpm.backend_domid)?;
    let mut nodes = Nodes::new(device);
    nodes.back("handle", device.devid);
    nodes.back("uuid", vtpm.uuid);
    nodes.back("resume", "False");
    nodes.front("handle", device.devid);
    Ok(nodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backend_knows_it_by_uuid() {
        let uuid = uuid::uuid!("2b383046-e58e-11f1-8b33-33310486262e");
        let nodes =
            vtpm(DomId(3), &DeviceVtpm { devid: Some(1), backend_domid: 2, uuid, ..Default::default() }).unwrap();
        assert_eq!(nodes.device.backend_path(), "/local/domain/2/backend/vtpm/3/1");
        assert_eq!(nodes.backend_value("uuid"), Some("2b383046-e58e-11f1-8b33-33310486262e"));
        assert_eq!(nodes.backend_value("handle"), Some("1"));
    }
}
