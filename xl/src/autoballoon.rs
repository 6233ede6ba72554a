//! Memory for new domains out of domain 0, one domain at a time (`autoballoon` in xl.conf(5)).

use crate::config::xlconf::XlConf;
use libxc::{DomId, Kib};
use libxl::defaults::{self, memory::needed};
use libxl::domain::{self, ANY_DOMID, Options, RANDOM_DOMID};
use libxl::event::Deadline;
use libxl::lock::XlLock;
use libxl::types::DomainConfig;
use libxl::{Ctx, Result};

/// Creates a domain, and leaves it paused. With autoballoon, room is made for it first, under the lock
/// that keeps others from taking that room before the domain has it.
pub(crate) fn create(ctx: &Ctx, xl_conf: &XlConf, mut config: DomainConfig) -> Result<DomId> {
    if !u16::try_from(config.c_info.domid).is_ok_and(|d| d != 0 && DomId(d).is_ordinary()) {
        config.c_info.domid = if xl_conf.random_domids { RANDOM_DOMID } else { ANY_DOMID };
    }
    let options = Options { utc_offset: utc_offset(&config) };
    if !is_on(ctx, xl_conf)? {
        return domain::create(ctx, &config, &options);
    }
    // As with stock xl, the configuration that is kept for the domain is then the one with all defaults.
    defaults::apply(&mut config, ctx)?;
    let _lock = XlLock::acquire(ctx, xl_conf.lockfile.as_ref(), Deadline::NEVER)?;
    domain::memory::make_free(ctx, Kib(needed(&config)))?;
    domain::create(ctx, &config, &options)
}

/// Xen's command line is asked only where xl.conf leaves it open.
fn is_on(ctx: &Ctx, xl_conf: &XlConf) -> Result<bool> {
    Ok(match xl_conf.autoballoon {
        Some(on) => on,
        None => xl_conf.autoballoon(&ctx.xc()?.version()?.commandline),
    })
}

/// How far local time is ahead, where the guest's clock is to be set by it.
fn utc_offset(config: &DomainConfig) -> i64 {
    match config.b_info.localtime.is_true() {
        true => jiff::Zoned::now().offset().seconds().into(),
        false => 0,
    }
}
