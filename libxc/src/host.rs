//! The host: its hardware, hypervisor, console and cpupools (xen/sysctl.h, xen/version.h).

#![allow(unsafe_code)]

use crate::buffer::{Buffer, Plain, plain};
use crate::handle::xencall;
use crate::hypercall::{Op, op};
use crate::{DomId, Error, Mfn, Result, Xc};
use bitflags::bitflags;
use nix::errno::Errno;
use std::ffi::{c_char, c_long};
use xenctrl_sys as sys;

plain!(
    sys::xen_compile_info,
    sys::xen_platform_parameters,
    sys::xen_sysctl_cputopo,
    sys::xen_sysctl_meminfo,
    sys::physdev_pci_device,
);

bitflags! {
    /// What the host can do (`XEN_SYSCTL_PHYSCAP_*`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct HostCapabilities: u32 {
        /// HVM and PVH domains.
        const HVM = sys::XEN_SYSCTL_PHYSCAP_hvm;
        /// PV domains.
        const PV = sys::XEN_SYSCTL_PHYSCAP_pv;
        /// Passthrough, with an IOMMU.
        const DIRECTIO = sys::XEN_SYSCTL_PHYSCAP_directio;
        /// Hardware-assisted paging.
        const HAP = sys::XEN_SYSCTL_PHYSCAP_hap;
        /// Shadow paging.
        const SHADOW = sys::XEN_SYSCTL_PHYSCAP_shadow;
        /// Page tables shared with the IOMMU.
        const IOMMU_HAP_PT_SHARE = sys::XEN_SYSCTL_PHYSCAP_iommu_hap_pt_share;
        /// Processor traces of vCPUs.
        const VMTRACE = sys::XEN_SYSCTL_PHYSCAP_vmtrace;
        /// Virtual performance monitoring.
        const VPMU = sys::XEN_SYSCTL_PHYSCAP_vpmu;
        /// Grant tables of version 1.
        const GNTTAB_V1 = sys::XEN_SYSCTL_PHYSCAP_gnttab_v1;
        /// Grant tables of version 2.
        const GNTTAB_V2 = sys::XEN_SYSCTL_PHYSCAP_gnttab_v2;
    }
}

/// The host's hardware (`XEN_SYSCTL_physinfo`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhysInfo {
    /// Threads of a core.
    pub threads_per_core: u32,
    /// Cores of a socket.
    pub cores_per_socket: u32,
    /// Processors online.
    pub nr_cpus: u32,
    /// The highest processor number that there can be.
    pub max_cpu_id: u32,
    /// NUMA nodes online.
    pub nr_nodes: u32,
    /// The highest node number that there can be.
    pub max_node_id: u32,
    /// Rate of the processors, kHz.
    pub cpu_khz: u32,
    /// What it can do.
    pub capabilities: HostCapabilities,
    /// `XEN_SYSCTL_PHYSCAP_X86_*`.
    pub arch_capabilities: u32,
    /// All memory, pages.
    pub total_pages: u64,
    /// Free memory, pages.
    pub free_pages: u64,
    /// Free memory still to be scrubbed, pages.
    pub scrub_pages: u64,
    /// Claimed memory not yet taken, pages.
    pub outstanding_pages: u64,
    /// The highest machine frame.
    pub max_mfn: Mfn,
    /// CPUID's feature words.
    pub hw_cap: [u32; 8],
}

/// Where a processor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuTopology {
    /// Its core.
    pub core: u32,
    /// Its socket.
    pub socket: u32,
    /// Its NUMA node.
    pub node: u32,
}

/// A NUMA node's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumaNode {
    /// All of it, bytes.
    pub size: u64,
    /// What is free, bytes.
    pub free: u64,
    /// The distance to each node; `None` where it is not known.
    pub distances: Vec<Option<u32>>,
}

/// A PCI device's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PciAddress {
    /// Segment.
    pub segment: u16,
    /// Bus.
    pub bus: u8,
    /// Device (high five bits) and function (low three).
    pub devfn: u8,
}

