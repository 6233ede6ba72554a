//! The Flask security module (xsm/flask_op.h): security labels and their numbers, its policy and whether it is
//! enforced.

#![allow(unsafe_code)]

use crate::buffer::{Buffer, plain};
use crate::handle::xencall;
use crate::hypercall::{Op, op};
use crate::{DomId, Error, Result, Xc};
use nix::errno::Errno;
use std::ffi::c_char;
use xenctrl_sys as sys;

/// Room for a label: stock libxl's.
const LABEL_SIZE: usize = crate::types::PAGE_SIZE;

plain!(sys::xen_flask_op);

impl Xc {
    /// The number (SID) of a security label; `None` if the hypervisor runs without Flask.
    pub fn security_id(&self, label: &str) -> Result<Option<u32>> {
        let text: Vec<i8> = label.bytes().map(|byte| byte as i8).collect();
        let buffer = Buffer::of(self, &text)?;
        let mut args = sys::xen_flask_op__bindgen_ty_1::default();
        args.sid_context = sid_context(0, &buffer)?;
        // SAFETY: the one address is `buffer`'s, with its size.
        let done = if_flask(unsafe { self.flask(op!(FLASK_CONTEXT_TO_SID), args) })?;
        // SAFETY: any bytes are valid; this operation fills `sid_context`.
        Ok(done.map(|(_, args)| unsafe { args.sid_context.sid }))
    }

    /// The security label of a number; `None` if the hypervisor runs without Flask.
    pub fn security_label(&self, id: u32) -> Result<Option<String>> {
        let buffer = Buffer::<i8>::zeroed(self, LABEL_SIZE)?;
        let mut args = sys::xen_flask_op__bindgen_ty_1::default();
        args.sid_context = sid_context(id, &buffer)?;
        // SAFETY: the one address is `buffer`'s, with its size.
        let done = if_flask(unsafe { self.flask(op!(FLASK_SID_TO_CONTEXT), args) })?;
        let text = || buffer.iter().map(|byte| *byte as u8).take_while(|byte| *byte != 0).collect::<Vec<u8>>();
        Ok(done.map(|_| String::from_utf8_lossy(&text()).into_owned()))
    }

    /// Gives a domain another security label, by its number.
    pub fn relabel_domain(&self, domid: DomId, id: u32) -> Result<()> {
        let mut args = sys::xen_flask_op__bindgen_ty_1::default();
        args.relabel = sys::xen_flask_relabel { domid: domid.0.into(), sid: id };
        // SAFETY: no address.
        unsafe { self.flask(op!(FLASK_RELABEL_DOMAIN), args) }.map(drop)
    }

    /// Whether Flask enforces its policy; `None` if the hypervisor runs without Flask.
    pub fn is_flask_enforcing(&self) -> Result<Option<bool>> {
        // SAFETY: no address.
        let done = if_flask(unsafe { self.flask(op!(FLASK_GETENFORCE), Default::default()) })?;
        Ok(done.map(|(answer, _)| answer != 0))
    }

    /// Makes Flask enforce its policy, or only log what it would refuse.
    pub fn set_flask_enforcing(&self, enforcing: bool) -> Result<()> {
        let mut args = sys::xen_flask_op__bindgen_ty_1::default();
        args.enforce = sys::xen_flask_setenforce { enforcing: enforcing.into() };
        // SAFETY: no address.
        unsafe { self.flask(op!(FLASK_SETENFORCE), args) }.map(drop)
    }

    /// Gives Flask a compiled policy.
    pub fn load_flask_policy(&self, policy: &[u8]) -> Result<()> {
        let buffer = Buffer::of(self, policy)?;
        let mut args = sys::xen_flask_op__bindgen_ty_1::default();
        args.load = sys::xen_flask_load {
            buffer: sys::__guest_handle_char { p: buffer.as_ptr().cast() },
            size: size(policy.len())?,
        };
        // SAFETY: the one address is `buffer`'s, with its size.
        unsafe { self.flask(op!(FLASK_LOAD), args) }.map(drop)
    }

    /// Makes a Flask call; gives its answer and its arguments as Xen left them.
    ///
    /// # Safety
    /// Every address in `args` is of a live [`Buffer`] of the size that `args` says, or null.
    unsafe fn flask(
        &self,
        op: Op,
        args: sys::xen_flask_op__bindgen_ty_1,
    ) -> Result<(i32, sys::xen_flask_op__bindgen_ty_1)> {
        let call = sys::xen_flask_op { cmd: op.number, interface_version: sys::XEN_FLASK_INTERFACE_VERSION, u: args };
        let buffer = Buffer::of(self, &[call])?;
        // SAFETY: the handle is open; the buffer holds the operation, whose addresses are as the caller promises.
        let answer = unsafe { xencall::xencall1(self.call(), sys::__HYPERVISOR_xsm_op, buffer.arg()) };
        if answer < 0 {
            return Err(Error::last(op.name, None));
        }
        buffer.first().map(|done| (answer, done.u)).ok_or_else(|| Error::Invalid(format!("{}: no answer", op.name)))
    }
}

fn sid_context(sid: u32, buffer: &Buffer<'_, i8>) -> Result<sys::xen_flask_sid_context> {
    let context = sys::__guest_handle_char { p: buffer.as_ptr().cast::<c_char>() };
    Ok(sys::xen_flask_sid_context { sid, size: size(buffer.len())?, context })
}

fn size(len: usize) -> Result<u32> {
    u32::try_from(len).map_err(|_| Error::Invalid(format!("{len} bytes are too many for Flask")))
}

/// `None` for the answer of a hypervisor that runs without Flask.
fn if_flask<T>(done: Result<T>) -> Result<Option<T>> {
    match done {
        Ok(done) => Ok(Some(done)),
        Err(e) if e.errno() == Some(Errno::ENOSYS) => Ok(None),
        Err(e) => Err(e),
    }
}
