//! What only HVM and PVH guests have in a stream.

use super::{During, Error, Restored, Result};
use crate::foreign::Protection;
use crate::hvm::HvmParam;
use crate::stream::RecordType;
use crate::stream::x86::{self, encode_cpuid_policy, encode_hvm_params, encode_msr_policy};
use crate::types::PAGE_SIZE;
use crate::{DomId, Gfn, Xc};

/// The parameters that travel, in the order that stock libxc writes them.
const PARAMS: [HvmParam; 16] = [
    HvmParam::StorePfn,
    HvmParam::IoreqPfn,
    HvmParam::BufioreqPfn,
    HvmParam::PagingRingPfn,
    HvmParam::MonitorRingPfn,
    HvmParam::SharingRingPfn,
    HvmParam::Vm86TssSized,
    HvmParam::ConsolePfn,
    HvmParam::AcpiIoportsLocation,
    HvmParam::Viridian,
    HvmParam::IdentPt,
    HvmParam::VmGenerationIdAddr,
    HvmParam::IoreqServerPfn,
    HvmParam::NrIoreqServerPages,
    HvmParam::X87FipWidth,
    HvmParam::McaCap,
];

/// The records at the end: the virtual hardware, and the parameters that are set.
pub(super) fn end_records(xc: &Xc, domid: DomId) -> Result<Vec<(RecordType, Vec<u8>)>> {
    let context = xc.hvm_context(domid).during("reading the state of the virtual hardware")?;
    let mut set = Vec::with_capacity(PARAMS.len());
    for param in PARAMS {
        let value = xc.hvm_param(domid, param).during("reading an HVM parameter")?;
        if value != 0 {
            set.push(x86::HvmParam { index: u64::from(param as u32), value });
        }
    }
    let mut records = vec![(RecordType::HvmContext, context)];
    if !set.is_empty() {
        records.push((RecordType::HvmParams, encode_hvm_params(&set)));
    }
    Ok(records)
}

/// The CPUID leaves and model-specific registers that the guest sees; a kind without entries is left out.
pub(super) fn policy_records(xc: &Xc, domid: DomId) -> Result<Vec<(RecordType, Vec<u8>)>> {
    let policy = xc.domain_cpu_policy(domid).during("reading the guest's CPU policy")?;
    let records = [
        (RecordType::CpuidPolicy, encode_cpuid_policy(&policy.cpuid.0)),
        (RecordType::MsrPolicy, encode_msr_policy(&policy.msrs.0)),
    ];
    Ok(records.into_iter().filter(|(_, body)| !body.is_empty()).collect())
}

/// The parameters that a stream may hold: converted ones have the older form of the TSS's place.
const RESTORED: [HvmParam; 17] = {
    let mut all = [HvmParam::Vm86Tss; 17];
    let mut i = 0;
    while i < PARAMS.len() {
        all[i] = PARAMS[i];
        i += 1;
    }
    all
};

/// A parameter that toolstacks before 4.14 sent to themselves; Xen no longer takes it.
const PAE_ENABLED: u64 = HvmParam::PaeEnabled as u64;

/// Sets a parameter of the stream. The pages of rings are emptied: what was in flight is gone.
pub(super) fn restore_param(xc: &Xc, domid: DomId, param: x86::HvmParam, restored: &mut Restored) -> Result<()> {
    let x86::HvmParam { index, value } = param;
    if index == PAE_ENABLED {
        return Ok(());
    }
    let Some(known) = RESTORED.into_iter().find(|&p| u64::from(p as u32) == index) else {
        return Err(Error::State(format!("HVM parameter {index} is not one that travels")));
    };
    match known {
        HvmParam::StorePfn => restored.store = Gfn(value),
        HvmParam::ConsolePfn => restored.console = Gfn(value),
        _ => {}
    }
    if matches!(known, HvmParam::StorePfn | HvmParam::ConsolePfn | HvmParam::IoreqPfn | HvmParam::BufioreqPfn) {
        let page = xc.map_foreign(domid, Protection::ReadWrite, &[value]).during("mapping a ring of the guest")?;
        page.zero(0, PAGE_SIZE).during("emptying a ring of the guest")?;
    }
    xc.set_hvm_param(domid, known, value).during("setting an HVM parameter")
}
