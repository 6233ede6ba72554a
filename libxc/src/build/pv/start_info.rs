//! The page that tells a PV guest about itself (`start_info`, xen.h), its shared info page, and the
//! registers that its first vCPU starts with.

use crate::types::{Mfn, PAGE_SIZE};
use crate::vcpu::PvContext;
use xenctrl_sys as sys;

/// Bytes of the command line, with the zero at its end (`MAX_GUEST_CMDLINE`).
pub(super) const CMDLINE_SIZE: usize = 1024;
/// What a 64-bit PV guest finds as the name of the interface.
const MAGIC: &[u8] = b"xen-3.0-x86_64";

/// The contents of the start info page.
#[derive(Clone, Debug, Default)]
pub(super) struct StartInfo<'a> {
    pub(super) pages: u64,
    pub(super) shared_info: Mfn,
    pub(super) store: (Mfn, u32),
    pub(super) console: (Mfn, u32),
    /// Virtual address of the root of the page tables, and how many tables there are.
    pub(super) page_tables: (u64, u64),
    /// Virtual address of the p2m list.
    pub(super) p2m: u64,
    /// The list's pages, with those of its page tables, if it has its own mapping: first and count.
    pub(super) p2m_frames: Option<(u64, u64)>,
    pub(super) ramdisk: Option<RamdiskAt>,
    pub(super) cmdline: &'a [u8],
}

/// Where the guest finds its ramdisk, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RamdiskAt {
    /// At a virtual address of the initial mapping.
    Virt(u64, u64),
    /// At a page that is not mapped.
    Pfn(u64, u64),
}

impl StartInfo<'_> {
    /// The page as the guest reads it. A command line that is too long is cut off: callers check it.
    pub(super) fn encode(&self) -> Vec<u8> {
        let (flags, mod_start, mod_len) = match self.ramdisk {
            None => (0, 0, 0),
            Some(RamdiskAt::Virt(virt, len)) => (0, virt, len),
            Some(RamdiskAt::Pfn(pfn, len)) => (sys::SIF_MOD_START_PFN, pfn, len),
        };
        let (first_p2m_pfn, nr_p2m_frames) = self.p2m_frames.unwrap_or_default();
        let mut page = Vec::with_capacity(PAGE_SIZE);
        field(&mut page, MAGIC, 32);
        words(&mut page, &[self.pages, self.shared_info.0 * PAGE_SIZE as u64, flags.into()]);
        words(&mut page, &[self.store.0.0, self.store.1.into(), self.console.0.0, self.console.1.into()]);
        words(&mut page, &[self.page_tables.0, self.page_tables.1, self.p2m, mod_start, mod_len]);
        field(&mut page, &self.cmdline[..self.cmdline.len().min(CMDLINE_SIZE - 1)], CMDLINE_SIZE);
        words(&mut page, &[first_p2m_pfn, nr_p2m_frames]);
        page
    }
}

/// Bytes, and zeros up to `size`.
fn field(page: &mut Vec<u8>, bytes: &[u8], size: usize) {
    let end = page.len() + size;
    page.extend_from_slice(bytes);
    page.resize(end, 0);
}

/// Numbers; one of 32 bits is followed by four bytes of padding wherever `start_info` has one.
fn words(page: &mut Vec<u8>, words: &[u64]) {
    words.iter().for_each(|word| page.extend_from_slice(&word.to_le_bytes()));
}

/// The shared info page: no vCPU wants events yet (`evtchn_upcall_mask` of each `vcpu_info`).
pub(super) fn shared_info() -> Vec<u8> {
    const VCPU_INFO_SIZE: usize = 64;
    const UPCALL_MASK: usize = 1;
    let mut page = vec![0; PAGE_SIZE];
    for vcpu in 0..sys::XEN_LEGACY_MAX_VCPUS as usize {
        page[vcpu * VCPU_INFO_SIZE + UPCALL_MASK] = 1;
    }
    page
}

/// Where the first vCPU starts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    pub(super) entry: u64,
    /// The end of the boot stack.
    pub(super) stack: u64,
    /// Virtual address of the start info page.
    pub(super) start_info: u64,
    /// The root of the page tables.
    pub(super) root: Mfn,
}

