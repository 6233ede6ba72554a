//! Builds a PVH domain.

mod acpi;
mod context;
mod layout;
mod start_info;

use super::fill::{Piece, Zeros, fill};
use super::populate::{ALL_ORDERS, populate};
use super::{Built, Ring};
use crate::foreign::SeededPages;
use crate::hvm::HvmParam;
use crate::image::{Feature, Kernel, Notes};
use crate::memory::MemFlags;
use crate::types::PAGE_SHIFT;
use crate::{DomId, Error, Result, Xc};
use acpi::Tables;
use layout::{Layout, Sizes, Special};
use start_info::StartInfo;
use std::ops::Range;

/// The most entries that the memory map of a PVH guest has.
const MAX_MAP_ENTRIES: usize = 6;

/// A PVH domain to build: it exists, with vCPUs and a limit of memory, and has no memory yet.
pub struct PvhGuest<'a> {
    /// The domain.
    pub domid: DomId,
    /// Its kernel.
    pub kernel: &'a Kernel,
    /// Its ramdisk.
    pub ramdisk: Option<&'a [u8]>,
    /// Its command line, without a zero.
    pub cmdline: &'a [u8],
    /// The memory that it sees, pages.
    pub pages: u64,
    /// The memory that it has; less than it sees is populated on demand.
    pub target_pages: u64,
    /// Whether to set the memory aside first, so that a lack of it shows early.
    pub claim: bool,
    /// Of each vCPU, whether it is online from the start.
    pub online: &'a [bool],
    /// Its console.
    pub console: Ring,
    /// Its way to xenstored.
    pub store: Ring,
}

/// Builds a PVH domain, up to the registers of its first vCPU.
///
/// # Errors
/// If the kernel is no PVH kernel, or memory is too small or lacking.
pub fn build(xc: &Xc, guest: &PvhGuest<'_>) -> Result<Built> {
    if guest.online.is_empty() || guest.online.len() > acpi::MAX_VCPUS as usize {
        let (count, most) = (guest.online.len(), acpi::MAX_VCPUS);
        return Err(Error::Invalid(format!("{count} vCPUs: a PVH domain has from 1 to {most}")));
    }
    let kernel = guest.kernel.pvh()?;
    let tables = Tables::new(layout::ACPI_START, guest.online);
    let sizes = Sizes {
        pages: guest.pages,
        ramdisk: guest.ramdisk.map(<[u8]>::len),
        start_info: StartInfo::size(guest.ramdisk.is_some(), guest.cmdline, MAX_MAP_ENTRIES),
        acpi: tables.bytes.len(),
        rsdp_in_bios_area: looks_for_rsdp(&guest.kernel.notes),
    };
    let layout = Layout::new(&kernel, sizes)?;

    give_memory(xc, guest, &layout)?;
    xc.set_memory_map(guest.domid, &layout.e820())?;
    write_memory(xc, guest, &layout, &tables)?;
    set_params(xc, guest)?;
    let state = xc.hvm_context(guest.domid)?;
    let vcpus = guest.online.len() as u32;
    let records = context::boot_context(&state, vcpus, kernel.entry, layout.start_info)?;
    xc.set_hvm_context(guest.domid, &records)?;
    seed_grants(xc, guest)
}

/// Whether the kernel looks for the RSDP by itself: Linux before 4.20 does, whatever the start info says.
fn looks_for_rsdp(notes: &Notes) -> bool {
    notes.guest_os == "linux" && !notes.features.supported.contains(Feature::LinuxRsdpUnrestricted)
}

/// Gives the domain its memory, and the pages in the hole.
fn give_memory(xc: &Xc, guest: &PvhGuest<'_>, layout: &Layout) -> Result<()> {
    let on_demand = guest.target_pages < guest.pages;
    if guest.claim {
        xc.claim_pages(guest.domid, guest.pages.min(guest.target_pages))?;
    }
    let flags = if on_demand {
        xc.set_pod_target(guest.domid, guest.target_pages)?;
        MemFlags::POPULATE_ON_DEMAND
    } else {
        MemFlags::NONE
    };
    let mut memory = layout.memory.iter().filter(|range| !range.is_empty());
    let populated =
        memory.try_for_each(|range| populate(xc, guest.domid, range.clone(), ALL_ORDERS, flags, &mut |_, _, _| {}));
    if guest.claim {
        xc.claim_pages(guest.domid, 0)?;
    }
    populated?;
    let mut hole: Vec<u64> = layout.acpi.clone().chain(layout::special_frames()).collect();
    xc.populate_physmap_exact(guest.domid, 0, MemFlags::NONE, &mut hole)
}

