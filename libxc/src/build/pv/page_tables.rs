//! The page tables that a 64-bit PV guest starts with: four levels of 512 entries.

use crate::types::{PAGE_SHIFT, PAGE_SIZE};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::ops::Range;

/// Bits of a virtual address that select an entry of a table.
const LEVEL_BITS: u32 = 9;
/// Entries of a table.
pub(super) const ENTRIES: usize = 1 << LEVEL_BITS;
/// Bits of a virtual address that are translated.
const VIRT_BITS: u32 = 48;
/// The level of the root.
const ROOT_LEVEL: u32 = 4;

const PRESENT: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;

/// Virtual addresses onto pages of the guest that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    /// The first virtual address.
    pub(super) virt: u64,
    /// The guest's page there.
    pub(super) pfn: u64,
    /// How many pages.
    pub(super) pages: u64,
}

/// Which tables there are, and in which pages of the guest: by level (1: of pages) and by the virtual
/// addresses that a table covers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tables {
    pfns: BTreeMap<(u32, u64), u64>,
}

impl Tables {
    /// How many tables `pages` pages from `virt` on need besides those there are.
    pub(super) fn missing(&self, virt: u64, pages: u64) -> Result<u64> {
        let mut count = 0;
        for level in (1..=ROOT_LEVEL).rev() {
            let covers = table_numbers(virt, pages, level)?;
            let present = self.pfns.range((level, covers.start)..(level, covers.end)).count() as u64;
            count += (covers.end - covers.start) - present;
        }
        Ok(count)
    }

    /// Adds the tables that are missing for `pages` pages from `virt` on: in the guest's pages from
    /// `first` on, from the root down.
    pub(super) fn add(&mut self, virt: u64, pages: u64, first: u64) -> Result<()> {
        let mut next = first;
        for level in (1..=ROOT_LEVEL).rev() {
            for number in table_numbers(virt, pages, level)? {
                self.pfns.entry((level, number)).or_insert_with(|| {
                    next += 1;
                    next - 1
                });
            }
        }
        Ok(())
    }

    /// The contents of every table, with the guest's page that it is in. `p2m` has the machine frame of
    /// every page of the guest.
    ///
    /// Xen lets no guest write to its page tables, so pages that are tables are mapped for reading.
    pub(super) fn contents(&self, mappings: &[Mapping], p2m: &[u64]) -> Result<Vec<(u64, Vec<u64>)>> {
        let own: Vec<Range<u64>> = runs(self.pfns.values().copied());
        let mut contents: BTreeMap<u64, Vec<u64>> = self.pfns.values().map(|&pfn| (pfn, vec![0; ENTRIES])).collect();
        let mut set = |level: u32, virt_page: u64, pfn: u64, flags: u64| -> Result<()> {
            let mfn = p2m.get(pfn as usize).ok_or_else(|| no_page(pfn))?;
            let number = virt_page >> (LEVEL_BITS * level);
            let entry = (virt_page >> (LEVEL_BITS * (level - 1))) as usize % ENTRIES;
            let table = self.pfns.get(&(level, number)).and_then(|table| contents.get_mut(table));
            table.ok_or_else(|| no_page(pfn))?[entry] = mfn << PAGE_SHIFT | flags;
            Ok(())
        };
        for (&(level, number), &pfn) in &self.pfns {
            if level < ROOT_LEVEL {
                let virt_page = number << (LEVEL_BITS * level);
                set(level + 1, virt_page, pfn, PRESENT | WRITABLE | USER | ACCESSED | DIRTY)?;
            }
        }
        for mapping in mappings {
            let first = virt_page(mapping.virt);
            for i in 0..mapping.pages {
                let pfn = mapping.pfn + i;
                let writable = if own.iter().any(|run| run.contains(&pfn)) { 0 } else { WRITABLE };
                set(1, first + i, pfn, PRESENT | ACCESSED | writable)?;
            }
        }
        Ok(contents.into_iter().collect())
    }
}

fn no_page(pfn: u64) -> Error {
    Error::Invalid(format!("the guest's initial page tables map page {pfn:#x}, which it does not have"))
}

/// Numbers as runs of such that follow each other.
fn runs(numbers: impl Iterator<Item = u64>) -> Vec<Range<u64>> {
    let mut sorted: Vec<u64> = numbers.collect();
    sorted.sort_unstable();
    let mut runs: Vec<Range<u64>> = Vec::new();
    for number in sorted {
        match runs.last_mut() {
            Some(run) if run.end == number => run.end += 1,
            _ => runs.push(number..number + 1),
        }
    }
    runs
}

