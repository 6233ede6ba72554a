//! What only PV domains have: the table of machine frames, extended vCPU state, pinned page tables
//! (xen/memory.h, xen/domctl.h, xen/xen.h).

#![allow(unsafe_code)]

use crate::buffer::{Buffer, plain};
use crate::handle::xencall::xencall4;
use crate::hypercall::op;
use crate::types::PAGE_SIZE;
use crate::{DomId, Error, Mfn, Result, Xc};
use std::mem::offset_of;
use xenctrl_sys as sys;

plain!(sys::xen_machphys_mfn_list);

/// Bytes of the table of machine frames that one extent of `XENMEM_machphys_mfn_list` stands for.
const MACHPHYS_EXTENT: u64 = 2 << 20;
/// The most page tables that are pinned in one hypercall.
const PINS_AT_ONCE: usize = 1024;
/// The longest extended state that travels ([`Xc::extended_state`]).
pub const EXTENDED_STATE_MAX: usize = 128;

impl Xc {
    /// The frame after the highest of the host's memory (xen/memory.h calls it the highest, Xen gives one more).
    pub fn max_ram_page(&self) -> Result<Mfn> {
        // SAFETY: this operation takes no structure: what is passed is not looked at.
        unsafe { self.memory_op(op!(XENMEM_maximum_ram_page), None, &mut 0u64) }.map(Mfn)
    }

    /// The frames that hold Xen's table of machine frames, up to the entry before `end`. They are [`DomId::XEN`]'s.
    pub fn machphys_frames(&self, end: Mfn) -> Result<Vec<u64>> {
        let extents = end.0.saturating_mul(8).div_ceil(MACHPHYS_EXTENT) as usize;
        let starts = Buffer::<u64>::zeroed(self, extents)?;
        let mut args = sys::xen_machphys_mfn_list {
            max_extents: extents as u32,
            extent_start: sys::__guest_handle_xen_pfn_t { p: starts.as_ptr() },
            nr_extents: 0,
        };
        // SAFETY: the structure of this operation; `starts` has `max_extents` entries.
        unsafe { self.memory_op(op!(XENMEM_machphys_mfn_list), None, &mut args)? };
        if args.nr_extents as usize != extents {
            return Err(Error::Invalid(format!(
                "the table of machine frames has {} extents, not {extents}",
                args.nr_extents
            )));
        }
        let pages = MACHPHYS_EXTENT / PAGE_SIZE as u64;
        Ok(starts.iter().flat_map(|&start| start..start + pages).collect())
    }

    /// Bits of a PV domain's words: 32 or 64.
    pub fn address_size(&self, domid: DomId) -> Result<u32> {
        let args = sys::xen_domctl_address_size::default();
        self.domctl(op!(XEN_DOMCTL_get_address_size), domid, args).map(|done| done.size)
    }

    /// A vCPU's extended state as it travels: the front of `struct xen_domctl_ext_vcpucontext`.
    pub fn extended_state(&self, domid: DomId, vcpu: u32) -> Result<Vec<u8>> {
        let args = sys::xen_domctl_ext_vcpucontext { vcpu, ..Default::default() };
        // SAFETY: no address in the structure.
        let done = unsafe { self.domctl_with(op!(XEN_DOMCTL_get_ext_vcpucontext), domid, args)? };
        let mut bytes = Buffer::<u8>::of(self, &[0; EXTENDED_STATE_MAX])?;
        // SAFETY: the buffer is longer than the structure, which is plain numbers.
        unsafe { bytes.as_ptr().cast::<sys::xen_domctl_ext_vcpucontext>().write_unaligned(done) };
        let size = (done.size as usize).min(EXTENDED_STATE_MAX);
        Ok(bytes.get_mut(..size).map(|b| b.to_vec()).unwrap_or_default())
    }

    /// Gives a vCPU its extended state, whatever vCPU the bytes say they are of.
    pub fn set_extended_state(&self, domid: DomId, vcpu: u32, state: &[u8]) -> Result<()> {
        let mut args = sys::xen_domctl_ext_vcpucontext::default();
        let size = state.len().min(size_of_val(&args));
        // SAFETY: at most as many bytes as the structure has, which is plain numbers.
        unsafe { (&raw mut args).cast::<u8>().copy_from_nonoverlapping(state.as_ptr(), size) };
        args.vcpu = vcpu;
        // SAFETY: no address in the structure.
        unsafe { self.domctl_with(op!(XEN_DOMCTL_set_ext_vcpucontext), domid, args) }.map(drop)
    }