/// The hypervisor's version and make (`XENVER_*`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// Major version.
    pub major: u32,
    /// Minor version.
    pub minor: u32,
    /// What follows them, like `.7`.
    pub extra: String,
    /// The compiler that it was built with.
    pub compiler: String,
    /// Who built it.
    pub compile_by: String,
    /// Where.
    pub compile_domain: String,
    /// When.
    pub compile_date: String,
    /// The kinds of guests it can run, like `xen-3.0-x86_64 hvm-3.0-x86_64`.
    pub capabilities: String,
    /// The state of its source.
    pub changeset: String,
    /// Where it begins in a PV guest's address space.
    pub virt_start: u64,
    /// Bytes of a page.
    pub pagesize: u32,
    /// Its command line.
    pub commandline: String,
    /// Its build id in hex; empty if it has none.
    pub build_id: String,
}

/// A cpupool (`XEN_SYSCTL_CPUPOOL_OP_INFO`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuPool {
    /// Its number.
    pub id: u32,
    /// Its scheduler (`XEN_SCHEDULER_*`).
    pub scheduler: u32,
    /// How many domains it holds.
    pub domains: u32,
    /// Its processors: bit n % 8 of byte n / 8 is for processor n.
    pub cpus: Vec<u8>,
}

/// How often the removal of a processor from a cpupool is tried while a vCPU is pinned to it for a moment.
const REMOVE_CPU_TRIES: u32 = 5;

impl Xc {
    /// The host's hardware.
    pub fn physinfo(&self) -> Result<PhysInfo> {
        let raw = self.sysctl(op!(XEN_SYSCTL_physinfo), sys::xen_sysctl_physinfo::default())?;
        Ok(PhysInfo {
            threads_per_core: raw.threads_per_core,
            cores_per_socket: raw.cores_per_socket,
            nr_cpus: raw.nr_cpus,
            max_cpu_id: raw.max_cpu_id,
            nr_nodes: raw.nr_nodes,
            max_node_id: raw.max_node_id,
            cpu_khz: raw.cpu_khz,
            capabilities: HostCapabilities::from_bits_truncate(raw.capabilities),
            arch_capabilities: raw.arch_capabilities,
            total_pages: raw.total_pages,
            free_pages: raw.free_pages,
            scrub_pages: raw.scrub_pages,
            outstanding_pages: raw.outstanding_pages,
            max_mfn: Mfn(raw.max_mfn),
            hw_cap: raw.hw_cap,
        })
    }

    /// How many processors and NUMA nodes the host can have: asked once.
    fn limits(&self) -> Result<(u32, u32)> {
        if let Some(limits) = self.limits.get() {
            return Ok(*limits);
        }
        let info = self.physinfo()?;
        let limits = (info.max_cpu_id.saturating_add(1), info.max_node_id.saturating_add(1));
        Ok(*self.limits.get_or_init(|| limits))
    }

    /// How many processors the host can have.
    pub fn max_cpus(&self) -> Result<u32> {
        Ok(self.limits()?.0)
    }

    /// Bytes of a bitmap of processors.
    pub fn cpumap_bytes(&self) -> Result<usize> {
        Ok(self.limits()?.0.div_ceil(8) as usize)
    }

    /// Bytes of a bitmap of NUMA nodes.
    pub fn nodemap_bytes(&self) -> Result<usize> {
        Ok(self.limits()?.1.div_ceil(8) as usize)
    }

