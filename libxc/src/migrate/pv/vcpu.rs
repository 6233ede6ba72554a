//! A PV vCPU's registers: the frames in them are translated as page tables are.

use super::super::{Error, Result};
use std::mem::offset_of;
use xenctrl_sys::{cpu_user_regs as Registers, vcpu_guest_context as Context};

/// GDT entries that are the guest's (`FIRST_RESERVED_GDT_ENTRY`), and how many fit into a frame.
const GDT_ENTRIES_MAX: u64 = 14 * 512;
const GDT_ENTRIES_PER_FRAME: u64 = 512;
/// `VGCF_online`.
const ONLINE: u64 = 1 << 5;

const FLAGS: usize = offset_of!(Context, flags);
const RDX: usize = offset_of!(Context, user_regs) + offset_of!(Registers, __bindgen_anon_13);
const GDT_FRAMES: usize = offset_of!(Context, gdt_frames);
const GDT_ENTRIES: usize = offset_of!(Context, gdt_ents);
const CONTROL: usize = offset_of!(Context, ctrlreg);

/// The structure is the state of a 64-bit guest in the stream, whose length is checked where it is read.
const _: () = assert!(size_of::<Context>() == 0x1430);

/// The registers of one vCPU.
pub(super) struct VcpuContext(pub(super) Vec<u8>);

impl VcpuContext {
    fn get(&self, offset: usize) -> u64 {
        self.0.get(offset..).and_then(|b| b.first_chunk()).map_or(0, |b| u64::from_le_bytes(*b))
    }

    fn set(&mut self, offset: usize, value: u64) {
        if let Some(bytes) = self.0.get_mut(offset..).and_then(|b| b.first_chunk_mut()) {
            *bytes = value.to_le_bytes();
        }
    }

    /// Replaces the frames that the processor itself uses: the GDT's, and the roots of the kernel's and the
    /// programs' page tables. `table_root` translates the latter.
    pub(super) fn translate(
        &mut self,
        vcpu: u32,
        frame: impl Fn(u64) -> Option<u64>,
        table_root: impl Fn(u64) -> Option<u64>,
    ) -> Result<()> {
        let wrong = |what: &str, from: u64| Error::State(format!("vcpu{vcpu}: {what}: frame {from:#x} is not usable"));
        let entries = self.get(GDT_ENTRIES);
        if entries > GDT_ENTRIES_MAX {
            return Err(Error::State(format!("vcpu{vcpu}: {entries} GDT entries; at most {GDT_ENTRIES_MAX} expected")));
        }
        for i in 0..entries.div_ceil(GDT_ENTRIES_PER_FRAME) as usize {
            let from = self.get(GDT_FRAMES + i * 8);
            self.set(GDT_FRAMES + i * 8, frame(from).ok_or_else(|| wrong("GDT", from))?);
        }
        let kernel = self.get(CONTROL + 3 * 8) >> 12;
        self.set(CONTROL + 3 * 8, table_root(kernel).ok_or_else(|| wrong("cr3", kernel))? << 12);
        Ok(())
    }

    /// The root of the programs' page tables, where the guest has one of its own; on the way out bit 0 marks it.
    pub(super) fn user_root(&self) -> u64 {
        self.get(CONTROL + 8)
    }

    pub(super) fn set_user_root(&mut self, value: u64) {
        self.set(CONTROL + 8, value);
    }

    /// Where the guest's start info page is: a suspended guest holds it in rdx of its first vCPU.
    pub(super) fn start_info(&self) -> u64 {
        self.get(RDX)
    }

    pub(super) fn set_start_info(&mut self, frame: u64) {
        self.set(RDX, frame);
    }

    pub(super) fn set_online(&mut self) {
        self.set(FLAGS, self.get(FLAGS) | ONLINE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_that_of_the_stream() {
        // user_regs begins after 512 bytes of FPU state and the flags; rdx is its 13th register.
        assert_eq!(RDX, 512 + 8 + 12 * 8);
    }

    #[test]
    fn frames_are_translated_and_foreign_ones_refused() {
        let mut context = VcpuContext(vec![0; size_of::<Context>()]);
        context.set(GDT_ENTRIES, 513);
        context.set(GDT_FRAMES, 7);
        context.set(GDT_FRAMES + 8, 8);
        context.set(CONTROL + 24, 9 << 12);
        context.translate(0, |f| Some(f + 100), |f| Some(f + 200)).unwrap();
        assert_eq!([GDT_FRAMES, GDT_FRAMES + 8, CONTROL + 24].map(|o| context.get(o)), [107, 108, 209 << 12]);
        assert!(context.translate(0, |_| None, Some).is_err());
        context.set(GDT_ENTRIES, u64::MAX);
        assert!(context.translate(0, Some, Some).is_err());
    }
}
