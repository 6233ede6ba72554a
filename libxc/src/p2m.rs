//! A PV guest's own table of its machine frames (its p2m), found where the guest says it is (xen/arch-x86/xen.h,
//! `struct arch_shared_info`). All of it is written by the guest: every number is checked.

use crate::domain::DomainInfo;
use crate::foreign::{ForeignMap, Protection};
use crate::pv::shared_info;
use crate::types::PAGE_SIZE;
use crate::{DomId, Error, Result, Xc};
use std::ops::RangeInclusive;

/// Entries of a p2m frame, and of a page table.
const PER_FRAME: u64 = 512;
/// Where Xen's own addresses are: a p2m cannot be seen there (`HYPERVISOR_VIRT_START`, `_END`).
const XEN_ADDRESSES: RangeInclusive<u64> = 0xffff_8000_0000_0000..=0xffff_87ff_ffff_ffff;
/// The frame in a page table's entry.
const ENTRY_FRAME: u64 = 0x000f_ffff_ffff_f000;

/// A 64-bit guest's p2m, mapped where it lies: the guest may change it at any moment.
pub struct P2m<'xc> {
    map: ForeignMap<'xc>,
    frames: Vec<u64>,
    last_pfn: u32,
    max_mfn: u64,
}

impl<'xc> P2m<'xc> {
    /// Finds the p2m of a guest, given its shared info page and the host's highest frame.
    ///
    /// # Errors
    /// If the guest has not told where it is, or what it told is not possible.
    pub fn find(xc: &'xc Xc, info: &DomainInfo, shared: &ForeignMap<'_>, max_mfn: u64) -> Result<P2m<'xc>> {
        let (frames, last_pfn) = frames(xc, info, shared, max_mfn)?;
        let map = xc.map_foreign(info.domid, Protection::Read, &frames)?;
        Ok(P2m { map, frames, last_pfn, max_mfn })
    }

    /// Finds the p2m again, of a guest that may have moved it or made it larger since.
    ///
    /// # Errors
    /// As [`P2m::find`].
    pub fn find_again(&mut self, xc: &'xc Xc, info: &DomainInfo, shared: &ForeignMap<'_>) -> Result<()> {
        let (frames, last_pfn) = frames(xc, info, shared, self.max_mfn)?;
        if frames != self.frames {
            self.map = xc.map_foreign(info.domid, Protection::Read, &frames)?;
            self.frames = frames;
        }
        self.last_pfn = last_pfn;
        Ok(())
    }

    /// The highest page that there can be.
    pub fn last_pfn(&self) -> u32 {
        self.last_pfn
    }

    /// The machine frames that hold the table.
    pub fn frames(&self) -> &[u64] {
        &self.frames
    }

    /// The machine frame of a page; `None` where the guest has none, or names one that no host has.
    pub fn mfn(&self, pfn: u64) -> Option<u64> {
        if pfn > u64::from(self.last_pfn) {
            return None;
        }
        word(&self.map, pfn as usize * 8).ok().filter(|&mfn| mfn <= self.max_mfn)
    }
}

/// The frames of the p2m, found through page tables (a list) or a tree of frames, and the highest page in them.
fn frames(xc: &Xc, info: &DomainInfo, shared: &ForeignMap<'_>, max_mfn: u64) -> Result<(Vec<u64>, u32)> {
    let domid = info.domid;
    let max_pfn = match word(shared, shared_info::MAX_PFN)? {
        0 => {
            return Err(Error::Invalid(format!(
                "domain {domid} has not set up its memory yet: its kernel has not started"
            )));
        }
        // The record of a stream has 32 bits for it.
        pages => u32::try_from(pages - 1).map_err(|_| Error::Invalid(format!("domain {domid}: {pages:#x} pages")))?,
    };
    let count = u64::from(max_pfn) / PER_FRAME + 1;
    let mut frames = match word(shared, shared_info::P2M_CR3)? {
        0 => frames_in_tree(xc, domid, word(shared, shared_info::FRAME_LIST_LIST)?, count, max_mfn)?,
        cr3 => frames_in_list(xc, domid, cr3 >> 12, word(shared, shared_info::P2M_VADDR)?, count, max_mfn)?,
    };
    check_frames("the p2m", &frames, max_mfn)?;
    // A guest that left room to grow has one frame of absent pages at the end of its p2m again and again.
    while let [.., a, b] = frames[..]
        && a == b
    {
        frames.pop();
    }
    if frames.len() as u64 > info.tot_pages {
        return Err(Error::Invalid(format!(
            "domain {domid}: a p2m of {} frames in {} pages",
            frames.len(),
            info.tot_pages
        )));
    }
    let highest = max_pfn.min((frames.len() as u32).saturating_mul(PER_FRAME as u32).saturating_sub(1));
    Ok((frames, highest))
}