    /// A vCPU's XSAVE area as it travels; empty where the host has none.
    pub fn xsave_state(&self, domid: DomId, vcpu: u32) -> Result<Vec<u8>> {
        let op = op!(XEN_DOMCTL_getvcpuextstate);
        let args = sys::xen_domctl_vcpuextstate { vcpu, ..Default::default() };
        // SAFETY: with a null buffer Xen only tells the size.
        let wanted = unsafe { self.domctl_with(op, domid, args)? };
        if wanted.xfeature_mask == 0 {
            return Ok(Vec::new());
        }
        let buffer = Buffer::<u64>::zeroed(self, (wanted.size as usize).div_ceil(8))?;
        // SAFETY: the buffer lives through the call and is as long as it says.
        let done = unsafe { self.domctl_with(op, domid, xsave_args(vcpu, wanted, &buffer))? };
        Ok(buffer.iter().flat_map(|word| word.to_le_bytes()).take(done.size as usize).collect())
    }

    /// Gives a vCPU its XSAVE area.
    pub fn set_xsave_state(&self, domid: DomId, vcpu: u32, state: &[u8]) -> Result<()> {
        let mut buffer = Buffer::<u64>::zeroed(self, state.len().div_ceil(8))?;
        for (word, bytes) in buffer.iter_mut().zip(state.chunks(8)) {
            let mut whole = [0; 8];
            whole[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_le_bytes(whole);
        }
        let size = sys::xen_domctl_vcpuextstate { size: state.len() as u64, ..Default::default() };
        // SAFETY: the buffer lives through the call and is as long as it says.
        unsafe { self.domctl_with(op!(XEN_DOMCTL_setvcpuextstate), domid, xsave_args(vcpu, size, &buffer)) }.map(drop)
    }

    /// A vCPU's model-specific registers as they travel; empty where it has none of its own.
    pub fn vcpu_msrs(&self, domid: DomId, vcpu: u32) -> Result<Vec<u8>> {
        let op = op!(XEN_DOMCTL_get_vcpu_msrs);
        let args = sys::xen_domctl_vcpu_msrs { vcpu, ..Default::default() };
        // SAFETY: with a null buffer Xen only tells the count.
        let count = unsafe { self.domctl_with(op, domid, args)? }.msr_count;
        if count == 0 {
            return Ok(Vec::new());
        }
        let buffer = Buffer::<u8>::zeroed(self, count as usize * size_of::<sys::xen_domctl_vcpu_msr_t>())?;
        // SAFETY: the buffer lives through the call and has room for `count`.
        let done = unsafe { self.domctl_with(op, domid, msr_args(vcpu, count, &buffer))? };
        let size = done.msr_count as usize * size_of::<sys::xen_domctl_vcpu_msr_t>();
        Ok(buffer.iter().copied().take(size).collect())
    }

    /// Gives a vCPU its model-specific registers.
    pub fn set_vcpu_msrs(&self, domid: DomId, vcpu: u32, state: &[u8]) -> Result<()> {
        let buffer = Buffer::of(self, state)?;
        let count = (state.len() / size_of::<sys::xen_domctl_vcpu_msr_t>()) as u32;
        // SAFETY: the buffer lives through the call and holds `count`.
        unsafe { self.domctl_with(op!(XEN_DOMCTL_set_vcpu_msrs), domid, msr_args(vcpu, count, &buffer)) }.map(drop)
    }

    /// The registers of a 64-bit vCPU as they travel.
    pub fn pv_context_bytes(&self, domid: DomId, vcpu: u32) -> Result<Vec<u8>> {
        let buffer = Buffer::<u8>::zeroed(self, size_of::<sys::vcpu_guest_context>())?;
        // SAFETY: the buffer lives through the call and has room for one context.
        unsafe { self.domctl_with(op!(XEN_DOMCTL_getvcpucontext), domid, context_args(vcpu, &buffer))? };
        Ok(buffer.to_vec())
    }

    /// Gives a 64-bit vCPU its registers.
    pub fn set_pv_context_bytes(&self, domid: DomId, vcpu: u32, context: &[u8]) -> Result<()> {
        if context.len() != size_of::<sys::vcpu_guest_context>() {
            return Err(Error::Invalid(format!("vcpu{vcpu}: registers of {} bytes", context.len())));
        }
        let buffer = Buffer::of(self, context)?;
        // SAFETY: the buffer lives through the call and holds one context.
        unsafe { self.domctl_with(op!(XEN_DOMCTL_setvcpucontext), domid, context_args(vcpu, &buffer)) }.map(drop)
    }

    /// Pins page tables of a PV domain: the level (1 to 4) and frame of each.
    pub fn pin_tables(&self, domid: DomId, tables: &[(u8, Mfn)]) -> Result<()> {
        for tables in tables.chunks(PINS_AT_ONCE) {
            let pins: Vec<_> = tables
                .iter()
                .map(|&(level, frame)| sys::mmuext_op {
                    cmd: sys::MMUEXT_PIN_L1_TABLE + u32::from(level.clamp(1, 4)) - 1,
                    arg1: sys::mmuext_op__bindgen_ty_1 { mfn: frame.0 },
                    arg2: sys::mmuext_op__bindgen_ty_2::default(),
                })
                .collect();
            let pins = Buffer::of(self, &pins)?;
            let (hypercall, done) = (sys::__HYPERVISOR_mmuext_op, 0);
            // SAFETY: `pins` has as many operations as told; a null `done` is not filled in.
            let rc = unsafe { xencall4(self.call(), hypercall, pins.arg(), pins.len() as u64, done, domid.0.into()) };
            if rc < 0 {
                return Err(Error::last("MMUEXT_PIN_TABLE", Some(domid)));
            }
        }
        Ok(())
    }
}

fn xsave_args(vcpu: u32, size: sys::xen_domctl_vcpuextstate, buffer: &Buffer<'_, u64>) -> sys::xen_domctl_vcpuextstate {
    sys::xen_domctl_vcpuextstate { vcpu, buffer: sys::__guest_handle_uint64 { p: buffer.as_ptr() }, ..size }
}

fn msr_args(vcpu: u32, msr_count: u32, buffer: &Buffer<'_, u8>) -> sys::xen_domctl_vcpu_msrs {
    let msrs = sys::__guest_handle_xen_domctl_vcpu_msr_t { p: buffer.as_ptr().cast() };
    sys::xen_domctl_vcpu_msrs { vcpu, msr_count, msrs }
}

fn context_args(vcpu: u32, buffer: &Buffer<'_, u8>) -> sys::xen_domctl_vcpucontext {
    let ctxt = sys::__guest_handle_vcpu_guest_context_t { p: buffer.as_ptr().cast() };
    sys::xen_domctl_vcpucontext { vcpu, ctxt }
}

/// Places in the page that Xen shares with a 64-bit guest (`struct shared_info`).
pub mod shared_info {
    use super::{offset_of, sys};

