//! A domain's birth, top to bottom.

use super::preflight::Images;
use super::restore::{Arrived, Incoming};
use super::undo::Undo;
use super::{build, console, destroy, devices, host_io, make, platform, preflight, sched};
use crate::error::{ErrorKind, Result, ResultExt};
use crate::types::{DomainConfig, Scheduler};
use crate::userdata::Userdata;
use crate::{Ctx, defaults};
use libxc::DomId;

/// How to create a domain.
#[derive(Clone, Copy, Default)]
pub struct Options<'a> {
    /// How far local time is ahead of UTC, seconds: for `localtime=1`.
    pub utc_offset: i64,
    /// Told the domain's number as soon as it has one, for those who see to what is left should this process be killed.
    pub made: Option<&'a dyn Fn(DomId)>,
}

/// Creates a domain and leaves it paused. The configuration that is kept for it in
/// `/var/lib/xen/userdata-*` is the one given, with what was decided on the way.
///
/// # Errors
/// The chain of step, object and cause. Nothing of the domain is left then, nor after the context's
/// [`Cancel`](crate::event::Cancel) fired; what could not be removed is told in the error's notes.
pub fn create(ctx: &Ctx, given: &DomainConfig, options: &Options<'_>) -> Result<DomId> {
    let name = given.c_info.name.as_deref().unwrap_or("a domain without a name");
    birth(ctx, given, options, None).with_context(|| format!("creating {name}"))
}

/// Creates a domain from its images, or from a stream where there is one.
pub(super) fn birth(
    ctx: &Ctx,
    given: &DomainConfig,
    options: &Options<'_>,
    stream: Option<Incoming<'_>>,
) -> Result<DomId> {
    let mut undo = Undo::new();
    match steps(ctx, given, options, stream, &mut undo) {
        Ok(domid) => {
            undo.keep();
            Ok(domid)
        }
        Err(e) => Err(ctx.undisturbed(|| undo.fail(e))),
    }
}

/// Where a domain's memory and processors come from.
enum Origin<'s> {
    Images(Box<Images>),
    Stream(Incoming<'s>),
}

fn steps<'a>(
    ctx: &'a Ctx,
    given: &DomainConfig,
    options: &Options<'_>,
    stream: Option<Incoming<'_>>,
    undo: &mut Undo<'a>,
) -> Result<DomId> {
    let mut config = given.clone();
    defaults::apply(&mut config, ctx)?;
    // libxl gives this kind whatever went wrong from here on; exit statuses follow from it.
    after_defaults(ctx, given, &mut config, options, stream, undo).map_err(|e| match e.kind() {
        ErrorKind::Aborted => e,
        _ => e.with_kind(ErrorKind::Fail),
    })
}

fn after_defaults<'a>(
    ctx: &'a Ctx,
    given: &DomainConfig,
    config: &mut DomainConfig,
    options: &Options<'_>,
    stream: Option<Incoming<'_>>,
    undo: &mut Undo<'a>,
) -> Result<DomId> {
    preflight::check(ctx, config, stream.is_none())?;
    let origin = match stream {
        Some(stream) => {
            // The scheduler may be another than where the guest was: what fits this one's is taken.
            config.b_info.sched_params.sched = Scheduler::Unknown;
            Origin::Stream(stream)
        }
        None => Origin::Images(Box::new(preflight::images(config)?)),
    };
    ctx.check_cancel()?;

    let domid = make::domain(ctx, config)?;
    if let Some(made) = options.made {
        made(domid);
    }
    undo.push("the half-built domain", move || destroy(ctx, domid));
    make::nodes(ctx, config, domid).context("xenstore nodes")?;
    let channels = platform::prepare(ctx, config, domid, options.utc_offset)?;
    ctx.check_cancel()?;

    let booted = matches!(origin, Origin::Images(_));
    let Arrived { built, device_model } = match origin {
        Origin::Images(images) => {
            platform::cpuid(ctx, &config.b_info, domid, false)?;
            Arrived { built: build::memory(ctx, config, domid, &images, &channels)?, device_model: None }
        }
        Origin::Stream(stream) => stream.memory(ctx, config, domid, &channels)?,
    };
    sched::set(ctx, domid, &config.b_info.sched_params)?;
    ctx.check_cancel()?;

    build::nodes(ctx, config, domid, &channels, &built, booted).context("xenstore nodes")?;
    build::introduce(ctx, domid, &channels, &built).context("introducing it to xenstored")?;
    host_io::grant(ctx, &config.b_info, domid)?;
    devices::add(ctx, config, domid, device_model)?;
    console::wait(ctx, domid, channels.console.domid).context("console")?;
    platform::label(ctx, &config.b_info, domid)?;
    ctx.check_cancel()?;

    remember(ctx, domid, &defaults::stored_form(given, config)).context("configuration")?;
    Ok(domid)
}

fn remember(ctx: &Ctx, domid: DomId, config: &DomainConfig) -> Result<()> {
    let userdata = Userdata::named(ctx, domid, config.c_info.uuid);
    let _lock = userdata.lock(ctx)?;
    userdata.store_config(config)
}
