//! Schedulers: the host's, the parameters of each cpupool's, and the share that each domain has (xen/sysctl.h,
//! xen/domctl.h).

#![allow(unsafe_code)]

use crate::hypercall::op;
use crate::{DomId, Result, Xc};
use xenctrl_sys as sys;

/// Parameters of the credit scheduler of a cpupool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreditParams {
    /// Length of a time slice, ms.
    pub tslice_ms: u32,
    /// The least time that a vCPU runs, us.
    pub ratelimit_us: u32,
    /// How long a vCPU is taken to be warm in its processor's cache, us.
    pub vcpu_migr_delay_us: u32,
}

/// A share of the processors under the RTDS scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtdsShare {
    /// Length of a period, us.
    pub period: u32,
    /// Time within each period, us.
    pub budget: u32,
    /// May use idle time beyond its budget.
    pub extratime: bool,
}

impl RtdsShare {
    fn of(raw: sys::xen_domctl_sched_rtds) -> RtdsShare {
        let extratime = raw.flags & sys::XEN_DOMCTL_SCHEDRT_extra != 0;
        RtdsShare { period: raw.period, budget: raw.budget, extratime }
    }

    fn raw(self) -> sys::xen_domctl_sched_rtds {
        let flags = if self.extratime { sys::XEN_DOMCTL_SCHEDRT_extra } else { 0 };
        sys::xen_domctl_sched_rtds { period: self.period, budget: self.budget, flags }
    }
}

impl Xc {
    /// The scheduler of the host (`XEN_SCHEDULER_*`).
    pub fn scheduler(&self) -> Result<u32> {
        self.sysctl(op!(XEN_SYSCTL_sched_id), sys::xen_sysctl_sched_id::default()).map(|done| done.sched_id)
    }

    /// Parameters of the credit scheduler of a cpupool.
    pub fn credit_params(&self, pool: u32) -> Result<CreditParams> {
        let done = self.pool_scheduler_op(
            pool,
            sys::XEN_SCHEDULER_CREDIT,
            sys::XEN_SYSCTL_SCHEDOP_getinfo,
            Default::default(),
        )?;
        // SAFETY: any bytes are valid; this scheduler fills `sched_credit`.
        let raw = unsafe { done.sched_credit };
        Ok(CreditParams {
            tslice_ms: raw.tslice_ms,
            ratelimit_us: raw.ratelimit_us,
            vcpu_migr_delay_us: raw.vcpu_migr_delay_us,
        })
    }

    /// Sets the parameters of the credit scheduler of a cpupool.
    pub fn set_credit_params(&self, pool: u32, params: CreditParams) -> Result<()> {
        let sched_credit = sys::xen_sysctl_credit_schedule {
            tslice_ms: params.tslice_ms,
            ratelimit_us: params.ratelimit_us,
            vcpu_migr_delay_us: params.vcpu_migr_delay_us,
        };
        let u = sys::xen_sysctl_scheduler_op__bindgen_ty_1 { sched_credit };
        self.pool_scheduler_op(pool, sys::XEN_SCHEDULER_CREDIT, sys::XEN_SYSCTL_SCHEDOP_putinfo, u).map(drop)
    }

    /// The least time that a vCPU runs under the credit2 scheduler of a cpupool, us.
    pub fn credit2_ratelimit(&self, pool: u32) -> Result<u32> {
        let done = self.pool_scheduler_op(
            pool,
            sys::XEN_SCHEDULER_CREDIT2,
            sys::XEN_SYSCTL_SCHEDOP_getinfo,
            Default::default(),
        )?;
        // SAFETY: any bytes are valid; this scheduler fills `sched_credit2`.
        Ok(unsafe { done.sched_credit2 }.ratelimit_us)
    }

    /// Sets the least time that a vCPU runs under the credit2 scheduler of a cpupool, us.
    pub fn set_credit2_ratelimit(&self, pool: u32, ratelimit_us: u32) -> Result<()> {
        let sched_credit2 = sys::xen_sysctl_credit2_schedule { ratelimit_us };
        let u = sys::xen_sysctl_scheduler_op__bindgen_ty_1 { sched_credit2 };
        self.pool_scheduler_op(pool, sys::XEN_SCHEDULER_CREDIT2, sys::XEN_SYSCTL_SCHEDOP_putinfo, u).map(drop)
    }

    fn pool_scheduler_op(
        &self,
        pool: u32,
        scheduler: u32,
        cmd: u32,
        u: sys::xen_sysctl_scheduler_op__bindgen_ty_1,
    ) -> Result<sys::xen_sysctl_scheduler_op__bindgen_ty_1> {
        let args = sys::xen_sysctl_scheduler_op { cpupool_id: pool, sched_id: scheduler, cmd, u };
        // SAFETY: the credit schedulers use no address.
        unsafe { self.sysctl_with(op!(XEN_SYSCTL_scheduler_op), args) }.map(|done| done.u)
    }

    /// Sets a domain's share of the processors under one of the credit schedulers.
    pub fn set_sched_credit(&self, domid: DomId, scheduler: u32, weight: u16, cap: u16) -> Result<()> {
        let credit = sys::xen_domctl_sched_credit { weight, cap };
        // Both schedulers take the same two numbers.
        let u = sys::xen_domctl_scheduler_op__bindgen_ty_1 { credit };
        self.domain_scheduler_op(domid, scheduler, sys::XEN_DOMCTL_SCHEDOP_putinfo, u).map(drop)
    }

    /// A domain's share of the processors under one of the credit schedulers: weight and cap.
    pub fn sched_credit(&self, domid: DomId, scheduler: u32) -> Result<(u16, u16)> {
        let done = self.domain_scheduler_op(domid, scheduler, sys::XEN_DOMCTL_SCHEDOP_getinfo, Default::default())?;
        // SAFETY: any bytes are valid; both schedulers fill the same two numbers.
        let credit = unsafe { done.credit };
        Ok((credit.weight, credit.cap))
    }

    /// Sets the share of all of a domain's vCPUs under the RTDS scheduler.
    pub fn set_sched_rtds(&self, domid: DomId, share: RtdsShare) -> Result<()> {
        let u = sys::xen_domctl_scheduler_op__bindgen_ty_1 { rtds: share.raw() };
        self.domain_scheduler_op(domid, sys::XEN_SCHEDULER_RTDS, sys::XEN_DOMCTL_SCHEDOP_putinfo, u).map(drop)
    }

    /// The default share of a domain's vCPUs under the RTDS scheduler.
    pub fn sched_rtds(&self, domid: DomId) -> Result<RtdsShare> {
        let get = sys::XEN_DOMCTL_SCHEDOP_getinfo;
        let done = self.domain_scheduler_op(domid, sys::XEN_SCHEDULER_RTDS, get, Default::default())?;
        // SAFETY: any bytes are valid; this scheduler fills `rtds`.
        Ok(RtdsShare::of(unsafe { done.rtds }))
    }

    fn domain_scheduler_op(
        &self,
        domid: DomId,
        scheduler: u32,
        cmd: u32,
        u: sys::xen_domctl_scheduler_op__bindgen_ty_1,
    ) -> Result<sys::xen_domctl_scheduler_op__bindgen_ty_1> {
        let args = sys::xen_domctl_scheduler_op { sched_id: scheduler, cmd, u };
        // SAFETY: `putinfo` and `getinfo` use no address.
        unsafe { self.domctl_with(op!(XEN_DOMCTL_scheduler_op), domid, args) }.map(|done| done.u)
    }
}
