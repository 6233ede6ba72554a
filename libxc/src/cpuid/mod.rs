//! The processor that a domain sees: CPUID leaves and model-specific registers (`XEN_SYSCTL_get_cpu_policy`,
//! `XEN_DOMCTL_get_cpu_policy`, `XEN_DOMCTL_set_cpu_policy`).
//!
//! Xen has a policy of the host and a default one for each kind of domain. A new domain starts with the default;
//! the toolstack edits it ([`policy`]) and Xen checks the outcome against what the host can do.

#![allow(unsafe_code)]

mod policy;

pub use policy::{Container, CpuidPolicy, LeafOverride, MsrOverride, MsrPolicy, NO_SUBLEAF, Settings};

use crate::buffer::{Buffer, plain};
use crate::hypercall::op;
use crate::{DomId, Error, Result, Xc};
use xenctrl_sys as sys;

plain!(sys::xen_cpuid_leaf, sys::xen_msr_entry);

/// A leaf of CPUID (`xen_cpuid_leaf_t`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuidLeaf {
    /// The leaf (eax of the request).
    pub leaf: u32,
    /// The subleaf (ecx of the request); [`NO_SUBLEAF`] where the leaf has none.
    pub subleaf: u32,
    /// eax, ebx, ecx, edx of the answer.
    pub registers: [u32; 4],
}

/// A model-specific register (`xen_msr_entry_t`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsrEntry {
    /// Which register.
    pub index: u32,
    /// Reserved by Xen; kept as it came.
    pub flags: u32,
    /// Its value.
    pub value: u64,
}

/// The policies that Xen has beside those of domains (`XEN_SYSCTL_cpu_policy_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum SystemPolicy {
    /// What Xen itself uses.
    Host = sys::XEN_SYSCTL_cpu_policy_host,
    /// The most that a PV domain can have.
    PvMax = sys::XEN_SYSCTL_cpu_policy_pv_max,
    /// The most that an HVM or PVH domain can have.
    HvmMax = sys::XEN_SYSCTL_cpu_policy_hvm_max,
    /// What a PV domain starts with.
    PvDefault = sys::XEN_SYSCTL_cpu_policy_pv_default,
    /// What an HVM or PVH domain starts with.
    HvmDefault = sys::XEN_SYSCTL_cpu_policy_hvm_default,
}

impl SystemPolicy {
    /// What a new domain starts with.
    pub fn default_of(container: Container) -> SystemPolicy {
        match container {
            Container::Pv => SystemPolicy::PvDefault,
            Container::Hvm => SystemPolicy::HvmDefault,
        }
    }
}

/// A whole policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuPolicy {
    /// The CPUID leaves, in order.
    pub cpuid: CpuidPolicy,
    /// The model-specific registers, in order.
    pub msrs: MsrPolicy,
}

