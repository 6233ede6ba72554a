//! Fixed-width numbers out of a slice, with every read checked.

use super::{Result, StreamError};

/// Reads numbers from the front of a slice; a short slice is an error, never a panic.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    place: &'static str,
    rest: &'a [u8],
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $type:ty, $from:ident) => {
        $(#[$doc])*
        pub fn $name(&mut self, field: &'static str) -> Result<$type> {
            self.array(field).map(<$type>::$from)
        }
    };
}

impl<'a> Fields<'a> {
    /// Fields of the header or record called `place`.
    pub fn new(place: &'static str, bytes: &'a [u8]) -> Fields<'a> {
        Fields { place, rest: bytes }
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N]> {
        match self.rest.split_first_chunk::<N>() {
            Some((head, rest)) => {
                self.rest = rest;
                Ok(*head)
            }
            None => Err(self.error(format!("{field}: {N} bytes expected, {} left", self.rest.len()))),
        }
    }

    number! {
        /// A byte.
        u8, u8, from_le_bytes
    }
    number! {
        /// A little-endian 16-bit number.
        u16, u16, from_le_bytes
    }
    number! {
        /// A little-endian 32-bit number.
        u32, u32, from_le_bytes
    }
    number! {
        /// A little-endian 64-bit number.
        u64, u64, from_le_bytes
    }
    number! {
        /// A big-endian 16-bit number.
        u16_be, u16, from_be_bytes
    }
    number! {
        /// A big-endian 32-bit number.
        u32_be, u32, from_be_bytes
    }
    number! {
        /// A big-endian 64-bit number.
        u64_be, u64, from_be_bytes
    }

    /// A field that the specification reserves: it must be zero.
    pub fn reserved(&mut self, field: &'static str, value: impl Into<u64>) -> Result<()> {
        match value.into() {
            0 => Ok(()),
            set => Err(self.error(format!("{field}: reserved bits set: {set:#x}"))),
        }
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// The next `count` bytes.
    pub fn take(&mut self, field: &'static str, count: usize) -> Result<&'a [u8]> {
        match self.rest.split_at_checked(count) {
            Some((head, rest)) => {
                self.rest = rest;
                Ok(head)
            }
            None => Err(self.error(format!("{field}: {count} bytes expected, {} left", self.rest.len()))),
        }
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// Says that nothing may be left.
    pub fn end(&self) -> Result<()> {
        match self.rest.len() {
            0 => Ok(()),
            n => Err(self.error(format!("{n} bytes too many"))),
        }
    }

    /// An error in this header or record.
    pub fn error(&self, problem: impl Into<String>) -> StreamError {
        StreamError::new(self.place, problem)
    }
}
