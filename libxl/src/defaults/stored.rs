//! What of the decisions is stored with the configuration.

use crate::types::{DefBool, DomainConfig};

/// The configuration to store: as it was given, with the decisions that must stay the same for the domain's life
/// (`libxl__update_domain_configuration`).
///
/// Those are its UUID, the numbers and addresses of its devices, its video memory, and whether unknown MSRs may be
/// read: a migrated or rebooted guest must find the same devices. Everything else is decided anew then.
pub fn stored_form(given: &DomainConfig, decided: &DomainConfig) -> DomainConfig {
    let mut stored = given.clone();
    stored.c_info.uuid = decided.c_info.uuid;
    stored.b_info.video_memkb = decided.b_info.video_memkb;
    let msr_relaxed = &mut stored.b_info.arch_x86.msr_relaxed;
    if *msr_relaxed == DefBool::DEFAULT {
        *msr_relaxed = decided.b_info.arch_x86.msr_relaxed;
    }
    for (stored, decided) in stored.disks.iter_mut().zip(&decided.disks) {
        // Whether COLO restores a disk is no matter of the configuration (`unset_disk_colo_restore`).
        stored.colo_restore_enable = decided.colo_restore_enable;
    }
    for (stored, decided) in stored.nics.iter_mut().zip(&decided.nics) {
        stored.devid = decided.devid;
        stored.nictype = decided.nictype;
        stored.mac = decided.mac;
    }
    for (stored, decided) in stored.vtpms.iter_mut().zip(&decided.vtpms) {
        stored.devid = decided.devid;
        stored.uuid = decided.uuid;
    }
    for (stored, decided) in stored.vdispls.iter_mut().zip(&decided.vdispls) {
        stored.devid = decided.devid;
        stored.be_alloc = decided.be_alloc;
    }
    for (stored, decided) in stored.vsnds.iter_mut().zip(&decided.vsnds) {
        stored.devid = decided.devid;
    }
    stored
}
