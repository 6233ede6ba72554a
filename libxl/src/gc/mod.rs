//! What processes that crashed have left behind (`xl gc`).
//!
//! Found by comparing xenstore and files with the domains that Xen has. What belongs to a domain that lives is never
//! touched, nor what a process may still work on: all that can be left over is listed first and Xen is asked then, so
//! that nothing which came later is taken for older, and Xen is asked again before each removal.

mod domains;
mod files;
mod nodes;

use crate::Ctx;
use crate::domain;
use crate::error::{Result, ResultExt};
use libxc::DomId;
use std::fmt;
use std::path::PathBuf;
use uuid::Uuid;

/// Something that was left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leftover {
    /// A domain of which no process will build the rest.
    HalfBuilt(DomId),
    /// The copy of a migration that no process will let run, and its name.
    Incoming(DomId, String),
    /// Devices and xenstore nodes of a domain that is gone.
    Nodes(DomId),
    /// What xenstore keeps under a UUID that no domain has.
    Vm(Uuid),
    /// A file about a domain that is gone.
    File(PathBuf, DomId),
    /// A lock that nobody holds.
    Lock(PathBuf),
}

impl fmt::Display for Leftover {
    /// What it is, and why nobody needs it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Leftover::HalfBuilt(domid) => {
                write!(f, "domain {domid}: half built, it never ran and no process works on it")
            }
            Leftover::Incoming(domid, name) => {
                write!(f, "domain {domid}: {name} never ran and no process receives it")
            }
            Leftover::Nodes(domid) => {
                write!(f, "devices and xenstore nodes of domain {domid}: there is no such domain")
            }
            Leftover::Vm(uuid) => write!(f, "xenstore node /vm/{uuid}: no domain has this UUID"),
            Leftover::File(path, domid) => write!(f, "{}: domain {domid} is gone", path.display()),
            Leftover::Lock(path) => write!(f, "{}: no process holds this lock", path.display()),
        }
    }
}

/// Looks for all that was left behind.
pub fn find(ctx: &Ctx) -> Result<Vec<Leftover>> {
    let domids = nodes::domids(ctx).context("domains in xenstore")?;
    let uuids = nodes::uuids(ctx).context("UUIDs in xenstore")?;
    let files = files::of_domains(&ctx.paths).context("files of domains")?;
    let domains = ctx.xc()?.domains()?;
    let lives = |domid: DomId| domains.iter().any(|info| info.domid == domid);
    let is_used = |uuid: Uuid| domains.iter().any(|info| info.uuid == *uuid.as_bytes());

    let mut found: Vec<Leftover> = domains::half_built(ctx, &domains)?.into_iter().map(Leftover::HalfBuilt).collect();
    let incoming = domains::incoming(ctx, &domains)?;
    found.extend(incoming.into_iter().map(|(domid, name)| Leftover::Incoming(domid, name)));
    found.extend(domids.into_iter().filter(|domid| !lives(*domid)).map(Leftover::Nodes));
    found.extend(uuids.into_iter().filter(|uuid| !is_used(*uuid)).map(Leftover::Vm));
    let is_left = |file: &files::OfDomain| file.is_left(domains.iter().find(|info| info.domid == file.domid));
    found.extend(files.into_iter().filter(is_left).map(|file| Leftover::File(file.path, file.domid)));
    found.extend(files::stale_locks(&ctx.paths)?.into_iter().map(Leftover::Lock));
    Ok(found)
}

impl Leftover {
    /// Removes it, if it is still left over.
    pub fn remove(&self, ctx: &Ctx) -> Result<()> {
        match self {
            Leftover::HalfBuilt(domid) => domain::destroy(ctx, *domid),
            Leftover::Incoming(domid, name) => match domains::is_incoming(ctx, *domid, name)? {
                true => domain::destroy(ctx, *domid),
                false => Ok(()),
            },
            Leftover::Nodes(domid) => nodes::remove(ctx, *domid),
            Leftover::Vm(uuid) => nodes::remove_vm(ctx, *uuid),
            Leftover::File(path, domid) => files::remove(path, ctx.xc()?.domain(*domid)?.as_ref()),
            Leftover::Lock(path) => files::remove_lock(path),
        }
    }
}
