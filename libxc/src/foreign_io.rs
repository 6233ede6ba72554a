//! Guest memory into a file and out of it, without a copy in between.

#![allow(unsafe_code)]

use crate::foreign::ForeignMap;
use nix::errno::Errno;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Bytes to write: this process' own, or of mapped guest pages.
#[derive(Clone, Copy)]
pub(crate) enum Piece<'a> {
    /// This process' own.
    Own(&'a [u8]),
    /// `len` bytes at `offset` of mapped guest pages.
    Guest {
        /// Where they are mapped.
        map: &'a ForeignMap<'a>,
        /// From here on.
        offset: usize,
        /// So many.
        len: usize,
    },
}

/// The most pieces that the kernel takes in one call (`UIO_MAXIOV`).
const PIECES_MAX: usize = 1024;

/// Writes all pieces, in as few calls as the kernel allows.
pub(crate) fn write_pieces(fd: BorrowedFd<'_>, pieces: &[Piece<'_>]) -> io::Result<()> {
    let mut vectors = pieces.iter().map(|piece| piece.vector()).collect::<io::Result<Vec<_>>>()?;
    let mut rest = &mut vectors[..];
    while !rest.is_empty() {
        let count = rest.len().min(PIECES_MAX);
        // SAFETY: every vector names bytes that its piece keeps mapped; the kernel only reads them.
        let written = unsafe { libc::writev(fd.as_raw_fd(), rest.as_ptr(), count as i32) };
        match usize::try_from(written) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => rest = advance(rest, written),
            Err(_) if Errno::last() == Errno::EINTR => {}
            Err(_) => return Err(io::Error::last_os_error()),
        }
    }
    Ok(())
}

/// What is left of the vectors after `done` bytes.
fn advance(mut vectors: &mut [libc::iovec], mut done: usize) -> &mut [libc::iovec] {
    while let Some(first) = vectors.first_mut() {
        if done < first.iov_len {
            first.iov_base = first.iov_base.wrapping_byte_add(done);
            first.iov_len -= done;
            break;
        }
        done -= first.iov_len;
        vectors = &mut vectors[1..];
    }
    vectors
}

impl Piece<'_> {
    fn vector(&self) -> io::Result<libc::iovec> {
        Ok(match *self {
            Piece::Own(bytes) => libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() },
            Piece::Guest { map, offset, len } => {
                let start = map.at(offset, len).map_err(io::Error::other)?;
                libc::iovec { iov_base: start.cast(), iov_len: len }
            }
        })
    }
}

/// Reads exactly `len` bytes straight into mapped guest pages.
pub(crate) fn read_into(fd: BorrowedFd<'_>, map: &ForeignMap<'_>, offset: usize, len: usize) -> io::Result<()> {
    let mut done = 0;
    while done < len {
        let to = map.at_for_writing(offset + done, len - done).map_err(io::Error::other)?;
        // SAFETY: `at_for_writing` checked that so many bytes are mapped there for writing.
        let read = unsafe { libc::read(fd.as_raw_fd(), to.cast(), len - done) };
        match usize::try_from(read) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => done += read,
            Err(_) if Errno::last() == Errno::EINTR => {}
            Err(_) => return Err(io::Error::last_os_error()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsFd;

    #[test]
    fn many_pieces_arrive_whole_and_in_order() {
        let (mut from, to) = io::pipe().unwrap();
        let bytes: Vec<Vec<u8>> = (0..3000usize).map(|i| vec![i as u8; i % 7]).collect();
        let expected = bytes.concat();
        let writer = std::thread::spawn(move || {
            let pieces: Vec<Piece<'_>> = bytes.iter().map(|b| Piece::Own(b)).collect();
            write_pieces(to.as_fd(), &pieces)
        });
        let mut found = Vec::new();
        from.read_to_end(&mut found).unwrap();
        writer.join().unwrap().unwrap();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_reader_that_went_away_is_an_error() {
        let (from, to) = io::pipe().unwrap();
        drop(from);
        let error = write_pieces(to.as_fd(), &[Piece::Own(b"x")]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
