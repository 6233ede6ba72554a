//! Pages of a stream into a guest's memory.

use super::pv::restore::PvGuest;
use super::{During, Error, Result};
use crate::foreign::{ForeignMap, Protection};
use crate::foreign_io::read_into;
use crate::memory::MemFlags;
use crate::stream::{PageData, PageType, PfnEntry};
use crate::types::PAGE_SIZE;
use crate::{DomId, Xc};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;

/// Pages of a 2 MiB extent, and the order of one.
const SUPERPAGE: u64 = 512;
pub(super) const SUPERPAGE_ORDER: u32 = 9;
/// The most pages that are mapped at once.
const MAPPED_AT_ONCE: usize = 8192;

/// A guest as its memory fills.
pub(super) enum Guest<'a> {
    /// HVM and PVH: Xen knows its pages by the guest's own numbers.
    Hvm(HvmMemory),
    Pv(Box<PvGuest<'a>>),
}

/// The pages that an HVM or PVH guest has.
#[derive(Default)]
pub(super) struct HvmMemory(PageSet);

/// A set of frame numbers. Its size follows what is in it, not how large the numbers are.
#[derive(Default)]
struct PageSet(HashMap<u64, [u64; 8]>);

/// What has to be populated: whole 2 MiB extents where all of one is wanted, else single pages.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) superpages: Vec<u64>,
    pub(super) pages: Vec<u64>,
}

impl Guest<'_> {
    /// Reads the content of the record's pages into the guest; the guest gets those that it does not have yet.
    /// With `verify` nothing is written: gives the pages where the guest has something else.
    pub(super) fn take(
        &mut self,
        xc: &Xc,
        domid: DomId,
        record: &PageData,
        from: &mut File,
        verify: bool,
    ) -> Result<Vec<u64>> {
        self.populate(xc, domid, record)?;
        let entries: Vec<PfnEntry> = record.entries.iter().filter(|e| e.kind.is_populated()).copied().collect();
        let mut differing = Vec::new();
        for entries in entries.chunks(MAPPED_AT_ONCE) {
            let frames = entries.iter().map(|e| self.frame(e.pfn.0)).collect::<Result<Vec<_>>>()?;
            let map = xc.map_foreign(domid, Protection::ReadWrite, &frames).during("mapping the guest's memory")?;
            if verify {
                self.compare(entries, &map, from, &mut differing)?;
            } else {
                self.fill(entries, &map, from)?;
            }
        }
        Ok(differing)
    }

    fn populate(&mut self, xc: &Xc, domid: DomId, record: &PageData) -> Result<()> {
        let wanted = record.entries.iter().filter(|e| e.kind.is_populated());
        match self {
            Guest::Hvm(memory) => memory.populate(xc, domid, wanted.map(|e| e.pfn.0)),
            Guest::Pv(pv) => {
                pv.populate(wanted.map(|e| e.pfn.0))?;
                record.entries.iter().for_each(|e| pv.set_kind(e.pfn.0, e.kind));
                Ok(())
            }
        }
    }

    /// The frame by which Xen knows a page of the guest.
    fn frame(&self, pfn: u64) -> Result<u64> {
        match self {
            Guest::Hvm(_) => Ok(pfn),
            Guest::Pv(pv) => pv.mfn(pfn).ok_or_else(|| Error::State(format!("page {pfn:#x} is not there"))),
        }
    }

    /// Ordinary pages go straight from the stream into the guest, as many at once as lie together. A page without content
    /// becomes one of zeros: Xen gives pages as they are.
    fn fill(&mut self, entries: &[PfnEntry], map: &ForeignMap<'_>, from: &mut File) -> Result<()> {
        let mut offset = 0;
        for run in entries.chunk_by(|a, b| a.kind == b.kind && !matches!(a.kind, PageType::Table { .. })) {
            let size = run.len() * PAGE_SIZE;
            match run[0] {
                PfnEntry { pfn, kind: PageType::Table { level, .. } } => {
                    let table = self.incoming(pfn.0, level, from)?;
                    map.write(offset, &table[..]).during("writing a page table of the guest")?;
                }
                PfnEntry { kind: PageType::AllocateOnly, .. } => {
                    map.zero(offset, size).during("clearing the guest's memory")?;
                }
                _ => {
                    let read = read_into(from.as_fd(), map, offset, size);
                    read.during("reading the guest's memory from the stream")?;
                }
            }
            offset += size;
        }
        Ok(())
    }

    fn compare(
        &mut self,
        entries: &[PfnEntry],
        map: &ForeignMap<'_>,
        from: &mut File,
        differing: &mut Vec<u64>,
    ) -> Result<()> {
        let mut found = [0; PAGE_SIZE];
        for (index, entry) in entries.iter().enumerate() {
            let sent = match entry.kind {
                PageType::Table { level, .. } => self.incoming(entry.pfn.0, level, from)?,
                PageType::AllocateOnly => Box::new([0; PAGE_SIZE]),
                _ => page_of(from)?,
            };
            map.read(index * PAGE_SIZE, &mut found).during("reading the guest's memory")?;
            if *sent != found {
                differing.push(entry.pfn.0);
            }
        }
        Ok(())
    }

    /// A page table from the stream, with the frames of this host. Only PV guests have such pages.
    fn incoming(&mut self, pfn: u64, level: u8, from: &mut File) -> Result<Box<[u8; PAGE_SIZE]>> {
        let mut table = page_of(from)?;
        match self {
            Guest::Hvm(_) => Err(Error::State(format!("page {pfn:#x} of an HVM or PVH guest is a PV page table"))),
            Guest::Pv(pv) => pv.incoming(pfn, level, &mut table).map(|()| table),
        }
    }
}

fn page_of(from: &mut File) -> Result<Box<[u8; PAGE_SIZE]>> {
    let mut page = Box::new([0; PAGE_SIZE]);
    from.read_exact(&mut page[..]).during("reading the guest's memory from the stream")?;
    Ok(page)
}

impl HvmMemory {
    fn populate(&mut self, xc: &Xc, domid: DomId, frames: impl Iterator<Item = u64>) -> Result<()> {
        let mut wanted = Wanted::of(frames.filter(|&f| !self.0.contains(f)).collect());
        if !wanted.superpages.is_empty() {
            let mut extents = wanted.superpages.clone();
            let done = xc.populate_physmap(domid, SUPERPAGE_ORDER, MemFlags::NONE, &mut extents);
            // Xen may have no such extents left: what it did not give comes in single pages.
            let done = done.during("giving the guest memory")?;
            wanted.pages.extend(wanted.superpages[done..].iter().flat_map(|&first| first..first + SUPERPAGE));
            wanted.superpages.truncate(done);
        }
        if !wanted.pages.is_empty() {
            let mut pages = wanted.pages.clone();
            let done = xc.populate_physmap_exact(domid, 0, MemFlags::NONE, &mut pages);
            done.during("giving the guest memory")?;
        }
        wanted.superpages.iter().flat_map(|&first| first..first + SUPERPAGE).for_each(|f| self.0.insert(f));
        wanted.pages.iter().for_each(|&f| self.0.insert(f));
        Ok(())
    }
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