    /// The state of each of the first 32 vCPUs' events.
    pub const VCPU_INFO: usize = offset_of!(sys::shared_info, vcpu_info);
    /// Bytes of one of them.
    pub const VCPU_INFO_SIZE: usize = size_of::<sys::vcpu_info>();
    /// How many there are.
    pub const VCPU_INFO_COUNT: usize = sys::XEN_LEGACY_MAX_VCPUS as usize;
    /// In each: which words of the pending events to look at.
    pub const PENDING_SELECTOR: usize = offset_of!(sys::vcpu_info, evtchn_pending_sel);
    /// The pending events.
    pub const EVENTS_PENDING: usize = offset_of!(sys::shared_info, evtchn_pending);
    /// The masked events.
    pub const EVENTS_MASKED: usize = offset_of!(sys::shared_info, evtchn_mask);
    /// Bytes of either.
    pub const EVENTS_SIZE: usize = size_of::<[sys::xen_ulong_t; 64]>();
    /// What is of x86 alone.
    pub const ARCH: usize = offset_of!(sys::shared_info, arch);
    /// Its bytes.
    pub const ARCH_SIZE: usize = size_of::<sys::arch_shared_info>();
    /// Pages of the guest's p2m.
    pub const MAX_PFN: usize = ARCH + offset_of!(sys::arch_shared_info, max_pfn);
    /// The root of the p2m as a tree of frames.
    pub const FRAME_LIST_LIST: usize = ARCH + offset_of!(sys::arch_shared_info, pfn_to_mfn_frame_list_list);
    /// The root of the page tables through which the guest sees its p2m as a list; 0 where it has none.
    pub const P2M_CR3: usize = ARCH + offset_of!(sys::arch_shared_info, p2m_cr3);
    /// Where it sees it.
    pub const P2M_VADDR: usize = ARCH + offset_of!(sys::arch_shared_info, p2m_vaddr);
    /// Counts its changes.
    pub const P2M_GENERATION: usize = ARCH + offset_of!(sys::arch_shared_info, p2m_generation);
}

/// Places in the page that a 64-bit PV guest starts with (`struct start_info`).
pub mod start_info {
    use super::{offset_of, sys};

    /// Pages of the guest.
    pub const NR_PAGES: usize = offset_of!(sys::start_info, nr_pages);
    /// The machine address of the shared info page.
    pub const SHARED_INFO: usize = offset_of!(sys::start_info, shared_info);
    /// `SIF_*`, 32 bits.
    pub const FLAGS: usize = offset_of!(sys::start_info, flags);
    /// The page of the ring to xenstored.
    pub const STORE_MFN: usize = offset_of!(sys::start_info, store_mfn);
    /// The port to xenstored, 32 bits.
    pub const STORE_PORT: usize = offset_of!(sys::start_info, store_evtchn);
    /// The page of the console's ring.
    pub const CONSOLE_MFN: usize = offset_of!(sys::start_info, console);
    /// The port to the console, 32 bits.
    pub const CONSOLE_PORT: usize = CONSOLE_MFN + 8;
}

/// The state that leaves and enters is plain bytes.
const _: () = assert!(size_of::<sys::xen_domctl_ext_vcpucontext>() <= EXTENDED_STATE_MAX);
