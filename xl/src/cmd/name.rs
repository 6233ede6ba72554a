//! Names and numbers of domains: `domid`, `domname`, `rename`.

use crate::cli::Run;
use crate::failure::Failure;
use crate::output;
use crate::session::Session;
use clap::Args;
use libxc::DomId;
use libxl::domain::{info, name};

/// `xl domid`.
#[derive(Args)]
pub(crate) struct Domid {
    /// The domain's name
    name: String,
}

impl Run for Domid {
    fn run(self, session: &Session) -> Result<(), Failure> {
        match info::find(&session.ctx, &self.name)? {
            Some(domid) => output::print(&format!("{domid}\n")),
            None => Err(Failure::new(
                1,
                format!("there is no domain called \"{}\" (xl list shows those there are)", self.name),
            )),
        }
    }
}

/// `xl domname`.
#[derive(Args)]
pub(crate) struct Domname {
    /// The domain's number
    domid: String,
}

impl Run for Domname {
    fn run(self, session: &Session) -> Result<(), Failure> {
        // As stock xl, what follows the digits is not looked at.
        let digits = self.domid.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.domid.len());
        let domid = self.domid[..digits].parse().map(DomId);
        let domid = domid.map_err(|_| Failure::new(1, format!("\"{}\" is no domain's number", self.domid)))?;
        match info::names(&session.ctx, &[domid])?.pop().flatten() {
            Some(name) => output::print(&format!("{name}\n")),
            None => Err(Failure::new(1, format!("there is no domain {domid} (xl list shows those there are)"))),
        }
    }
}

/// `xl rename`.
#[derive(Args)]
pub(crate) struct Rename {
    /// Name or number of the domain
    domain: String,
    /// Its name from now on
    new_name: String,
}

impl Run for Rename {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let domid = session.domain(&self.domain)?;
        Ok(name::rename(&session.ctx, domid, None, &self.new_name)?)
    }
}
