//! Suspending a guest, and letting one that is suspended go on.
//!
//! A guest suspends itself when it is asked to: it stops its devices and its other vCPUs, then makes a hypercall, and
//! Xen shuts the domain down for the reason "suspend". What comes out of that hypercall tells it later whether it is
//! where it was or was moved.

use super::{configuration, info};
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::event::{self, Deadline};
use crate::types::DomainType;
use crate::xenstore::{Store, schema};
use crate::{Ctx, dm};
use libxc::DomId;
use libxc::domain::{DomainFlags, DomainInfo, ShutdownReason};
use libxc::hvm::HvmParam;
use std::time::Duration;

/// How long a guest may take to notice the request, and then again to suspend.
const PATIENCE: Duration = Duration::from_secs(60);
/// What is written to `control/shutdown` (docs/misc/xenstore-paths.pandoc).
const REQUEST: &str = "suspend";

/// Makes a guest suspend itself, and waits until it has (`libxl_domain_suspend_only`). One that is suspended stays so.
///
/// # Errors
/// `GuestTimedOut` if it does not take notice, or does not suspend, within a minute each: it runs on then, and the
/// request is taken back. `Fail` if it cannot take notice because it is paused or has shut down.
pub fn suspend(ctx: &Ctx, domid: DomId) -> Result<()> {
    steps(ctx, domid).with_context(|| format!("suspending domain {domid}"))
}

fn steps(ctx: &Ctx, domid: DomId) -> Result<()> {
    let domain = info::get(ctx, domid)?;
    if domain.shutdown_reason == Some(ShutdownReason::Suspend) {
        return Ok(());
    }
    check_can_answer(&domain)?;
    match info::kind(ctx, &domain)? {
        DomainType::Hvm => hvm(ctx, domid),
        _ => ask(ctx, domid),
    }
}

/// The devices of an HVM guest stop after it. One without PV drivers, or that sleeps, suspends nothing itself: Xen stops it.
fn hvm(ctx: &Ctx, domid: DomId) -> Result<()> {
    dm::hvm::check(&configuration::current(ctx, domid)?)?;
    let xc = ctx.xc()?;
    if xc.hvm_param(domid, HvmParam::CallbackIrq)? != 0 && xc.hvm_param(domid, HvmParam::AcpiSState)? == 0 {
        ask(ctx, domid)?;
    } else {
        xc.shutdown_domain(domid, ShutdownReason::Suspend)?;
        wait_for_suspend(ctx, domid, PATIENCE)?;
    }
    dm::hvm::stop(ctx, domid).map_err(|e| match go_on(ctx, domid) {
        Ok(()) => e,
        Err(not_resumed) => e.note(not_resumed.to_string()),
    })
}

/// Asks the guest to suspend itself.
fn ask(ctx: &Ctx, domid: DomId) -> Result<()> {
    let node = schema::control(domid, "shutdown");
    ctx.xs()?.write_bytes(&node, REQUEST.as_bytes())?;
    match wait_for_notice(ctx, &node, PATIENCE) {
        Ok(()) => {}
        Err(e) if take_back(ctx, &node)? => return Err(explain(ctx, domid, e)),
        // It noticed at the last moment: it is about to suspend.
        Err(e) if e.kind() == ErrorKind::Aborted => return Err(e),
        Err(_) => {}
    }
    wait_for_suspend(ctx, domid, PATIENCE)
}

/// Refuses at once what could only end in the time running out.
fn check_can_answer(domain: &DomainInfo) -> Result<()> {
    if let Some(reason) = domain.shutdown_reason {
        return Err(Error::fail(format!("it has shut down ({reason:?}) and can do nothing any more")));
    }
    if domain.flags.contains(DomainFlags::PAUSED) {
        return Err(Error::fail("it is paused and cannot suspend itself (xl unpause it first)"));
    }
    Ok(())
}

fn wait_for_notice(ctx: &Ctx, node: &str, at_most: Duration) -> Result<()> {
    let what = format!("it has not taken notice of the request within {} s", at_most.as_secs());
    let noticed = |value: Option<&str>| Ok((value != Some(REQUEST)).then_some(()));
    event::wait_node(ctx, node, Deadline::after(at_most), &what, noticed)
}

/// Takes the request back, unless the guest has noticed it meanwhile. Whether it was taken back.
fn take_back(ctx: &Ctx, node: &str) -> Result<bool> {
    ctx.xs()?.transaction(|t| {
        let pending = t.read_optional(node)?.as_deref() == Some(REQUEST);
        if pending {
            t.write_bytes(node, b"")?;
        }
        Ok(pending)
    })
}

