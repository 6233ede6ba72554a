//! `xl devd`: connects the devices that this domain, a driver domain, serves to others.

use crate::cli::{Globals, Run};
use crate::daemon;
use crate::failure::Failure;
use crate::pidfile::Pidfile;
use crate::session::Session;
use clap::Args;
use libxl::device::{self, Devd as Server};
use libxl::logfile;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The first argument of a run of the program that is this daemon. No command can have this name.
const MARK: &str = "--device-daemon";

/// `xl devd`.
#[derive(Args)]
pub(crate) struct Devd {
    /// Run in the foreground
    #[arg(short = 'F')]
    foreground: bool,
    /// Write the process id to this file
    #[arg(short = 'p', long, value_name = "FILE")]
    pidfile: Option<PathBuf>,
}

impl Run for Devd {
    fn run(self, session: &Session) -> Result<(), Failure> {
        if self.foreground {
            let session = in_this_domain(session)?;
            return serve(begin(&session, self.pidfile.as_deref())?);
        }
        let mut arguments = vec![OsString::from(MARK)];
        if let Some(pidfile) = &self.pidfile {
            // The daemon is not in this directory.
            arguments.push(std::path::absolute(pidfile).map_err(libxl::Error::from)?.into());
        }
        daemon::start(daemon::SELF, arguments).map_err(|why| Failure::new(1, format!("devd: {why}")))
    }
}

/// The pidfile that it was given, if this run of the program is the daemon.
pub(crate) fn asked_for(mut argv: impl Iterator<Item = OsString>) -> Option<Option<PathBuf>> {
    argv.next()?;
    argv.next().filter(|mark| mark == MARK)?;
    Some(argv.next().map(PathBuf::from))
}

/// The life of the daemon. Its words go to `/var/log/xen/xldevd.log`.
pub(crate) fn run_in_background(pidfile: Option<&Path>) -> Result<(), Failure> {
    let mut session = None;
    let work = daemon::become_one(|| {
        let session = session.insert(in_this_domain(&Session::new(Globals::default()))?);
        let work = begin(session, pidfile)?;
        Ok((logfile::create(&session.ctx, "xldevd")?.0, work))
    })?;
    crate::log::init(&Globals::default());
    serve(work)
}

/// A session that a signal ends, and that knows which domain it is in.
fn in_this_domain(session: &Session) -> libxl::Result<Session> {
    let mut session = session.cancellable()?;
    session.ctx.domid = device::own_domid(&session.ctx)?;
    Ok(session)
}

/// Does all that can fail before the work.
fn begin<'a>(session: &'a Session, pidfile: Option<&Path>) -> libxl::Result<(Server<'a>, Option<Pidfile>)> {
    let pidfile = pidfile.map(Pidfile::take).transpose()?;
    Ok((Server::new(&session.ctx)?, pidfile))
}

/// Works until a signal comes.
fn serve((server, _pidfile): (Server<'_>, Option<Pidfile>)) -> Result<(), Failure> {
    if let Err(e) = daemon::tell_service_manager() {
        tracing::warn!("telling the service manager: {}", libxc::reason(&e));
    }
    Ok(server.run()?)
}
