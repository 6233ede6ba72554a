//! What stays with a domain: it waits until the domain shuts down and does what the configuration says
//! (`on_poweroff=` and its kin), until the domain is gone.
//!
//! Waiting is the work of a small program, `xl-monitor`, which `xl create` starts; it becomes xl for what there is to do,
//! and xl becomes `xl-monitor` again for the domain that took the place of the old one. Their words go to
//! `/var/log/xen/xl-NAME.log`, as stock xl's do.

use crate::autoballoon;
use crate::cli::Globals;
use crate::config::load;
use crate::daemon;
use crate::failure::Failure;
use crate::output::say;
use crate::session::Session;
use libxc::DomId;
use libxc::domain::ShutdownReason as Reason;
use libxl::Ctx;
use libxl::domain::death::{self, Next, Verdict};
use libxl::domain::monitor::{self, AGAIN};
use libxl::domain::{self, configuration, control, coredump};
use libxl::types::{DomainConfig, ShutdownReason};
use libxl::userdata::Userdata;
use std::ffi::OsString;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

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
        Watching::Background => start(session, domid, name),
    }
}

/// Starts a monitor for a domain, and returns when it waits.
fn start(session: &Session, domid: DomId, name: &str) -> Result<(), Failure> {
    let failed = |why: String| {
        Failure::new(3, format!("starting the monitor of domain {domid}: {why} (the domain runs on without it)"))
    };
    let xl = std::env::current_exe().map_err(|e| failed(libxc::reason(&e)))?;
    let arguments = [xl, domid.to_string().into(), name.into()];
    daemon::start(&session.ctx.paths.monitor, arguments).map_err(failed)
}

/// The domain and its name, if this run of the program was its monitor until the domain ended.
pub(crate) fn ended(mut argv: impl Iterator<Item = OsString>) -> Option<(DomId, String)> {
    argv.next()?;
    argv.next().filter(|mark| mark == monitor::ENDED)?;
    let domid = argv.next()?.to_str()?.parse().ok()?;
    Some((DomId(domid), argv.next()?.to_string_lossy().into_owned()))
}

/// Does what is to be done for a domain that has ended, and becomes the monitor of the one that takes its place.
pub(crate) fn run(domid: DomId, name: &str) -> Result<(), Failure> {
    let session = Session::new(Globals::default());
    crate::log::init(&session.globals);
    let reason = monitor::wait_for_end(&session.ctx, &monitor::watch(&session.ctx)?, domid)?;
    let Some((domid, name)) = after_end(&session, domid, name, reason)? else { return Ok(()) };
    let xl = std::env::current_exe().map_err(libxl::Error::from)?;
    let program = &session.ctx.paths.monitor;
    let error = Command::new(program).arg0("xl").arg(AGAIN).arg(xl).args([&domid.to_string(), &name]).exec();
    Err(Failure::new(
        3,
        format!("staying with domain {domid}: running {}: {}", program.display(), libxc::reason(&error)),
    ))
}

/// Stays with a domain, and with those that take its place, until there is none (`xl create -F`).
fn in_foreground(session: &Session, domid: DomId, name: &str) -> Result<(), Failure> {
    let watch = monitor::watch(&session.ctx)?;
    let mut here = Some((domid, name.to_owned()));
    while let Some((domid, name)) = here {
        say(format_args!("{}", monitor::waiting(domid, &name)));
        let reason = monitor::wait_for_end(&session.ctx, &watch, domid)?;
        here = after_end(session, domid, &name, reason)?;
    }
    Ok(())
}

/// Does what is to be done for a domain that shut down for this reason, or that was destroyed. Gives the domain that
/// takes its place, if any.
fn after_end(
    session: &Session,
    domid: DomId,
    name: &str,
    reason: Option<Reason>,
) -> Result<Option<(DomId, String)>, Failure> {
    let Some(reason) = reason else {
        say(format_args!("{}", monitor::destroyed(domid)));
        return Ok(None);
    };
    say(format_args!("Domain {domid} has shut down, reason code {0} 0x{0:x}", reason.code()));
    let Some(config) = after_shutdown(session, domid, reason)? else {
        say(format_args!("Done. Exiting now"));
        return Ok(None);
    };
    say(format_args!("Done. Rebooting now"));
    let name = config.c_info.name.clone().unwrap_or_else(|| name.to_owned());
    Ok(Some((begin_anew(session, config)?, name)))
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
            let next = successor(ctx, domid, config)?;
            next.map(|config| destroy(ctx, domid).map(|()| config)).transpose()
        }
        Next::RenameRestart => {
            let next = successor(ctx, domid, config)?;
            next.map(|config| keep_under_another_name(ctx, domid, &name).map(|()| config)).transpose()
        }
        Next::SoftReset => {
            // As in libxl, only HVM guests can be reset in place.
            say(format_args!("Domain {domid} cannot be soft reset: only HVM guests can"));
            destroy(ctx, domid).map(|()| None)
        }
    }
}

/// The configuration for the next domain. None if there could be no such domain: then the one that has ended stays, for
/// its disks and its configuration are more to its owner than nothing.
fn successor(ctx: &Ctx, domid: DomId, current: DomainConfig) -> Result<Option<DomainConfig>, Failure> {
    let config = reloaded(ctx, domid, current)?;
    match domain::check_configuration(ctx, ctx, &config) {
        Ok(()) => Ok(Some(config)),
        Err(e) => {
            say(format_args!("Domain {domid} stays as it is, shut down, for none can take its place: {e}"));
            Ok(None)
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
        say(format_args!("making the directory {}: {}", ctx.paths.dump.display(), libxc::reason(&e)));
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
    // It may be let run later: somebody is to watch it all the same.
    if let Err(e) = control::unpause(&session.ctx, domid) {
        say(format_args!("{e}"));
    }
    Ok(domid)
}
