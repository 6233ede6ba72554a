//! The process that stays with a domain: it waits until the domain shuts down and does what the
//! configuration says (`on_poweroff=` and its kin), until the domain is gone.
//!
//! `xl create` starts it as a daemon. Its words go to `/var/log/xen/xl-NAME.log`, as stock xl's do.

use crate::autoballoon;
use crate::cli::Globals;
use crate::config::load;
use crate::daemon;
use crate::failure::Failure;
use crate::output::say;
use crate::session::Session;
use libxc::DomId;
use libxc::domain::{DomainFlags, ShutdownReason as Reason};
use libxl::domain::death::{self, Next, Verdict};
use libxl::domain::{self, configuration, control, coredump};
use libxl::event::Deadline;
use libxl::types::{DomainConfig, ShutdownReason};
use libxl::userdata::Userdata;
use libxl::xenstore::Watch;
use libxl::{Ctx, event, logfile};
use std::ffi::OsString;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;

/// The first argument of a run of the program that is a monitor. No command can have this name.
const MARK: &str = "--domain-monitor";

/// Who stays with a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watching {
    /// Nobody (`-e`).
    Nobody,
    /// This process (`-F`).
    Foreground,
    /// A monitor.
    Background,
}

impl Watching {
    /// What the options of `xl create` and its kin ask for.
    pub(crate) fn of(nobody: bool, foreground: bool) -> Watching {
        match (nobody, foreground) {
            (true, _) => Watching::Nobody,
            (false, true) => Watching::Foreground,
            (false, false) => Watching::Background,
        }
    }
}

/// Sees to it that somebody stays with a domain.
pub(crate) fn watch(session: &Session, domid: DomId, name: &str, who: Watching) -> Result<(), Failure> {
    match who {
        Watching::Nobody => Ok(()),
        Watching::Foreground => in_foreground(session, domid, name),
        Watching::Background => start(domid, name),
    }
}

/// Starts a monitor for a domain, and returns when it waits.
fn start(domid: DomId, name: &str) -> Result<(), Failure> {
    daemon::start([MARK, &domid.to_string(), name]).map_err(|why| {
        Failure::new(3, format!("starting the monitor of domain {domid}: {why} (the domain runs on without it)"))
    })
}

/// The domain and its name, if this run of the program is a monitor.
pub(crate) fn asked_for(mut argv: impl Iterator<Item = OsString>) -> Option<(DomId, String)> {
    argv.next()?;
    argv.next().filter(|mark| mark == MARK)?;
    let domid = argv.next()?.to_str()?.parse().ok()?;
    Some((DomId(domid), argv.next()?.to_string_lossy().into_owned()))
}

/// The life of a monitor: a log, the wait.
pub(crate) fn run(domid: DomId, name: &str) -> Result<(), Failure> {
    let session = Session::new(Globals::default());
    let watch = daemon::become_one(|| {
        let (log, _) = logfile::create(&session.ctx, &format!("xl-{name}"))?;
        Ok((log, session.ctx.xs()?.watch("@releaseDomain")?))
    })?;
    crate::log::init(&session.globals);
    follow(&session, &watch, domid, name)
}

/// Stays with a domain without becoming a process of its own (`xl create -F`).
fn in_foreground(session: &Session, domid: DomId, name: &str) -> Result<(), Failure> {
    let watch = session.ctx.xs()?.watch("@releaseDomain").map_err(libxl::Error::from)?;
    follow(session, &watch, domid, name)
}

/// Stays with the domain, and with those that take its place, until there is none.
pub(crate) fn follow(session: &Session, watch: &Watch, domid: DomId, name: &str) -> Result<(), Failure> {
    let (mut domid, mut name) = (domid, name.to_owned());
    say(format_args!("Waiting for domain {name} (domid {domid}) to die [pid {}]", std::process::id()));
    loop {
        let Some(reason) = wait_for_shutdown(&session.ctx, watch, domid)? else {
            say(format_args!("Domain {domid} has been destroyed."));
            return Ok(());
        };
        say(format_args!("Domain {domid} has shut down, reason code {0} 0x{0:x}", reason.code()));
        let Some(config) = after_shutdown(session, domid, reason)? else {
            say(format_args!("Done. Exiting now"));
            return Ok(());
        };
        say(format_args!("Done. Rebooting now"));
        name = config.c_info.name.clone().unwrap_or_default();
        domid = begin_anew(session, config)?;
        say(format_args!("Waiting for domain {name} (domid {domid}) to die [pid {}]", std::process::id()));
    }
}

