//! Builds a 64-bit PV domain.

mod layout;
mod page_tables;
mod start_info;

use super::fill::{Piece, Zeros, fill};
use super::populate::{PV_ORDERS, populate};
use super::{Built, Ring};
use crate::foreign::{Protection, SeededPages};
use crate::image::{FeatureSet, Kernel, PvAbi, PvLayout};
use crate::memory::MemFlags;
use crate::types::PAGE_SHIFT;
use crate::{DomId, Error, Mfn, Result, Xc};
use layout::Layout;
use start_info::{RamdiskAt, Start, StartInfo};
use std::ops::Range;

/// A PV domain to build: it exists, with vCPUs and a limit of memory, and has no memory yet.
pub struct PvGuest<'a> {
    /// The domain.
    pub domid: DomId,
    /// Its kernel.
    pub kernel: &'a Kernel,
    /// Features that the configuration asks for.
    pub features: FeatureSet,
    /// Its ramdisk.
    pub ramdisk: Option<&'a [u8]>,
    /// Its command line, without a zero.
    pub cmdline: &'a [u8],
    /// Its memory, pages.
    pub pages: u64,
    /// Whether to set the memory aside first, so that a lack of it shows early.
    pub claim: bool,
    /// Its console.
    pub console: Ring,
    /// Its way to xenstored.
    pub store: Ring,
}

/// Builds a PV domain, up to the registers of its first vCPU.
///
/// # Errors
/// If Xen runs no such guests, the kernel is no 64-bit PV kernel, or memory is too small or lacking.
pub fn build(xc: &Xc, guest: &PvGuest<'_>) -> Result<Built> {
    let kernel = guest.kernel.pv(guest.features)?;
    check_abi(xc, guest, kernel.abi)?;
    if guest.cmdline.len() >= start_info::CMDLINE_SIZE {
        let limit = start_info::CMDLINE_SIZE - 1;
        return Err(Error::Invalid(format!("the command line has {} bytes, over {limit}", guest.cmdline.len())));
    }
    let layout = Layout::new(&kernel, guest.ramdisk.map(<[u8]>::len), guest.pages)?;
    let hypercall_page = kernel.hypercall_page.map(|virt| hypercall_pfn(&kernel, &layout, virt)).transpose()?;

    xc.set_address_size(guest.domid, u64::BITS)?;
    let p2m = give_memory(xc, guest)?;
    let shared_info = shared_info_frame(xc, guest.domid)?;
    write_memory(xc, guest, &kernel, &layout, &p2m, shared_info)?;
    if let Some(pfn) = hypercall_page {
        xc.init_hypercall_page(guest.domid, Mfn(p2m[pfn as usize]))?;
    }
    let root = Mfn(p2m[layout.tables_segment.pfn as usize]);
    xc.pin_page_tables(guest.domid, root)?;
    let page = xc.map_foreign(guest.domid, Protection::ReadWrite, &[shared_info.0])?;
    page.write(0, &start_info::shared_info())?;
    let start = Start {
        entry: kernel.entry,
        stack: layout.virt(layout.boot_stack + 1),
        start_info: layout.virt(layout.start_info),
        root,
    };
    xc.set_pv_context(guest.domid, 0, &start_info::context(start))?;
    seed_grants(xc, guest, &layout, &p2m)
}

/// Refuses a kernel that this Xen runs no guests of, and the 32-bit ones that only older Xens run.
fn check_abi(xc: &Xc, guest: &PvGuest<'_>, abi: PvAbi) -> Result<()> {
    let (capabilities, wanted) = (xc.capabilities()?, abi.capability());
    let file = &guest.kernel.file;
    if !capabilities.split_whitespace().any(|name| name == wanted) {
        return Err(Error::Invalid(format!(
            "{file}: a kernel for {wanted}, and this Xen runs only {}",
            capabilities.trim()
        )));
    }
    if abi != PvAbi::X86_64 {
        return Err(Error::Invalid(format!("{file}: a 32-bit PV kernel: use a 64-bit one, or type=\"pvh\"")));
    }
    Ok(())
}

fn hypercall_pfn(kernel: &PvLayout, layout: &Layout, virt: u64) -> Result<u64> {
    let pfn = virt.checked_sub(kernel.virt_base).map(|offset| offset >> PAGE_SHIFT);
    pfn.filter(|pfn| layout.low.contains(pfn))
        .ok_or_else(|| Error::Invalid(format!("Xen note HYPERCALL_PAGE: {virt:#x} is outside the kernel")))
}