/// The registers that the first vCPU starts with.
pub(super) fn context(start: Start) -> PvContext {
    const VGCF_IN_KERNEL: u64 = 1 << 2;
    const VGCF_ONLINE: u64 = 1 << 5;
    const RFLAGS_IF: u64 = 1 << 9;
    const DR6_DEFAULT: u64 = 0xffff_0ff0;
    const DR7_DEFAULT: u64 = 0x400;
    const FLAT_KERNEL_CS: u16 = 0xe033;
    const FLAT_KERNEL_SS: u16 = 0xe02b;

    let mut context = PvContext { flags: VGCF_IN_KERNEL | VGCF_ONLINE, ..PvContext::default() };
    let regs = &mut context.user_regs;
    // xenctrl-sys numbers the unions of `cpu_user_regs`: 14 is rsi, 16 rip, 17 rflags, 18 rsp.
    regs.__bindgen_anon_14.rsi = start.start_info;
    regs.__bindgen_anon_16.rip = start.entry;
    regs.__bindgen_anon_17.rflags = RFLAGS_IF;
    regs.__bindgen_anon_18.rsp = start.stack;
    regs.cs = FLAT_KERNEL_CS;
    regs.ss = FLAT_KERNEL_SS;
    context.kernel_ss = FLAT_KERNEL_SS.into();
    context.kernel_sp = start.stack;
    // xen_pfn_to_cr3 of a 64-bit guest.
    context.ctrlreg[3] = start.root.0 * PAGE_SIZE as u64;
    context.debugreg[6] = DR6_DEFAULT;
    context.debugreg[7] = DR7_DEFAULT;
    context
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    fn word(page: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(page[at..at + 8].try_into().unwrap())
    }

    #[test]
    fn fields_are_where_xen_h_has_them() {
        let info = StartInfo {
            pages: 1,
            shared_info: Mfn(2),
            store: (Mfn(3), 4),
            console: (Mfn(5), 6),
            page_tables: (7, 8),
            p2m: 9,
            p2m_frames: Some((10, 11)),
            ramdisk: Some(RamdiskAt::Pfn(12, 13)),
            cmdline: b"root=/dev/xvda",
        };
        let page = info.encode();
        assert_eq!(page.len(), size_of::<sys::start_info>());
        assert!(page.starts_with(b"xen-3.0-x86_64\0"));
        let at = |offset| word(&page, offset);
        assert_eq!(at(offset_of!(sys::start_info, nr_pages)), 1);
        assert_eq!(at(offset_of!(sys::start_info, shared_info)), 2 << 12);
        assert_eq!(at(offset_of!(sys::start_info, flags)), 8);
        assert_eq!(at(offset_of!(sys::start_info, store_mfn)), 3);
        assert_eq!(at(offset_of!(sys::start_info, store_evtchn)), 4);
        assert_eq!(at(offset_of!(sys::start_info, console)), 5);
        assert_eq!(at(offset_of!(sys::start_info, console) + 8), 6);
        assert_eq!(at(offset_of!(sys::start_info, pt_base)), 7);
        assert_eq!(at(offset_of!(sys::start_info, nr_pt_frames)), 8);
        assert_eq!(at(offset_of!(sys::start_info, mfn_list)), 9);
        assert_eq!(at(offset_of!(sys::start_info, mod_start)), 12);
        assert_eq!(at(offset_of!(sys::start_info, mod_len)), 13);
        let cmdline = offset_of!(sys::start_info, cmd_line);
        assert_eq!(&page[cmdline..cmdline + 15], b"root=/dev/xvda\0");
        assert_eq!(at(offset_of!(sys::start_info, first_p2m_pfn)), 10);
        assert_eq!(at(offset_of!(sys::start_info, nr_p2m_frames)), 11);
    }

    #[test]
    fn a_command_line_always_ends_with_a_zero() {
        let page = StartInfo { cmdline: &[b'x'; 5000], ..StartInfo::default() }.encode();
        let cmdline = offset_of!(sys::start_info, cmd_line);
        assert_eq!(page[cmdline + CMDLINE_SIZE - 2..cmdline + CMDLINE_SIZE], *b"x\0");
        assert_eq!(page.len(), size_of::<sys::start_info>());
    }

    #[test]
    fn events_are_masked_for_every_vcpu_of_the_shared_info() {
        let page = shared_info();
        assert_eq!(page.len(), PAGE_SIZE);
        let info = size_of::<sys::vcpu_info>();
        let mask = offset_of!(sys::vcpu_info, evtchn_upcall_mask);
        assert_eq!(page.iter().map(|&byte| u32::from(byte)).sum::<u32>(), 32);
        assert!((0..32).all(|vcpu| page[vcpu * info + mask] == 1));
    }

    #[test]
    fn the_first_vcpu_starts_in_the_kernel() {
        let context = context(Start { entry: 1, stack: 2, start_info: 3, root: Mfn(4) });
        assert_eq!(offset_of!(sys::cpu_user_regs, __bindgen_anon_14), 13 * 8);
        assert_eq!(offset_of!(sys::cpu_user_regs, __bindgen_anon_16), 16 * 8);
        assert_eq!(offset_of!(sys::cpu_user_regs, __bindgen_anon_18), 19 * 8);
        assert_eq!(context.flags, 0x24);
        assert_eq!(context.ctrlreg[3], 4 << 12);
    }
}
