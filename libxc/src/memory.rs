//! Memory of domains and the host (xen/memory.h).

#![allow(unsafe_code)]

use crate::buffer::{Buffer, plain};
use crate::handle::xencall::xencall4;
use crate::hypercall::{Op, op};
use crate::{DomId, Error, Gfn, Mfn, Result, Xc};
use nix::errno::Errno;
use std::ffi::c_void;
use xenctrl_sys as sys;

plain!(
    sys::xen_memory_reservation,
    sys::xen_memory_domain,
    sys::xen_memory_map,
    sys::xen_foreign_memory_map,
    sys::xen_reserved_device_memory,
    sys::xen_reserved_device_memory_map,
    sys::xen_pod_target,
    sys::xen_add_to_physmap,
    sys::xen_remove_from_physmap,
    sys::e820entry,
    sys::mmuext_op,
);

/// Where Xen takes memory from, and what it gives (`XENMEMF_*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemFlags(u32);

impl MemFlags {
    /// Any memory.
    pub const NONE: MemFlags = MemFlags(0);
    /// Memory only when the guest first touches it.
    pub const POPULATE_ON_DEMAND: MemFlags = MemFlags(sys::XENMEMF_populate_on_demand);

    /// Only from this NUMA node of the host.
    pub fn exact_node(node: u8) -> MemFlags {
        MemFlags((u32::from(node) + 1) << 8 | sys::XENMEMF_exact_node_request)
    }

    /// From the host's node that backs this virtual NUMA node.
    pub fn vnode(vnode: u8) -> MemFlags {
        MemFlags((u32::from(vnode) + 1) << 8 | sys::XENMEMF_vnode)
    }
}

/// What a range of an e820 map is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum E820Kind {
    /// Memory.
    Ram = 1,
    /// Not to be touched.
    Reserved = 2,
    /// ACPI tables, free once read.
    Acpi = 3,
    /// ACPI non-volatile storage.
    Nvs = 4,
    /// Faulty memory.
    Unusable = 5,
}

impl E820Kind {
    /// The kind of this number; firmware may use others, which nobody may touch either.
    pub fn from_code(code: u32) -> E820Kind {
        match code {
            1 => E820Kind::Ram,
            3 => E820Kind::Acpi,
            4 => E820Kind::Nvs,
            5 => E820Kind::Unusable,
            _ => E820Kind::Reserved,
        }
    }
}

/// A range of an e820 map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct E820Entry {
    /// Its first address.
    pub start: u64,
    /// Its length, bytes.
    pub size: u64,
    /// What is there.
    pub kind: E820Kind,
}

/// A range that a device of the host has reserved (an RMRR).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReservedRange {
    /// Its first page.
    pub start: Gfn,
    /// How many pages.
    pub pages: u64,
}

/// Whose reserved ranges to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReservedFor {
    /// Of all devices.
    All,
    /// Of one PCI device.
    Device {
        /// PCI segment.
        segment: u16,
        /// PCI bus.
        bus: u8,
        /// Device (high five bits) and function (low three).
        devfn: u8,
    },
}

/// Populate-on-demand state of a domain, in pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PodTarget {
    /// Memory it has, with the cache.
    pub tot_pages: u64,
    /// Pages in its cache, not yet mapped.
    pub cache_pages: u64,
    /// Entries of its physmap still to be filled.
    pub entries: u64,
}

/// What [`Xc::add_to_physmap`] puts into a guest's physmap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhysmapPage {
    /// The shared info page.
    SharedInfo,
    /// This frame of the grant table.
    GrantTable(u64),
    /// Another page of the guest, which moves.
    Gfn(Gfn),
}

/// The most entries that an e820 map can have here (`E820MAX` of Xen on large machines is below it).
const MAX_E820: usize = 1024;

