//! Pages of a stream into a guest's memory.

use super::hvm_memory::HvmMemory;
use super::pv::restore::PvGuest;
use super::{During, Error, Result};
use crate::foreign::{ForeignMap, Protection};
use crate::foreign_io::read_into;
use crate::stream::{PageData, PageType, PfnEntry};
use crate::types::PAGE_SIZE;
use crate::{DomId, Xc};
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;

/// The most pages that are mapped at once.
const MAPPED_AT_ONCE: usize = 8192;

/// A guest as its memory fills.
pub(super) enum Guest<'a> {
    /// HVM and PVH: Xen knows its pages by the guest's own numbers.
    Hvm(HvmMemory),
    Pv(Box<PvGuest<'a>>),
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
        if !verify {
            self.populate(xc, domid, record)?;
        }
        let entries: Vec<PfnEntry> = record.entries.iter().filter(|e| e.kind.is_populated()).copied().collect();
        let mut differing = Vec::new();
        let mapping = "mapping the guest's memory";
        for entries in entries.chunks(MAPPED_AT_ONCE) {
            let frames: Vec<Option<u64>> = entries.iter().map(|e| self.frame(e.pfn.0)).collect();
            let present: Vec<u64> = frames.iter().flatten().copied().collect();
            if verify {
                let map = match &present[..] {
                    [] => None,
                    present => Some(xc.map_foreign(domid, Protection::Read, present).during(mapping)?),
                };
                self.compare(entries, &frames, map.as_ref(), from, &mut differing)?;
            } else {
                if let Some(at) = frames.iter().position(Option::is_none) {
                    return Err(Error::State(format!("page {:#x} is not there", entries[at].pfn.0)));
                }
                let map = xc.map_foreign(domid, Protection::ReadWrite, &present).during(mapping)?;
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

    /// The frame by which Xen knows a page of the guest; `None` if the guest does not have it.
    fn frame(&self, pfn: u64) -> Option<u64> {
        match self {
            Guest::Hvm(memory) => memory.contains(pfn).then_some(pfn),
            Guest::Pv(pv) => pv.mfn(pfn),
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

    /// Pages that the guest does not have differ, too.
    fn compare(
        &self,
        entries: &[PfnEntry],
        frames: &[Option<u64>],
        map: Option<&ForeignMap<'_>>,
        from: &mut File,
        differing: &mut Vec<u64>,
    ) -> Result<()> {
        let (mut offset, mut found) = (0, [0; PAGE_SIZE]);
        for (entry, frame) in entries.iter().zip(frames) {
            let mut sent = match entry.kind {
                PageType::AllocateOnly => Box::new([0; PAGE_SIZE]),
                _ => page_of(from)?,
            };
            let mut is_same = frame.is_some();
            if let (PageType::Table { level, .. }, Guest::Pv(pv)) = (entry.kind, self) {
                is_same &= pv.localise(entry.pfn.0, level, &mut sent).is_ok();
            }
            if let (Some(map), Some(_)) = (map, frame) {
                map.read(offset, &mut found).during("reading the guest's memory")?;
                offset += PAGE_SIZE;
                is_same &= *sent == found;
            }
            if !is_same {
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