/// Waits until the domain shuts down; `None` if it is destroyed instead. A domain that suspends is being saved: it is
/// destroyed or goes on soon, and its monitor stays.
fn wait_for_shutdown(ctx: &Ctx, watch: &Watch, domid: DomId) -> Result<Option<Reason>, Failure> {
    let end = event::wait_until(ctx, watch, Deadline::NEVER, "the domain's end", || {
        Ok(match ctx.xc()?.domain(domid)? {
            Some(info) if !info.flags.contains(DomainFlags::DYING) => {
                info.shutdown_reason.filter(|reason| *reason != Reason::Suspend).map(Some)
            }
            _ => Some(None),
        })
    });
    Ok(end?)
}

/// Does what the configuration says for this reason, and gives the configuration of the domain that is
/// to take the place of this one, if any.
fn after_shutdown(session: &Session, domid: DomId, reason: Reason) -> Result<Option<DomainConfig>, Failure> {
    let ctx = &session.ctx;
    let config = configuration::current(ctx, domid)?;
    let known = i32::try_from(reason.code()).ok().and_then(ShutdownReason::from_number);
    let Some(action) = death::action(&config, known) else {
        say(format_args!("Domain has suspended."));
        return Ok(None);
    };
    if known.is_none() {
        say(format_args!("Unknown shutdown reason code {}. Destroying domain.", reason.code()));
    }
    let word = death::configuration_word(action);
    say(format_args!("Action for shutdown reason code {} is {word}", reason.code()));
    let Verdict { dump_core, next } = action.into();
    let name = config.c_info.name.clone().unwrap_or_default();
    if dump_core {
        write_core(ctx, domid, &name);
    }
    match next {
        Next::Preserve => Ok(None),
        Next::Destroy => destroy(ctx, domid).map(|()| None),
        Next::Restart => {
            let config = reloaded(ctx, domid, config)?;
            destroy(ctx, domid).map(|()| Some(config))
        }
        Next::RenameRestart => {
            let config = reloaded(ctx, domid, config)?;
            keep_under_another_name(ctx, domid, &name)?;
            Ok(Some(config))
        }
        Next::SoftReset => {
            // As in libxl, only HVM guests can be reset in place.
            say(format_args!("Domain {domid} cannot be soft reset: only HVM guests can"));
            destroy(ctx, domid).map(|()| None)
        }
    }
}

/// The configuration for the next domain: one that `xl config-update` left, else this.
fn reloaded(ctx: &Ctx, domid: DomId, current: DomainConfig) -> Result<DomainConfig, Failure> {
    let userdata = Userdata::named(ctx, domid, current.c_info.uuid);
    let Some(text) = userdata.retrieve("xl")? else { return Ok(current) };
    say(format_args!("\"xl\" configuration found, using it"));
    let updated = load::updated(ctx, &text)?;
    userdata.remove("xl")?;
    Ok(updated)
}

/// Writes a core file, if that is possible: the domain's end does not wait for it.
fn write_core(ctx: &Ctx, domid: DomId, name: &str) {
    let file = ctx.paths.dump.join(name);
    say(format_args!("dumping core to {}", file.display()));
    // Not every distribution's package makes the directory.
    if let Err(e) = DirBuilder::new().recursive(true).mode(0o700).create(&ctx.paths.dump) {
        say(format_args!("making the directory {}: {e}", ctx.paths.dump.display()));
    }
    if let Err(e) = coredump::write(ctx, domid, &file) {
        say(format_args!("core dump failed: {e}"));
    }
}

fn destroy(ctx: &Ctx, domid: DomId) -> Result<(), Failure> {
    say(format_args!("Domain {domid} needs to be cleaned up: destroying the domain"));
    Ok(domain::destroy(ctx, domid)?)
}

fn keep_under_another_name(ctx: &Ctx, domid: DomId, name: &str) -> Result<(), Failure> {
    let suffix = jiff::Timestamp::now().strftime("-%Y%m%dT%H%MZ").to_string();
    say(format_args!("Preserving domain {domid} {name} with suffix{suffix}"));
    Ok(domain::name::preserve(ctx, domid, name, &suffix, libxl::types::Uuid::new_v4())?)
}

/// Creates the domain that takes the place of one that has ended.
fn begin_anew(session: &Session, config: DomainConfig) -> Result<DomId, Failure> {
    let xl_conf = load::xl_conf(&session.ctx, &load::facts_from_xen(&session.ctx)?)?;
    let domid = autoballoon::create(&session.ctx, &xl_conf, config)?;
    control::unpause(&session.ctx, domid)?;
    Ok(domid)
}
