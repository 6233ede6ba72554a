//! What one run of `xl` has at hand: its own options and the toolstack.

use crate::cli::Globals;
use crate::failure::Failure;
use libxc::DomId;
use libxl::domain::info;
use libxl::event::Cancel;
use libxl::{Ctx, Paths};
use nix::sys::signal::Signal;
use std::path::{Path, PathBuf};

/// One run of the program.
pub(crate) struct Session {
    /// xl's own options.
    pub(crate) globals: Globals,
    /// The toolstack; it opens nothing before it is used.
    pub(crate) ctx: Ctx,
}

impl Session {
    /// A run with these options, on the host as the environment describes it.
    pub(crate) fn new(globals: Globals) -> Session {
        let paths = Paths::installed(&prefix()).with_environment(|name| std::env::var_os(name));
        Session { globals, ctx: Ctx::new(paths) }
    }

    /// The same run, in which ^C, SIGTERM and the loss of the terminal end what is waited for: what was done so far is taken
    /// back then.
    pub(crate) fn cancellable(&self) -> libxl::Result<Session> {
        let mut ctx = Ctx::new(self.ctx.paths.clone());
        ctx.cancel = Some(Cancel::on(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP])?);
        Ok(Session { globals: self.globals.clone(), ctx })
    }

    /// Looks whether there is the domain that a dry run is about. A number needs no looking up, as with stock xl, so a
    /// dry run needs no Xen.
    pub(crate) fn domain_of_dry_run(&self, argument: &str) -> Result<(), Failure> {
        if !argument.bytes().all(|b| b.is_ascii_digit()) {
            self.domain(argument)?;
        }
        Ok(())
    }

    /// The domain that an argument names: by number, name or UUID.
    pub(crate) fn domain(&self, argument: &str) -> Result<DomId, Failure> {
        Ok(info::resolve(&self.ctx, argument)?)
    }
}

/// Where the toolstack is installed: `/usr/local` for `/usr/local/sbin/xl`.
fn prefix() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    program.parent().and_then(Path::parent).unwrap_or(Path::new("/usr/local")).to_path_buf()
}
