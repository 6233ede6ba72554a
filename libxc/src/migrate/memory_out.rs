//! Pages of a guest into PAGE_DATA records.

use super::policy::Pace;
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
use std::time::Instant;

/// How many records' pages are mapped and written at once: mapping costs the same three calls for one as for eight.
const RECORDS_AT_ONCE: usize = 8;

/// Where a guest's pages are, and how its page tables leave.
pub(super) trait GuestFrames {
    /// The frame by which Xen knows a page; `None` where there is none.
    fn frame(&self, pfn: u64) -> Option<u64>;
    /// Makes a page table independent of this host. `false` if that is not possible right now.
    fn outgoing(&self, pfn: u64, level: u8, table: &mut [u8; PAGE_SIZE]) -> Result<bool>;
}

/// Sends pages of one guest. What it works with is made once and used for every batch.
pub(super) struct MemoryOut<'a> {
    xc: &'a Xc,
    domid: DomId,
    out: BorrowedFd<'a>,
    type_buffer: Buffer<'a, u64>,
    /// Pages that could not be sent as they were; to be sent once the guest stands still, if they are there then.
    deferred: Vec<u64>,
    /// The reader may have pages that are absent by now: it is told of them.
    tell_absent: bool,
    /// How fast to send, and since when.
    pace: Option<(Pace, Instant)>,
    /// Pages of zeros are told as such, without their content.
    omit_zeros: bool,
}

/// Records that are ready but for their pages.
#[derive(Default)]
struct Batch {
    records: Vec<PageData>,
    /// The frames with content, of all records in turn.
    frames: Vec<u64>,
}

