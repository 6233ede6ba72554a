//! Pages of a guest into PAGE_DATA records.

use super::save::SaveControl;
use super::{During, Result};
use crate::buffer::Buffer;
use crate::foreign::{ForeignMap, Protection};
use crate::foreign_io::{Piece, write_pieces};
use crate::stream::page::BATCH_MAX;
use crate::stream::{PageData, PageType, PfnEntry, RecordHeader, RecordType};
use crate::types::{PAGE_SIZE, Pfn};
use crate::{DomId, Xc};
use std::os::fd::BorrowedFd;

/// How many records' pages are mapped and written at once: mapping costs the same three calls for one as for eight.
const RECORDS_AT_ONCE: usize = 8;

/// Sends pages of one guest. What it works with is made once and used for every batch.
pub(super) struct MemoryOut<'a> {
    xc: &'a Xc,
    domid: DomId,
    out: BorrowedFd<'a>,
    type_buffer: Buffer<'a, u64>,
    /// Pages that could not be sent as they were; to be sent again once the guest stands still.
    deferred: Vec<u64>,
}

/// Records that are ready but for their pages.
#[derive(Default)]
struct Batch {
    records: Vec<PageData>,
    /// The frames with content, of all records in turn.
    frames: Vec<u64>,
}

impl<'a> MemoryOut<'a> {
    pub(super) fn new(xc: &'a Xc, domid: DomId, out: BorrowedFd<'a>) -> Result<MemoryOut<'a>> {
        let type_buffer = xc.page_type_buffer().during("making room for page types")?;
        Ok(MemoryOut { xc, domid, out, type_buffer, deferred: Vec::new() })
    }

    /// Sends these pages, `total` of them as far as is known.
    pub(super) fn send(
        &mut self,
        pages: impl Iterator<Item = u64>,
        total: u64,
        what: &str,
        control: &mut dyn SaveControl,
    ) -> Result<()> {
        let mut pages = pages.peekable();
        let mut batch = Batch::default();
        let (mut frames, mut types) = (Vec::with_capacity(BATCH_MAX), Vec::with_capacity(BATCH_MAX));
        let mut done = 0;
        while pages.peek().is_some() {
            frames.clear();
            frames.extend(pages.by_ref().take(BATCH_MAX));
            let asked = self.xc.page_types(self.domid, &frames, &mut self.type_buffer, &mut types);
            asked.during("asking Xen what the guest's pages are")?;
            batch.add(&frames, &types);
            done += frames.len() as u64;
            if batch.records.len() == RECORDS_AT_ONCE || pages.peek().is_none() {
                self.write(&batch)?;
                batch = Batch::default();
                control.progress(what, done.min(total), total);
            }
        }
        Ok(())
    }

    /// The pages that [`Self::send`] put off.
    pub(super) fn take_deferred(&mut self) -> impl Iterator<Item = u64> {
        std::mem::take(&mut self.deferred).into_iter()
    }

    /// Maps the content of all records and writes them with it.
    fn write(&mut self, batch: &Batch) -> Result<()> {
        if batch.records.is_empty() {
            return Ok(());
        }
        let map = match &batch.frames[..] {
            [] => None,
            frames => {
                Some(self.xc.map_foreign(self.domid, Protection::Read, frames).during("mapping the guest's memory")?)
            }
        };
        let heads = batch.records.iter().map(record_head).collect::<Result<Vec<_>>>()?;
        let pieces = pieces(&batch.records, &heads, map.as_ref());
        write_pieces(self.out, &pieces).during("writing the guest's memory into the stream")
    }
}

impl Batch {
    /// Makes a record of these pages. One that would hold only absent pages tells a reader nothing: it is left out.
    fn add(&mut self, frames: &[u64], types: &[PageType]) {
        if types.iter().all(|&kind| kind == PageType::Absent) {
            return;
        }
        let entries = frames.iter().zip(types).map(|(&pfn, &kind)| PfnEntry { pfn: Pfn(pfn), kind }).collect();
        self.records.push(PageData { entries });
        self.frames.extend(frames.iter().zip(types).filter(|(_, kind)| kind.has_data()).map(|(frame, _)| frame));
    }
}

/// All of a record that comes before its pages.
fn record_head(record: &PageData) -> Result<Vec<u8>> {
    let mut head = RecordHeader::new(RecordType::PageData, record.length())?.encode().to_vec();
    head.extend(record.encode_prefix());
    Ok(head)
}

/// Each record's head and then its pages, which lie one after the other in the mapping.
fn pieces<'p>(records: &[PageData], heads: &'p [Vec<u8>], map: Option<&'p ForeignMap<'p>>) -> Vec<Piece<'p>> {
    let mut pieces = Vec::with_capacity(records.len() * 2);
    let mut offset = 0;
    for (record, head) in records.iter().zip(heads) {
        pieces.push(Piece::Own(head));
        let len = record.pages_with_data() * PAGE_SIZE;
        if let (Some(map), 1..) = (map, len) {
            pieces.push(Piece::Guest { map, offset, len });
        }
        offset += len;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_absent_pages_alone_are_left_out() {
        let mut batch = Batch::default();
        batch.add(&[1, 2], &[PageType::Absent, PageType::Absent]);
        assert!(batch.records.is_empty());
        batch.add(&[3, 4, 5], &[PageType::Absent, PageType::Normal, PageType::Broken]);
        assert_eq!(batch.records.len(), 1);
        assert_eq!(batch.frames, [4]);
        assert_eq!(record_head(&batch.records[0]).unwrap().len(), 8 + 8 + 3 * 8);
    }
}
