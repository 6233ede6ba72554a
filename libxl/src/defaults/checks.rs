//! Combinations that cannot work.

use libxc::host::HostCapabilities;

use crate::types::{Altp2mMode, DefBool, DeviceDisk, DiskSpecification, DomainConfig, DomainType, P9Type, Passthrough};
use crate::{Error, Result};

pub(super) fn combinations(config: &DomainConfig, capabilities: HostCapabilities) -> Result<()> {
    let b_info = &config.b_info;
    let is_pv = config.c_info.type_ == DomainType::Pv;
    let has_vnuma = !b_info.vnuma_nodes.is_empty();
    // A guest that starts with less than its most gets the rest on demand.
    let is_populated_on_demand = !is_pv && b_info.target_memkb < b_info.max_memkb;
    let has_altp2m =
        !is_pv && (b_info.altp2m != Altp2mMode::Disabled || b_info.hvm().is_some_and(|hvm| hvm.altp2m.is_true()));

    let has_grants = |disk: &DeviceDisk| disk.grant_usage != DefBool::default();

    let refused = if is_populated_on_demand && config.c_info.passthrough != Passthrough::Disabled {
        Some("memory below maxmem (populated on demand) does not go with devices passed through")
    } else if is_populated_on_demand && has_vnuma {
        Some("memory below maxmem (populated on demand) does not go with vnuma")
    } else if is_populated_on_demand && has_altp2m {
        Some("memory below maxmem (populated on demand) does not go with altp2m")
    } else if is_pv && has_vnuma {
        Some("a PV guest cannot have vnuma")
    } else if !is_pv && b_info.nested_hvm.is_true() && has_altp2m {
        Some("nestedhvm does not go with altp2m")
    } else if b_info.vpmu.is_true() && !capabilities.contains(HostCapabilities::VPMU) {
        Some("vpmu=1: the hypervisor gives guests no performance counters here")
    } else if config.p9s.iter().any(|share| share.type_ == P9Type::Xen9pfsd) {
        Some("p9 with type=xen_9pfsd needs a later version of Xen than 4.17")
    } else if config.disks.iter().any(|d| d.specification == DiskSpecification::Virtio && has_grants(d)) {
        Some("a virtio disk with grant_usage needs a later version of Xen than 4.17")
    } else {
        None
    };
    refused.map_or(Ok(()), |why| Err(Error::invalid(why)))
}
