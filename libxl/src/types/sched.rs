//! Parameters of the schedulers. `None` leaves a parameter as the hypervisor has it (libxl's -1).

use super::Scheduler;

record! {
    /// What one vCPU may use, in the schedulers that set it for each (`libxl_sched_params`).
    pub struct SchedParams {
        /// The vCPU.
        vcpuid: Option<i32>,
        /// The share relative to other domains.
        weight: Option<i32>,
        /// The limit, in percent of one CPU; 0 is none.
        cap: Option<i32>,
        /// The period, in microseconds.
        period: Option<i32>,
        /// Whether unused time may be used beyond the budget.
        extratime: Option<i32>,
        /// The time in each period, in microseconds.
        budget: Option<i32>,
    }
}

record! {
    /// What each vCPU of a domain may use (`libxl_vcpu_sched_params`).
    pub struct VcpuSchedParams {
        /// The scheduler that is meant.
        sched: Scheduler,
        /// The vCPUs.
        vcpus: Vec<SchedParams>,
    }
}

record! {
    /// What a domain may use (`libxl_domain_sched_params`).
    pub struct DomainSchedParams {
        /// The scheduler that is meant.
        sched: Scheduler,
        /// The share relative to other domains.
        weight: Option<i32>,
        /// The limit, in percent of one CPU; 0 is none.
        cap: Option<i32>,
        /// The period, in microseconds.
        period: Option<i32>,
        /// The time in each period, in microseconds.
        budget: Option<i32>,
        /// Whether unused time may be used beyond the budget.
        extratime: Option<i32>,
        /// Of a scheduler that is gone: has no effect.
        slice: Option<i32>,
        /// Of a scheduler that is gone: has no effect.
        latency: Option<i32>,
    }
}

record! {
    /// The credit scheduler of a CPU pool (`libxl_sched_credit_params`).
    pub struct SchedCreditParams {
        /// The time slice, in milliseconds.
        tslice_ms: i32,
        /// The shortest time a vCPU runs before it is preempted, in microseconds.
        ratelimit_us: i32,
        /// How long a vCPU stays cache-hot on its CPU, in microseconds.
        vcpu_migr_delay_us: i32,
    }
}

record! {
    /// The credit2 scheduler of a CPU pool (`libxl_sched_credit2_params`).
    pub struct SchedCredit2Params {
        /// The shortest time a vCPU runs before it is preempted, in microseconds.
        ratelimit_us: i32,
    }
}
