//! Memory for new domains out of domain 0, one domain at a time (`autoballoon` in xl.conf(5)).

use crate::config::xlconf::XlConf;
use crate::guard::Guard;
use crate::output::progress::Progress;
use libxc::{DomId, Kib};
use libxl::defaults::{self, memory::needed};
use libxl::domain::restore::Stream;
use libxl::domain::{self, ANY_DOMID, Options, RANDOM_DOMID};
use libxl::event::Deadline;
use libxl::lock::XlLock;
use libxl::types::DomainConfig;
use libxl::{Ctx, Result};

/// Creates a domain, and leaves it paused.
pub(crate) fn create(ctx: &Ctx, xl_conf: &XlConf, config: DomainConfig) -> Result<DomId> {
    with_room(ctx, xl_conf, config, |config, options| domain::create(ctx, config, options))
}

/// Creates a domain out of a stream, and leaves it paused. If this process is killed before, the guard removes it.
pub(crate) fn restore(
    ctx: &Ctx,
    xl_conf: &XlConf,
    config: DomainConfig,
    stream: Stream<'_>,
    guard: &Guard,
    progress: &mut Progress,
) -> Result<DomId> {
    with_room(ctx, xl_conf, config, |config, options| {
        let options = Options { made: Some(&|domid| guard.made(domid)), ..*options };
        domain::restore(ctx, config, &options, stream, &mut |what, done, total| progress.show(what, done, total))
    })
}

/// With autoballoon, room is made for a domain first, under the lock that keeps others from taking that room before the
/// domain has it.
fn with_room(
    ctx: &Ctx,
    xl_conf: &XlConf,
    mut config: DomainConfig,
    birth: impl FnOnce(&DomainConfig, &Options<'_>) -> Result<DomId>,
) -> Result<DomId> {
    if !u16::try_from(config.c_info.domid).is_ok_and(|d| d != 0 && DomId(d).is_ordinary()) {
        config.c_info.domid = if xl_conf.random_domids { RANDOM_DOMID } else { ANY_DOMID };
    }
    let options = Options { utc_offset: utc_offset(&config), ..Options::default() };
    if !is_on(ctx, xl_conf)? {
        return birth(&config, &options);
    }
    // As with stock xl, the configuration that is kept for the domain is then the one with all defaults.
    defaults::apply(&mut config, ctx)?;
    let _lock = XlLock::acquire(ctx, xl_conf.lockfile.as_ref(), Deadline::NEVER)?;
    domain::memory::make_free(ctx, Kib(needed(&config)))?;
    birth(&config, &options)
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