/// The number of a virtual address' page, of the translated bits.
fn virt_page(virt: u64) -> u64 {
    (virt & ((1 << VIRT_BITS) - 1)) >> PAGE_SHIFT
}

/// The numbers of the tables of a level that cover `pages` pages from `virt` on.
fn table_numbers(virt: u64, pages: u64, level: u32) -> Result<Range<u64>> {
    let first = virt_page(virt);
    let last = pages.checked_sub(1).and_then(|more| first.checked_add(more));
    match last.filter(|last| last >> (VIRT_BITS - PAGE_SHIFT) == 0) {
        Some(last) => Ok(first >> (LEVEL_BITS * level)..(last >> (LEVEL_BITS * level)) + 1),
        None => Err(Error::Invalid(format!(
            "{pages} pages of {PAGE_SIZE} bytes from {virt:#x} on cannot be mapped: the kernel's addresses are wrong"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL: u64 = 0xffff_ffff_8000_0000;

    /// Walks the tables as a processor does.
    fn walk(contents: &[(u64, Vec<u64>)], root: u64, m2p: impl Fn(u64) -> u64, virt: u64) -> u64 {
        let mut pfn = root;
        let mut entry = 0;
        for level in (0..4).rev() {
            let table = &contents.iter().find(|(at, _)| *at == pfn).expect("a table").1;
            entry = table[(virt >> (12 + 9 * level)) as usize % 512];
            if entry & PRESENT == 0 {
                return 0;
            }
            pfn = m2p(entry >> 12);
        }
        entry
    }

    #[test]
    fn a_processor_finds_every_page_and_no_other() {
        let p2m: Vec<u64> = (0..4096).map(|pfn| pfn + 0x10_0000).collect();
        let m2p = |mfn: u64| mfn - 0x10_0000;
        let mapping = Mapping { virt: KERNEL, pfn: 0, pages: 2048 };
        let far = Mapping { virt: 0x80_0000_0000, pfn: 3000, pages: 8 };
        let mut tables = Tables::default();
        // A root, one table each of levels 3 and 2, four of level 1.
        assert_eq!(tables.missing(KERNEL, 2048).unwrap(), 7);
        tables.add(KERNEL, 2048, 1000).unwrap();
        // The root is there already.
        assert_eq!(tables.missing(far.virt, 8).unwrap(), 3);
        tables.add(far.virt, 8, 3008).unwrap();
        let contents = tables.contents(&[mapping, far], &p2m).unwrap();
        assert_eq!(contents.len(), 10);
        for page in [0, 1, 511, 512, 2047] {
            let entry = walk(&contents, 1000, m2p, KERNEL + page * 4096);
            assert_eq!(entry, (page + 0x10_0000) << 12 | PRESENT | WRITABLE | ACCESSED, "page {page}");
        }
        assert_eq!(walk(&contents, 1000, m2p, 0x80_0000_0000 + 7 * 4096) >> 12, 3007 + 0x10_0000);
        assert_eq!(walk(&contents, 1000, m2p, KERNEL + 2048 * 4096), 0);
        // The tables' own pages are mapped for reading.
        assert_eq!(walk(&contents, 1000, m2p, KERNEL + 1003 * 4096) & WRITABLE, 0);
        assert_ne!(walk(&contents, 1000, m2p, KERNEL + 1007 * 4096) & WRITABLE, 0);
    }

    #[test]
    fn addresses_that_wrap_are_refused() {
        let tables = Tables::default();
        assert!(tables.missing(0xffff_ffff_ffff_f000, 2).is_err());
        assert!(tables.missing(KERNEL, u64::MAX).is_err());
        assert!(tables.missing(KERNEL, 0).is_err());
        assert!(tables.missing(0xffff_ffff_ffff_f000, 1).is_ok());
    }

    #[test]
    fn a_mapping_beyond_the_memory_is_refused() {
        let mut tables = Tables::default();
        tables.add(KERNEL, 16, 8).unwrap();
        let mapping = Mapping { virt: KERNEL, pfn: 0, pages: 16 };
        assert!(tables.contents(&[mapping], &[0; 15]).is_err());
    }
}
