//! How much memory a domain needs, and getting it: from what is free, or from dom0 (autoballoon).

use super::info;
use crate::Ctx;
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::types::DomainBuildInfo;
use crate::xenstore::{Store, schema};
use libxc::{DomId, Kib};
use std::thread;
use std::time::{Duration, Instant};

/// dom0 is never asked to go below this (`LIBXL_MIN_DOM0_MEM`), KiB.
const MIN_DOM0: u64 = 128 * 1024;
/// dom0 may rest this long without giving anything before it is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often dom0's size is looked at while it shrinks: no event tells of it.
const LOOK: Duration = Duration::from_millis(100);

/// What is free now, memory that waits to be scrubbed included (`libxl_get_free_memory`).
pub fn free(ctx: &Ctx) -> Result<Kib> {
    let host = ctx.xc()?.physinfo()?;
    Ok(Kib::from_pages(host.free_pages.saturating_add(host.scrub_pages)))
}

/// Fails if a domain of this need cannot be built now, before it exists.
pub(super) fn check(ctx: &Ctx, b_info: &DomainBuildInfo) -> Result<()> {
    let claimed = Kib::from_pages(ctx.xc()?.physinfo()?.outstanding_pages);
    // The rounding and Xen's own share are estimates, which must not refuse what would just fit.
    let (need, free) = (Kib(b_info.target_memkb.unwrap_or(0)), free(ctx)?);
    if need <= free {
        return Ok(());
    }
    let mib = |kib: Kib| kib.0 / 1024;
    Err(Error::fail(format!(
        "not enough memory: {} MiB wanted, {} MiB free, {} MiB of it claimed by domains that are being built \
         (memory=; xl list, xl info)",
        mib(need),
        mib(free),
        mib(claimed)
    )))
}

/// Makes so much memory free, by shrinking dom0 where that is needed.
///
/// # Errors
/// dom0 does not give enough: it stopped shrinking for 10 s, or would become smaller than 128 MiB.
pub fn make_free(ctx: &Ctx, need: Kib) -> Result<()> {
    loop {
        let free = free(ctx)?;
        if free >= need {
            return Ok(());
        }
        let missing = Kib(need.0 - free.0);
        shrink_dom0(ctx, missing).with_context(|| {
            format!(
                "taking {} MiB from dom0 for the domain (autoballoon; {} MiB are free)",
                missing.0 / 1024,
                free.0 / 1024
            )
        })?;
    }
}

/// Lowers dom0's target by so much, and waits until it has got there.
fn shrink_dom0(ctx: &Ctx, by: Kib) -> Result<()> {
    let node = format!("{}/memory/target", schema::domain(DomId(0)));
    let target = ctx.xs()?.transaction(|t| {
        let current: u64 = t.read_optional(&node)?.and_then(|v| v.parse().ok()).unwrap_or(0);
        let target = current.saturating_sub(by.0);
        if target < MIN_DOM0 {
            let text = format!("dom0's target of {} MiB leaves no room for it", current / 1024);
            return Err(Error::new(ErrorKind::NoMem, text));
        }
        t.write_bytes(&node, target.to_string().as_bytes())?;
        Ok(Kib(target))
    })?;
    wait_for_target(ctx, DomId(0), target)
}

/// Waits until a domain has come down to a target, as long as it makes progress.
fn wait_for_target(ctx: &Ctx, domid: DomId, target: Kib) -> Result<()> {
    let mut last = u64::MAX;
    let mut progress = Instant::now();
    loop {
        let info = info::get(ctx, domid)?;
        let now = Kib::from_pages(info.tot_pages.saturating_add(info.outstanding_pages)).0;
        if now <= target.0 {
            return Ok(());
        }
        if now < last {
            (last, progress) = (now, Instant::now());
        }
        if progress.elapsed() >= PATIENCE {
            let text = format!("domain {domid} stays at {} MiB, {} MiB were asked for", now / 1024, target.0 / 1024);
            return Err(Error::new(ErrorKind::NoMem, text));
        }
        thread::sleep(LOOK);
    }
}
