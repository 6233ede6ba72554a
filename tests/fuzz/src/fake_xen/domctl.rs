//! What is asked about the domain and told it.

use super::{DOMID, FIRST_MFN, Fake, SHARED_INFO, VCPUS};
use std::ffi::c_int;
use xenctrl_sys as sys;

impl Fake {
    /// Answers in place, or with an errno.
    pub(super) fn domctl(&mut self, control: &mut sys::xen_domctl) -> Result<(), c_int> {
        assert_eq!((control.domain, control.interface_version), (DOMID, sys::XEN_DOMCTL_INTERFACE_VERSION));
        match control.cmd {
            sys::XEN_DOMCTL_getdomaininfo => {
                let suspended = sys::XEN_DOMINF_shutdown | sys::SHUTDOWN_suspend << sys::XEN_DOMINF_shutdownshift;
                control.u.getdomaininfo = sys::xen_domctl_getdomaininfo {
                    domain: DOMID,
                    flags: if self.hvm { sys::XEN_DOMINF_hvm_guest } else { 0 }
                        | if self.suspended { suspended } else { 0 },
                    tot_pages: self.frames.len() as u64,
                    shared_info_frame: SHARED_INFO,
                    max_vcpu_id: VCPUS - 1,
                    ..Default::default()
                };
            }
            sys::XEN_DOMCTL_get_address_size => control.u.address_size.size = 64,
            sys::XEN_DOMCTL_settscinfo => {}
            sys::XEN_DOMCTL_set_cpu_policy => {
                // SAFETY: the member of this operation.
                let policy = unsafe { control.u.cpu_policy };
                // SAFETY: the caller has so many of each.
                unsafe {
                    look_at(policy.leaves.p, policy.nr_leaves as usize);
                    look_at(policy.msrs.p, policy.nr_msrs as usize);
                }
            }
            sys::XEN_DOMCTL_sethvmcontext if self.hvm => {
                // SAFETY: the member of this operation, whose buffer is as long as it says.
                unsafe { look_at(control.u.hvmcontext.buffer.p, control.u.hvmcontext.size as usize) };
            }
            sys::XEN_DOMCTL_setvcpucontext if !self.hvm => {
                // SAFETY: the member of this operation.
                let args = unsafe { control.u.vcpucontext };
                self.vcpu(args.vcpu)?;
                // SAFETY: the caller has a whole context there.
                let context = unsafe { args.ctxt.p.cast::<sys::vcpu_guest_context>().read_unaligned() };
                let root = context.ctrlreg[3] >> 12;
                assert!(self.frames.contains_key(&root), "vcpu{}: the root {root:#x} is not the domain's", args.vcpu);
            }
            sys::XEN_DOMCTL_set_ext_vcpucontext if !self.hvm => {
                // SAFETY: the member of this operation.
                self.vcpu(unsafe { control.u.ext_vcpucontext.vcpu })?;
            }
            sys::XEN_DOMCTL_setvcpuextstate if !self.hvm => {
                // SAFETY: the member of this operation.
                let args = unsafe { control.u.vcpuextstate };
                self.vcpu(args.vcpu)?;
                // SAFETY: its buffer is as long as it says.
                unsafe { look_at(args.buffer.p.cast::<u8>(), args.size as usize) };
            }
            sys::XEN_DOMCTL_set_vcpu_msrs if !self.hvm => {
                // SAFETY: the member of this operation.
                let args = unsafe { control.u.vcpu_msrs };
                self.vcpu(args.vcpu)?;
                // SAFETY: its buffer is as long as it says.
                unsafe { look_at(args.msrs.p, args.msr_count as usize) };
            }
            _ => return self.domctl_of_save(control),
        }
        Ok(())
    }

