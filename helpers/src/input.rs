//! Reading a stream whose lengths may lie, and what can be wrong with it.

use libxc::stream::StreamError;
use std::io::{self, BufRead, BufReader, Read};

/// Why a stream cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It breaks its format.
    #[error("{error} (at byte {offset})")]
    Stream {
        /// Where the part at fault begins.
        offset: u64,
        /// What is wrong.
        error: StreamError,
    },
    /// It ends in the middle.
    #[error("the stream ends at byte {offset}, in the middle of {place}")]
    Truncated {
        /// Where it ends.
        offset: u64,
        /// What should have been there.
        place: &'static str,
    },
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What was to be done with its content failed.
    #[error("{0}")]
    Other(String),
}

/// The result of reading a stream.
pub type Result<T> = std::result::Result<T, Fault>;

/// A stream and how far it was read.
pub struct Input<R> {
    reader: BufReader<R>,
    offset: u64,
}

impl<R: Read> Input<R> {
    /// Reads from the start of `reader`.
    pub fn new(reader: R) -> Input<R> {
        Input { reader: BufReader::with_capacity(1 << 16, reader), offset: 0 }
    }

    /// Bytes read so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next `N` bytes, which belong to `place`.
    pub fn array<const N: usize>(&mut self, place: &'static str) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        match self.reader.read_exact(&mut bytes) {
            Ok(()) => {
                self.offset += N as u64;
                Ok(bytes)
            }
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(Fault::Truncated { offset: self.offset, place }),
            Err(e) => Err(e.into()),
        }
    }

    /// Exactly `count` bytes. Memory grows with what really arrives, not with what a header promises.
    pub fn bytes(&mut self, place: &'static str, count: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(count.min(1 << 16));
        let read = self.reader.by_ref().take(count as u64).read_to_end(&mut bytes)?;
        self.offset += read as u64;
        if read < count { Err(Fault::Truncated { offset: self.offset, place }) } else { Ok(bytes) }
    }

    /// All that is left, from here on.
    pub fn rest(&mut self) -> impl Read {
        &mut self.reader
    }

    /// Makes sure that nothing follows `place`.
    pub fn end(&mut self, place: &'static str) -> Result<()> {
        match self.reader.fill_buf()? {
            [] => Ok(()),
            _ => Err(Fault::Other(format!("more follows the {place}"))),
        }
    }

    /// Passes over `count` bytes.
    pub fn skip(&mut self, place: &'static str, mut count: u64) -> Result<()> {
        while count > 0 {
            let available = self.reader.fill_buf()?.len() as u64;
            if available == 0 {
                return Err(Fault::Truncated { offset: self.offset, place });
            }
            let step = available.min(count);
            self.reader.consume(step as usize);
            self.offset += step;
            count -= step;
        }
        Ok(())
    }

    /// An error of the part that ends here.
    pub fn wrong(&self, place: &'static str, problem: impl Into<String>) -> Fault {
        Fault::Stream { offset: self.offset, error: StreamError::new(place, problem) }
    }
}
