//! Asking a domain to stop, and waiting until it has.

use super::info;
use crate::Ctx;
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::types::DomainType;
use crate::xenstore::{Client, Store};
use libxc::DomId;
use libxc::domain::{DomainFlags, ShutdownReason};
use libxc::hvm::HvmParam;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

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
    let node = format!("/local/domain/{domid}/control/shutdown");
    let xs = ctx.xs()?;
    xs.write_bytes(&node, what.word().as_bytes())?;
    wait_until_taken(xs, &node, ACKNOWLEDGEMENT).with_context(|| format!("asking domain {domid} to {}", what.word()))
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
fn wait_until_taken(xs: &Client, node: &str, at_most: Duration) -> Result<()> {
    let deadline = Instant::now() + at_most;
    let _watch = xs.watch(node)?;
    loop {
        xs.take_events()?;
        if xs.read_optional(node)?.is_none_or(|value| value.is_empty()) {
            return Ok(());
        }
        if !wait_for_event(xs, Some(deadline))? {
            let text = format!("it has not taken notice within {} s", at_most.as_secs());
            return Err(Error::new(ErrorKind::TimedOut, text));
        }
    }
}

/// Waits for a watch event, at most until the deadline; tells whether one came.
fn wait_for_event(xs: &Client, deadline: Option<Instant>) -> Result<bool> {
    while !xs.has_events() {
        let timeout = match deadline {
            None => PollTimeout::NONE,
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Ok(false);
                }
                // Rounded up, so that the wait does not end just before the deadline.
                PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
            }
        };
        let mut ready = [PollFd::new(xs.as_fd(), PollFlags::POLLIN)];
        match nix::poll::poll(&mut ready, timeout) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(e) => return Err(e.into()),
        }
    }
    Ok(true)
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
    let xs = ctx.xs()?;
    let _watch = xs.watch("@releaseDomain")?;
    let mut waiting: Vec<(DomId, Option<End>)> = domids.iter().map(|domid| (*domid, None)).collect();
    loop {
        xs.take_events()?;
        let mut still = Vec::new();
        for (domid, told) in waiting {
            let end = end_of(ctx, domid)?;
            if let Some(end) = end.filter(|_| end != told) {
                tell(domid, end);
            }
            if end.is_none() || (until_gone && end != Some(End::Destroyed)) {
                still.push((domid, end));
            }
        }
        if still.is_empty() {
            return Ok(());
        }
        waiting = still;
        wait_for_event(xs, None)?;
    }
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
        let xs = fake.connect();
        let guest = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            fake.set(NODE, b"");
        });
        wait_until_taken(&xs, NODE, Duration::from_secs(10)).unwrap();
        guest.join().unwrap();
    }

    #[test]
    fn a_guest_that_does_nothing_is_given_up() {
        let fake = Fake::new();
        fake.set(NODE, b"reboot");
        let error = wait_until_taken(&fake.connect(), NODE, Duration::from_millis(30)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }
}
