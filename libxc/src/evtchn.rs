//! Event channels: those of this process, and the ports that new domains start with (xen/event_channel.h).

#![allow(unsafe_code)]

use crate::buffer::plain;
use crate::handle::logger;
use crate::hypercall::op;
use crate::{DomId, Error, EvtchnPort, Result, Xc};
use std::os::fd::{AsFd, BorrowedFd};
use std::ptr::NonNull;
use xenctrl_sys as sys;
use xenevtchn_sys as ev;

plain!(sys::evtchn_alloc_unbound);

impl Xc {
    /// Allocates a port of `domid` that `remote` may bind.
    pub fn alloc_unbound_port(&self, domid: DomId, remote: DomId) -> Result<EvtchnPort> {
        let mut args = sys::evtchn_alloc_unbound { dom: domid.0, remote_dom: remote.0, port: 0 };
        let op = op!(EVTCHNOP_alloc_unbound);
        // SAFETY: the structure of this operation; no address in it.
        unsafe { self.structure_op(sys::__HYPERVISOR_event_channel_op, op, Some(domid), &mut args)? };
        Ok(EvtchnPort(args.port))
    }
}

/// The event channels of this process. Its descriptor is readable when one of them is pending.
pub struct EventChannels {
    handle: NonNull<ev::xenevtchn_handle>,
}

impl EventChannels {
    /// Opens the kernel's event channel device; the descriptor has `O_CLOEXEC`.
    pub fn open() -> Result<EventChannels> {
        // SAFETY: the logger lives as long as the program, and the library only reads it.
        let handle = unsafe { ev::xenevtchn_open(logger().cast(), 0) };
        let handle = NonNull::new(handle).ok_or_else(|| Error::last("xenevtchn_open", None))?;
        Ok(EventChannels { handle })
    }

    /// Binds a port that `domid` has allocated for us; gives ours.
    pub fn bind_interdomain(&self, domid: DomId, remote: EvtchnPort) -> Result<EvtchnPort> {
        // SAFETY: the handle is open.
        let port = unsafe { ev::xenevtchn_bind_interdomain(self.handle.as_ptr(), domid.0.into(), remote.0) };
        bound(port, "xenevtchn_bind_interdomain", Some(domid))
    }

    /// Binds a virtual interrupt of Xen's (`VIRQ_*`); a global one has only one owner.
    pub fn bind_virq(&self, virq: u32) -> Result<EvtchnPort> {
        // SAFETY: the handle is open.
        bound(unsafe { ev::xenevtchn_bind_virq(self.handle.as_ptr(), virq) }, "xenevtchn_bind_virq", None)
    }

    /// Gives a port back.
    pub fn unbind(&self, port: EvtchnPort) -> Result<()> {
        // SAFETY: the handle is open.
        done(unsafe { ev::xenevtchn_unbind(self.handle.as_ptr(), port.0) }, "xenevtchn_unbind")
    }

    /// Notifies the other end of a port.
    pub fn notify(&self, port: EvtchnPort) -> Result<()> {
        // SAFETY: the handle is open.
        done(unsafe { ev::xenevtchn_notify(self.handle.as_ptr(), port.0) }, "xenevtchn_notify")
    }

    /// The next pending port, now masked; waits for one.
    pub fn pending(&self) -> Result<EvtchnPort> {
        // SAFETY: the handle is open.
        bound(unsafe { ev::xenevtchn_pending(self.handle.as_ptr()) }, "xenevtchn_pending", None)
    }

    /// Lets a port become pending again.
    pub fn unmask(&self, port: EvtchnPort) -> Result<()> {
        // SAFETY: the handle is open.
        done(unsafe { ev::xenevtchn_unmask(self.handle.as_ptr(), port.0) }, "xenevtchn_unmask")
    }
}

fn bound(port: i32, call: &'static str, domid: Option<DomId>) -> Result<EvtchnPort> {
    u32::try_from(port).map(EvtchnPort).map_err(|_| Error::last(call, domid))
}

fn done(rc: i32, call: &'static str) -> Result<()> {
    if rc < 0 { Err(Error::last(call, None)) } else { Ok(()) }
}

impl AsFd for EventChannels {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open as long as the handle, which `self` owns.
        unsafe { BorrowedFd::borrow_raw(ev::xenevtchn_fd(self.handle.as_ptr())) }
    }
}

impl Drop for EventChannels {
    fn drop(&mut self) {
        // SAFETY: opened by `open`, closed once.
        unsafe { ev::xenevtchn_close(self.handle.as_ptr()) };
    }
}
