//! Suspending a guest, and letting one that is suspended go on.
//!
//! A guest suspends itself when it is asked to: it stops its devices and its other vCPUs, then makes a hypercall, and
//! Xen shuts the domain down for the reason "suspend". What comes out of that hypercall tells it later whether it is
//! where it was or was moved.

use super::{configuration, info};
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::event::{self, Deadline};
use crate::lock::LockFile;
use crate::types::DomainType;
use crate::userdata::Userdata;
use crate::xenstore::{Store, schema};
use crate::{Ctx, dm};
use libxc::DomId;
use libxc::domain::{DomainFlags, DomainInfo, ShutdownReason};
use libxc::hvm::HvmParam;
use std::time::Duration;

/// How long a guest may take to notice the request, and then again to suspend.
const PATIENCE: Duration = Duration::from_secs(60);
/// Within this time a guest suspends that has taken notice of the request, on any but the slowest host.
const SUSPENDS: Duration = Duration::from_secs(5);
/// What is written to `control/shutdown` (docs/misc/xenstore-paths.pandoc).
const REQUEST: &str = "suspend";

/// The right to suspend a guest and to let it go on. One process has it at a time: of two that save or move a guest, each
/// would take the other's suspension for its own, and undo it.
pub struct Hold {
    domid: DomId,
    /// Whether the guest was suspended before, by somebody who wants it so.
    was_suspended: bool,
    _lock: LockFile,
}

impl Hold {
    /// # Errors
    /// `LockFail` if another process has it; `DomainNotFound`.
    pub fn of(ctx: &Ctx, domid: DomId) -> Result<Hold> {
        let lock = Userdata::of(ctx, domid)?.try_lock_suspension()?;
        let busy =
            || format!("domain {domid} is being saved, moved or suspended by another process (wait for its end)");
        let _lock = lock.ok_or_else(|| Error::new(ErrorKind::LockFail, busy()))?;
        Ok(Hold { domid, was_suspended: is_suspended(ctx, domid)?, _lock })
    }

    /// Lets a guest go on whose last holder is dead: it was asked to suspend itself, is about to, or has. Whether it runs now;
    /// otherwise it has shut down.
    ///
    /// # Errors
    /// `LockFail` if yet another process has it by now, which decides then.
    pub fn recover(ctx: &Ctx, domid: DomId) -> Result<bool> {
        let hold = Hold::of(ctx, domid)?;
        if info::kind(ctx, &info::get(ctx, domid)?)? == DomainType::Hvm
            && let Err(e) = dm::hvm::log_dirty(ctx, domid, false)
        {
            tracing::warn!("{e}");
        }
        if !take_back(ctx, &schema::control(domid, "shutdown"))? && is_about_to_suspend(ctx, domid)? {
            hold.resume(ctx)?;
        } else {
            // The dead one may have come half through that.
            ctx.xs()?.resume(domid)?;
        }
        Ok(info::get(ctx, domid)?.shutdown_reason.is_none())
    }

    /// Whether somebody else had suspended the guest before.
    pub fn was_suspended(&self) -> bool {
        self.was_suspended
    }

    /// Which guest it is.
    pub fn domid(&self) -> DomId {
        self.domid
    }

    /// Makes the guest suspend itself, and waits until it has (`libxl_domain_suspend_only`). One that is suspended stays so.
    /// Once it has taken notice nothing ends the wait for it, not even the deadline: it could suspend when nobody is there to
    /// let it go on.
    ///
    /// # Errors
    /// `GuestTimedOut` if it does not take notice before the deadline or within a minute: it runs on then, and the request is
    /// taken back; or if it does not suspend within another minute. `Fail` if it cannot take notice because it is paused or has
    /// shut down.
    pub fn suspend(&self, ctx: &Ctx, deadline: Deadline) -> Result<()> {
        suspend(ctx, self.domid, deadline).with_context(|| format!("suspending domain {}", self.domid))
    }

    /// Makes sure that the guest is suspended still: stock xl, for one, could have let it go on meanwhile.
    pub fn check(&self, ctx: &Ctx) -> Result<()> {
        match is_suspended(ctx, self.domid)? {
            true => Ok(()),
            false => Err(Error::fail(format!("another process has let domain {} go on meanwhile", self.domid))),
        }
    }

    /// Lets the suspended guest go on where it is, with the devices that it has (`libxl_domain_resume` with
    /// `suspend_cancel`). No signal cuts that short.
    pub fn resume(&self, ctx: &Ctx) -> Result<()> {
        ctx.undisturbed(|| resume(ctx, self.domid)).with_context(|| format!("resuming domain {}", self.domid))
    }

    /// What to do after a failure: as [`Hold::put_back`]. What keeps the guest from going on becomes a note of the error.
    pub fn fail(&self, ctx: &Ctx, error: Error) -> Error {
        match self.put_back(ctx) {
            Ok(_) => error,
            Err(e) => error.note(e.to_string()),
        }
    }

    /// Lets the guest go on if it has been suspended since there is this hold. Whether it runs now.
    pub fn put_back(&self, ctx: &Ctx) -> Result<bool> {
        if !self.was_suspended && is_suspended(ctx, self.domid)? {
            self.resume(ctx)?;
        }
        Ok(!self.was_suspended)
    }
}

