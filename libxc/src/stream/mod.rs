//! The libxc migration stream: the memory and the processor state of a guest as records.
//!
//! A codec only: values from bytes and bytes from values, no I/O. [`header`] opens a stream, [`record`]
//! frames what follows, [`page`], [`pv`] and [`x86`] hold the bodies. Version 3 is written, 2 and 3 are read.
//! Every number in a stream may be hostile: each is checked before anything is sized or indexed by it.
//!
//! The format is docs/specs/libxc-migration-stream of xen.git.

pub mod bytes;
pub mod header;
pub mod page;
pub mod pv;
pub mod record;
pub mod x86;

pub use header::{DomainHeader, GuestKind, ImageHeader};
pub use page::{PageData, PageType, PfnEntry};
pub use record::{RecordHeader, RecordType};

/// Why bytes are not a stream that this program can use: where it was found and what is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct StreamError {
    /// The header or record, as the specification names it.
    pub place: &'static str,
    /// The field and its value, and what was expected.
    pub problem: String,
}

impl StreamError {
    /// An error at `place`.
    pub fn new(place: &'static str, problem: impl Into<String>) -> StreamError {
        StreamError { place, problem: problem.into() }
    }
}

/// The result of decoding a piece of stream.
pub type Result<T> = std::result::Result<T, StreamError>;
