//! Memory that is safe to pass to a hypercall: it stays where it is while Xen reads or writes it.

#![allow(unsafe_code)]

use crate::handle::xencall;
use crate::types::PAGE_SIZE;
use crate::{Error, Result, Xc};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// A type of Xen's interface that any bytes make a valid value of.
///
/// # Safety
/// The type is `repr(C)` without `bool`, `char`, references or Rust enums.
pub(crate) unsafe trait Plain: Copy {}

/// Declares types of Xen's interface as [`Plain`].
macro_rules! plain {
    ($($name:ty),* $(,)?) => {$(
        // SAFETY: integers and raw pointers, or a C structure or union of them.
        unsafe impl $crate::buffer::Plain for $name {}
    )*};
}
pub(crate) use plain;

plain!(u8, i8, u32, u64);

/// An array for a hypercall to read and fill; a slice to everybody else. Freed by `Drop`.
///
/// Xen touches it only during a hypercall that was given its address.
pub(crate) struct Buffer<'xc, T: Plain> {
    xc: &'xc Xc,
    start: NonNull<T>,
    len: usize,
    pages: usize,
}

impl<'xc, T: Plain> Buffer<'xc, T> {
    /// `len` values, all bytes zero.
    pub(crate) fn zeroed(xc: &'xc Xc, len: usize) -> Result<Buffer<'xc, T>> {
        let size = len.max(1).checked_mul(size_of::<T>());
        let pages = size.ok_or_else(|| Error::Invalid(format!("a hypercall's buffer of {len} entries")))?;
        let pages = pages.div_ceil(PAGE_SIZE);
        // SAFETY: the handle is open. The library gives zeroed pages, enough for `len` aligned values.
        let start = unsafe { xencall::xencall_alloc_buffer_pages(xc.call(), pages) };
        let start = NonNull::new(start.cast()).ok_or_else(|| Error::last("xencall_alloc_buffer_pages", None))?;
        Ok(Buffer { xc, start, len, pages })
    }

    /// A copy of these values.
    pub(crate) fn of(xc: &'xc Xc, values: &[T]) -> Result<Buffer<'xc, T>> {
        let mut buffer = Buffer::zeroed(xc, values.len())?;
        buffer.copy_from_slice(values);
        Ok(buffer)
    }

    /// The address that goes into a hypercall's arguments.
    pub(crate) fn as_ptr(&self) -> *mut T {
        self.start.as_ptr()
    }

    /// The address as a hypercall's register holds it.
    pub(crate) fn arg(&self) -> u64 {
        self.start.as_ptr().addr() as u64
    }
}

impl<T: Plain> Deref for Buffer<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `len` valid values (any bytes are), which nobody writes while `self` is borrowed.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T: Plain> DerefMut for Buffer<'_, T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl<T: Plain> Drop for Buffer<'_, T> {
    fn drop(&mut self) {
        // SAFETY: allocated from this handle, which is still open, and freed once.
        unsafe { xencall::xencall_free_buffer_pages(self.xc.call(), self.start.as_ptr().cast(), self.pages) }
    }
}

impl Buffer<'_, u8> {
    /// The buffer as a bitmap argument: bit n is bit n % 8 of byte n / 8.
    pub(crate) fn bitmap(&self) -> xenctrl_sys::xenctl_bitmap {
        xenctrl_sys::xenctl_bitmap {
            bitmap: xenctrl_sys::__guest_handle_uint8 { p: self.as_ptr() },
            nr_bits: (self.len * 8) as u32,
        }
    }
}