impl Xc {
    /// Gives a domain memory: extents of 2^`order` pages at these frames. Each of `frames` is replaced
    /// by the frame that Xen gave: the machine frame for a PV domain.
    ///
    /// Gives how many extents were populated, from the first on: fewer than asked if Xen has no more of
    /// that order.
    pub fn populate_physmap(&self, domid: DomId, order: u32, flags: MemFlags, frames: &mut [u64]) -> Result<usize> {
        let extents = Buffer::of(self, frames)?;
        let op = op!(XENMEM_populate_physmap);
        let done = self.reservation(op, domid, order, flags, &extents)?;
        frames.copy_from_slice(&extents);
        Ok(done)
    }

    /// As [`Xc::populate_physmap`], all or an error.
    pub fn populate_physmap_exact(&self, domid: DomId, order: u32, flags: MemFlags, frames: &mut [u64]) -> Result<()> {
        match self.populate_physmap(domid, order, flags, frames)? {
            done if done == frames.len() => Ok(()),
            _ => Err(Error::Call { call: "XENMEM_populate_physmap", domid: Some(domid), errno: Errno::ENOMEM }),
        }
    }

    /// Takes extents of 2^`order` pages from a domain; gives how many.
    pub fn decrease_reservation(&self, domid: DomId, order: u32, frames: &[u64]) -> Result<usize> {
        let extents = Buffer::of(self, frames)?;
        self.reservation(op!(XENMEM_decrease_reservation), domid, order, MemFlags::NONE, &extents)
    }

    fn reservation(
        &self,
        op: Op,
        domid: DomId,
        order: u32,
        flags: MemFlags,
        extents: &Buffer<'_, u64>,
    ) -> Result<usize> {
        let mut args = sys::xen_memory_reservation {
            extent_start: sys::__guest_handle_xen_pfn_t { p: extents.as_ptr() },
            nr_extents: extents.len() as u64,
            extent_order: order,
            mem_flags: flags.0,
            domid: domid.0,
        };
        // SAFETY: the structure of these operations; `extents` has `nr_extents` entries.
        unsafe { self.memory_op(op, Some(domid), &mut args) }.map(|done| done as usize)
    }

    /// Sets memory of the host aside for a domain, so that populating it cannot fail; 0 gives the rest
    /// of the claim back.
    pub fn claim_pages(&self, domid: DomId, pages: u64) -> Result<()> {
        let mut args = sys::xen_memory_reservation { nr_extents: pages, domid: domid.0, ..Default::default() };
        // SAFETY: the structure of this operation; its address is null, as wanted.
        unsafe { self.memory_op(op!(XENMEM_claim_pages), Some(domid), &mut args) }.map(drop)
    }

    /// Pages of the host that sharing has saved; none where Xen is built without sharing.
    pub fn sharing_freed_pages(&self) -> Result<u64> {
        self.sharing_count(op!(XENMEM_get_sharing_freed_pages))
    }

    /// Frames of the host that domains share; none where Xen is built without sharing.
    pub fn sharing_used_frames(&self) -> Result<u64> {
        self.sharing_count(op!(XENMEM_get_sharing_shared_pages))
    }

    fn sharing_count(&self, op: Op) -> Result<u64> {
        // These operations take no arguments; whatever is passed, Xen does not look at it.
        let mut unused = sys::xen_memory_domain::default();
        // SAFETY: no address is used.
        match unsafe { self.memory_op(op, None, &mut unused) } {
            Err(e) if e.errno() == Some(Errno::ENOSYS) => Ok(0),
            count => count,
        }
    }

    /// The highest frame of a domain's physmap.
    pub fn max_gpfn(&self, domid: DomId) -> Result<Gfn> {
        let mut args = sys::xen_memory_domain { domid: domid.0 };
        // SAFETY: the structure of this operation; no address in it.
        unsafe { self.memory_op(op!(XENMEM_maximum_gpfn), Some(domid), &mut args) }.map(Gfn)
    }

