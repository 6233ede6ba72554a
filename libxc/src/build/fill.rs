//! Fills a stretch of a guest's memory: pieces where they belong, zeros everywhere else.

use crate::foreign::Protection;
use crate::types::{PAGE_SHIFT, PAGE_SIZE};
use crate::{DomId, Error, ForeignMap, Mfn, Result, Xc};
use std::ops::Range;

/// Bytes for the guest's memory.
#[derive(Clone, Copy)]
pub(super) enum Content<'a> {
    Bytes(&'a [u8]),
    Words(&'a [u64]),
}

impl Content<'_> {
    fn len(&self) -> u64 {
        match self {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Words(words) => size_of_val(*words) as u64,
        }
    }
}

/// Where bytes go: an offset in the guest's memory as the guest numbers it.
#[derive(Clone, Copy)]
pub(super) struct Piece<'a> {
    pub(super) at: u64,
    pub(super) content: Content<'a>,
}

impl<'a> Piece<'a> {
    pub(super) fn bytes(at: u64, bytes: &'a [u8]) -> Piece<'a> {
        Piece { at, content: Content::Bytes(bytes) }
    }

    pub(super) fn words(at: u64, words: &'a [u64]) -> Piece<'a> {
        Piece { at, content: Content::Words(words) }
    }
}

/// How the pages of a stretch that hold zeros alone come by them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Zeros {
    /// Written like everything else.
    Written,
    /// By Xen, where there are many of them: mapping a page takes as long as clearing ten. PV domains only.
    Cleared,
}

/// So many pages of zeros in a row are worth a hypercall and another mapping.
const WORTH_CLEARING: u64 = 16;

/// A part of a stretch: a piece, or zeros between pieces.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Piece(usize),
    Zeros(Range<u64>),
}

/// Fills the pages `pfns` of a guest, which lie in `frames`, with `pieces` and zeros. A page is mapped once at most, and
/// each byte is written once.
pub(super) fn fill(
    xc: &Xc,
    domid: DomId,
    pfns: Range<u64>,
    frames: &[u64],
    pieces: &mut [Piece<'_>],
    zeros: Zeros,
) -> Result<()> {
    if pfns.is_empty() {
        return Ok(());
    }
    pieces.sort_by_key(|piece| piece.at);
    let spans: Vec<Range<u64>> = pieces.iter().map(|p| p.at..p.at.saturating_add(p.content.len())).collect();
    let parts = parts(bytes_of(&pfns), &spans)?;
    let empty = if zeros == Zeros::Cleared { empty_pages(&parts) } else { Vec::new() };
    let of = |run: &Range<u64>| &frames[(run.start - pfns.start) as usize..(run.end - pfns.start) as usize];
    let mut next = pfns.start;
    for run in &empty {
        fill_mapped(xc, domid, next..run.start, of(&(next..run.start)), &parts, pieces)?;
        let cleared: Vec<Mfn> = of(run).iter().map(|&frame| Mfn(frame)).collect();
        xc.clear_pages(domid, &cleared)?;
        next = run.end;
    }
    fill_mapped(xc, domid, next..pfns.end, of(&(next..pfns.end)), &parts, pieces)
}

/// Maps pages and writes what lies in them: pieces as a whole, and zeros as far as they lie there.
fn fill_mapped(
    xc: &Xc,
    domid: DomId,
    pfns: Range<u64>,
    frames: &[u64],
    parts: &[Part],
    pieces: &[Piece<'_>],
) -> Result<()> {
    if pfns.is_empty() {
        return Ok(());
    }
    let mapped = bytes_of(&pfns);
    let map = xc.map_foreign(domid, Protection::ReadWrite, frames)?;
    for part in parts {
        match part {
            Part::Piece(index) if mapped.contains(&pieces[*index].at) => {
                write(&map, (pieces[*index].at - mapped.start) as usize, pieces[*index].content)?;
            }
            Part::Zeros(range) => {
                let here = range.start.max(mapped.start)..range.end.min(mapped.end);
                if !here.is_empty() {
                    map.zero((here.start - mapped.start) as usize, (here.end - here.start) as usize)?;
                }
            }
            Part::Piece(_) => {}
        }
    }
    Ok(())
}

/// The bytes of these pages.
fn bytes_of(pfns: &Range<u64>) -> Range<u64> {
    pfns.start << PAGE_SHIFT..pfns.end << PAGE_SHIFT
}

/// The pages that hold zeros alone and are worth clearing: in order, in runs.
fn empty_pages(parts: &[Part]) -> Vec<Range<u64>> {
    let zeros = parts.iter().filter_map(|part| match part {
        Part::Zeros(range) => Some(range),
        Part::Piece(_) => None,
    });
    let whole = zeros.map(|range| range.start.div_ceil(PAGE_SIZE as u64)..range.end >> PAGE_SHIFT);
    whole.filter(|run| run.end.saturating_sub(run.start) >= WORTH_CLEARING).collect()
}

fn write(map: &ForeignMap<'_>, offset: usize, content: Content<'_>) -> Result<()> {
    match content {
        Content::Bytes(bytes) => map.write(offset, bytes),
        Content::Words(words) => map.write_words(offset, words),
    }
}

/// The parts of `stretch`, in order, given the sorted spans of its pieces.
fn parts(stretch: Range<u64>, spans: &[Range<u64>]) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    let mut next = stretch.start;
    for (index, span) in spans.iter().enumerate() {
        if span.start < next || span.end > stretch.end {
            return Err(Error::Invalid(format!(
                "the guest's memory {:#x}-{:#x} is to hold two things, or lies outside {:#x}-{:#x}",
                span.start, span.end, stretch.start, stretch.end
            )));
        }
        if span.start > next {
            parts.push(Part::Zeros(next..span.start));
        }
        parts.push(Part::Piece(index));
        next = span.end;
    }
    if next < stretch.end {
        parts.push(Part::Zeros(next..stretch.end));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_between_pieces_is_zeros() {
        let parts = parts(0..100, &[10..20, 20..30, 50..60]).unwrap();
        use Part::*;
        assert_eq!(parts, [Zeros(0..10), Piece(0), Piece(1), Zeros(30..50), Piece(2), Zeros(60..100)]);
    }

    #[test]
    fn whole_pages_of_zeros_in_long_runs_are_cleared() {
        let page = PAGE_SIZE as u64;
        let parts = [
            Part::Piece(0),
            Part::Zeros(10..page * 17 + 1), // pages 1 to 16
            Part::Piece(1),
            Part::Zeros(page * 18 + 1..page * 34 + 9), // pages 19 to 33: too few
            Part::Piece(2),
            Part::Zeros(page * 40..page * 60),
        ];
        assert_eq!(empty_pages(&parts), [1..17, 40..60]);
        assert!(empty_pages(&[Part::Zeros(1..2)]).is_empty());
    }

    #[test]
    fn pieces_that_meet_or_leave_the_stretch_are_refused() {
        assert!(parts(0..100, &[10..20, 19..30]).is_err());
        assert!(parts(0..100, &[10..20, 90..101]).is_err());
        assert!(parts(50..100, &[49..51, 60..70]).is_err());
    }
}
