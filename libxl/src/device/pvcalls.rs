//! PV calls: sockets of the backend domain for the guest (`xen/include/public/io/pvcalls.h`).

use super::{Device, DeviceKind, Nodes, backend_domid, devid};
use crate::error::Result;
use crate::types::DevicePvcallsif;
use libxc::DomId;

/// The nodes of a PV calls interface.
pub fn pvcalls(domid: DomId, pvcalls: &DevicePvcallsif) -> Result<Nodes> {
    Ok(Nodes::new(Device {
        domid,
        kind: DeviceKind::Pvcalls,
        devid: devid(pvcalls.devid, DeviceKind::Pvcalls)?,
        backend_domid: backend_domid(pvcalls.backend_domid)?,
        backend_kind: DeviceKind::Pvcalls,
    }))
}
