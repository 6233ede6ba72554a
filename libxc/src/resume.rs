//! Letting a guest go on that has suspended and was not moved after all.

use crate::domain::{DomainFlags, ShutdownReason};
use crate::hvm::HvmParam;
use crate::{DomId, Error, Result, Xc};
use xenctrl_sys::cpu_user_regs as Registers;

/// What a guest's hypercall to suspend gives where the suspend was cancelled, so that it keeps its devices and rings
/// (`SCHEDOP_shutdown`, xen/sched.h).
const CANCELLED: u64 = 1;

impl Xc {
    /// Lets a suspended guest go on where it is, in the state that it suspended in: its hypercall gives 1
    /// (`xc_domain_resume` with `fast`).
    ///
    /// # Errors
    /// The domain is not suspended; it is a 32-bit PV guest.
    pub fn cancel_suspend(&self, domid: DomId) -> Result<()> {
        let info = self.domain(domid)?.filter(|info| info.shutdown_reason == Some(ShutdownReason::Suspend));
        let info = info.ok_or_else(|| Error::Invalid(format!("domain {domid} is not suspended")))?;
        // An HVM guest without PV drivers made no hypercall: Xen suspended it.
        let called = match info.flags.contains(DomainFlags::HVM) {
            true => self.hvm_param(domid, HvmParam::CallbackIrq)? != 0,
            false => true,
        };
        if called {
            self.set_hypercall_result(domid, CANCELLED, &info.flags)?;
        }
        self.resume_domain(domid)
    }

    fn set_hypercall_result(&self, domid: DomId, result: u64, flags: &DomainFlags) -> Result<()> {
        if !flags.contains(DomainFlags::HVM) && self.address_size(domid)? != 64 {
            return Err(Error::Invalid(format!("domain {domid}: resuming a 32-bit PV guest is not built yet")));
        }
        let mut context = self.pv_context(domid, 0)?;
        set_rax(&mut context.user_regs, result);
        self.set_pv_context(domid, 0, &context)
    }
}

/// The header names each register by both its 64-bit and its 32-bit name: a union.
fn set_rax(registers: &mut Registers, value: u64) {
    registers.__bindgen_anon_11.rax = value;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    #[test]
    fn rax_is_the_eleventh_register() {
        assert_eq!(offset_of!(Registers, __bindgen_anon_11), 10 * 8);
    }
}
