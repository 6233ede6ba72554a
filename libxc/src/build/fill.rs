//! Fills a stretch of a guest's memory: pieces where they belong, zeros everywhere else.

use crate::foreign::Protection;
use crate::types::PAGE_SIZE;
use crate::{DomId, Error, ForeignMap, Result, Xc};
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

/// A part of a stretch: a piece, or zeros between pieces.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Piece(usize),
    Zeros(Range<u64>),
}

/// Fills the pages `pfns` of a guest, which lie in `frames`, with `pieces` and zeros. The pages are mapped
/// once, and each byte is written once.
pub(super) fn fill(xc: &Xc, domid: DomId, pfns: Range<u64>, frames: &[u64], pieces: &mut [Piece<'_>]) -> Result<()> {
    if pfns.is_empty() {
        return Ok(());
    }
    let start = pfns.start * PAGE_SIZE as u64;
    let end = pfns.end * PAGE_SIZE as u64;
    pieces.sort_by_key(|piece| piece.at);
    let spans: Vec<Range<u64>> = pieces.iter().map(|p| p.at..p.at.saturating_add(p.content.len())).collect();
    let parts = parts(start..end, &spans)?;
    let map = xc.map_foreign(domid, Protection::ReadWrite, frames)?;
    for part in parts {
        match part {
            Part::Piece(index) => write(&map, (pieces[index].at - start) as usize, pieces[index].content)?,
            Part::Zeros(range) => map.zero((range.start - start) as usize, (range.end - range.start) as usize)?,
        }
    }
    Ok(())
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
    fn pieces_that_meet_or_leave_the_stretch_are_refused() {
        assert!(parts(0..100, &[10..20, 19..30]).is_err());
        assert!(parts(0..100, &[10..20, 90..101]).is_err());
        assert!(parts(50..100, &[49..51, 60..70]).is_err());
    }
}
