//! The handle on the hypervisor, from which every call starts.
//!
//! Calls go through libxencall, whose interface is stable; the structures they carry are those of
//! `xenctrl-sys`, made from the installed headers. One hypercall costs one ioctl and nothing else.

#![allow(unsafe_code)]

use crate::{Error, Result};
use nix::errno::Errno;
use std::cell::{Cell, OnceCell};
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr::NonNull;
use xenctrl_sys::{__va_list_tag, xentoollog_level, xentoollog_logger};
use xenforeignmemory_sys::xenforeignmemory_handle;

/// The device through which the kernel passes hypercalls on.
const PRIVCMD: &str = "/dev/xen/privcmd";

/// libxencall (xencall.h). No crate declares it; it is part of what libxenctrl stands on.
pub(crate) mod xencall {
    use super::{c_int, c_uint, c_void, xentoollog_logger};
    use std::ffi::c_long;

    /// `xencall_handle`: opaque.
    #[repr(C)]
    pub(crate) struct Handle {
        _opaque: [u8; 0],
    }

    /// `XENCALL_OPENFLAG_NON_REENTRANT`: no locking, the handle stays on one thread.
    pub(crate) const NON_REENTRANT: c_uint = 1;

    unsafe extern "C" {
        pub(crate) fn xencall_open(logger: *mut xentoollog_logger, flags: c_uint) -> *mut Handle;
        pub(crate) fn xencall_close(handle: *mut Handle) -> c_int;
        pub(crate) fn xencall1(handle: *mut Handle, op: c_uint, arg1: u64) -> c_int;
        pub(crate) fn xencall2(handle: *mut Handle, op: c_uint, arg1: u64, arg2: u64) -> c_int;
        pub(crate) fn xencall4(handle: *mut Handle, op: c_uint, arg1: u64, arg2: u64, arg3: u64, arg4: u64) -> c_int;
        pub(crate) fn xencall2L(handle: *mut Handle, op: c_uint, arg1: u64, arg2: u64) -> c_long;
        pub(crate) fn xencall_alloc_buffer_pages(handle: *mut Handle, pages: usize) -> *mut c_void;
        pub(crate) fn xencall_free_buffer_pages(handle: *mut Handle, buffer: *mut c_void, pages: usize);
    }
}

/// An open way to the hypervisor. Every call is a method, in the file of its topic:
/// `domain.rs`, `memory.rs`, `vcpu.rs`, `host.rs`, `hvm.rs`, `foreign.rs`.
///
/// It stays on the thread that opened it. What it opens carries `O_CLOEXEC`.
pub struct Xc {
    call: NonNull<xencall::Handle>,
    /// Opened by the first foreign mapping: most commands map nothing.
    memory: OnceCell<NonNull<xenforeignmemory_handle>>,
    /// How many more pages of guests may stay mapped until this process ends ([`Xc::leave_mapped`]).
    pub(crate) left_mapped: Cell<usize>,
    /// How many processors and NUMA nodes the host can have.
    pub(crate) limits: OnceCell<(u32, u32)>,
}

impl Xc {
    /// Opens the way to the hypervisor.
    ///
    /// # Errors
    /// [`Error::NoXen`] if there is no hypervisor that this process may control.
    pub fn open() -> Result<Xc> {
        // SAFETY: the logger lives as long as the program, and the library only reads it.
        let call = unsafe { xencall::xencall_open(logger(), xencall::NON_REENTRANT) };
        match NonNull::new(call) {
            Some(call) => Ok(Xc { call, memory: OnceCell::new(), left_mapped: Cell::new(0), limits: OnceCell::new() }),
            None => Err(Error::NoXen { looked_for: PRIVCMD.into(), why: Errno::last().desc().into() }),
        }
    }

    /// As [`Xc::open`], with all that later calls would open: for a process that is about to lose the right to open files.
    ///
    /// # Errors
    /// As those of [`Xc::open`].
    pub fn open_whole() -> Result<Xc> {
        let xc = Xc::open()?;
        xc.memory()?;
        Ok(xc)
    }

    /// libxencall's handle, open as long as `self`.
    pub(crate) fn call(&self) -> *mut xencall::Handle {
        self.call.as_ptr()
    }

    /// libxenforeignmemory's handle, open as long as `self`.
    pub(crate) fn memory(&self) -> Result<*mut xenforeignmemory_handle> {
        if let Some(open) = self.memory.get() {
            return Ok(open.as_ptr());
        }
        // SAFETY: as in `open`; the two crates declare the same C structure for the logger.
        let handle = unsafe { xenforeignmemory_sys::xenforeignmemory_open(logger().cast(), 0) };
        let handle = NonNull::new(handle).ok_or_else(|| Error::last("xenforeignmemory_open", None))?;
        Ok(self.memory.get_or_init(|| handle).as_ptr())
    }
}

impl Drop for Xc {
    fn drop(&mut self) {
        // SAFETY: both handles were opened by `self` and are used by nothing else: buffers and
        // mappings borrow `self`.
        unsafe {
            if let Some(memory) = self.memory.take() {
                xenforeignmemory_sys::xenforeignmemory_close(memory.as_ptr());
            }
            xencall::xencall_close(self.call.as_ptr());
        }
    }
}

/// What the C libraries tell while they work goes to our log. Given no logger they would write to stderr.
static LOGGER: xentoollog_logger =
    xentoollog_logger { vmessage: Some(log_message), progress: None, destroy: Some(log_destroy) };

/// The logger as the C libraries take it; they never write to it.
pub(crate) fn logger() -> *mut xentoollog_logger {
    (&raw const LOGGER).cast_mut()
}

unsafe extern "C" {
    /// C's own; the `libc` crate leaves it out.
    fn vsnprintf(buf: *mut c_char, size: usize, format: *const c_char, args: *mut __va_list_tag) -> c_int;
}

/// `xentoollog_logger.vmessage`: one message of a library, with what C's printf makes of it.
unsafe extern "C" fn log_message(
    _logger: *mut xentoollog_logger,
    _level: xentoollog_level,
    errno: c_int,
    _context: *const c_char,
    format: *const c_char,
    args: *mut __va_list_tag,
) {
    let mut text = [0 as c_char; 512];
    // SAFETY: the library passes a format and its arguments; the buffer's size is told, and the result
    // is always terminated.
    let text = unsafe {
        vsnprintf(text.as_mut_ptr(), text.len(), format, args);
        CStr::from_ptr(text.as_ptr())
    };
    let text = text.to_string_lossy();
    if errno > 0 {
        tracing::debug!(target: "libxc", "{text}: {}", Errno::from_raw(errno).desc());
    } else {
        tracing::debug!(target: "libxc", "{text}");
    }
}

/// `xentoollog_logger.destroy`: the logger is static.
unsafe extern "C" fn log_destroy(_logger: *mut xentoollog_logger) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_xen_one_clear_error() {
        if std::path::Path::new(PRIVCMD).exists() {
            return;
        }
        let error = Xc::open().err().expect("no hypervisor here").to_string();
        assert!(error.contains(PRIVCMD) && error.contains("boot this host under Xen"), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}