impl Xc {
    /// Gives a new domain its processor: the default of its kind with the configuration's settings, then with its
    /// single leaves and registers.
    pub fn apply_cpu_policy(
        &self,
        domid: DomId,
        container: Container,
        settings: Settings,
        leaves: &[LeafOverride<'_>],
        msrs: &[MsrOverride<'_>],
    ) -> Result<()> {
        let host = self.system_cpu_policy(SystemPolicy::Host)?;
        let default = self.system_cpu_policy(SystemPolicy::default_of(container))?;
        let mut cpuid = default.cpuid.clone();
        cpuid.apply(&host.cpuid, container, settings);
        self.set_cpu_policy(domid, &CpuPolicy { cpuid, msrs: MsrPolicy::default() })?;
        if leaves.is_empty() && msrs.is_empty() {
            return Ok(());
        }

        // Xen has made its own changes by now.
        let CpuPolicy { mut cpuid, msrs: mut registers } = self.domain_cpu_policy(domid)?;
        for leaf in leaves {
            leaf.apply(&mut cpuid, &default.cpuid, &host.cpuid)?;
        }
        for msr in msrs {
            msr.apply(&mut registers, &default.msrs, &host.msrs)?;
        }
        self.set_cpu_policy(domid, &CpuPolicy { cpuid, msrs: registers })
    }

    /// A policy of the host's.
    pub fn system_cpu_policy(&self, which: SystemPolicy) -> Result<CpuPolicy> {
        let room = self.policy_room()?;
        let args = sys::xen_sysctl_cpu_policy {
            index: which as u32,
            nr_leaves: room.leaves.len() as u32,
            nr_msrs: room.msrs.len() as u32,
            leaves: room.leaves_handle(),
            msrs: room.msrs_handle(),
            ..Default::default()
        };
        // SAFETY: both buffers live through the call and are as long as they say.
        let done = unsafe { self.sysctl_with(op!(XEN_SYSCTL_get_cpu_policy), args)? };
        room.read(done.nr_leaves, done.nr_msrs)
    }

    /// A domain's current policy.
    pub fn domain_cpu_policy(&self, domid: DomId) -> Result<CpuPolicy> {
        let room = self.policy_room()?;
        let args = sys::xen_domctl_cpu_policy {
            nr_leaves: room.leaves.len() as u32,
            nr_msrs: room.msrs.len() as u32,
            leaves: room.leaves_handle(),
            msrs: room.msrs_handle(),
            ..Default::default()
        };
        // SAFETY: both buffers live through the call and are as long as they say.
        let done = unsafe { self.domctl_with(op!(XEN_DOMCTL_get_cpu_policy), domid, args)? };
        room.read(done.nr_leaves, done.nr_msrs)
    }

    /// Sets leaves and registers of a domain that has not run yet; those not given stay as they are.
    ///
    /// # Errors
    /// What Xen objects to is named, if Xen tells it.
    pub fn set_cpu_policy(&self, domid: DomId, policy: &CpuPolicy) -> Result<()> {
        let CpuPolicy { cpuid, msrs } = policy;
        let room = Room {
            leaves: Buffer::of(self, &cpuid.0.iter().map(leaf_to_xen).collect::<Vec<_>>())?,
            msrs: Buffer::of(self, &msrs.0.iter().map(msr_to_xen).collect::<Vec<_>>())?,
        };
        let args = sys::xen_domctl_cpu_policy {
            nr_leaves: room.leaves.len() as u32,
            nr_msrs: room.msrs.len() as u32,
            leaves: room.leaves_handle(),
            msrs: room.msrs_handle(),
            err_leaf: NOTHING,
            err_subleaf: NOTHING,
            err_msr: NOTHING,
        };
        // SAFETY: both buffers live through the call and are as long as they say.
        let (done, outcome) = unsafe { self.domctl_told(op!(XEN_DOMCTL_set_cpu_policy), domid, args)? };
        outcome.map_err(|error| refused(error, &done))
    }

    /// Buffers for any policy of this Xen.
    fn policy_room(&self) -> Result<Room<'_>> {
        // With no buffers the answer is the most that there can be.
        // SAFETY: no addresses.
        let most = unsafe { self.sysctl_with(op!(XEN_SYSCTL_get_cpu_policy), sys::xen_sysctl_cpu_policy::default())? };
        Ok(Room {
            leaves: Buffer::zeroed(self, most.nr_leaves as usize)?,
            msrs: Buffer::zeroed(self, most.nr_msrs as usize)?,
        })
    }
}

/// The mark for "no objection" in the error fields of a set call.
const NOTHING: u32 = u32::MAX;

/// A refusal with what Xen objects to.
fn refused(error: Error, told: &sys::xen_domctl_cpu_policy) -> Error {
    let what = match (told.err_leaf, told.err_subleaf, told.err_msr) {
        (NOTHING, _, NOTHING) => return error,
        (NOTHING, _, msr) => format!("MSR {msr:#x}"),
        (leaf, NOTHING, _) => format!("CPUID leaf {leaf:#x}"),
        (leaf, subleaf, _) => format!("CPUID leaf {leaf:#x}, subleaf {subleaf:#x}"),
    };
    Error::Invalid(format!("{what}: Xen refuses the value: {error}"))
}

/// Buffers for a policy.
struct Room<'xc> {
    leaves: Buffer<'xc, sys::xen_cpuid_leaf>,
    msrs: Buffer<'xc, sys::xen_msr_entry>,
}

impl Room<'_> {
    fn leaves_handle(&self) -> sys::__guest_handle_xen_cpuid_leaf_t {
        sys::__guest_handle_xen_cpuid_leaf_t { p: self.leaves.as_ptr() }
    }

    fn msrs_handle(&self) -> sys::__guest_handle_xen_msr_entry_t {
        sys::__guest_handle_xen_msr_entry_t { p: self.msrs.as_ptr() }
    }

    /// The entries that Xen has written.
    fn read(&self, leaves: u32, msrs: u32) -> Result<CpuPolicy> {
        let (leaves, msrs) =
            self.leaves.get(..leaves as usize).zip(self.msrs.get(..msrs as usize)).ok_or_else(|| {
                Error::Invalid(format!(
                    "CPU policy: Xen tells {leaves} leaves and {msrs} MSRs, more than there is room for"
                ))
            })?;
        Ok(CpuPolicy {
            cpuid: CpuidPolicy(leaves.iter().map(leaf_from_xen).collect()),
            msrs: MsrPolicy(msrs.iter().map(msr_from_xen).collect()),
        })
    }
}

fn leaf_from_xen(raw: &sys::xen_cpuid_leaf) -> CpuidLeaf {
    CpuidLeaf { leaf: raw.leaf, subleaf: raw.subleaf, registers: [raw.a, raw.b, raw.c, raw.d] }
}

fn leaf_to_xen(leaf: &CpuidLeaf) -> sys::xen_cpuid_leaf {
    let [a, b, c, d] = leaf.registers;
    sys::xen_cpuid_leaf { leaf: leaf.leaf, subleaf: leaf.subleaf, a, b, c, d }
}

fn msr_from_xen(raw: &sys::xen_msr_entry) -> MsrEntry {
    MsrEntry { index: raw.idx, flags: raw.flags, value: raw.val }
}

fn msr_to_xen(msr: &MsrEntry) -> sys::xen_msr_entry {
    sys::xen_msr_entry { idx: msr.index, flags: msr.flags, val: msr.value }
}
