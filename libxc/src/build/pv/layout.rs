//! Where everything goes in the memory of a PV guest: the kernel, then what Xen's interface promises to
//! find behind it (xen.h, "start-of-day memory layout").

use super::page_tables::{Mapping, Tables};
use crate::image::PvLayout;
use crate::types::{PAGE_SHIFT, PAGE_SIZE};
use crate::{Error, Result};
use std::ops::Range;

/// Room that the initial mapping has left after everything in it: xen.h promises 512 KiB.
const SPARE_PAGES: u64 = (512 << 10) >> PAGE_SHIFT;
/// What the end of the initial mapping is aligned to.
const MAPPING_ALIGN: u64 = 4 << 20;

/// Pages of the guest, and the virtual address of the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) pfn: u64,
    pub(super) pages: u64,
    /// 0 if it is outside of every mapping.
    pub(super) virt: u64,
}

/// The plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) virt_base: u64,
    pub(super) ramdisk: Option<Segment>,
    pub(super) p2m: Segment,
    /// The list is mapped at an address of the kernel's choice, and its page tables lie behind it.
    pub(super) p2m_apart: bool,
    pub(super) start_info: u64,
    pub(super) store: u64,
    pub(super) console: u64,
    pub(super) tables_segment: Segment,
    pub(super) boot_stack: u64,
    pub(super) tables: Tables,
    pub(super) mappings: Vec<Mapping>,
    /// Pages from the kernel to the boot stack.
    pub(super) low: Range<u64>,
    /// Pages behind the initial mapping that have contents.
    pub(super) high: Range<u64>,
}

impl Layout {
    /// Plans a guest of `total` pages.
    ///
    /// # Errors
    /// If it does not fit, or the kernel's addresses make no sense.
    pub(super) fn new(kernel: &PvLayout, ramdisk: Option<usize>, total: u64) -> Result<Layout> {
        let mut room = Room { next: 0, total, virt_base: kernel.virt_base };
        let mut layout = Layout { virt_base: kernel.virt_base, ..Layout::default() };
        let ramdisk_pages = ramdisk.map(|len| (len as u64).div_ceil(PAGE_SIZE as u64));
        let p2m_pages = total.div_ceil((PAGE_SIZE / size_of::<u64>()) as u64);
        let p2m_apart = p2m_address(kernel);

        let kernel_first = room.pfn_of(kernel.kernel.start)?;
        room.skip_to(kernel_first, "the kernel")?;
        let kernel_end = room.pfn_of(kernel.kernel.end.saturating_add(PAGE_SIZE as u64 - 1))?;
        room.take(kernel_end.saturating_sub(kernel_first), "the kernel")?;
        if !kernel.unmapped_initrd {
            layout.ramdisk = ramdisk_pages.map(|pages| room.take(pages, "the ramdisk")).transpose()?;
        }
        if p2m_apart.is_none() {
            layout.p2m = room.take(p2m_pages, "the p2m list")?;
        }
        layout.start_info = room.take(1, "the start info")?.pfn;
        layout.store = room.take(1, "the xenstore page")?.pfn;
        layout.console = room.take(1, "the console page")?.pfn;
        layout.initial_mapping(&mut room)?;
        layout.boot_stack = room.take(1, "the boot stack")?.pfn;
        layout.low = kernel_first..room.next;

        let mapped = layout.mappings[0].pages;
        room.skip_to(mapped, "the initial mapping")?;
        if kernel.unmapped_initrd {
            layout.ramdisk = ramdisk_pages.map(|pages| room.take(pages, "the ramdisk")).transpose()?;
        }
        if let Some(virt) = p2m_apart {
            layout.p2m_mapping(&mut room, virt, p2m_pages)?;
        }
        layout.high = mapped..room.next;
        Ok(layout)
    }