/// Walks the guest's page tables from their root to the pages of the list at `vaddr`.
fn frames_in_list(xc: &Xc, domid: DomId, root: u64, vaddr: u64, count: u64, max_mfn: u64) -> Result<Vec<u64>> {
    let end = end_of_list(vaddr, count)
        .ok_or_else(|| Error::Invalid(format!("domain {domid}: its p2m list cannot be at {vaddr:#x}")))?;
    let mut tables = vec![root];
    for level in (1..=4).rev() {
        check_frames("the page tables of the p2m", &tables, max_mfn)?;
        let map = xc.map_foreign(domid, Protection::Read, &tables)?;
        // Which entries of this level's tables, counted from the first entry of the first table.
        let shift = 12 + 9 * (level - 1);
        let first = (vaddr >> shift) & (PER_FRAME - 1);
        let entries = (end >> shift) - (vaddr >> shift) + 1;
        tables = (first..first + entries)
            .map(|entry| Ok((word(&map, entry as usize * 8)? & ENTRY_FRAME) >> 12))
            .collect::<Result<_>>()?;
    }
    Ok(tables)
}

/// The last address of a list of so many frames, if the guest can see one there.
fn end_of_list(vaddr: u64, frames: u64) -> Option<u64> {
    let canonical = |address: u64| (address as i64) << 16 >> 16 == address as i64;
    let end = vaddr.checked_add(frames * PAGE_SIZE as u64 - 1)?;
    let over_xen = vaddr <= *XEN_ADDRESSES.end() && end >= *XEN_ADDRESSES.start();
    let possible = canonical(vaddr) && canonical(end) && !over_xen && vaddr.is_multiple_of(PAGE_SIZE as u64);
    possible.then_some(end)
}

/// Walks the guest's tree: a list of lists of frames.
fn frames_in_tree(xc: &Xc, domid: DomId, root: u64, count: u64, max_mfn: u64) -> Result<Vec<u64>> {
    let lists = count.div_ceil(PER_FRAME);
    if lists > PER_FRAME {
        return Err(Error::Invalid(format!("domain {domid}: {count} p2m frames do not fit into its tree")));
    }
    let mut frames = vec![root];
    for entries in [lists, count] {
        check_frames("the tree of the p2m", &frames, max_mfn)?;
        let map = xc.map_foreign(domid, Protection::Read, &frames)?;
        frames = (0..entries).map(|entry| word(&map, entry as usize * 8)).collect::<Result<_>>()?;
    }
    Ok(frames)
}

fn check_frames(what: &str, frames: &[u64], max_mfn: u64) -> Result<()> {
    match frames.iter().find(|&&mfn| mfn == 0 || mfn > max_mfn) {
        Some(&mfn) => Err(Error::Invalid(format!("{what}: the guest names frame {mfn:#x}, which is not its own"))),
        None => Ok(()),
    }
}

/// A word of the guest's memory.
fn word(map: &ForeignMap<'_>, offset: usize) -> Result<u64> {
    let mut bytes = [0; 8];
    map.read(offset, &mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_where_the_guest_can_see_it() {
        assert_eq!(end_of_list(0xffff_c900_0000_0000, 2), Some(0xffff_c900_0000_1fff));
        assert_eq!(end_of_list(0x1000, 1), Some(0x1fff));
        let beyond_the_end = u64::MAX - 0xfff;
        for wrong in [0xffff_c900_0000_0008, 0x0000_8000_0000_0000, 0xffff_8000_0000_0000, 0xffff_87ff_ffff_f000] {
            assert_eq!(end_of_list(wrong, 1), None, "{wrong:#x}");
        }
        assert_eq!(end_of_list(beyond_the_end, 2), None);
        assert_eq!(end_of_list(0x0000_7fff_ffff_f000, 2), None, "it ends where no address is");
    }

    #[test]
    fn frames_that_no_host_has_are_refused() {
        assert!(check_frames("p2m", &[1, 7], 7).is_ok());
        assert!(check_frames("p2m", &[1, 8], 7).is_err());
        assert!(check_frames("p2m", &[0], 7).is_err());
    }
}