impl<'a> MemoryOut<'a> {
    pub(super) fn new(xc: &'a Xc, domid: DomId, out: BorrowedFd<'a>, omit_zeros: bool) -> Result<MemoryOut<'a>> {
        let type_buffer = xc.page_type_buffer().during("making room for page types")?;
        Ok(MemoryOut { xc, domid, out, type_buffer, deferred: Vec::new(), tell_absent: false, pace: None, omit_zeros })
    }

    /// From here on keeps to so many bytes a second; `None`: as fast as it can.
    pub(super) fn set_bandwidth(&mut self, bytes_per_second: Option<u64>) {
        self.pace = bytes_per_second.map(|limit| (Pace::new(limit), Instant::now()));
    }

    /// Sends these pages, `total` of them as far as is known. How many went with their content.
    pub(super) fn send(
        &mut self,
        guest: &dyn GuestFrames,
        pages: impl Iterator<Item = u64>,
        total: u64,
        what: &str,
        control: &mut dyn SaveControl,
    ) -> Result<u64> {
        self.send_until(guest, pages, u64::MAX, total, what, control)
    }

    /// Sends these pages until so many with content have been among them: the rest are absent.
    pub(super) fn send_until(
        &mut self,
        guest: &dyn GuestFrames,
        pages: impl Iterator<Item = u64>,
        present: u64,
        total: u64,
        what: &str,
        control: &mut dyn SaveControl,
    ) -> Result<u64> {
        let mut pages = pages.peekable();
        let mut batch = Batch::default();
        let (mut done, mut found, mut written) = (0, 0, 0);
        let (pages_at_once, records_at_once) = match self.pace {
            Some(_) => (Pace::PAGES, 1),
            None => (BATCH_MAX, RECORDS_AT_ONCE),
        };
        let mut more = pages.peek().is_some();
        while more {
            let pfns: Vec<u64> = pages.by_ref().take(pages_at_once).collect();
            let had = batch.frames.len();
            self.add(guest, &pfns, &mut batch)?;
            found += (batch.frames.len() - had) as u64;
            done += pfns.len() as u64;
            more = found < present && pages.peek().is_some();
            if batch.records.len() == records_at_once || !more {
                let sent = batch.frames.len();
                written += self.write(guest, std::mem::take(&mut batch))?;
                control.progress(what, done.min(total), total);
                self.keep_pace(sent);
            }
        }
        Ok(written)
    }

    fn keep_pace(&mut self, pages: usize) {
        if let Some((pace, since)) = &mut self.pace {
            std::thread::sleep(pace.pause(pages, since.elapsed()));
        }
    }

    /// Whether absent pages are told from here on: one that the reader has would be a page table to it for ever otherwise.
    pub(super) fn tell_absent(&mut self, tell: bool) {
        self.tell_absent = tell;
    }

    /// The pages that [`Self::send`] put off and that the guest has now. The others stay put off.
    pub(super) fn take_deferred(&mut self, guest: &dyn GuestFrames) -> Vec<u64> {
        let (there, absent) = there_by_now(std::mem::take(&mut self.deferred), guest);
        self.deferred = absent;
        there
    }

    /// Makes a record of these pages.
    fn add(&mut self, guest: &dyn GuestFrames, pfns: &[u64], batch: &mut Batch) -> Result<()> {
        let frames: Vec<Option<u64>> = pfns.iter().map(|&pfn| guest.frame(pfn)).collect();
        let known: Vec<u64> = frames.iter().flatten().copied().collect();
        // A page that the guest has given away may be back when it stands still.
        self.deferred.extend(pfns.iter().zip(&frames).filter(|(_, frame)| frame.is_none()).map(|(&pfn, _)| pfn));
        let mut types = Vec::with_capacity(known.len());
        if !known.is_empty() {
            let asked = self.xc.page_types(self.domid, &known, &mut self.type_buffer, &mut types);
            asked.during("asking Xen what the guest's pages are")?;
        }
        let mut types = types.into_iter();
        let types = frames.iter().map(|frame| frame.and_then(|_| types.next()).unwrap_or(PageType::Absent));
        batch.add(pfns, &frames, types, self.tell_absent);
        Ok(())
    }

    /// Maps the content of all records and writes them with it. How many pages have content.
    fn write(&mut self, guest: &dyn GuestFrames, mut batch: Batch) -> Result<u64> {
        if batch.records.is_empty() {
            return Ok(0);
        }
        let map = match &batch.frames[..] {
            [] => None,
            frames => {
                Some(self.xc.map_foreign(self.domid, Protection::Read, frames).during("mapping the guest's memory")?)
            }
        };
        let contents = match &map {
            Some(map) => contents(guest, &mut batch.records, map, &mut self.deferred, self.omit_zeros)?,
            None => batch.records.iter().map(|_| Vec::new()).collect(),
        };
        let heads = batch.records.iter().map(record_head).collect::<Result<Vec<_>>>()?;
        let mut pieces = Vec::new();
        for (head, contents) in heads.iter().zip(&contents) {
            pieces.push(Piece::Own(head));
            pieces.extend(contents.iter().map(|content| content.piece(map.as_ref())));
        }
        write_pieces(self.out, &pieces).during("writing the guest's memory into the stream")?;
        let entries = batch.records.iter().flat_map(|record| &record.entries);
        Ok(entries.filter(|entry| entry.kind.has_data()).count() as u64)
    }
}

impl Batch {
    /// Makes a record. One that would hold only absent pages tells a reader nothing who has none of them: it is left out.
    fn add(&mut self, pfns: &[u64], frames: &[Option<u64>], types: impl Iterator<Item = PageType>, tell_absent: bool) {
        let entries: Vec<_> = pfns.iter().zip(types).map(|(&pfn, kind)| PfnEntry { pfn: Pfn(pfn), kind }).collect();
        if !tell_absent && entries.iter().all(|entry| entry.kind == PageType::Absent) {
            return;
        }
        self.frames
            .extend(entries.iter().zip(frames).filter(|(e, _)| e.kind.has_data()).filter_map(|(_, frame)| *frame));
        self.records.push(PageData { entries });
    }
}

/// Pages that the guest has, each once, and pages that it has not.
fn there_by_now(mut pfns: Vec<u64>, guest: &dyn GuestFrames) -> (Vec<u64>, Vec<u64>) {
    pfns.sort_unstable();
    pfns.dedup();
    pfns.into_iter().partition(|&pfn| guest.frame(pfn).is_some())
}

/// What follows a record's head: pages as they are mapped, or a page table made independent of this host.
enum Content {
    Mapped { offset: usize, len: usize },
    Table(Box<[u8; PAGE_SIZE]>),
}

