//! Which pages a domain has written since the last look, and what its pages are
//! (`XEN_DOMCTL_shadow_op` and `XEN_DOMCTL_getpageframeinfo3`, xen/domctl.h).

#![allow(unsafe_code)]

use crate::buffer::Buffer;
use crate::hypercall::op;
use crate::stream::PageType;
use crate::stream::page::BATCH_MAX;
use crate::{DomId, Error, Result, Xc};
use xenctrl_sys as sys;

/// A bit for each page of a domain, in memory that Xen can fill.
pub struct DirtyBitmap<'xc> {
    words: Buffer<'xc, u64>,
    pages: u64,
}

impl<'xc> DirtyBitmap<'xc> {
    /// Every bit of `pages` set.
    pub fn full(xc: &'xc Xc, pages: u64) -> Result<DirtyBitmap<'xc>> {
        let mut bitmap = DirtyBitmap { words: Buffer::zeroed(xc, pages.div_ceil(64) as usize)?, pages };
        bitmap.set_all();
        Ok(bitmap)
    }

    /// Sets every bit.
    pub fn set_all(&mut self) {
        self.words.fill(u64::MAX);
    }

    /// Sets the bit of a page; one beyond the last is passed over.
    pub fn set(&mut self, page: u64) {
        if page < self.pages {
            self.words[(page / 64) as usize] |= 1 << (page % 64);
        }
    }

    /// The pages whose bits are set, in rising order.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        set_bits(&self.words, self.pages)
    }
}

/// The numbers below `limit` of the bits that are set.
fn set_bits(words: &[u64], limit: u64) -> impl Iterator<Item = u64> {
    let word_bits = |(index, &word): (usize, &u64)| {
        let mut rest = word;
        std::iter::from_fn(move || {
            (rest != 0).then(|| {
                let bit = rest.trailing_zeros();
                rest &= rest - 1;
                index as u64 * 64 + u64::from(bit)
            })
        })
    };
    words.iter().enumerate().flat_map(word_bits).take_while(move |&bit| bit < limit)
}

impl Xc {
    /// Makes Xen note which pages a domain writes. Where video memory is tracked already, that is stopped first.
    pub fn enable_log_dirty(&self, domid: DomId) -> Result<()> {
        self.plain_shadow_op(domid, sys::XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY).or_else(|first| {
            self.disable_log_dirty(domid).map_err(|_| first)?;
            self.plain_shadow_op(domid, sys::XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY)
        })
    }

    /// Stops what [`Xc::enable_log_dirty`] began.
    pub fn disable_log_dirty(&self, domid: DomId) -> Result<()> {
        self.plain_shadow_op(domid, sys::XEN_DOMCTL_SHADOW_OP_OFF)
    }

    /// Takes the pages written since the last time, and begins anew; how many they are. `last` says that the domain will not run again
    /// before the noting ends.
    pub fn take_dirty(&self, domid: DomId, into: &mut DirtyBitmap<'_>, last: bool) -> Result<u32> {
        let mode = if last { sys::XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL } else { 0 };
        let args = sys::xen_domctl_shadow_op {
            op: sys::XEN_DOMCTL_SHADOW_OP_CLEAN,
            mode,
            dirty_bitmap: sys::__guest_handle_uint8 { p: into.words.as_ptr().cast() },
            pages: into.pages,
            ..Default::default()
        };
        // SAFETY: the bitmap lives through the call and has at least `pages` bits.
        let done = unsafe { self.domctl_with(op!(XEN_DOMCTL_shadow_op), domid, args)? };
        if done.pages != into.pages {
            return Err(Error::Invalid(format!(
                "the bitmap of pages written by domain {domid} covers {} of {} pages",
                done.pages, into.pages
            )));
        }
        Ok(done.stats.dirty_count)
    }

    fn plain_shadow_op(&self, domid: DomId, op: u32) -> Result<()> {
        let args = sys::xen_domctl_shadow_op { op, ..Default::default() };
        // SAFETY: the only address in it is null, and these operations use none.
        unsafe { self.domctl_with(op!(XEN_DOMCTL_shadow_op), domid, args) }.map(drop)
    }

    /// A place for [`Xc::page_types`] to work in.
    pub(crate) fn page_type_buffer(&self) -> Result<Buffer<'_, u64>> {
        Buffer::zeroed(self, BATCH_MAX)
    }

    /// What these frames are to the domain: machine frames of a PV domain, guest frames of another.
    /// `buffer` is of [`Xc::page_type_buffer`]; at most [`BATCH_MAX`] frames fit.
    pub(crate) fn page_types(
        &self,
        domid: DomId,
        frames: &[u64],
        buffer: &mut Buffer<'_, u64>,
        types: &mut Vec<PageType>,
    ) -> Result<()> {
        let too_many = || Error::Invalid(format!("the types of {} pages at once", frames.len()));
        buffer.get_mut(..frames.len()).ok_or_else(too_many)?.copy_from_slice(frames);
        let args = sys::xen_domctl_getpageframeinfo3 {
            num: frames.len() as u64,
            array: sys::__guest_handle_xen_pfn_t { p: buffer.as_ptr() },
        };
        // SAFETY: the buffer lives through the call and has at least `num` entries.
        unsafe { self.domctl_with(op!(XEN_DOMCTL_getpageframeinfo3), domid, args)? };
        types.clear();
        for (word, frame) in buffer.iter().zip(frames) {
            let number = (word >> sys::XEN_DOMCTL_PFINFO_LTAB_SHIFT) as u8 & 0xf;
            types.push(PageType::from_number(number).ok_or_else(|| {
                Error::Invalid(format!("frame {frame:#x} of domain {domid} has the unknown type {number:#x}"))
            })?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_bits_come_in_order_and_within_the_limit() {
        let words = [1 << 3 | 1 << 63, 0, u64::MAX];
        let expected: Vec<u64> = [3, 63].into_iter().chain(128..131).collect();
        assert_eq!(set_bits(&words, 131).collect::<Vec<_>>(), expected);
        assert_eq!(set_bits(&words, 3).count(), 0);
    }
}