    /// What only a save asks.
    fn domctl_of_save(&mut self, control: &mut sys::xen_domctl) -> Result<(), c_int> {
        match control.cmd {
            sys::XEN_DOMCTL_gettscinfo => control.u.tsc_info = sys::xen_domctl_tsc_info::default(),
            sys::XEN_DOMCTL_get_cpu_policy => {
                // SAFETY: the member of this operation.
                let args = unsafe { &mut control.u.cpu_policy };
                (args.nr_leaves, args.nr_msrs) = (args.nr_leaves.min(1), 0);
            }
            sys::XEN_DOMCTL_getpageframeinfo3 => {
                // SAFETY: the member of this operation, whose array is as long as it says.
                let frames = unsafe {
                    let args = control.u.getpageframeinfo3;
                    std::slice::from_raw_parts_mut(args.array.p, args.num as usize)
                };
                frames
                    .iter_mut()
                    .for_each(|frame| *frame = self.page_type(*frame) << sys::XEN_DOMCTL_PFINFO_LTAB_SHIFT);
            }
            sys::XEN_DOMCTL_shadow_op => {
                // SAFETY: the member of this operation.
                self.shadow_op(unsafe { &mut control.u.shadow_op })?;
            }
            sys::XEN_DOMCTL_getvcpuinfo => {
                // SAFETY: the member of this operation.
                let vcpu = unsafe { control.u.getvcpuinfo.vcpu };
                self.vcpu(vcpu)?;
                control.u.getvcpuinfo = sys::xen_domctl_getvcpuinfo { vcpu, online: 1, ..Default::default() };
            }
            sys::XEN_DOMCTL_getvcpucontext if !self.hvm => {
                // SAFETY: the member of this operation.
                let args = unsafe { control.u.vcpucontext };
                self.vcpu(args.vcpu)?;
                let size = size_of::<sys::vcpu_guest_context>().min(self.state.context.len());
                // SAFETY: the caller has room for a whole context.
                unsafe { self.state.context.as_ptr().copy_to_nonoverlapping(args.ctxt.p.cast(), size) };
            }
            sys::XEN_DOMCTL_get_ext_vcpucontext if !self.hvm => {
                // SAFETY: the member of this operation.
                let vcpu = unsafe { control.u.ext_vcpucontext.vcpu };
                let size = size_of::<sys::xen_domctl_ext_vcpucontext>() as u32;
                control.u.ext_vcpucontext = sys::xen_domctl_ext_vcpucontext { vcpu, size, ..Default::default() };
            }
            sys::XEN_DOMCTL_getvcpuextstate if !self.hvm => {
                control.u.vcpuextstate = sys::xen_domctl_vcpuextstate::default();
            }
            sys::XEN_DOMCTL_get_vcpu_msrs if !self.hvm => control.u.vcpu_msrs = sys::xen_domctl_vcpu_msrs::default(),
            sys::XEN_DOMCTL_gethvmcontext if self.hvm => {
                // SAFETY: the member of this operation.
                let args = unsafe { &mut control.u.hvmcontext };
                let size =
                    self.state.context.len().min(if args.buffer.p.is_null() { usize::MAX } else { args.size as usize });
                if !args.buffer.p.is_null() {
                    // SAFETY: the caller's buffer is as long as it says.
                    unsafe { self.state.context.as_ptr().copy_to_nonoverlapping(args.buffer.p, size) };
                }
                args.size = size as u32;
            }
            other => panic!("domctl {other} of a domain that is saved or restored"),
        }
        Ok(())
    }

    /// What a frame is to the domain: nothing, if it is not the domain's.
    pub(super) fn page_type(&self, frame: u64) -> u64 {
        let first = if self.hvm { 0 } else { FIRST_MFN };
        match frame.checked_sub(first) {
            Some(index) if self.frames.contains_key(&frame) => {
                let kind = self.state.types.get(index as usize).map_or(0, |kind| kind & 0xf);
                // There are no pages of the types between.
                if (5..=8).contains(&kind) { 0 } else { kind.into() }
            }
            _ => 0xf,
        }
    }

    fn shadow_op(&mut self, args: &mut sys::xen_domctl_shadow_op) -> Result<(), c_int> {
        match (args.op, self.state.dirty) {
            (sys::XEN_DOMCTL_SHADOW_OP_OFF, _) => self.logs_dirty = false,
            (sys::XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, None) => return Err(libc::EOPNOTSUPP),
            (sys::XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, Some(_)) if self.logs_dirty => return Err(libc::EINVAL),
            (sys::XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, Some(_)) => self.logs_dirty = true,
            (sys::XEN_DOMCTL_SHADOW_OP_CLEAN, Some(pattern)) if self.logs_dirty => {
                // SAFETY: the caller's bitmap has a bit for each of so many pages.
                unsafe { args.dirty_bitmap.p.write_bytes(pattern, args.pages.div_ceil(8) as usize) };
                args.stats.dirty_count = args.pages as u32 / 8 * pattern.count_ones();
                // A guest that writes less and less.
                self.state.dirty = Some(pattern << 1);
            }
            other => panic!("shadow operation {other:?}"),
        }
        Ok(())
    }

    fn vcpu(&self, vcpu: u32) -> Result<(), c_int> {
        if vcpu < VCPUS { Ok(()) } else { Err(libc::EINVAL) }
    }
}

/// Reads all of it, as Xen does when it copies it in: what is not there ends the program.
///
/// # Safety
/// Xen would be told that so many values are there.
unsafe fn look_at<T: Copy>(start: *const T, count: usize) {
    for index in 0..count {
        // SAFETY: the caller's word.
        std::hint::black_box(unsafe { start.add(index).read_unaligned() });
    }
}