impl Content {
    fn piece<'p>(&'p self, map: Option<&'p ForeignMap<'p>>) -> Piece<'p> {
        match (self, map) {
            (Content::Mapped { offset, len }, Some(map)) => Piece::Guest { map, offset: *offset, len: *len },
            (Content::Table(table), _) => Piece::Own(&table[..]),
            (Content::Mapped { .. }, None) => Piece::Own(&[]),
        }
    }
}

/// The content of each record's pages, which lie one after the other in the mapping. A page table that cannot be sent
/// now becomes an absent page, to be sent later; a page of zeros, where those are to be omitted, one without content.
fn contents(
    guest: &dyn GuestFrames,
    records: &mut [PageData],
    map: &ForeignMap<'_>,
    deferred: &mut Vec<u64>,
    omit_zeros: bool,
) -> Result<Vec<Vec<Content>>> {
    let mut offset = 0;
    let mut all = Vec::with_capacity(records.len());
    for record in records {
        let mut contents: Vec<Content> = Vec::new();
        for entry in record.entries.iter_mut().filter(|e| e.kind.has_data()) {
            match (entry.kind, contents.last_mut()) {
                (PageType::Table { level, .. }, _) => {
                    let mut table = Box::new([0; PAGE_SIZE]);
                    map.read(offset, &mut table[..]).during("reading a page table of the guest")?;
                    if guest.outgoing(entry.pfn.0, level, &mut table)? {
                        contents.push(Content::Table(table));
                    } else {
                        entry.kind = PageType::Absent;
                        deferred.push(entry.pfn.0);
                    }
                }
                _ if omit_zeros && is_zero(map, offset)? => entry.kind = PageType::AllocateOnly,
                (_, Some(Content::Mapped { offset: start, len })) if *start + *len == offset => *len += PAGE_SIZE,
                _ => contents.push(Content::Mapped { offset, len: PAGE_SIZE }),
            }
            offset += PAGE_SIZE;
        }
        all.push(contents);
    }
    Ok(all)
}

/// Whether a mapped page holds nothing but zeros. Most others show that in their first bytes.
fn is_zero(map: &ForeignMap<'_>, offset: usize) -> Result<bool> {
    const BEGINNING: usize = 64;
    let mut page = [0; PAGE_SIZE];
    let (beginning, rest) = page.split_at_mut(BEGINNING);
    let reading = "reading the guest's memory";
    map.read(offset, beginning).during(reading)?;
    if beginning.iter().any(|&byte| byte != 0) {
        return Ok(false);
    }
    map.read(offset + BEGINNING, rest).during(reading)?;
    Ok(rest.iter().all(|&byte| byte == 0))
}

/// All of a record that comes before its pages.
fn record_head(record: &PageData) -> Result<Vec<u8>> {
    let mut head = RecordHeader::new(RecordType::PageData, record.length())?.encode().to_vec();
    head.extend(record.encode_prefix());
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_absent_pages_alone_are_left_out() {
        let mut batch = Batch::default();
        let absent = || [PageType::Absent, PageType::Absent].into_iter();
        batch.add(&[1, 2], &[None, Some(9)], absent(), false);
        assert!(batch.records.is_empty());
        let types = [PageType::Absent, PageType::Normal, PageType::Broken].into_iter();
        batch.add(&[3, 4, 5], &[None, Some(0x44), Some(0x55)], types, false);
        assert_eq!(batch.records.len(), 1);
        assert_eq!(batch.frames, [0x44]);
        assert_eq!(record_head(&batch.records[0]).unwrap().len(), 8 + 8 + 3 * 8);
        batch.add(&[1, 2], &[None, Some(9)], absent(), true);
        assert_eq!((batch.records.len(), batch.frames.len()), (2, 1));
    }

    /// A guest that has the even ones of its pages.
    struct Even;

    impl GuestFrames for Even {
        fn frame(&self, pfn: u64) -> Option<u64> {
            pfn.is_multiple_of(2).then_some(pfn + 0x1000)
        }

        fn outgoing(&self, _: u64, _: u8, _: &mut [u8; PAGE_SIZE]) -> Result<bool> {
            Ok(true)
        }
    }

    #[test]
    fn pages_that_are_still_absent_stay_put_off_and_none_is_kept_twice() {
        assert_eq!(there_by_now(vec![5, 4, 3, 4, 3], &Even), (vec![4], vec![3, 5]));
    }
}
