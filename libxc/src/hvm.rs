//! HVM and PVH domains: their parameters and the state of their virtual hardware
//! (xen/hvm/hvm_op.h, xen/hvm/params.h, xen/hvm/save.h).

#![allow(unsafe_code)]

use crate::buffer::{Buffer, plain};
use crate::hypercall::op;
use crate::{DomId, Result, Xc};
use xenctrl_sys as sys;

plain!(sys::xen_hvm_param);

/// A parameter of an HVM or PVH domain (`HVM_PARAM_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[allow(missing_docs, reason = "the names are those of xen/hvm/params.h")]
pub enum HvmParam {
    CallbackIrq = sys::HVM_PARAM_CALLBACK_IRQ,
    StorePfn = sys::HVM_PARAM_STORE_PFN,
    StoreEvtchn = sys::HVM_PARAM_STORE_EVTCHN,
    PaeEnabled = sys::HVM_PARAM_PAE_ENABLED,
    IoreqPfn = sys::HVM_PARAM_IOREQ_PFN,
    BufioreqPfn = sys::HVM_PARAM_BUFIOREQ_PFN,
    Viridian = sys::HVM_PARAM_VIRIDIAN,
    TimerMode = sys::HVM_PARAM_TIMER_MODE,
    HpetEnabled = sys::HVM_PARAM_HPET_ENABLED,
    IdentPt = sys::HVM_PARAM_IDENT_PT,
    AcpiSState = sys::HVM_PARAM_ACPI_S_STATE,
    Vm86Tss = sys::HVM_PARAM_VM86_TSS,
    VptAlign = sys::HVM_PARAM_VPT_ALIGN,
    ConsolePfn = sys::HVM_PARAM_CONSOLE_PFN,
    ConsoleEvtchn = sys::HVM_PARAM_CONSOLE_EVTCHN,
    AcpiIoportsLocation = sys::HVM_PARAM_ACPI_IOPORTS_LOCATION,
    PagingRingPfn = sys::HVM_PARAM_PAGING_RING_PFN,
    MonitorRingPfn = sys::HVM_PARAM_MONITOR_RING_PFN,
    SharingRingPfn = sys::HVM_PARAM_SHARING_RING_PFN,
    Triplefault = sys::HVM_PARAM_TRIPLE_FAULT_REASON,
    IoreqServerPfn = sys::HVM_PARAM_IOREQ_SERVER_PFN,
    NrIoreqServerPages = sys::HVM_PARAM_NR_IOREQ_SERVER_PAGES,
    VmGenerationIdAddr = sys::HVM_PARAM_VM_GENERATION_ID_ADDR,
    Altp2m = sys::HVM_PARAM_ALTP2M,
    X87FipWidth = sys::HVM_PARAM_X87_FIP_WIDTH,
    Vm86TssSized = sys::HVM_PARAM_VM86_TSS_SIZED,
    McaCap = sys::HVM_PARAM_MCA_CAP,
}

impl Xc {
    /// Sets a parameter.
    pub fn set_hvm_param(&self, domid: DomId, param: HvmParam, value: u64) -> Result<()> {
        let mut args = sys::xen_hvm_param { domid: domid.0, pad: 0, index: param as u32, value };
        // SAFETY: the structure of this operation; no address in it.
        unsafe { self.structure_op(sys::__HYPERVISOR_hvm_op, op!(HVMOP_set_param), Some(domid), &mut args) }.map(drop)
    }

    /// The value of a parameter.
    pub fn hvm_param(&self, domid: DomId, param: HvmParam) -> Result<u64> {
        let mut args = sys::xen_hvm_param { domid: domid.0, pad: 0, index: param as u32, value: 0 };
        // SAFETY: the structure of this operation; no address in it.
        unsafe { self.structure_op(sys::__HYPERVISOR_hvm_op, op!(HVMOP_get_param), Some(domid), &mut args)? };
        Ok(args.value)
    }

    /// The state of a domain's virtual hardware: records as xen/hvm/save.h has them.
    pub fn hvm_context(&self, domid: DomId) -> Result<Vec<u8>> {
        let op = op!(XEN_DOMCTL_gethvmcontext);
        // SAFETY: with a null buffer Xen only tells the size.
        let wanted = unsafe { self.domctl_with(op, domid, sys::xen_domctl_hvmcontext::default())? };
        let buffer = Buffer::zeroed(self, wanted.size as usize)?;
        // SAFETY: `buffer` lives through the call and is as long as it says.
        let done = unsafe { self.domctl_with(op, domid, hvm_context_args(&buffer))? };
        Ok(buffer.iter().copied().take(done.size as usize).collect())
    }

    /// Sets the state of a domain's virtual hardware.
    pub fn set_hvm_context(&self, domid: DomId, records: &[u8]) -> Result<()> {
        let buffer = Buffer::of(self, records)?;
        // SAFETY: `buffer` lives through the call and is as long as it says.
        unsafe { self.domctl_with(op!(XEN_DOMCTL_sethvmcontext), domid, hvm_context_args(&buffer)) }.map(drop)
    }
}

fn hvm_context_args(buffer: &Buffer<'_, u8>) -> sys::xen_domctl_hvmcontext {
    sys::xen_domctl_hvmcontext { size: buffer.len() as u32, buffer: sys::__guest_handle_uint8 { p: buffer.as_ptr() } }
}