    /// Plans the page tables that map everything from `virt_base` on: themselves too, with some room.
    fn initial_mapping(&mut self, room: &mut Room) -> Result<()> {
        let stack_and_spare = 1 + SPARE_PAGES;
        let mut wanted = stack_and_spare;
        loop {
            let end = room.virt(room.next)?.checked_add(wanted * PAGE_SIZE as u64);
            let end = end.ok_or_else(|| Error::Invalid("the kernel leaves no addresses for its mapping".into()))?;
            let last = end | (MAPPING_ALIGN - 1);
            let pages = ((last - self.virt_base) >> PAGE_SHIFT) + 1;
            if pages > room.total {
                return Err(room.too_small(pages, "the end of the initial mapping"));
            }
            let tables = self.tables.missing(self.virt_base, pages)?;
            wanted = tables + stack_and_spare;
            if room.next + wanted <= pages {
                self.tables_segment = room.take(tables, "the page tables")?;
                self.tables.add(self.virt_base, pages, self.tables_segment.pfn)?;
                self.mappings.push(Mapping { virt: self.virt_base, pfn: 0, pages });
                return Ok(());
            }
        }
    }

    /// Plans the p2m list at `virt`, with its page tables behind it.
    fn p2m_mapping(&mut self, room: &mut Room, virt: u64, pages: u64) -> Result<()> {
        let list = room.take(pages, "the p2m list")?;
        let tables = self.tables.missing(virt, pages)?;
        let first = room.take(tables, "the page tables of the p2m list")?.pfn;
        self.tables.add(virt, pages, first)?;
        self.mappings.push(Mapping { virt, pfn: list.pfn, pages });
        self.p2m = Segment { pfn: list.pfn, pages: pages + tables, virt };
        self.p2m_apart = true;
        Ok(())
    }

    /// The virtual address of a page of the initial mapping.
    pub(super) fn virt(&self, pfn: u64) -> u64 {
        self.virt_base.wrapping_add(pfn << PAGE_SHIFT)
    }
}

/// Where the kernel wants the p2m list, if that is outside of the initial mapping and on a page.
fn p2m_address(kernel: &PvLayout) -> Option<u64> {
    kernel.init_p2m.filter(|&virt| virt < kernel.virt_base && virt.is_multiple_of(PAGE_SIZE as u64))
}

/// The guest's memory, given out from the bottom up.
struct Room {
    next: u64,
    total: u64,
    virt_base: u64,
}

impl Room {
    fn take(&mut self, pages: u64, what: &str) -> Result<Segment> {
        let pfn = self.next;
        let end = pfn.checked_add(pages).filter(|&end| end <= self.total);
        self.next = end.ok_or_else(|| self.too_small(pfn.saturating_add(pages), what))?;
        Ok(Segment { pfn, pages, virt: self.virt(pfn)? })
    }

    fn skip_to(&mut self, pfn: u64, what: &str) -> Result<()> {
        if pfn < self.next {
            return Err(Error::Invalid(format!("{what} overlaps what is below it in the guest's memory")));
        }
        self.take(pfn - self.next, what).map(drop)
    }

    fn virt(&self, pfn: u64) -> Result<u64> {
        let offset = pfn.checked_mul(PAGE_SIZE as u64);
        let virt = offset.and_then(|offset| self.virt_base.checked_add(offset));
        virt.ok_or_else(|| Error::Invalid(format!("page {pfn:#x} of the guest has no virtual address")))
    }

    fn pfn_of(&self, virt: u64) -> Result<u64> {
        let offset = virt.checked_sub(self.virt_base);
        let offset = offset.ok_or_else(|| {
            Error::Invalid(format!("the kernel's address {virt:#x} is below its base {:#x}", self.virt_base))
        })?;
        Ok(offset >> PAGE_SHIFT)
    }

