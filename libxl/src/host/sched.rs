//! The schedulers of CPU pools: their own parameters (xen/sysctl.h). What a domain has of them is in `domain::sched`.

use crate::Ctx;
use crate::error::{Error, Result, ResultExt};
use libxc::sched::CreditParams;
use std::ops::RangeInclusive;

/// A time slice, ms (`XEN_SYSCTL_CSCHED_TSLICE_MIN`, `_MAX`).
const TSLICE_MS: RangeInclusive<u32> = 1..=1000;
/// The least time between two decisions, us; 0 turns the limit off (`XEN_SYSCTL_SCHED_RATELIMIT_MIN`, `_MAX`).
const RATELIMIT_US: RangeInclusive<u32> = 100..=500_000;
/// How long a vCPU may be taken to be cache-hot, us (`XEN_SYSCTL_CSCHED_MGR_DLY_MAX_US`).
const MIGRATION_DELAY_US: RangeInclusive<u32> = 0..=100_000;

/// The credit scheduler's parameters in a CPU pool (`libxl_sched_credit_params_get`).
pub fn credit(ctx: &Ctx, pool: u32) -> Result<CreditParams> {
    ctx.xc()?.credit_params(pool).context("parameters of the credit scheduler")
}

/// Sets them (`libxl_sched_credit_params_set`).
///
/// # Errors
/// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a value out of its range.
pub fn set_credit(ctx: &Ctx, pool: u32, params: CreditParams) -> Result<()> {
    check_credit(params)?;
    ctx.xc()?.set_credit_params(pool, params).context("setting the parameters of the credit scheduler")
}

/// The credit2 scheduler's limit in a CPU pool, us (`libxl_sched_credit2_params_get`).
pub fn credit2_ratelimit(ctx: &Ctx, pool: u32) -> Result<u32> {
    ctx.xc()?.credit2_ratelimit(pool).context("parameters of the credit2 scheduler")
}

/// Sets it (`libxl_sched_credit2_params_set`).
///
/// # Errors
/// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a value out of its range.
pub fn set_credit2_ratelimit(ctx: &Ctx, pool: u32, ratelimit_us: u32) -> Result<()> {
    check_ratelimit(ratelimit_us)?;
    ctx.xc()?.set_credit2_ratelimit(pool, ratelimit_us).context("setting the parameters of the credit2 scheduler")
}

fn check_credit(params: CreditParams) -> Result<()> {
    check("the time slice", params.tslice_ms, TSLICE_MS)?;
    check_ratelimit(params.ratelimit_us)?;
    check("the migration delay", params.vcpu_migr_delay_us, MIGRATION_DELAY_US)?;
    if params.ratelimit_us > params.tslice_ms * 1000 {
        return Err(Error::invalid("the rate limit cannot be longer than the time slice"));
    }
    Ok(())
}

fn check_ratelimit(ratelimit_us: u32) -> Result<()> {
    if ratelimit_us == 0 { Ok(()) } else { check("the rate limit", ratelimit_us, RATELIMIT_US) }
}

fn check(what: &str, value: u32, range: RangeInclusive<u32>) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(Error::invalid(format!("{what} is {value}: it must be from {} to {}", range.start(), range.end())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_out_of_their_range_are_refused() {
        let good = CreditParams { tslice_ms: 30, ratelimit_us: 1000, vcpu_migr_delay_us: 0 };
        assert!(check_credit(good).is_ok());
        assert!(check_credit(CreditParams { ratelimit_us: 0, ..good }).is_ok(), "no limit");
        for bad in [
            CreditParams { tslice_ms: 0, ..good },
            CreditParams { tslice_ms: 1001, ..good },
            CreditParams { ratelimit_us: 99, ..good },
            CreditParams { tslice_ms: 1, ratelimit_us: 1001, ..good },
            CreditParams { vcpu_migr_delay_us: 100_001, ..good },
        ] {
            assert!(check_credit(bad).is_err(), "{bad:?}");
        }
    }
}