    /// Where each processor is; `None` for a number that no processor has.
    pub fn cpu_topology(&self) -> Result<Vec<Option<CpuTopology>>> {
        let entries = Buffer::<sys::xen_sysctl_cputopo>::zeroed(self, self.limits()?.0 as usize)?;
        let args = sys::xen_sysctl_cputopoinfo {
            num_cpus: entries.len() as u32,
            cputopo: sys::__guest_handle_xen_sysctl_cputopo_t { p: entries.as_ptr() },
        };
        // SAFETY: `entries` has `num_cpus` entries.
        let done = unsafe { self.sysctl_with(op!(XEN_SYSCTL_cputopoinfo), args)? };
        let place = |e: &sys::xen_sysctl_cputopo| {
            let there = e.core != u32::MAX && e.socket != u32::MAX && e.node != u32::MAX;
            there.then_some(CpuTopology { core: e.core, socket: e.socket, node: e.node })
        };
        Ok(entries.iter().take(done.num_cpus as usize).map(place).collect())
    }

    /// The NUMA nodes; `None` for a number that no node has.
    pub fn numa_nodes(&self) -> Result<Vec<Option<NumaNode>>> {
        let max = self.limits()?.1 as usize;
        let memory = Buffer::<sys::xen_sysctl_meminfo>::zeroed(self, max)?;
        let distances = Buffer::<u32>::zeroed(self, max.saturating_mul(max))?;
        let args = sys::xen_sysctl_numainfo {
            num_nodes: max as u32,
            meminfo: sys::__guest_handle_xen_sysctl_meminfo_t { p: memory.as_ptr() },
            distance: sys::__guest_handle_uint32 { p: distances.as_ptr() },
        };
        // SAFETY: `memory` has `num_nodes` entries and `distances` as many rows of as many.
        let done = unsafe { self.sysctl_with(op!(XEN_SYSCTL_numainfo), args)? };
        let count = (done.num_nodes as usize).min(max);
        Ok(numa_nodes(&memory[..count], &distances))
    }

    /// The NUMA node of each of these devices; `None` where Xen knows no such device or no node for it.
    pub fn pci_topology(&self, devices: &[PciAddress]) -> Result<Vec<Option<u32>>> {
        let raw: Vec<_> =
            devices.iter().map(|d| sys::physdev_pci_device { seg: d.segment, bus: d.bus, devfn: d.devfn }).collect();
        let raw = Buffer::of(self, &raw)?;
        let nodes = Buffer::<u32>::zeroed(self, raw.len())?;
        let mut done = 0;
        // Xen answers for some of them at a time.
        while done < raw.len() {
            let args = sys::xen_sysctl_pcitopoinfo {
                num_devs: (raw.len() - done) as u32,
                devs: sys::__guest_handle_physdev_pci_device_t { p: raw.as_ptr().wrapping_add(done) },
                nodes: sys::__guest_handle_uint32 { p: nodes.as_ptr().wrapping_add(done) },
            };
            // SAFETY: both arrays have `num_devs` entries from `done` on.
            match unsafe { self.sysctl_with(op!(XEN_SYSCTL_pcitopoinfo), args)? }.num_devs {
                0 => break,
                some => done += some as usize,
            }
        }
        // XEN_INVALID_NODE_ID and XEN_INVALID_DEV are -1 and -2.
        Ok(nodes.iter().map(|&n| (n < u32::MAX - 1).then_some(n)).collect())
    }

    /// The hypervisor's version and make. Nine hypercalls: only for who shows them all.
    pub fn version(&self) -> Result<Version> {
        let (major, minor) = self.version_number()?;
        let compile: sys::xen_compile_info = self.version_structure(op!(XENVER_compile_info))?;
        let platform: sys::xen_platform_parameters = self.version_structure(op!(XENVER_platform_parameters))?;
        Ok(Version {
            major,
            minor,
            extra: self.version_text::<16>(op!(XENVER_extraversion))?,
            compiler: text(&compile.compiler),
            compile_by: text(&compile.compile_by),
            compile_domain: text(&compile.compile_domain),
            compile_date: text(&compile.compile_date),
            capabilities: self.capabilities()?,
            changeset: self.version_text::<64>(op!(XENVER_changeset))?,
            virt_start: platform.virt_start,
            pagesize: self.version_op(op!(XENVER_pagesize), 0)? as u32,
            commandline: self.version_text::<1024>(op!(XENVER_commandline))?,
            build_id: self.build_id()?,
        })
    }