    fn too_small(&self, pages: u64, what: &str) -> Error {
        let mib = |pages: u64| pages.div_ceil(256);
        Error::Invalid(format!(
            "the guest's memory of {} MiB is too small: up to {what} it takes {} MiB (give it more memory)",
            mib(self.total),
            mib(pages)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::PvAbi;

    const BASE: u64 = 0xffff_ffff_8000_0000;
    const MIB: u64 = 1 << 20;

    fn linux(size: u64) -> PvLayout {
        PvLayout {
            abi: PvAbi::X86_64,
            virt_base: BASE,
            kernel: BASE + 16 * MIB..BASE + 16 * MIB + size,
            entry: BASE + 16 * MIB,
            hypercall_page: Some(BASE + 17 * MIB),
            init_p2m: Some(0x80_0000_0000),
            unmapped_initrd: true,
            paddr_offset: 0,
        }
    }

    /// A kernel without the newer notes: everything is in the initial mapping.
    fn plain(size: u64) -> PvLayout {
        PvLayout { init_p2m: None, unmapped_initrd: false, ..linux(size) }
    }

    fn pages(mib: u64) -> u64 {
        mib * MIB / 4096
    }

    #[test]
    fn linux_has_its_ramdisk_and_p2m_list_behind_the_mapping() {
        let layout = Layout::new(&linux(40 * MIB + 5), Some(10_000_000), pages(256)).unwrap();
        let mapped = layout.mappings[0].pages;
        assert_eq!(layout.low, pages(16)..layout.boot_stack + 1);
        assert_eq!(layout.start_info, pages(56) + 1, "the kernel's last page is in part its own");
        assert_eq!(layout.ramdisk.unwrap().pfn, mapped);
        assert_eq!(layout.high, mapped..layout.p2m.pfn + layout.p2m.pages);
        assert!(layout.p2m_apart);
        assert_eq!(layout.p2m.virt, 0x80_0000_0000);
        // 64 Ki entries of 8 bytes; tables of levels 3, 2 and 1.
        assert_eq!(layout.p2m.pages, 128 + 3);
        assert_eq!(layout.mappings[1], Mapping { virt: 0x80_0000_0000, pfn: layout.p2m.pfn, pages: 128 });
    }

    #[test]
    fn a_plain_kernel_has_everything_in_one_mapping() {
        let layout = Layout::new(&plain(4 * MIB), Some(4096), pages(64)).unwrap();
        assert_eq!(layout.ramdisk.unwrap(), Segment { pfn: pages(20), pages: 1, virt: BASE + 20 * MIB });
        assert_eq!(layout.p2m.pfn, pages(20) + 1);
        assert!(!layout.p2m_apart);
        assert!(layout.high.is_empty());
        assert_eq!(layout.mappings.len(), 1);
    }

    #[test]
    fn the_mapping_has_spare_room_and_ends_aligned() {
        for size in (1..64).map(|n| n * MIB / 2 + n) {
            let layout = Layout::new(&plain(size), None, pages(128)).unwrap();
            let mapped = layout.mappings[0].pages;
            assert!(mapped - (layout.boot_stack + 1) >= 128, "512 KiB are left");
            assert!((BASE + mapped * 4096).is_multiple_of(4 * MIB));
            assert_eq!(layout.boot_stack, layout.tables_segment.pfn + layout.tables_segment.pages);
        }
    }

    #[test]
    fn too_little_memory_is_told_with_what_it_takes() {
        let error = Layout::new(&linux(40 * MIB), None, pages(48)).unwrap_err().to_string();
        assert!(error.contains("48 MiB is too small") && error.contains("the kernel"), "{error}");
        let error = Layout::new(&linux(MIB), Some(100 << 20), pages(64)).unwrap_err().to_string();
        assert!(error.contains("the ramdisk"), "{error}");
    }

    #[test]
    fn wild_addresses_of_a_kernel_are_errors() {
        let wild = |change: fn(&mut PvLayout)| {
            let mut kernel = linux(MIB);
            change(&mut kernel);
            Layout::new(&kernel, Some(1), pages(64))
        };
        assert!(wild(|k| k.virt_base = u64::MAX).is_err());
        assert!(wild(|k| k.kernel = 0..u64::MAX).is_err());
        assert!(wild(|k| k.kernel = u64::MAX - 1..u64::MAX).is_err());
        assert!(wild(|k| (k.virt_base, k.kernel) = (0xffff_ffff_ffff_f000, 0xffff_ffff_ffff_f000..u64::MAX)).is_err());
        // A p2m address that is no use is passed over, as the interface has it.
        assert!(!wild(|k| k.init_p2m = Some(u64::MAX)).unwrap().p2m_apart);
        assert!(!wild(|k| k.init_p2m = Some(4097)).unwrap().p2m_apart);
    }
}