/// Writes all that the guest finds in its memory.
fn write_memory(xc: &Xc, guest: &PvhGuest<'_>, layout: &Layout, tables: &Tables) -> Result<()> {
    let memory_map = layout.e820();
    let info = StartInfo {
        ramdisk: layout.ramdisk.zip(guest.ramdisk).map(|(at, bytes)| (at, bytes.len() as u64)),
        cmdline: guest.cmdline,
        rsdp: layout.rsdp,
        memory_map: &memory_map,
    };
    let info = info.encode(layout.start_info);
    let mut image: Vec<Piece<'_>> = guest.kernel.contents().map(|(at, bytes)| Piece::bytes(at, bytes)).collect();
    image.extend(layout.ramdisk.zip(guest.ramdisk).map(|(at, bytes)| Piece::bytes(at, bytes)));
    image.push(Piece::bytes(layout.start_info, &info));
    fill_frames(xc, guest, &layout.image, &mut image)?;

    let rsdp = tables.rsdp();
    let rsdp = Piece::bytes(layout.rsdp, &rsdp);
    let mut acpi = vec![Piece::bytes(layout::ACPI_START, &tables.bytes)];
    match layout.bios_page() {
        Some(page) => fill_frames(xc, guest, &(page..page + 1), &mut [rsdp])?,
        None => acpi.push(rsdp),
    }
    fill_frames(xc, guest, &layout.acpi, &mut acpi)?;

    let identity = identity_table();
    let identity = Piece::bytes(Special::IdentityTable.gfn().0 << PAGE_SHIFT, &identity);
    fill_frames(xc, guest, &layout::special_frames(), &mut [identity])
}

fn fill_frames(xc: &Xc, guest: &PvhGuest<'_>, frames: &Range<u64>, pieces: &mut [Piece<'_>]) -> Result<()> {
    let list: Vec<u64> = frames.clone().collect();
    fill(xc, guest.domid, frames.clone(), &list, pieces, Zeros::Written)
}

/// A page directory that maps 4 GiB onto themselves in pages of 4 MiB: some Intel processors run a guest
/// without paging only under such a one.
fn identity_table() -> Vec<u8> {
    /// Present, writable, user, accessed, dirty, of 4 MiB.
    const FLAGS: u32 = 0xe7;
    (0..1024u32).flat_map(|i| (i << 22 | FLAGS).to_le_bytes()).collect()
}

/// Tells Xen, and through it the guest, where the special pages and the rings' ports are.
fn set_params(xc: &Xc, guest: &PvhGuest<'_>) -> Result<()> {
    let params = [
        (HvmParam::StorePfn, Special::Store.gfn().0),
        (HvmParam::StoreEvtchn, guest.store.port.0.into()),
        (HvmParam::ConsolePfn, Special::Console.gfn().0),
        (HvmParam::ConsoleEvtchn, guest.console.port.0.into()),
        (HvmParam::PagingRingPfn, Special::Paging.gfn().0),
        (HvmParam::MonitorRingPfn, Special::Monitor.gfn().0),
        (HvmParam::SharingRingPfn, Special::Sharing.gfn().0),
        (HvmParam::IdentPt, Special::IdentityTable.gfn().0 << PAGE_SHIFT),
    ];
    params.into_iter().try_for_each(|(param, value)| xc.set_hvm_param(guest.domid, param, value))
}

/// Lets the daemons map the rings.
fn seed_grants(xc: &Xc, guest: &PvhGuest<'_>) -> Result<Built> {
    let built = Built { console_frame: Special::Console.gfn().0, store_frame: Special::Store.gfn().0 };
    let pages = SeededPages {
        console: built.console_frame,
        console_domain: guest.console.domid,
        store: built.store_frame,
        store_domain: guest.store.domid,
    };
    xc.seed_grants(guest.domid, pages)?;
    Ok(built)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_table_maps_every_4_mib_onto_itself() {
        let table = identity_table();
        assert_eq!(table.len(), 4096);
        assert_eq!(table[4 * 1023..], 0xffc0_00e7u32.to_le_bytes());
    }
}