    /// The hypervisor's major and minor version.
    pub fn version_number(&self) -> Result<(u32, u32)> {
        let number = self.version_op(op!(XENVER_version), 0)? as u32;
        Ok((number >> 16, number & 0xffff))
    }

    /// The kinds of guests that the hypervisor can run, like `xen-3.0-x86_64 hvm-3.0-x86_32`.
    pub fn capabilities(&self) -> Result<String> {
        self.version_text::<1024>(op!(XENVER_capabilities))
    }

    fn build_id(&self) -> Result<String> {
        const ROOM: usize = 1024;
        let mut buffer = Buffer::<u8>::zeroed(self, size_of::<u32>() + ROOM)?;
        buffer[..4].copy_from_slice(&(ROOM as u32).to_ne_bytes());
        match self.version_op(op!(XENVER_build_id), buffer.arg()) {
            Ok(length) => Ok(buffer[4..].iter().take(length as usize).map(|b| format!("{b:02x}")).collect()),
            Err(e) if matches!(e.errno(), Some(Errno::ENODATA | Errno::ENOSYS)) => Ok(String::new()),
            Err(e) => Err(e),
        }
    }

    fn version_text<const N: usize>(&self, op: Op) -> Result<String> {
        let buffer = Buffer::<c_char>::zeroed(self, N)?;
        self.version_op(op, buffer.arg())?;
        Ok(text(&buffer))
    }

    fn version_structure<T: Plain>(&self, op: Op) -> Result<T> {
        let buffer = Buffer::zeroed(self, 1)?;
        self.version_op(op, buffer.arg())?;
        Ok(buffer[0])
    }

    /// Makes `xen_version`, with the address of a hypercall buffer, or 0 for the operations that answer
    /// with a number.
    fn version_op(&self, op: Op, buffer: u64) -> Result<c_long> {
        // SAFETY: a hypercall buffer is at least a page, longer than what any of these operations fills
        // in (xen/version.h); `build_id` is told how much that is.
        let rc = unsafe { xencall::xencall2(self.call(), sys::__HYPERVISOR_xen_version, op.number.into(), buffer) };
        if rc < 0 { Err(Error::last(op.name, None)) } else { Ok(rc.into()) }
    }

    /// What is in the hypervisor's console ring; `clear` empties it.
    pub fn console_ring(&self, clear: bool) -> Result<Vec<u8>> {
        let mut room = 32 << 10;
        loop {
            let buffer = Buffer::<c_char>::zeroed(self, room)?;
            let args = sys::xen_sysctl_readconsole {
                // Cleared only by the call that has room for all of it.
                clear: 0,
                buffer: sys::__guest_handle_char { p: buffer.as_ptr() },
                count: room as u32,
                ..Default::default()
            };
            // SAFETY: `buffer` has `count` bytes.
            let count = unsafe { self.sysctl_with(op!(XEN_SYSCTL_readconsole), args)? }.count as usize;
            if count < room || room >= MAX_CONSOLE_RING {
                if clear {
                    // SAFETY: as above.
                    unsafe {
                        self.sysctl_with(op!(XEN_SYSCTL_readconsole), sys::xen_sysctl_readconsole { clear: 1, ..args })?
                    };
                }
                return Ok(buffer.iter().take(count).map(|&c| c as u8).collect());
            }
            room *= 4;
        }
    }

    /// Presses debug keys of the hypervisor's console.
    pub fn debug_keys(&self, keys: &[u8]) -> Result<()> {
        let buffer = Buffer::of(self, keys)?;
        let args = sys::xen_sysctl_debug_keys {
            keys: sys::__guest_handle_const_char { p: buffer.as_ptr().cast() },
            nr_keys: keys.len() as u32,
        };
        // SAFETY: `buffer` has `nr_keys` bytes.
        unsafe { self.sysctl_with(op!(XEN_SYSCTL_debug_keys), args) }.map(drop)
    }

