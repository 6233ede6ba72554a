//! Virtual NUMA: the nodes that a guest sees, and the host's nodes under them (`libxl_vnuma.c`).

use std::ops::Range;

use libxc::domain::{VmemRange, Vnuma};

use crate::host::numa::Host;
use crate::types::{Bitmap, DomainBuildInfo, VnodeInfo};
use crate::{Error, ErrorKind, Result};

/// Checks that the virtual nodes make sense, on this host: every vCPU is on one node, the memory of all is the
/// guest's, distances are complete and none is smaller than a node's own.
///
/// That vCPUs may run elsewhere than on the host's nodes under theirs costs speed only, and is logged.
///
/// # Errors
/// `VnumaConfigInvalid`, naming the node.
pub fn check(b_info: &DomainBuildInfo, host: &Host) -> Result<()> {
    let nodes = &b_info.vnuma_nodes;
    let mut memory_kib = 0u64;
    for (i, node) in nodes.iter().enumerate() {
        if !matches!(host.nodes.get(node.pnode as usize), Some(Some(_))) {
            return Err(invalid(format!("virtual node {i}: pnode={}: the host has no such node", node.pnode)));
        }
        memory_kib = memory_kib.saturating_add(node.memkb.unwrap_or(0));
        distances(i, node, nodes.len())?;
    }
    let guest_kib = b_info.max_memkb.unwrap_or(0);
    if memory_kib != guest_kib {
        return Err(invalid(format!("the virtual nodes have {memory_kib} KiB of memory, the guest {guest_kib}")));
    }
    node_of_vcpus(b_info)?;
    warn_of_affinity(b_info, host);
    Ok(())
}

fn distances(index: usize, node: &VnodeInfo, count: usize) -> Result<()> {
    if node.distances.len() != count {
        let given = node.distances.len();
        return Err(invalid(format!("virtual node {index}: {given} distances (vdistances=) for {count} nodes")));
    }
    let own = node.distances[index];
    match node.distances.iter().position(|distance| *distance < own) {
        Some(other) => {
            Err(invalid(format!("virtual node {index}: node {other} is nearer to it than itself (vdistances=)")))
        }
        None => Ok(()),
    }
}

/// The virtual node of each vCPU.
fn node_of_vcpus(b_info: &DomainBuildInfo) -> Result<Vec<u32>> {
    let mut of: Vec<Option<u32>> = vec![None; b_info.max_vcpus as usize];
    for (i, node) in (0..).zip(&b_info.vnuma_nodes) {
        for vcpu in node.vcpus.iter() {
            match of.get_mut(vcpu as usize) {
                None => return Err(invalid(format!("virtual node {i}: the guest has no vCPU {vcpu}"))),
                Some(Some(other)) => {
                    return Err(invalid(format!("vCPU {vcpu} is on the virtual nodes {other} and {i}")));
                }
                Some(none) => *none = Some(i),
            }
        }
    }
    let missing = |vcpu| invalid(format!("vCPU {vcpu} is on no virtual node"));
    of.into_iter().enumerate().map(|(vcpu, node)| node.ok_or_else(|| missing(vcpu))).collect()
}

fn warn_of_affinity(b_info: &DomainBuildInfo, host: &Host) {
    let maps = [("hard", &b_info.vcpu_hard_affinity), ("soft", &b_info.vcpu_soft_affinity)];
    for (node, vcpu) in b_info.vnuma_nodes.iter().flat_map(|node| node.vcpus.iter().map(move |vcpu| (node, vcpu))) {
        for (kind, affinity) in maps {
            let Some(cpus) = affinity.get(vcpu as usize) else { continue };
            if !host.nodes_of(cpus).iter().eq([node.pnode]) {
                tracing::warn!(
                    "the {kind} affinity of vCPU {vcpu} does not match its virtual node's pnode={}",
                    node.pnode
                );
            }
        }
    }
}

/// The soft affinity of each vCPU: the CPUs of the host's node under its virtual node.
pub fn soft_affinity(b_info: &DomainBuildInfo, host: &Host) -> Result<Vec<Bitmap>> {
    let cpus: Vec<Bitmap> =
        b_info.vnuma_nodes.iter().map(|node| host.cpus_of(&Bitmap::from_iter([node.pnode]))).collect();
    Ok(node_of_vcpus(b_info)?.into_iter().map(|node| cpus[node as usize].clone()).collect())
}

/// What the hypervisor is told: the virtual nodes one after another from address 0 on, around the `hole` that the
/// guest's devices are in. The graphics card's memory counts as virtual node 0's, and is not in its ranges.
///
/// The configuration has passed [`check`].
pub fn describe(b_info: &DomainBuildInfo, hole: Range<u64>) -> Result<Vnuma> {
    let nodes = &b_info.vnuma_nodes;
    Ok(Vnuma {
        ranges: ranges(nodes, b_info.video_memkb.unwrap_or(0), hole)?,
        distances: nodes.iter().flat_map(|node| &node.distances).copied().collect(),
        vcpu_to_vnode: node_of_vcpus(b_info)?,
        vnode_to_pnode: nodes.iter().map(|node| node.pnode).collect(),
    })
}