/// Gives the domain its memory; the p2m list is the machine frame of each of its pages.
fn give_memory(xc: &Xc, guest: &PvGuest<'_>) -> Result<Vec<u64>> {
    if guest.claim {
        xc.claim_pages(guest.domid, guest.pages)?;
    }
    let mut p2m = vec![0; guest.pages as usize];
    let populated = populate(xc, guest.domid, 0..guest.pages, PV_ORDERS, MemFlags::NONE, &mut |pfn, mfn, pages| {
        let extent = &mut p2m[pfn as usize..(pfn + pages) as usize];
        extent.iter_mut().zip(mfn..).for_each(|(entry, mfn)| *entry = mfn);
    });
    if guest.claim {
        xc.claim_pages(guest.domid, 0)?;
    }
    populated.map(|()| p2m)
}

fn shared_info_frame(xc: &Xc, domid: DomId) -> Result<Mfn> {
    let info = xc.domain(domid)?;
    Ok(info.ok_or_else(|| Error::Invalid(format!("domain {domid} is gone")))?.shared_info_frame)
}

/// Writes all that the guest finds in its memory.
fn write_memory(
    xc: &Xc,
    guest: &PvGuest<'_>,
    kernel: &PvLayout,
    layout: &Layout,
    p2m: &[u64],
    shared_info: Mfn,
) -> Result<()> {
    let at = |pfn: u64| pfn << PAGE_SHIFT;
    let start_info = start_info_page(guest, kernel, layout, p2m, shared_info);
    let tables = layout.tables.contents(&layout.mappings, p2m)?;

    let mut pieces: Vec<Piece<'_>> =
        guest.kernel.contents().map(|(paddr, bytes)| Piece::bytes(kernel.memory_offset(paddr), bytes)).collect();
    if let (Some(segment), Some(bytes)) = (layout.ramdisk, guest.ramdisk) {
        pieces.push(Piece::bytes(at(segment.pfn), bytes));
    }
    pieces.push(Piece::words(at(layout.p2m.pfn), p2m));
    pieces.push(Piece::bytes(at(layout.start_info), &start_info));
    pieces.extend(tables.iter().map(|(pfn, table)| Piece::words(at(*pfn), table)));

    let (mut low, mut high): (Vec<_>, Vec<_>) = pieces.into_iter().partition(|p| p.at < at(layout.low.end));
    let frames = |pfns: &Range<u64>| &p2m[pfns.start as usize..pfns.end as usize];
    fill(xc, guest.domid, layout.low.clone(), frames(&layout.low), &mut low, Zeros::Cleared)?;
    fill(xc, guest.domid, layout.high.clone(), frames(&layout.high), &mut high, Zeros::Cleared)
}

fn start_info_page(guest: &PvGuest<'_>, kernel: &PvLayout, layout: &Layout, p2m: &[u64], shared_info: Mfn) -> Vec<u8> {
    let mfn = |pfn: u64| Mfn(p2m[pfn as usize]);
    let ramdisk = layout.ramdisk.zip(guest.ramdisk).map(|(segment, bytes)| match kernel.unmapped_initrd {
        true => RamdiskAt::Pfn(segment.pfn, bytes.len() as u64),
        false => RamdiskAt::Virt(segment.virt, bytes.len() as u64),
    });
    let info = StartInfo {
        pages: guest.pages,
        shared_info,
        store: (mfn(layout.store), guest.store.port.0),
        console: (mfn(layout.console), guest.console.port.0),
        page_tables: (layout.tables_segment.virt, layout.tables_segment.pages),
        p2m: layout.p2m.virt,
        p2m_frames: layout.p2m_apart.then_some((layout.p2m.pfn, layout.p2m.pages)),
        ramdisk,
        cmdline: guest.cmdline,
    };
    info.encode()
}

/// Lets the daemons map the rings.
fn seed_grants(xc: &Xc, guest: &PvGuest<'_>, layout: &Layout, p2m: &[u64]) -> Result<Built> {
    let built = Built { console_frame: p2m[layout.console as usize], store_frame: p2m[layout.store as usize] };
    let pages = SeededPages {
        console: built.console_frame,
        console_domain: guest.console.domid,
        store: built.store_frame,
        store_domain: guest.store.domid,
    };
    xc.seed_grants(guest.domid, pages)?;
    Ok(built)
}
