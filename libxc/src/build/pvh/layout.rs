//! Where everything goes in the guest-physical memory of a PVH guest.
//!
//! Memory is from 0 to the hole below 4 GiB, and goes on above. In the hole are the ACPI tables, the local
//! APIC and Xen's special pages.

use crate::image::PvhLayout;
use crate::memory::{E820Entry, E820Kind};
use crate::types::{Gfn, PAGE_SHIFT, PAGE_SIZE};
use crate::{Error, Result};
use std::ops::Range;

/// Where the hole starts, and the ACPI tables in it (`ACPI_INFO_PHYSICAL_ADDRESS` of libxl).
pub(super) const ACPI_START: u64 = 0xfc00_0000;
/// Where memory goes on.
const HIGH_START: u64 = 1 << 32;
/// The frame of the first special page (`X86_HVM_END_SPECIAL_REGION` less `X86_HVM_NR_SPECIAL_PAGES`,
/// xenguest.h).
const SPECIAL_FIRST: u64 = 0xff000 - SPECIAL_COUNT;
/// How many special pages there are.
pub(super) const SPECIAL_COUNT: u64 = 8;
/// Where a kernel that looks for the RSDP by itself finds it: the end of the BIOS area.
const BIOS_END: u64 = 0x10_0000;
/// Bytes kept for the RSDP: it is to be on a 16-byte boundary.
const RSDP_ROOM: u64 = 64;

/// A special page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum Special {
    Paging = 0,
    Monitor = 1,
    Sharing = 2,
    Store = 4,
    IdentityTable = 6,
    Console = 7,
}

impl Special {
    /// Its frame.
    pub(super) fn gfn(self) -> Gfn {
        Gfn(SPECIAL_FIRST + self as u64)
    }
}

/// The frames of all special pages.
pub(super) fn special_frames() -> Range<u64> {
    SPECIAL_FIRST..SPECIAL_FIRST + SPECIAL_COUNT
}

/// The plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// The frames of memory below the hole, and above 4 GiB.
    pub(super) memory: [Range<u64>; 2],
    /// The frames that hold the kernel, the ramdisk and the start info.
    pub(super) image: Range<u64>,
    /// The address of the ramdisk.
    pub(super) ramdisk: Option<u64>,
    /// The address of the start info.
    pub(super) start_info: u64,
    /// The frames of the ACPI tables.
    pub(super) acpi: Range<u64>,
    /// The address of the RSDP.
    pub(super) rsdp: u64,
}

/// What there is to place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// The domain's memory, pages.
    pub(super) pages: u64,
    pub(super) ramdisk: Option<usize>,
    pub(super) start_info: usize,
    pub(super) acpi: usize,
    /// The kernel looks for the RSDP in the BIOS area instead of where the start info says.
    pub(super) rsdp_in_bios_area: bool,
}

impl Layout {
    /// Plans a guest.
    ///
    /// # Errors
    /// If it does not fit below the hole.
    pub(super) fn new(kernel: &PvhLayout, sizes: Sizes) -> Result<Layout> {
        let memory = memory(sizes.pages);
        let limit = memory[0].end << PAGE_SHIFT;
        let mut next = page_up(kernel.kernel.end, limit, "the kernel")?;
        let ramdisk = sizes.ramdisk.map(|_| next);
        next = take(next, sizes.ramdisk.unwrap_or(0), limit, "the ramdisk")?;
        let start_info = next;
        next = take(next, sizes.start_info, limit, "the start info")?;
        let image = kernel.kernel.start >> PAGE_SHIFT..next >> PAGE_SHIFT;

        let acpi_end = ACPI_START + sizes.acpi as u64;
        let (rsdp, acpi_end) = match sizes.rsdp_in_bios_area {
            true => (BIOS_END - RSDP_ROOM, acpi_end),
            false => {
                let rsdp = acpi_end.next_multiple_of(RSDP_ROOM);
                (rsdp, rsdp + RSDP_ROOM)
            }
        };
        let acpi = ACPI_START >> PAGE_SHIFT..acpi_end.div_ceil(PAGE_SIZE as u64);
        let layout = Layout { memory, image, ramdisk, start_info, acpi, rsdp };
        if layout.bios_page().is_some_and(|page| layout.image.contains(&page)) {
            return Err(Error::Invalid("the kernel lies over the BIOS area, where it will look for the RSDP".into()));
        }
        Ok(layout)
    }

    /// The frame in the BIOS area that holds the RSDP, if it is there.
    pub(super) fn bios_page(&self) -> Option<u64> {
        (self.rsdp < BIOS_END).then_some(self.rsdp >> PAGE_SHIFT)
    }

