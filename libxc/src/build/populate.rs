//! Gives a new domain its memory, in extents as large as fit.

use crate::memory::MemFlags;
use crate::{DomId, Result, Xc};
use std::ops::Range;

/// Extents of 1 GiB, 2 MiB and 4 KiB, as orders of pages.
pub(super) const ALL_ORDERS: &[u32] = &[18, 9, 0];
/// Extents of 2 MiB and 4 KiB: the largest that are of use to a PV domain.
pub(super) const PV_ORDERS: &[u32] = &[9, 0];

/// The most extents of one hypercall: their array is 1 MiB.
const BATCH: u64 = 128 << 10;

/// Populates the guest frames `range`: extents of the first order where they fit and Xen has such, of the
/// next around them. Calls `given` with each extent: its first guest frame, what Xen put there, its pages.
pub(super) fn populate(
    xc: &Xc,
    domid: DomId,
    range: Range<u64>,
    orders: &[u32],
    flags: MemFlags,
    given: &mut impl FnMut(u64, u64, u64),
) -> Result<()> {
    let Some((&order, smaller)) = orders.split_first() else {
        return Ok(());
    };
    let (whole, unit) = (whole_extents(&range, order), 1 << order);
    let mut next = whole.start;
    while next < whole.end {
        let firsts: Vec<u64> = (next..whole.end).step_by(unit as usize).take(BATCH as usize).collect();
        let mut frames = firsts.clone();
        let done = if smaller.is_empty() {
            xc.populate_physmap_exact(domid, order, flags, &mut frames)?;
            frames.len()
        } else {
            xc.populate_physmap(domid, order, flags, &mut frames)?
        };
        for (first, frame) in firsts.iter().zip(&frames).take(done) {
            given(*first, *frame, unit);
        }
        next += done as u64 * unit;
        if done < frames.len() {
            break;
        }
    }
    populate_rest(xc, domid, range.start..whole.start, smaller, flags, given)?;
    populate_rest(xc, domid, next..range.end, smaller, flags, given)
}

fn populate_rest(
    xc: &Xc,
    domid: DomId,
    range: Range<u64>,
    orders: &[u32],
    flags: MemFlags,
    given: &mut impl FnMut(u64, u64, u64),
) -> Result<()> {
    if range.is_empty() { Ok(()) } else { populate(xc, domid, range, orders, flags, given) }
}

/// The part of `range` that aligned extents of this order cover; empty, at its start, if there is none.
fn whole_extents(range: &Range<u64>, order: u32) -> Range<u64> {
    let unit = 1u64 << order;
    let end = range.end & !(unit - 1);
    match range.start.checked_next_multiple_of(unit) {
        Some(start) if start < end => start..end,
        _ => range.start..range.start,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_extents_are_aligned_and_inside() {
        assert_eq!(whole_extents(&(0..1024), 9), 0..1024);
        assert_eq!(whole_extents(&(1..1500), 9), 512..1024);
        assert_eq!(whole_extents(&(1..511), 9), 1..1);
        assert_eq!(whole_extents(&(700..1100), 9), 700..700);
        assert_eq!(whole_extents(&(u64::MAX - 5..u64::MAX), 9), u64::MAX - 5..u64::MAX - 5);
        assert_eq!(whole_extents(&(3..5), 0), 3..5);
    }
}