fn suspend(ctx: &Ctx, domid: DomId, deadline: Deadline) -> Result<()> {
    let domain = info::get(ctx, domid)?;
    if domain.shutdown_reason == Some(ShutdownReason::Suspend) {
        return Ok(());
    }
    check_can_answer(&domain)?;
    match info::kind(ctx, &domain)? {
        DomainType::Hvm => hvm(ctx, domid, deadline),
        _ => ask(ctx, domid, deadline),
    }
}

/// The devices of an HVM guest stop after it. One without PV drivers, or that sleeps, suspends nothing itself: Xen stops it.
fn hvm(ctx: &Ctx, domid: DomId, deadline: Deadline) -> Result<()> {
    dm::hvm::check(&configuration::current(ctx, domid)?)?;
    let xc = ctx.xc()?;
    if xc.hvm_param(domid, HvmParam::CallbackIrq)? != 0 && xc.hvm_param(domid, HvmParam::AcpiSState)? == 0 {
        ask(ctx, domid, deadline)?;
    } else {
        xc.shutdown_domain(domid, ShutdownReason::Suspend)?;
        wait_for_suspend(ctx, domid)?;
    }
    dm::hvm::stop(ctx, domid).map_err(|e| match go_on(ctx, domid) {
        Ok(()) => e,
        Err(not_resumed) => e.note(not_resumed.to_string()),
    })
}

/// Asks the guest to suspend itself.
fn ask(ctx: &Ctx, domid: DomId, deadline: Deadline) -> Result<()> {
    let node = schema::control(domid, "shutdown");
    ctx.xs()?.write_bytes(&node, REQUEST.as_bytes())?;
    let noticed = wait_for_notice(ctx, &node, Deadline::after(PATIENCE).earlier(deadline));
    if noticed.is_err() && take_back(ctx, &node)? {
        return noticed.map_err(|e| match deadline.passed() {
            true => e.note("the time that it may take is over"),
            false => explain(ctx, domid, e),
        });
    }
    wait_for_suspend(ctx, domid)?;
    // It noticed at the last moment.
    match noticed {
        Err(e) if e.kind() == ErrorKind::Aborted => Err(e),
        _ => Ok(()),
    }
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

fn wait_for_notice(ctx: &Ctx, node: &str, deadline: Deadline) -> Result<()> {
    let noticed = |value: Option<&str>| Ok((value != Some(REQUEST)).then_some(()));
    event::wait_node(ctx, node, deadline, "it has not taken notice of the request", noticed)
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

/// Whether a guest of which nobody knows what it was asked is suspended, or is before long.
fn is_about_to_suspend(ctx: &Ctx, domid: DomId) -> Result<bool> {
    let ended = |domain: Option<&DomainInfo>| Ok(domain.is_none_or(|d| d.shutdown_reason.is_some()).then_some(()));
    match event::wait_domain(ctx, domid, Deadline::after(SUSPENDS), "it runs", ended) {
        Err(e) if e.kind() != ErrorKind::TimedOut => Err(e),
        _ => is_suspended(ctx, domid),
    }
}

/// Waits for a guest that is about to suspend.
fn wait_for_suspend(ctx: &Ctx, domid: DomId) -> Result<()> {
    let what = format!("it took notice of the request, but has not suspended within {} s", PATIENCE.as_secs());
    let suspended = |domain: Option<&DomainInfo>| match domain {
        None => Err(Error::new(ErrorKind::DomainDestroyed, "it was destroyed meanwhile")),
        Some(DomainInfo { shutdown_reason: None, .. }) => Ok(None),
        Some(DomainInfo { shutdown_reason: Some(ShutdownReason::Suspend), .. }) => Ok(Some(())),
        Some(DomainInfo { shutdown_reason: Some(other), .. }) => {
            Err(Error::fail(format!("it has shut down ({other:?}) instead")))
        }
    };
    let waited = ctx.undisturbed(|| event::wait_domain(ctx, domid, Deadline::after(PATIENCE), &what, suspended));
    waited.map_err(|e| match e.kind() {
        ErrorKind::TimedOut => {
            e.with_kind(ErrorKind::GuestTimedOut).note("if it suspends later, `xl resume` lets it go on")
        }
        _ => e,
    })
}

fn is_suspended(ctx: &Ctx, domid: DomId) -> Result<bool> {
    Ok(info::get(ctx, domid)?.shutdown_reason == Some(ShutdownReason::Suspend))
}

fn resume(ctx: &Ctx, domid: DomId) -> Result<()> {
    if info::kind(ctx, &info::get(ctx, domid)?)? == DomainType::Hvm {
        dm::hvm::go_on(ctx, domid)?;
    }
    go_on(ctx, domid)
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
        wait_for_notice(&ctx, NODE, Deadline::after(Duration::from_secs(10))).unwrap();
        guest.join().unwrap();
        assert!(!take_back(&ctx, NODE).unwrap());
    }

    #[test]
    fn a_request_without_an_answer_is_taken_back() {
        let fake = Fake::new();
        fake.set(NODE, b"suspend");
        let ctx = fake.ctx();
        let error = wait_for_notice(&ctx, NODE, Deadline::after(Duration::from_millis(30))).unwrap_err();
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
