//! vCPUs: their number, state, affinity and registers (xen/domctl.h).

#![allow(unsafe_code)]

use crate::buffer::{Buffer, plain};
use crate::hypercall::op;
use crate::{DomId, Result, Xc};
use xenctrl_sys as sys;

/// The registers of a 64-bit PV vCPU (`vcpu_guest_context_t`, xen/arch-x86/xen.h).
pub use xenctrl_sys::vcpu_guest_context as PvContext;

plain!(sys::vcpu_guest_context);

/// A vCPU as `XEN_DOMCTL_getvcpuinfo` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VcpuInfo {
    /// The guest has it up.
    pub online: bool,
    /// It waits for an event.
    pub blocked: bool,
    /// It runs now.
    pub running: bool,
    /// Processor time it has had, ns.
    pub cpu_time: u64,
    /// The processor it runs on, or ran on last.
    pub cpu: u32,
}

/// Where a vCPU may run and would rather run: bit n % 8 of byte n / 8 is for processor n.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Affinity {
    /// Where it may run.
    pub hard: Vec<u8>,
    /// Where it would rather run.
    pub soft: Vec<u8>,
}

impl Xc {
    /// Allocates a domain's vCPUs: as many as it was created for.
    pub fn set_max_vcpus(&self, domid: DomId, max: u32) -> Result<()> {
        self.domctl(op!(XEN_DOMCTL_max_vcpus), domid, sys::xen_domctl_max_vcpus { max }).map(drop)
    }

    /// The state of a vCPU.
    pub fn vcpu(&self, domid: DomId, vcpu: u32) -> Result<VcpuInfo> {
        let args = sys::xen_domctl_getvcpuinfo { vcpu, ..Default::default() };
        let raw = self.domctl(op!(XEN_DOMCTL_getvcpuinfo), domid, args)?;
        Ok(VcpuInfo {
            online: raw.online != 0,
            blocked: raw.blocked != 0,
            running: raw.running != 0,
            cpu_time: raw.cpu_time,
            cpu: raw.cpu,
        })
    }

    /// Where a vCPU may run and would rather run: one hypercall.
    pub fn vcpu_affinity(&self, domid: DomId, vcpu: u32) -> Result<Affinity> {
        let bytes = self.cpumap_bytes()?;
        let hard = Buffer::zeroed(self, bytes)?;
        let soft = Buffer::zeroed(self, bytes)?;
        let args = sys::xen_domctl_vcpuaffinity {
            vcpu,
            flags: sys::XEN_VCPUAFFINITY_HARD | sys::XEN_VCPUAFFINITY_SOFT,
            cpumap_hard: hard.bitmap(),
            cpumap_soft: soft.bitmap(),
        };
        // SAFETY: both maps live through the call and are as long as they say.
        unsafe { self.domctl_with(op!(XEN_DOMCTL_getvcpuaffinity), domid, args)? };
        Ok(Affinity { hard: hard.to_vec(), soft: soft.to_vec() })
    }

    /// Sets where a vCPU may run (`hard`) and would rather run (`soft`), whichever is given. `force` also
    /// undoes a pinning that the domain made for itself. Gives what Xen made of it.
    pub fn set_vcpu_affinity(
        &self,
        domid: DomId,
        vcpu: u32,
        hard: Option<&[u8]>,
        soft: Option<&[u8]>,
        force: bool,
    ) -> Result<Affinity> {
        let hard_map = Buffer::of(self, hard.unwrap_or_default())?;
        let soft_map = Buffer::of(self, soft.unwrap_or_default())?;
        let flag = |wanted: bool, flag: u32| if wanted { flag } else { 0 };
        let args = sys::xen_domctl_vcpuaffinity {
            vcpu,
            flags: flag(hard.is_some(), sys::XEN_VCPUAFFINITY_HARD)
                | flag(soft.is_some(), sys::XEN_VCPUAFFINITY_SOFT)
                | flag(force, sys::XEN_VCPUAFFINITY_FORCE),
            cpumap_hard: hard_map.bitmap(),
            cpumap_soft: soft_map.bitmap(),
        };
        // SAFETY: both maps live through the call and are as long as they say.
        unsafe { self.domctl_with(op!(XEN_DOMCTL_setvcpuaffinity), domid, args)? };
        Ok(Affinity { hard: hard_map.to_vec(), soft: soft_map.to_vec() })
    }

    /// The registers of a vCPU of a 64-bit PV guest, or of a PVH or HVM guest.
    pub fn pv_context(&self, domid: DomId, vcpu: u32) -> Result<PvContext> {
        let context = Buffer::<PvContext>::zeroed(self, 1)?;
        let args = context_args(vcpu, &context);
        // SAFETY: `context` lives through the call; Xen fills in one.
        unsafe { self.domctl_with(op!(XEN_DOMCTL_getvcpucontext), domid, args)? };
        Ok(context[0])
    }

    /// Sets the registers of a vCPU of a 64-bit PV guest, or of a PVH or HVM guest.
    pub fn set_pv_context(&self, domid: DomId, vcpu: u32, context: &PvContext) -> Result<()> {
        let context = Buffer::of(self, std::slice::from_ref(context))?;
        let args = context_args(vcpu, &context);
        // SAFETY: `context` lives through the call; Xen reads one.
        unsafe { self.domctl_with(op!(XEN_DOMCTL_setvcpucontext), domid, args) }.map(drop)
    }
}

fn context_args(vcpu: u32, context: &Buffer<'_, PvContext>) -> sys::xen_domctl_vcpucontext {
    sys::xen_domctl_vcpucontext { vcpu, ctxt: sys::__guest_handle_vcpu_guest_context_t { p: context.as_ptr() } }
}
