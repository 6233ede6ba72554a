//! The memory of an HVM or PVH guest while a stream fills it: which pages it has, and in what extents it gets them.
//!
//! A stream names a guest's pages a few thousand at a time, which tells where 2 MiB are wanted whole. 1 GiB is given
//! where a stream begins one, if the guest may have as much; what the stream does not name of it is taken back at the end.

use super::{During, Result};
use crate::domain::DomainInfo;
use crate::memory::MemFlags;
use crate::{DomId, Xc};
use std::collections::HashMap;

/// Pages of a 2 MiB extent, and the order of one.
const SUPERPAGE: u64 = 1 << SUPERPAGE_ORDER;
pub(super) const SUPERPAGE_ORDER: u32 = 9;
/// Pages of a 1 GiB extent, and the order of one.
const GIGAPAGE: u64 = 1 << GIGAPAGE_ORDER;
const GIGAPAGE_ORDER: u32 = 18;
/// The extents of 1 GiB that are never whole: the first has room for firmware, the last below 4 GiB a hole.
const BROKEN_GIGAPAGES: [u64; 2] = [0, 3 * GIGAPAGE];
/// How many pages are given back in one call.
const GIVEN_BACK_AT_ONCE: usize = 4096;

/// The pages that an HVM or PVH guest has.
pub(super) struct HvmMemory {
    /// Those that the stream has named.
    named: PageSet,
    /// The first pages of 1 GiB extents of which the guest has every page.
    whole: Vec<u64>,
    /// How many more pages the guest may have.
    room: u64,
}

/// A set of frame numbers. Its size follows what is in it, not how large the numbers are.
#[derive(Default)]
struct PageSet(HashMap<u64, [u64; 8]>);

/// What has to be populated: whole 2 MiB extents where all of one is wanted, else single pages.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) superpages: Vec<u64>,
    pub(super) pages: Vec<u64>,
}

impl HvmMemory {
    /// The memory of a domain that has none yet.
    pub(super) fn of(info: &DomainInfo) -> HvmMemory {
        HvmMemory { named: PageSet::default(), whole: Vec::new(), room: info.max_pages.saturating_sub(info.tot_pages) }
    }

    /// Gives the guest these pages, unless it has them.
    pub(super) fn populate(&mut self, xc: &Xc, domid: DomId, frames: impl Iterator<Item = u64>) -> Result<()> {
        let new: Vec<u64> = frames.filter(|&frame| !self.named.contains(frame)).collect();
        for &first in new.iter().filter(|&&frame| begins_gigapage(frame)) {
            self.give_whole(xc, domid, first)?;
        }
        let wanted = Wanted::of(new.iter().copied().filter(|&frame| !self.is_in_whole(frame)).collect());
        new.iter().for_each(|&frame| self.named.insert(frame));
        self.give(xc, domid, wanted)
    }

    /// Whether the stream has named this page, so that the guest has it.
    pub(super) fn contains(&self, frame: u64) -> bool {
        self.named.contains(frame)
    }

    /// How many extents of 1 GiB the guest was given.
    pub(super) fn gigapages(&self) -> usize {
        self.whole.len()
    }

    /// Takes back what the stream has not named.
    pub(super) fn take_back(&mut self, xc: &Xc, domid: DomId) -> Result<()> {
        for first in std::mem::take(&mut self.whole) {
            let surplus: Vec<u64> = (first..first + GIGAPAGE).filter(|&frame| !self.named.contains(frame)).collect();
            for frames in surplus.chunks(GIVEN_BACK_AT_ONCE) {
                xc.decrease_reservation(domid, 0, frames).during("taking back what the guest does not use")?;
            }
            self.room += surplus.len() as u64;
        }
        Ok(())
    }

    fn is_in_whole(&self, frame: u64) -> bool {
        self.whole.contains(&(frame / GIGAPAGE * GIGAPAGE))
    }

    /// Gives an extent of 1 GiB, if Xen has one and none of its pages is there yet.
    fn give_whole(&mut self, xc: &Xc, domid: DomId, first: u64) -> Result<()> {
        if self.room < GIGAPAGE || self.is_in_whole(first) || self.named.has_any_of(first..first + GIGAPAGE) {
            return Ok(());
        }
        let given = xc.populate_physmap(domid, GIGAPAGE_ORDER, MemFlags::NONE, &mut [first]);
        if given.during("giving the guest memory")? == 1 {
            self.whole.push(first);
            self.room -= GIGAPAGE;
        }
        Ok(())
    }

