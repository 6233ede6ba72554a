//! The guest's memory, and the hypervisor's memory beside it.

use crate::types::{DomainConfig, DomainType, Passthrough};

/// A guest's memory where its configuration says nothing, in KiB.
const DEFAULT_MEMORY_KIB: u64 = 32 * 1024;
/// What any PV guest needs beside its memory, in KiB (`LIBXL_PV_EXTRA_MEMORY`).
const PV_EXTRA_KIB: u64 = 1024;
/// What any HVM or PVH guest needs beside its memory, in KiB (`LIBXL_HVM_EXTRA_MEMORY`).
const HVM_EXTRA_KIB: u64 = 2048;

/// Decides the sizes of memory.
pub(super) fn apply(config: &mut DomainConfig) {
    let b_info = &mut config.b_info;
    if b_info.max_vcpus == 0 {
        b_info.max_vcpus = 1;
    }
    let max_kib = *b_info.max_memkb.get_or_insert(DEFAULT_MEMORY_KIB);
    b_info.target_memkb.get_or_insert(max_kib);

    let kind = config.c_info.type_;
    let is_hap = kind != DomainType::Pv && config.c_info.hap.is_true();
    b_info.shadow_memkb.get_or_insert_with(|| paging_memory(max_kib, b_info.max_vcpus, kind, is_hap));
    b_info.iommu_memkb.get_or_insert_with(|| match config.c_info.passthrough {
        Passthrough::SyncPt => iommu_memory(max_kib),
        _ => 0,
    });
}

/// The hypervisor's memory for a guest's page tables, in KiB (`libxl_get_required_shadow_memory`).
///
/// 1 MiB for each vCPU; one page for each MiB of the guest for its p2m, unless it is PV; the same again for shadow
/// page tables, unless the CPU translates.
pub fn paging_memory(max_kib: u64, vcpus: u32, kind: DomainType, is_hap: bool) -> u64 {
    let tables = u64::from(kind != DomainType::Pv) + u64::from(!is_hap);
    (256 * u64::from(vcpus)).saturating_add(tables * (max_kib / 1024)).saturating_mul(4)
}

/// The hypervisor's memory for a guest's own IOMMU page tables, in KiB: four levels of 512 entries.
pub fn iommu_memory(max_kib: u64) -> u64 {
    let mut pages_below = max_kib / 4;
    let mut tables = 0;
    for _ in 0..4 {
        pages_below = pages_below.div_ceil(512);
        tables += pages_below;
    }
    tables * 4
}

/// What a domain takes from the host's free memory, in KiB, once defaults are applied (`libxl_domain_need_memory`).
pub fn needed(config: &DomainConfig) -> u64 {
    let b_info = &config.b_info;
    let mut parts = vec![b_info.target_memkb, b_info.shadow_memkb, b_info.iommu_memkb];
    if config.c_info.type_ == DomainType::Pv {
        parts.push(Some(PV_EXTRA_KIB));
    } else {
        parts.push(Some(HVM_EXTRA_KIB));
        if b_info.device_model_stubdomain.is_true() {
            parts.extend([b_info.stubdomain_memkb, b_info.video_memkb]);
        }
    }
    let sum = parts.into_iter().flatten().fold(0, u64::saturating_add);
    sum.checked_next_multiple_of(2 * 1024).unwrap_or(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paging_memory_by_kind() {
        // 1 GiB and two vCPUs: 2 MiB, and 4 KiB for each MiB and table.
        assert_eq!(paging_memory(1 << 20, 2, DomainType::Hvm, true), 2048 + 4096);
        assert_eq!(paging_memory(1 << 20, 2, DomainType::Hvm, false), 2048 + 8192);
        assert_eq!(paging_memory(1 << 20, 2, DomainType::Pv, false), 2048 + 4096);
        assert_eq!(
            paging_memory(u64::MAX, u32::MAX, DomainType::Pvh, false) / 4,
            256 * 0xffff_ffff + 2 * (u64::MAX / 1024)
        );
    }

    #[test]
    fn iommu_memory_counts_all_levels() {
        // 4 GiB are 2048 last tables, then 4, 1 and 1.
        assert_eq!(iommu_memory(4 << 20), (2048 + 4 + 1 + 1) * 4);
        assert_eq!(iommu_memory(0), 0);
    }
}