    /// Free memory below 2^`max_bits` bytes, in bytes.
    pub fn available_heap(&self, min_bits: u32, max_bits: u32) -> Result<u64> {
        let args =
            sys::xen_sysctl_availheap { min_bitwidth: min_bits, max_bitwidth: max_bits, node: -1, avail_bytes: 0 };
        self.sysctl(op!(XEN_SYSCTL_availheap), args).map(|done| done.avail_bytes)
    }

    /// All cpupools.
    pub fn cpupools(&self) -> Result<Vec<CpuPool>> {
        let mut all = Vec::new();
        let mut next = 0;
        while let Some(pool) = self.cpupool_from(next)? {
            next = pool.id.saturating_add(1);
            all.push(pool);
        }
        Ok(all)
    }

    /// The cpupool of this number.
    pub fn cpupool(&self, id: u32) -> Result<Option<CpuPool>> {
        Ok(self.cpupool_from(id)?.filter(|pool| pool.id == id))
    }

    /// The first cpupool whose number is not below `id`.
    fn cpupool_from(&self, id: u32) -> Result<Option<CpuPool>> {
        let cpus = Buffer::zeroed(self, self.cpumap_bytes()?)?;
        let args = sys::xen_sysctl_cpupool_op {
            op: sys::XEN_SYSCTL_CPUPOOL_OP_INFO,
            cpupool_id: id,
            cpumap: cpus.bitmap(),
            ..Default::default()
        };
        // SAFETY: `cpus` lives through the call and is as long as it says.
        match unsafe { self.cpupool_op(args) } {
            Ok(raw) => Ok(Some(CpuPool {
                id: raw.cpupool_id,
                scheduler: raw.sched_id,
                domains: raw.n_dom,
                cpus: cpus.to_vec(),
            })),
            Err(e) if e.errno() == Some(Errno::ENOENT) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The processors that are in no cpupool.
    pub fn cpupool_free_cpus(&self) -> Result<Vec<u8>> {
        let cpus = Buffer::zeroed(self, self.cpumap_bytes()?)?;
        let args = sys::xen_sysctl_cpupool_op {
            op: sys::XEN_SYSCTL_CPUPOOL_OP_FREEINFO,
            cpumap: cpus.bitmap(),
            ..Default::default()
        };
        // SAFETY: `cpus` lives through the call and is as long as it says.
        unsafe { self.cpupool_op(args)? };
        Ok(cpus.to_vec())
    }

    /// Makes a cpupool with this scheduler and no processors; gives its number: the one wanted, or the
    /// next free.
    pub fn create_cpupool(&self, id: Option<u32>, scheduler: u32) -> Result<u32> {
        let done = self.cpupool_change(sys::xen_sysctl_cpupool_op {
            op: sys::XEN_SYSCTL_CPUPOOL_OP_CREATE,
            cpupool_id: id.unwrap_or(sys::XEN_SYSCTL_CPUPOOL_PAR_ANY),
            sched_id: scheduler,
            ..Default::default()
        })?;
        Ok(done.cpupool_id)
    }

    /// Removes a cpupool without processors.
    pub fn destroy_cpupool(&self, id: u32) -> Result<()> {
        let op = sys::XEN_SYSCTL_CPUPOOL_OP_DESTROY;
        self.cpupool_change(sys::xen_sysctl_cpupool_op { op, cpupool_id: id, ..Default::default() }).map(drop)
    }

    /// Moves a free processor (any if `None`) to a cpupool.
    pub fn cpupool_add_cpu(&self, id: u32, cpu: Option<u32>) -> Result<()> {
        self.cpupool_change(sys::xen_sysctl_cpupool_op {
            op: sys::XEN_SYSCTL_CPUPOOL_OP_ADDCPU,
            cpupool_id: id,
            cpu: cpu.unwrap_or(sys::XEN_SYSCTL_CPUPOOL_PAR_ANY),
            ..Default::default()
        })
        .map(drop)
    }

    /// Takes a processor (any if `None`) out of a cpupool.
    pub fn cpupool_remove_cpu(&self, id: u32, cpu: Option<u32>) -> Result<()> {
        let args = sys::xen_sysctl_cpupool_op {
            op: sys::XEN_SYSCTL_CPUPOOL_OP_RMCPU,
            cpupool_id: id,
            cpu: cpu.unwrap_or(sys::XEN_SYSCTL_CPUPOOL_PAR_ANY),
            ..Default::default()
        };
        let mut last = self.cpupool_change(args);
        for _ in 1..REMOVE_CPU_TRIES {
            match &last {
                Err(e) if e.errno() == Some(Errno::EADDRINUSE) => last = self.cpupool_change(args),
                _ => break,
            }
        }
        last.map(drop)
    }

    /// Moves a domain to a cpupool.
    pub fn move_to_cpupool(&self, domid: DomId, id: u32) -> Result<()> {
        self.cpupool_change(sys::xen_sysctl_cpupool_op {
            op: sys::XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN,
            cpupool_id: id,
            domid: domid.0.into(),
            ..Default::default()
        })
        .map(drop)
    }

    /// A cpupool operation that uses no bitmap.
    fn cpupool_change(&self, args: sys::xen_sysctl_cpupool_op) -> Result<sys::xen_sysctl_cpupool_op> {
        // SAFETY: the bitmap's address is null, and these operations use none.
        unsafe { self.cpupool_op(args) }
    }

    /// # Safety
    /// As for [`Xc::domctl_with`].
    unsafe fn cpupool_op(&self, args: sys::xen_sysctl_cpupool_op) -> Result<sys::xen_sysctl_cpupool_op> {
        self.again(|| {
            // SAFETY: the caller's word.
            unsafe { self.sysctl_with(op!(XEN_SYSCTL_cpupool_op), args) }
        })
    }
}

/// More than any console ring (`conring_size`) that a host would have.
const MAX_CONSOLE_RING: usize = 32 << 20;

/// C's text in an array: up to the first zero byte.
fn text(raw: &[c_char]) -> String {
    let bytes: Vec<u8> = raw.iter().map(|&c| c as u8).take_while(|&b| b != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The nodes of what `XEN_SYSCTL_numainfo` filled in.
fn numa_nodes(memory: &[sys::xen_sysctl_meminfo], distances: &[u32]) -> Vec<Option<NumaNode>> {
    let count = memory.len();
    let node = |(i, m): (usize, &sys::xen_sysctl_meminfo)| {
        let row = distances.iter().skip(i * count).take(count);
        (m.memsize != u64::MAX).then(|| NumaNode {
            size: m.memsize,
            free: m.memfree,
            distances: row.map(|&d| (d != u32::MAX).then_some(d)).collect(),
        })
    };
    memory.iter().enumerate().map(node).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_ends_at_the_first_zero() {
        assert_eq!(text(&[b'a' as c_char, b'b' as c_char, 0, b'c' as c_char]), "ab");
        assert_eq!(text(&[b'x' as c_char]), "x");
    }

    #[test]
    fn numa_rows_are_as_long_as_there_are_nodes() {
        let memory = [
            sys::xen_sysctl_meminfo { memsize: 8, memfree: 4 },
            sys::xen_sysctl_meminfo { memsize: u64::MAX, memfree: 0 },
            sys::xen_sysctl_meminfo { memsize: 6, memfree: 1 },
        ];
        let nodes = numa_nodes(&memory, &[10, u32::MAX, 20, 0, 0, 0, 20, u32::MAX, 10, 99]);
        assert_eq!(nodes[0].as_ref().unwrap().distances, [Some(10), None, Some(20)]);
        assert_eq!(nodes[1], None);
        assert_eq!(nodes[2].as_ref().unwrap().distances, [Some(20), None, Some(10)]);
    }
}