    /// Gives extents. Xen may have none of 2 MiB left: what it does not give comes in single pages. Where those run out,
    /// what was given ahead is taken back.
    fn give(&mut self, xc: &Xc, domid: DomId, mut wanted: Wanted) -> Result<()> {
        let giving = "giving the guest memory";
        if !wanted.superpages.is_empty() {
            let done = xc.populate_physmap(domid, SUPERPAGE_ORDER, MemFlags::NONE, &mut wanted.superpages.clone());
            let done = done.during(giving)?;
            wanted.pages.extend(wanted.superpages[done..].iter().flat_map(|&first| first..first + SUPERPAGE));
            self.took(done as u64 * SUPERPAGE);
        }
        if !wanted.pages.is_empty() {
            let done = xc.populate_physmap(domid, 0, MemFlags::NONE, &mut wanted.pages.clone()).during(giving)?;
            let rest = &wanted.pages[done..];
            if !rest.is_empty() {
                self.take_back(xc, domid)?;
                xc.populate_physmap_exact(domid, 0, MemFlags::NONE, &mut rest.to_vec()).during(giving)?;
            }
            self.took(wanted.pages.len() as u64);
        }
        Ok(())
    }

    fn took(&mut self, pages: u64) {
        self.room = self.room.saturating_sub(pages);
    }
}

/// Whether this is the first page of an extent of 1 GiB that can be whole.
fn begins_gigapage(frame: u64) -> bool {
    frame.is_multiple_of(GIGAPAGE) && !BROKEN_GIGAPAGES.contains(&frame)
}

impl Wanted {
    /// Sorts frames into whole extents and single pages.
    pub(super) fn of(mut frames: Vec<u64>) -> Wanted {
        frames.sort_unstable();
        frames.dedup();
        let mut wanted = Wanted::default();
        for extent in frames.chunk_by(|a, b| a / SUPERPAGE == b / SUPERPAGE) {
            match extent {
                [first, ..] if extent.len() as u64 == SUPERPAGE => wanted.superpages.push(*first),
                _ => wanted.pages.extend(extent),
            }
        }
        wanted
    }
}

impl PageSet {
    fn contains(&self, frame: u64) -> bool {
        self.0.get(&(frame / 512)).is_some_and(|bits| bits[(frame / 64 % 8) as usize] & 1 << (frame % 64) != 0)
    }

    fn has_any_of(&self, extent: std::ops::Range<u64>) -> bool {
        extent.step_by(512).any(|first| self.0.contains_key(&(first / 512)))
    }

    fn insert(&mut self, frame: u64) {
        self.0.entry(frame / 512).or_default()[(frame / 64 % 8) as usize] |= 1 << (frame % 64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_extents_become_superpages() {
        let frames: Vec<u64> = (0..3).chain(512..1024).chain(1025..1536).collect();
        let wanted = Wanted::of(frames);
        assert_eq!(wanted.superpages, [512]);
        assert_eq!(wanted.pages, (0..3).chain(1025..1536).collect::<Vec<_>>());
    }

    #[test]
    fn a_page_set_knows_its_pages_however_large_their_numbers() {
        let mut set = PageSet::default();
        for frame in [0, 63, 64, (1 << 52) - 1] {
            assert!(!set.contains(frame));
            set.insert(frame);
            assert!(set.contains(frame));
        }
        assert!(!set.contains(1) && !set.contains(62));
        assert_eq!(set.0.len(), 2);
        assert!(set.has_any_of(0..GIGAPAGE) && !set.has_any_of(GIGAPAGE..2 * GIGAPAGE));
    }

    #[test]
    fn extents_that_cannot_be_whole_are_not_tried() {
        let begins = (0..6).map(|gigapage| begins_gigapage(gigapage * GIGAPAGE)).collect::<Vec<_>>();
        assert_eq!(begins, [false, true, true, false, true, true]);
        assert!(!begins_gigapage(GIGAPAGE + 512));
    }
}