fn ranges(nodes: &[VnodeInfo], video_kib: u64, hole: Range<u64>) -> Result<Vec<VmemRange>> {
    let mut ranges = Vec::new();
    let mut next = 0u64;
    for (i, node) in (0u32..).zip(nodes) {
        let too_large = || invalid(format!("virtual node {i}: its memory is beyond what can be addressed"));
        let mut kib = node.memkb.unwrap_or(0);
        if i == 0 {
            let too_small = || Error::invalid("virtual node 0 is too small for the graphics card's memory (videoram=)");
            kib = kib.checked_sub(video_kib).ok_or_else(too_small)?;
        }
        let mut left = kib.checked_mul(1024).ok_or_else(too_large)?;
        while left > 0 {
            if hole.contains(&next) {
                next = hole.end;
            }
            let mut end = next.checked_add(left).ok_or_else(too_large)?;
            if next < hole.start {
                end = end.min(hole.start);
            }
            ranges.push(VmemRange { start: next, end, node: i });
            left -= end - next;
            next = end;
        }
    }
    Ok(ranges)
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::VnumaConfigInvalid, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::numa::Node;

    const GIB: u64 = 1 << 30;

    fn node(gib: u64, vcpus: impl IntoIterator<Item = u32>, distances: [u32; 2]) -> VnodeInfo {
        let memkb = Some(gib << 20);
        VnodeInfo { memkb, distances: distances.to_vec(), pnode: 0, vcpus: vcpus.into_iter().collect() }
    }

    fn guest() -> DomainBuildInfo {
        DomainBuildInfo {
            max_vcpus: 4,
            max_memkb: Some(6 << 20),
            vnuma_nodes: vec![node(2, [0, 1], [10, 20]), VnodeInfo { pnode: 1, ..node(4, [2, 3], [20, 10]) }],
            ..Default::default()
        }
    }

    fn host() -> Host {
        Host { node_of_cpu: vec![Some(0), Some(0), Some(1), Some(1)], nodes: vec![Some(Node::default()); 2] }
    }

    fn refused(change: impl FnOnce(&mut DomainBuildInfo)) -> String {
        let mut guest = guest();
        change(&mut guest);
        let error = check(&guest, &host()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::VnumaConfigInvalid);
        error.to_string()
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        check(&guest(), &host()).unwrap();
        assert!(refused(|guest| guest.vnuma_nodes[1].pnode = 2).contains("virtual node 1: pnode=2"));
        assert!(refused(|guest| guest.max_memkb = Some(5 << 20)).contains("6291456 KiB of memory, the guest 5242880"));
        assert!(
            refused(|guest| guest.vnuma_nodes[1].vcpus.insert(0)).contains("vCPU 0 is on the virtual nodes 0 and 1")
        );
        assert!(refused(|guest| guest.vnuma_nodes[1].vcpus.remove(3)).contains("vCPU 3 is on no virtual node"));
        assert!(refused(|guest| guest.vnuma_nodes[1].vcpus.insert(4)).contains("no vCPU 4"));
        assert!(refused(|guest| guest.vnuma_nodes[0].distances[1] = 9).contains("node 1 is nearer"));
        assert!(refused(|guest| guest.vnuma_nodes[0].distances.clear()).contains("0 distances"));
    }

    #[test]
    fn memory_goes_around_the_hole() {
        let vnuma = describe(&guest(), 3 * GIB..4 * GIB).unwrap();
        let ranges: Vec<_> = vnuma.ranges.iter().map(|r| (r.start / GIB, r.end / GIB, r.node)).collect();
        assert_eq!(ranges, [(0, 2, 0), (2, 3, 1), (4, 7, 1)]);
        assert_eq!(vnuma.distances, [10, 20, 20, 10]);
        assert_eq!(vnuma.vcpu_to_vnode, [0, 0, 1, 1]);
        assert_eq!(vnuma.vnode_to_pnode, [0, 1]);
    }

    #[test]
    fn a_node_that_ends_at_the_hole_leaves_no_empty_range() {
        let vnuma = describe(&guest(), 2 * GIB..4 * GIB).unwrap();
        let ranges: Vec<_> = vnuma.ranges.iter().map(|r| (r.start / GIB, r.end / GIB, r.node)).collect();
        assert_eq!(ranges, [(0, 2, 0), (4, 8, 1)]);
    }

    #[test]
    fn video_memory_is_taken_from_the_first_node() {
        let mut guest = guest();
        guest.video_memkb = Some(1 << 20);
        let vnuma = describe(&guest, 3 * GIB..4 * GIB).unwrap();
        assert_eq!(vnuma.ranges[0], VmemRange { start: 0, end: GIB, node: 0 });
        guest.video_memkb = Some(3 << 20);
        assert!(describe(&guest, 3 * GIB..4 * GIB).unwrap_err().to_string().contains("videoram"));
    }

    #[test]
    fn vcpus_prefer_the_hosts_node_under_theirs() {
        let soft = soft_affinity(&guest(), &host()).unwrap();
        assert_eq!(soft[1], [0, 1].into_iter().collect());
        assert_eq!(soft[2], [2, 3].into_iter().collect());
    }
}
