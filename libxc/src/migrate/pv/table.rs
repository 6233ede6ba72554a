//! Page tables between machine frames and the guest's own numbers.

use crate::types::PAGE_SIZE;

const PRESENT: u64 = 1 << 0;
const SUPERPAGE: u64 = 1 << 7;
/// The frame number in an entry, in place.
const FRAME: u64 = 0x000f_ffff_ffff_f000;
/// The slots of a level 4 table that are Xen's (`HYPERVISOR_VIRT_START` to `_END`, xen/arch-x86/xen-x86_64.h).
const XEN_SLOTS: std::ops::RangeInclusive<usize> = 256..=271;

/// A page of 512 entries.
pub(super) type Table = [u8; PAGE_SIZE];

/// Why an entry cannot travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadEntry {
    /// It maps a superpage, which no PV guest that moves may have.
    Superpage(usize),
    /// Its frame is not the guest's.
    Frame(usize, u64),
}

/// Replaces the frame of each present entry. With `clear_xen`, Xen's own entries of a level 4 table are emptied:
/// Xen makes them anew on the other side.
pub(super) fn translate(
    table: &mut Table,
    level: u8,
    clear_xen: bool,
    frame: impl Fn(u64) -> Option<u64>,
) -> Result<(), BadEntry> {
    for (index, bytes) in table.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let entry = u64::from_le_bytes(*bytes);
        if clear_xen && level == 4 && XEN_SLOTS.contains(&index) {
            *bytes = [0; 8];
        } else if entry & PRESENT != 0 {
            if level > 1 && entry & SUPERPAGE != 0 {
                return Err(BadEntry::Superpage(index));
            }
            let from = (entry & FRAME) >> 12;
            let to = frame(from).ok_or(BadEntry::Frame(index, from))?;
            *bytes = (entry & !FRAME | to << 12 & FRAME).to_le_bytes();
        }
    }
    Ok(())
}

/// The frames that a table's present entries name.
pub(super) fn frames(table: &Table) -> impl Iterator<Item = u64> {
    let entries = table.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
    entries.filter(|entry| entry & PRESENT != 0).map(|entry| (entry & FRAME) >> 12)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(entries: &[(usize, u64)]) -> Table {
        let mut table = [0; PAGE_SIZE];
        for &(index, entry) in entries {
            table[index * 8..][..8].copy_from_slice(&entry.to_le_bytes());
        }
        table
    }

    #[test]
    fn present_entries_keep_their_flags_and_change_their_frame() {
        let mut t = table(&[(0, 0x8000_0000_0001_2067), (1, 0x0001_3066), (511, 0x0001_4001)]);
        translate(&mut t, 1, true, |f| Some(f + 0x100)).unwrap();
        assert_eq!(t, table(&[(0, 0x8000_0000_0011_2067), (1, 0x0001_3066), (511, 0x0011_4001)]));
        assert_eq!(frames(&t).collect::<Vec<_>>(), [0x112, 0x114]);
    }

    #[test]
    fn xens_slots_are_emptied_in_level_4_only() {
        let entries = [(255, 0x1001), (256, 0x1001), (271, 0x1001), (272, 0x1001)];
        let mut t = table(&entries);
        translate(&mut t, 4, true, Some).unwrap();
        assert_eq!(t, table(&[(255, 0x1001), (272, 0x1001)]));
        let mut t = table(&entries);
        translate(&mut t, 3, true, Some).unwrap();
        assert_eq!(t, table(&entries));
    }

    #[test]
    fn foreign_frames_and_superpages_are_told() {
        assert_eq!(translate(&mut table(&[(3, 0x5001)]), 1, true, |_| None), Err(BadEntry::Frame(3, 5)));
        assert_eq!(translate(&mut table(&[(4, 0x5081)]), 2, true, Some), Err(BadEntry::Superpage(4)));
        assert_eq!(translate(&mut table(&[(4, 0x5081)]), 1, true, Some), Ok(()));
    }
}
