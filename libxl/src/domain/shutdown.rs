//! Asking a domain to stop, and waiting until it has.

use super::info;
use crate::Ctx;
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::event::{self, Deadline};
use crate::types::DomainType;
use crate::xenstore::{Store, schema};
use libxc::DomId;
use libxc::domain::{DomainFlags, ShutdownReason};
use libxc::hvm::HvmParam;
use std::time::Duration;

/// How long a guest may take to notice a request.
const ACKNOWLEDGEMENT: Duration = Duration::from_secs(60);

/// What a guest is asked to do, by a word in `control/shutdown` (docs/misc/xenstore-paths.pandoc).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Power off.
    PowerOff,
    /// Reboot.
    Reboot,
}

impl Request {
    /// The word that the guest reads.
    fn word(self) -> &'static str {
        match self {
            Request::PowerOff => "poweroff",
            Request::Reboot => "reboot",
        }
    }
}

/// Asks a domain to stop, and waits until its kernel has taken notice (`libxl_domain_shutdown`,
/// `libxl_domain_reboot`).
///
/// # Errors
/// [`ErrorKind::NoParavirt`] for a guest without PV drivers, which has nothing that would read the request;
/// [`ErrorKind::TimedOut`] if it does not take notice within a minute.
pub fn request(ctx: &Ctx, domid: DomId, what: Request) -> Result<()> {
    if !listens(ctx, domid)? {
        let text = format!("domain {domid} has no PV drivers, so it cannot be asked (-F presses its ACPI button)");
        return Err(Error::new(ErrorKind::NoParavirt, text));
    }
    let node = schema::control(domid, "shutdown");
    ctx.xs()?.write_bytes(&node, what.word().as_bytes())?;
    wait_until_taken(ctx, &node, ACKNOWLEDGEMENT).with_context(|| format!("asking domain {domid} to {}", what.word()))
}

/// Whether something in the guest reads requests: always, but for HVM guests without PV drivers.
fn listens(ctx: &Ctx, domid: DomId) -> Result<bool> {
    let domain = info::get(ctx, domid)?;
    if info::kind(ctx, &domain)? != DomainType::Hvm {
        return Ok(true);
    }
    Ok(ctx.xc()?.hvm_param(domid, HvmParam::CallbackIrq)? != 0)
}

/// Waits until the node is empty or gone, which is how a guest says that it has read it.
fn wait_until_taken(ctx: &Ctx, node: &str, at_most: Duration) -> Result<()> {
    let what = format!("it has not taken notice within {} s", at_most.as_secs());
    let taken = |value: Option<&str>| Ok(value.is_none_or(str::is_empty).then_some(()));
    event::wait_node(ctx, node, Deadline::after(at_most), &what, taken)
}

/// How a domain that was waited for has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It has shut down, and still exists.
    Shutdown(ShutdownReason),
    /// It is gone.
    Destroyed,
}

/// Waits until each of these domains has ended, and tells of each end as it comes.
///
/// With `until_gone`, a domain that has shut down is told of and waited for on, until it is destroyed.
pub fn wait_for_ends(ctx: &Ctx, domids: &[DomId], until_gone: bool, mut tell: impl FnMut(DomId, End)) -> Result<()> {
    let watch = ctx.xs()?.watch("@releaseDomain")?;
    let mut waiting: Vec<(DomId, Option<End>)> = domids.iter().map(|domid| (*domid, None)).collect();
    event::wait_until(ctx, &watch, Deadline::NEVER, "the domains still run", || {
        let mut still = Vec::new();
        for (domid, told) in waiting.drain(..) {
            let end = end_of(ctx, domid)?;
            if let Some(end) = end.filter(|_| end != told) {
                tell(domid, end);
            }
            if end.is_none() || (until_gone && end != Some(End::Destroyed)) {
                still.push((domid, end));
            }
        }
        waiting = still;
        Ok(waiting.is_empty().then_some(()))
    })
}

/// Whether and how a domain has ended.
fn end_of(ctx: &Ctx, domid: DomId) -> Result<Option<End>> {
    let Some(domain) = ctx.xc()?.domain(domid)? else { return Ok(Some(End::Destroyed)) };
    if domain.flags.contains(DomainFlags::DYING) {
        return Ok(Some(End::Destroyed));
    }
    Ok(domain.shutdown_reason.map(End::Shutdown))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xenstore::fake::Fake;
    use std::thread;

    const NODE: &str = "/local/domain/3/control/shutdown";

    #[test]
    fn a_guest_takes_notice_by_emptying_the_node() {
        let fake = Fake::new();
        fake.set(NODE, b"poweroff");
        let ctx = fake.ctx();
        let guest = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            fake.set(NODE, b"");
        });
        wait_until_taken(&ctx, NODE, Duration::from_secs(10)).unwrap();
        guest.join().unwrap();
    }

    #[test]
    fn a_guest_that_does_nothing_is_given_up() {
        let fake = Fake::new();
        fake.set(NODE, b"reboot");
        let error = wait_until_taken(&fake.ctx(), NODE, Duration::from_millis(30)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }
}
