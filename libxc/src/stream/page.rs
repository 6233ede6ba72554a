//! PAGE_DATA: page frame numbers with their types, then the pages that carry data.

use super::bytes::Fields;
use super::{Result, StreamError};
use crate::types::{PAGE_SIZE, Pfn};

/// The most pages that stock libxc puts into one record, and that Xen types in one hypercall.
pub const BATCH_MAX: usize = 1024;

const PLACE: &str = "PAGE_DATA";
const PFN_MASK: u64 = (1 << 52) - 1;
const TYPE_SHIFT: u32 = 60;
const PINNED: u8 = 8;

/// What a page is to the guest (`XEN_DOMCTL_PFINFO_*`, domctl.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageType {
    /// An ordinary page.
    Normal,
    /// A PV page table of level 1 to 4.
    Table {
        /// 1 to 4.
        level: u8,
        /// Whether the guest had it pinned.
        pinned: bool,
    },
    /// A page lost to a memory error: nothing is sent.
    Broken,
    /// To be allocated; its content does not matter.
    AllocateOnly,
    /// No page here.
    Absent,
}

impl PageType {
    /// The type of a four-bit number; 5 to 8 are no type.
    pub fn from_number(number: u8) -> Option<PageType> {
        Some(match number {
            0 => PageType::Normal,
            level @ 1..=4 => PageType::Table { level, pinned: false },
            pinned @ 9..=0xc => PageType::Table { level: pinned - PINNED, pinned: true },
            0xd => PageType::Broken,
            0xe => PageType::AllocateOnly,
            0xf => PageType::Absent,
            _ => return None,
        })
    }

    /// Its four-bit number.
    pub fn number(self) -> u8 {
        match self {
            PageType::Normal => 0,
            PageType::Table { level, pinned } => level | if pinned { PINNED } else { 0 },
            PageType::Broken => 0xd,
            PageType::AllocateOnly => 0xe,
            PageType::Absent => 0xf,
        }
    }

    /// Whether 4096 bytes of content follow for a page of this type.
    pub fn has_data(self) -> bool {
        matches!(self, PageType::Normal | PageType::Table { .. })
    }

    /// Whether the receiver has to have a page here.
    pub fn is_populated(self) -> bool {
        !matches!(self, PageType::Broken | PageType::Absent)
    }
}

/// One page of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PfnEntry {
    /// Where in the guest's pseudo-physical memory.
    pub pfn: Pfn,
    /// What it is.
    pub kind: PageType,
}

impl PfnEntry {
    /// The entry as one word of the stream.
    pub fn encode(self) -> u64 {
        u64::from(self.kind.number()) << TYPE_SHIFT | self.pfn.0 & PFN_MASK
    }

    fn decode(word: u64, index: usize) -> Result<PfnEntry> {
        let wrong = |why: &str| StreamError::new(PLACE, format!("pfn[{index}] {word:#018x}: {why}"));
        let number = (word >> TYPE_SHIFT) as u8;
        let kind = PageType::from_number(number).ok_or_else(|| wrong("no page has this type"))?;
        if word & !PFN_MASK & ((1 << TYPE_SHIFT) - 1) != 0 {
            return Err(wrong("reserved bits set"));
        }
        Ok(PfnEntry { pfn: Pfn(word & PFN_MASK), kind })
    }
}

/// The part of the record before its pages, checked against the record's length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageData {
    /// The pages, in the order their content follows.
    pub entries: Vec<PfnEntry>,
}

impl PageData {
    /// Bytes before the frame numbers.
    pub const PREFIX: usize = 8;

    /// How many frame numbers follow, from the record's first eight bytes and its whole length:
    /// at least one, and no more than the record can hold.
    pub fn count(prefix: &[u8; Self::PREFIX], length: usize) -> Result<usize> {
        let mut f = Fields::new(PLACE, prefix);
        let count = f.u32("count")? as usize;
        let reserved = f.u32("reserved")?;
        f.reserved("reserved", reserved)?;
        if count == 0 {
            return Err(f.error("count: at least one page expected"));
        }
        if count > length.saturating_sub(Self::PREFIX) / 8 {
            return Err(f.error(format!("count: {count} pages do not fit into {length} bytes")));
        }
        Ok(count)
    }

    /// Decodes the frame numbers of a record of `length` bytes and checks that the content of exactly
    /// the pages that have content follows them.
    pub fn decode(words: &[u8], length: usize) -> Result<PageData> {
        let entries = words
            .chunks_exact(8)
            .enumerate()
            .map(|(i, w)| PfnEntry::decode(u64::from_le_bytes(w.try_into().expect("chunks of eight")), i))
            .collect::<Result<Vec<_>>>()?;
        let data = PageData { entries };
        let expected = data.length();
        if expected != length {
            return Err(StreamError::new(PLACE, format!("length: {expected} expected for its pages, found {length}")));
        }
        Ok(data)
    }

    /// How many pages of content follow.
    pub fn pages_with_data(&self) -> usize {
        self.entries.iter().filter(|e| e.kind.has_data()).count()
    }

    /// The record's length: prefix, frame numbers and pages.
    pub fn length(&self) -> usize {
        Self::PREFIX + self.entries.len() * 8 + self.pages_with_data() * PAGE_SIZE
    }

    /// Prefix and frame numbers; the content of the pages comes after it.
    pub fn encode_prefix(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::PREFIX + self.entries.len() * 8);
        out.extend_from_slice(&(self.entries.len() as u32).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        for entry in &self.entries {
            out.extend_from_slice(&entry.encode().to_le_bytes());
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> PageData {
        let entry = |pfn, kind| PfnEntry { pfn: Pfn(pfn), kind };
        PageData {
            entries: vec![
                entry(0, PageType::Normal),
                entry(7, PageType::Table { level: 4, pinned: true }),
                entry(9, PageType::Absent),
                entry(PFN_MASK, PageType::AllocateOnly),
                entry(10, PageType::Broken),
            ],
        }
    }

    #[test]
    fn a_record_survives_the_round_trip() {
        let data = sample();
        let prefix = data.encode_prefix();
        assert_eq!(data.length(), prefix.len() + 2 * PAGE_SIZE);
        let count = PageData::count(prefix[..8].try_into().unwrap(), data.length()).unwrap();
        assert_eq!(count, data.entries.len());
        assert_eq!(PageData::decode(&prefix[8..], data.length()).unwrap(), data);
    }

    #[test]
    fn every_type_number_is_a_type_or_refused() {
        for number in 0..16 {
            match PageType::from_number(number) {
                Some(kind) => assert_eq!(kind.number(), number),
                None => assert!((5..=8).contains(&number), "{number}"),
            }
        }
    }

    #[test]
    fn counts_and_lengths_that_disagree_are_refused() {
        let prefix = |count: u32| {
            let mut p = [0; 8];
            p[..4].copy_from_slice(&count.to_le_bytes());
            p
        };
        assert!(PageData::count(&prefix(0), 4096).is_err());
        assert!(PageData::count(&prefix(u32::MAX), 4096).is_err());
        assert_eq!(PageData::count(&prefix(2), 24), Ok(2));
        assert!(PageData::count(&prefix(2), 23).is_err());
        let data = sample();
        assert!(PageData::decode(&data.encode_prefix()[8..], data.length() - 1).is_err());
    }

    #[test]
    fn reserved_bits_and_types_are_refused() {
        assert!(PfnEntry::decode(1 << 52, 0).is_err());
        assert!(PfnEntry::decode(5 << 60, 0).is_err());
    }
}
