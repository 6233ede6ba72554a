//! Pages of a stream into a guest's memory.

use super::{During, Error, Result};
use crate::foreign::Protection;
use crate::foreign_io::read_into;
use crate::memory::MemFlags;
use crate::stream::PageData;
use crate::types::PAGE_SIZE;
use crate::{DomId, Xc};
use std::collections::HashMap;
use std::io::Read;
use std::os::fd::BorrowedFd;

/// Pages of a 2 MiB extent, and the order of one.
const SUPERPAGE: u64 = 512;
const SUPERPAGE_ORDER: u32 = 9;
/// The most pages that are mapped at once.
const MAPPED_AT_ONCE: usize = 8192;

/// The memory of one guest as it fills.
pub(super) struct MemoryIn<'a> {
    xc: &'a Xc,
    domid: DomId,
    populated: PageSet,
}

/// A set of frame numbers. Its size follows what is in it, not how large the numbers are.
#[derive(Default)]
struct PageSet(HashMap<u64, [u64; 8]>);

/// What has to be populated for a record: whole 2 MiB extents where all of one is wanted, else single pages.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    superpages: Vec<u64>,
    pages: Vec<u64>,
}

impl<'a> MemoryIn<'a> {
    pub(super) fn new(xc: &'a Xc, domid: DomId) -> MemoryIn<'a> {
        MemoryIn { xc, domid, populated: PageSet::default() }
    }

    /// Gives the guest the pages of this record that it does not have yet.
    pub(super) fn populate(&mut self, record: &PageData) -> Result<()> {
        let frames = record.entries.iter().filter(|e| e.kind.is_populated()).map(|e| e.pfn.0);
        let mut wanted = Wanted::of(frames.filter(|&f| !self.populated.contains(f)).collect());
        if !wanted.superpages.is_empty() {
            let mut extents = wanted.superpages.clone();
            let done = self.xc.populate_physmap(self.domid, SUPERPAGE_ORDER, MemFlags::NONE, &mut extents);
            // Xen may have no such extents left: what it did not give comes in single pages.
            let done = done.during("giving the guest memory")?;
            wanted.pages.extend(wanted.superpages[done..].iter().flat_map(|&first| first..first + SUPERPAGE));
            wanted.superpages.truncate(done);
        }
        if !wanted.pages.is_empty() {
            let mut pages = wanted.pages.clone();
            let done = self.xc.populate_physmap_exact(self.domid, 0, MemFlags::NONE, &mut pages);
            done.during("giving the guest memory")?;
        }
        wanted.superpages.iter().flat_map(|&first| first..first + SUPERPAGE).for_each(|f| self.populated.insert(f));
        wanted.pages.iter().for_each(|&f| self.populated.insert(f));
        Ok(())
    }

    /// Reads the content of the record's pages straight into the guest.
    pub(super) fn fill(&mut self, record: &PageData, from: BorrowedFd<'_>) -> Result<()> {
        for frames in frames_with_data(record)?.chunks(MAPPED_AT_ONCE) {
            let map = self.xc.map_foreign(self.domid, Protection::ReadWrite, frames);
            let map = map.during("mapping the guest's memory")?;
            read_into(from, &map, 0, map.size()).during("reading the guest's memory from the stream")?;
        }
        Ok(())
    }

    /// Reads the content of the record's pages; gives those where the guest has something else.
    pub(super) fn differing(&mut self, record: &PageData, from: BorrowedFd<'_>) -> Result<Vec<u64>> {
        let mut from = std::fs::File::from(from.try_clone_to_owned().during("opening the stream")?);
        let (mut sent, mut found) = ([0; PAGE_SIZE], [0; PAGE_SIZE]);
        let mut differing = Vec::new();
        for frames in frames_with_data(record)?.chunks(MAPPED_AT_ONCE) {
            let map = self.xc.map_foreign(self.domid, Protection::Read, frames);
            let map = map.during("mapping the guest's memory")?;
            for (i, &frame) in frames.iter().enumerate() {
                from.read_exact(&mut sent).during("reading the guest's memory from the stream")?;
                map.read(i * PAGE_SIZE, &mut found).during("reading the guest's memory")?;
                if sent != found {
                    differing.push(frame);
                }
            }
        }
        Ok(differing)
    }
}

/// The frames whose content follows, in its order. A page table has no business in such a guest.
fn frames_with_data(record: &PageData) -> Result<Vec<u64>> {
    use crate::stream::PageType;
    match record.entries.iter().find(|e| matches!(e.kind, PageType::Table { .. })) {
        Some(entry) => Err(Error::State(format!("page {:#x} of an HVM or PVH guest is a PV page table", entry.pfn))),
        None => Ok(record.entries.iter().filter(|e| e.kind.has_data()).map(|e| e.pfn.0).collect()),
    }
}

impl Wanted {
    /// Sorts frames into whole extents and single pages.
    fn of(mut frames: Vec<u64>) -> Wanted {
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
    }
}