    /// Sets the e820 map that a PV domain can ask Xen for.
    pub fn set_memory_map(&self, domid: DomId, map: &[E820Entry]) -> Result<()> {
        let raw: Vec<_> =
            map.iter().map(|e| sys::e820entry { addr: e.start, size: e.size, type_: e.kind as u32 }).collect();
        let entries = Buffer::of(self, &raw)?;
        let mut args = sys::xen_foreign_memory_map { domid: domid.0, map: memory_map(&entries) };
        // SAFETY: the structure of this operation; `entries` is as long as it says.
        unsafe { self.memory_op(op!(XENMEM_set_memory_map), Some(domid), &mut args) }.map(drop)
    }

    /// The e820 map of the host.
    pub fn machine_memory_map(&self) -> Result<Vec<E820Entry>> {
        let entries = Buffer::<sys::e820entry>::zeroed(self, MAX_E820)?;
        let mut args = memory_map(&entries);
        // SAFETY: the structure of this operation; `entries` is as long as it says.
        unsafe { self.memory_op(op!(XENMEM_machine_memory_map), None, &mut args)? };
        let entry = |e: &sys::e820entry| E820Entry { start: e.addr, size: e.size, kind: E820Kind::from_code(e.type_) };
        Ok(entries.iter().take(args.nr_entries as usize).map(entry).collect())
    }

    /// The ranges that devices of the host have reserved.
    pub fn reserved_device_memory(&self, whose: ReservedFor) -> Result<Vec<ReservedRange>> {
        let mut room = 0;
        loop {
            let entries = Buffer::<sys::xen_reserved_device_memory>::zeroed(self, room)?;
            let mut args = reserved_args(whose, &entries);
            let op = op!(XENMEM_reserved_device_memory_map);
            // SAFETY: the structure of this operation; `entries` is as long as it says.
            match unsafe { self.memory_op(op, None, &mut args) } {
                // Xen tells in the structure how much room it wants; hotplug may change that meanwhile.
                Err(e) if e.errno() == Some(Errno::ENOBUFS) => room = args.nr_entries as usize,
                Err(e) => return Err(e),
                Ok(_) => {
                    let range = |e: &sys::xen_reserved_device_memory| ReservedRange {
                        start: Gfn(e.start_pfn),
                        pages: e.nr_pages,
                    };
                    return Ok(entries.iter().take(args.nr_entries as usize).map(range).collect());
                }
            }
        }
    }

    /// Sets how much memory a populate-on-demand domain is to have.
    pub fn set_pod_target(&self, domid: DomId, pages: u64) -> Result<PodTarget> {
        self.pod_target_op(op!(XENMEM_set_pod_target), domid, pages)
    }

    /// The populate-on-demand state of a domain.
    pub fn pod_target(&self, domid: DomId) -> Result<PodTarget> {
        self.pod_target_op(op!(XENMEM_get_pod_target), domid, 0)
    }

    fn pod_target_op(&self, op: Op, domid: DomId, target_pages: u64) -> Result<PodTarget> {
        let mut args = sys::xen_pod_target { target_pages, domid: domid.0, ..Default::default() };
        // SAFETY: the structure of both operations; no address in it.
        unsafe { self.memory_op(op, Some(domid), &mut args)? };
        Ok(PodTarget { tot_pages: args.tot_pages, cache_pages: args.pod_cache_pages, entries: args.pod_entries })
    }

    /// Puts a page into the physmap of an HVM or PVH domain.
    pub fn add_to_physmap(&self, domid: DomId, page: PhysmapPage, at: Gfn) -> Result<()> {
        let (space, idx) = match page {
            PhysmapPage::SharedInfo => (sys::XENMAPSPACE_shared_info, 0),
            PhysmapPage::GrantTable(frame) => (sys::XENMAPSPACE_grant_table, frame),
            PhysmapPage::Gfn(gfn) => (sys::XENMAPSPACE_gmfn, gfn.0),
        };
        let mut args = sys::xen_add_to_physmap { domid: domid.0, size: 0, space, idx, gpfn: at.0 };
        // SAFETY: the structure of this operation; no address in it.
        unsafe { self.memory_op(op!(XENMEM_add_to_physmap), Some(domid), &mut args) }.map(drop)
    }

