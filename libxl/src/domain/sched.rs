//! A domain's share of the processors, under the scheduler of its cpupool.

use super::info;
use crate::Ctx;
use crate::error::{Error, Result, ResultExt};
use crate::types::{DomainSchedParams, Scheduler};
use libxc::DomId;
use libxc::domain::DomainInfo;
use libxc::sched::RtdsShare;

/// The parameters that a domain has now (`libxl_domain_sched_params_get`).
pub fn get(ctx: &Ctx, domid: DomId) -> Result<DomainSchedParams> {
    let (xc, info) = (ctx.xc()?, info::get(ctx, domid)?);
    let scheduler = scheduler_of(ctx, &info)?;
    let mut params = DomainSchedParams { sched: scheduler, ..DomainSchedParams::default() };
    match scheduler {
        Scheduler::Credit | Scheduler::Credit2 => {
            let (weight, cap) = xc.sched_credit(domid, scheduler.number() as u32)?;
            (params.weight, params.cap) = (Some(weight.into()), Some(cap.into()));
        }
        Scheduler::Rtds => {
            let share = xc.sched_rtds(domid)?;
            params.period = Some(share.period as i32);
            params.budget = Some(share.budget as i32);
        }
        _ => {}
    }
    Ok(params)
}

/// Sets the parameters that are given (`libxl_domain_sched_params_set`); the others stay.
///
/// # Errors
/// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a value out of the scheduler's range.
pub fn set(ctx: &Ctx, domid: DomId, params: &DomainSchedParams) -> Result<()> {
    let none = DomainSchedParams { sched: params.sched, ..DomainSchedParams::default() };
    if *params == none {
        return Ok(());
    }
    let (xc, info) = (ctx.xc()?, info::get(ctx, domid)?);
    let scheduler = match params.sched {
        Scheduler::Unknown => scheduler_of(ctx, &info)?,
        named => named,
    };
    match scheduler {
        Scheduler::Credit | Scheduler::Credit2 => {
            let number = scheduler.number() as u32;
            let (weight, cap) = xc.sched_credit(domid, number)?;
            let most = info.max_vcpu_id.map_or(0, |highest| i64::from(highest) + 1) * 100;
            let weight = in_range("cpu_weight", params.weight, weight, 1, 65_535)?;
            let cap = in_range("cap", params.cap, cap, 0, most)?;
            xc.set_sched_credit(domid, number, weight, cap).context("scheduler parameters")
        }
        Scheduler::Rtds => {
            let now = xc.sched_rtds(domid)?;
            let share = RtdsShare {
                period: params.period.map_or(now.period, |p| p as u32),
                budget: params.budget.map_or(now.budget, |b| b as u32),
                extratime: params.extratime.map_or(now.extratime, |e| e != 0),
            };
            xc.set_sched_rtds(domid, share).context("scheduler parameters")
        }
        // These have nothing to set for a domain.
        _ => Ok(()),
    }
}

fn in_range(name: &str, wanted: Option<i32>, now: u16, least: i64, most: i64) -> Result<u16> {
    let Some(wanted) = wanted.map(i64::from) else { return Ok(now) };
    let fits = (least..=most).contains(&wanted).then(|| u16::try_from(wanted).ok()).flatten();
    fits.ok_or_else(|| Error::invalid(format!("{name}={wanted}: it must be from {least} to {most}")))
}

fn scheduler_of(ctx: &Ctx, info: &DomainInfo) -> Result<Scheduler> {
    let pool = ctx.xc()?.cpupool(info.cpupool)?;
    let number = pool.and_then(|pool| i32::try_from(pool.scheduler).ok());
    number
        .and_then(Scheduler::from_number)
        .ok_or_else(|| Error::fail(format!("cpupool {} has no known scheduler", info.cpupool)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_out_of_range_are_refused_with_the_range() {
        assert_eq!(in_range("cap", None, 7, 0, 100).expect("unchanged"), 7);
        assert_eq!(in_range("cap", Some(100), 7, 0, 100).expect("the most"), 100);
        let error = in_range("cpu_weight", Some(0), 256, 1, 65_535).expect_err("too little").to_string();
        assert_eq!(error, "cpu_weight=0: it must be from 1 to 65535");
    }
}
