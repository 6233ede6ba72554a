//! PV calls: sockets of the backend domain for the guest (`xen/include/public/io/pvcalls.h`).

use super::{Device, DeviceKind, Nodes};
use crate::error::Result;
use crate::types::DevicePvcallsif;
use libxc::DomId;

/// The nodes of a PV calls interface.
pub fn pvcalls(domid: DomId, pvcalls: &DevicePvcallsif) -> Result<Nodes> {
    Ok(Nodes::new(Device::alike(domid, DeviceKind::Pvcalls, pvcalls.devid, pvcalls.backend_domid)?))
}