    /// Makes a PV domain's page the root of page tables of four levels: Xen checks them all, and from now
    /// on every change to them.
    pub fn pin_page_tables(&self, domid: DomId, root: Mfn) -> Result<()> {
        self.mmuext_op("MMUEXT_PIN_L4_TABLE", domid, &[extended(sys::MMUEXT_PIN_L4_TABLE, root)])
    }

    /// Fills pages of a PV domain with zeros, without mapping them.
    pub fn clear_pages(&self, domid: DomId, frames: &[Mfn]) -> Result<()> {
        frames.chunks(CLEARED_AT_ONCE).try_for_each(|frames| {
            let clear: Vec<_> = frames.iter().map(|&frame| extended(sys::MMUEXT_CLEAR_PAGE, frame)).collect();
            self.mmuext_op("MMUEXT_CLEAR_PAGE", domid, &clear)
        })
    }

    /// Does operations on pages of a PV domain, all of one kind.
    fn mmuext_op(&self, name: &'static str, domid: DomId, operations: &[sys::mmuext_op]) -> Result<()> {
        let buffer = Buffer::of(self, operations)?;
        let (hypercall, count, done) = (sys::__HYPERVISOR_mmuext_op, operations.len() as u64, 0);
        // SAFETY: `buffer` has `count` operations without further addresses; a null `done` is not filled in.
        let rc = unsafe { xencall4(self.call(), hypercall, buffer.arg(), count, done, domid.0.into()) };
        if rc < 0 { Err(Error::last(name, Some(domid))) } else { Ok(()) }
    }

    /// Takes a page out of the physmap of an HVM or PVH domain.
    pub fn remove_from_physmap(&self, domid: DomId, at: Gfn) -> Result<()> {
        let mut args = sys::xen_remove_from_physmap { domid: domid.0, gpfn: at.0 };
        // SAFETY: the structure of this operation; no address in it.
        unsafe { self.memory_op(op!(XENMEM_remove_from_physmap), Some(domid), &mut args) }.map(drop)
    }
}

/// How many pages one hypercall clears: its buffer has 96 KiB.
const CLEARED_AT_ONCE: usize = 4096;

/// An operation on one page.
fn extended(cmd: u32, frame: Mfn) -> sys::mmuext_op {
    sys::mmuext_op {
        cmd,
        arg1: sys::mmuext_op__bindgen_ty_1 { mfn: frame.0 },
        arg2: sys::mmuext_op__bindgen_ty_2::default(),
    }
}

fn memory_map(entries: &Buffer<'_, sys::e820entry>) -> sys::xen_memory_map {
    sys::xen_memory_map {
        nr_entries: entries.len() as u32,
        buffer: sys::__guest_handle_void { p: entries.as_ptr().cast::<c_void>() },
    }
}

fn reserved_args(
    whose: ReservedFor,
    entries: &Buffer<'_, sys::xen_reserved_device_memory>,
) -> sys::xen_reserved_device_memory_map {
    let (flags, pci) = match whose {
        ReservedFor::All => (sys::XENMEM_RDM_ALL, sys::physdev_pci_device::default()),
        ReservedFor::Device { segment, bus, devfn } => (0, sys::physdev_pci_device { seg: segment, bus, devfn }),
    };
    sys::xen_reserved_device_memory_map {
        flags,
        nr_entries: entries.len() as u32,
        buffer: sys::__guest_handle_xen_reserved_device_memory_t { p: entries.as_ptr() },
        dev: sys::xen_reserved_device_memory_map__bindgen_ty_1 { pci },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_flags_count_from_one() {
        // XENMEMF_exact_node(n) is ((n + 1) << 8) | (1 << 17).
        assert_eq!(MemFlags::exact_node(0).0, 0x2_0100);
        assert_eq!(MemFlags::vnode(3).0, 0x4_0400);
    }

    #[test]
    fn unknown_e820_kinds_are_reserved() {
        assert_eq!(E820Kind::from_code(12), E820Kind::Reserved);
        assert_eq!(E820Kind::from_code(E820Kind::Nvs as u32), E820Kind::Nvs);
    }
}