    /// The memory map that the guest sees, in the order of addresses.
    pub(super) fn e820(&self) -> Vec<E820Entry> {
        let entry = |frames: Range<u64>, kind| E820Entry {
            start: frames.start << PAGE_SHIFT,
            size: (frames.end - frames.start) << PAGE_SHIFT,
            kind,
        };
        let [low, high] = self.memory.clone();
        let mut map = match self.bios_page() {
            None => vec![entry(low, E820Kind::Ram)],
            Some(page) => vec![
                entry(low.start..page, E820Kind::Ram),
                entry(page..page + 1, E820Kind::Acpi),
                entry(page + 1..low.end, E820Kind::Ram),
            ],
        };
        map.push(entry(self.acpi.clone(), E820Kind::Acpi));
        map.push(entry(special_frames(), E820Kind::Reserved));
        map.push(entry(high, E820Kind::Ram));
        map.retain(|entry| entry.size > 0);
        map
    }
}

/// The frames of so much memory: below the hole, then above 4 GiB.
fn memory(pages: u64) -> [Range<u64>; 2] {
    let low = pages.min(ACPI_START >> PAGE_SHIFT);
    let high = HIGH_START >> PAGE_SHIFT;
    [0..low, high..high.saturating_add(pages - low)]
}

fn take(at: u64, size: usize, limit: u64, what: &str) -> Result<u64> {
    page_up(at.saturating_add(size as u64), limit, what)
}

fn page_up(address: u64, limit: u64, what: &str) -> Result<u64> {
    let end = address.checked_next_multiple_of(PAGE_SIZE as u64).filter(|&end| end <= limit);
    end.ok_or_else(|| {
        Error::Invalid(format!(
            "the guest's memory is too small: {what} ends at {address:#x}, its memory below 4 GiB at {limit:#x} \
             (give it more memory)"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn kernel() -> PvhLayout {
        PvhLayout { kernel: 16 * MIB..40 * MIB + 1, entry: 16 << 20 }
    }

    fn sizes(mib: u64) -> Sizes {
        Sizes { pages: mib * 256, ramdisk: Some(5000), start_info: 300, acpi: 3000, rsdp_in_bios_area: false }
    }

    #[test]
    fn everything_follows_the_kernel() {
        let layout = Layout::new(&kernel(), sizes(64)).unwrap();
        assert_eq!(layout.ramdisk, Some(40 * MIB + 4096));
        assert_eq!(layout.start_info, 40 * MIB + 3 * 4096);
        assert_eq!(layout.image, 0x1000..0x2804);
        assert_eq!(layout.memory, [0..0x4000, 0x10_0000..0x10_0000]);
        assert_eq!(layout.acpi, 0xfc000..0xfc001);
        assert_eq!(layout.rsdp, 0xfc00_0bc0);
    }

    #[test]
    fn the_memory_map_is_sorted_and_without_overlap() {
        for (mib, bios) in [(64, false), (64, true), (4096, false), (9000, true)] {
            let sizes = Sizes { rsdp_in_bios_area: bios, ..sizes(mib) };
            let layout = Layout::new(&kernel(), sizes).unwrap();
            let map = layout.e820();
            assert!(map.windows(2).all(|pair| pair[0].start + pair[0].size <= pair[1].start), "{map:x?}");
            let ram: u64 = map.iter().filter(|e| e.kind == E820Kind::Ram).map(|e| e.size).sum();
            assert_eq!(ram + if bios { 4096 } else { 0 }, mib * MIB);
            let rsdp = map.iter().find(|e| (e.start..e.start + e.size).contains(&layout.rsdp)).unwrap();
            assert_eq!(rsdp.kind, E820Kind::Acpi);
        }
    }

    #[test]
    fn memory_above_the_hole_starts_at_4_gib() {
        assert_eq!(memory(0xfc000 + 7), [0..0xfc000, 0x10_0000..0x10_0007]);
        assert_eq!(memory(u64::MAX)[0], 0..0xfc000);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let error = |kernel: &PvhLayout, sizes| Layout::new(kernel, sizes).unwrap_err().to_string();
        assert!(error(&kernel(), sizes(40)).contains("the kernel"));
        let big = Sizes { ramdisk: Some(30 << 20), ..sizes(64) };
        assert!(error(&kernel(), big).contains("the ramdisk"));
        let wild = PvhLayout { kernel: 0..u64::MAX, entry: 0 };
        assert!(error(&wild, sizes(64)).contains("the kernel"));
        let low = PvhLayout { kernel: 0xf_0000..0x11_0000, entry: 0xf_0000 };
        let bios = Sizes { rsdp_in_bios_area: true, ..sizes(64) };
        assert!(error(&low, bios).contains("BIOS"));
    }
}
