//! What `xl` and `xl-monitor` agree on: the process that stays with a domain is a small program, because each domain has
//! one; it becomes xl when the domain has ended, and xl becomes it again for the domain that takes the place of the old.

use crate::Ctx;
use crate::error::Result;
use crate::event::{self, Deadline};
use crate::xenstore::Watch;
use libxc::DomId;
use libxc::domain::{DomainFlags, ShutdownReason};

/// The first argument of a run of xl that was a monitor, before the domain's number and name. No command can have this
/// name.
pub const ENDED: &str = "--domain-ended";
/// The first argument of a monitor that was one before, and writes to its log already.
pub const AGAIN: &str = "--again";
/// What a daemon says when it is at work.
pub const READY: &str = "ready";

/// What a monitor writes in the domain's log when it begins to wait; stock xl's words.
pub fn waiting(domid: DomId, name: &str) -> String {
    format!("Waiting for domain {name} (domid {domid}) to die [pid {}]", std::process::id())
}

/// What it writes when the domain was destroyed, and there is nothing to do.
pub fn destroyed(domid: DomId) -> String {
    format!("Domain {domid} has been destroyed.")
}

/// The watch that tells of every domain that shuts down or goes.
///
/// # Errors
/// If xenstored cannot be reached.
pub fn watch(ctx: &Ctx) -> Result<Watch> {
    Ok(ctx.xs()?.watch("@releaseDomain")?)
}

/// Waits until a domain shuts down, and gives the reason; `None` if it is destroyed instead. A domain that suspends is
/// being saved: it is destroyed or goes on soon, and its monitor stays.
///
/// # Errors
/// If Xen or xenstored cannot be asked any more.
pub fn wait_for_end(ctx: &Ctx, watch: &Watch, domid: DomId) -> Result<Option<ShutdownReason>> {
    event::wait_until(ctx, watch, Deadline::NEVER, "the domain's end", || {
        Ok(match ctx.xc()?.domain(domid)? {
            Some(info) if !info.flags.contains(DomainFlags::DYING) => {
                info.shutdown_reason.filter(|reason| *reason != ShutdownReason::Suspend).map(Some)
            }
            _ => Some(None),
        })
    })
}