/// A guest that does not answer mostly has nothing that could.
fn explain(ctx: &Ctx, domid: DomId, error: Error) -> Error {
    if error.kind() != ErrorKind::TimedOut {
        return error;
    }
    let feature = ctx.xs().map(|xs| xs.read_optional(&schema::control(domid, "feature-suspend")));
    let able = matches!(feature, Ok(Ok(Some(value))) if value == "1");
    let error = error.with_kind(ErrorKind::GuestTimedOut);
    if able { error } else { error.note("its kernel has not told that it can suspend (control/feature-suspend)") }
}

fn wait_for_suspend(ctx: &Ctx, domid: DomId, at_most: Duration) -> Result<()> {
    let what = format!("it took notice of the request, but has not suspended within {} s", at_most.as_secs());
    let suspended = event::wait_domain(ctx, domid, Deadline::after(at_most), &what, |domain| match domain {
        None => Err(Error::new(ErrorKind::DomainDestroyed, "it was destroyed meanwhile")),
        Some(DomainInfo { shutdown_reason: None, .. }) => Ok(None),
        Some(DomainInfo { shutdown_reason: Some(ShutdownReason::Suspend), .. }) => Ok(Some(())),
        Some(DomainInfo { shutdown_reason: Some(other), .. }) => {
            Err(Error::fail(format!("it has shut down ({other:?}) instead")))
        }
    });
    suspended.map_err(|e| match e.kind() {
        ErrorKind::TimedOut => e.with_kind(ErrorKind::GuestTimedOut),
        _ => e,
    })
}

/// Whether a domain is suspended now.
pub fn is_suspended(ctx: &Ctx, domid: DomId) -> Result<bool> {
    Ok(info::get(ctx, domid)?.shutdown_reason == Some(ShutdownReason::Suspend))
}

/// Lets a suspended guest go on where it is, with the devices that it has (`libxl_domain_resume` with
/// `suspend_cancel`).
pub fn resume(ctx: &Ctx, domid: DomId) -> Result<()> {
    let steps = || {
        if info::kind(ctx, &info::get(ctx, domid)?)? == DomainType::Hvm {
            dm::hvm::go_on(ctx, domid)?;
        }
        go_on(ctx, domid)
    };
    steps().with_context(|| format!("resuming domain {domid}"))
}

fn go_on(ctx: &Ctx, domid: DomId) -> Result<()> {
    ctx.xc()?.cancel_suspend(domid)?;
    // xenstored is to tell of this domain's next end, too.
    Ok(ctx.xs()?.resume(domid)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xenstore::fake::Fake;
    use std::thread;

    const NODE: &str = "/local/domain/3/control/shutdown";

    #[test]
    fn a_guest_takes_notice_by_changing_the_node() {
        let fake = Fake::new();
        fake.set(NODE, b"suspend");
        let ctx = fake.ctx();
        let guest = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            fake.set(NODE, b"");
        });
        wait_for_notice(&ctx, NODE, Duration::from_secs(10)).unwrap();
        guest.join().unwrap();
        assert!(!take_back(&ctx, NODE).unwrap());
    }

    #[test]
    fn a_request_without_an_answer_is_taken_back() {
        let fake = Fake::new();
        fake.set(NODE, b"suspend");
        let ctx = fake.ctx();
        let error = wait_for_notice(&ctx, NODE, Duration::from_millis(30)).unwrap_err();
        assert!(take_back(&ctx, NODE).unwrap());
        assert_eq!(ctx.xs().unwrap().read_optional(NODE).unwrap().as_deref(), Some(""));
        let error = explain(&ctx, DomId(3), error);
        assert_eq!((error.kind(), error.notes().len()), (ErrorKind::GuestTimedOut, 1));
        fake.set("/local/domain/3/control/feature-suspend", b"1");
        assert!(explain(&ctx, DomId(3), Error::new(ErrorKind::TimedOut, "")).notes().is_empty());
    }

    #[test]
    fn what_cannot_answer_is_not_asked() {
        let refusal = |domain: DomainInfo| check_can_answer(&domain).unwrap_err().to_string();
        let running = DomainInfo { domid: DomId(3), ..DomainInfo::default() };
        assert!(check_can_answer(&running).is_ok());
        assert!(refusal(DomainInfo { flags: DomainFlags::PAUSED, ..running.clone() }).contains("paused"));
        let crashed = DomainInfo { shutdown_reason: Some(ShutdownReason::Crash), ..running };
        assert!(refusal(crashed).contains("Crash"));
    }
}
