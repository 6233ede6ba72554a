//! A guest's memory and processors into a stream, and out of one.
//!
//! [`save()`] and [`restore()`] tell the story of each; what differs between PV and the other guests is in `pv` and `hvm`.
//! Whoever calls decides what needs the rest of the toolstack, through [`SaveControl`] and [`RestoreControl`].

mod hvm;
mod hvm_memory;
mod memory_in;
mod memory_out;
mod policy;
pub mod protocol;
mod pv;
pub mod restore;
pub mod save;

pub use policy::Limits;
pub use restore::{RestoreControl, RestoreOptions, Restored, restore};
pub use save::{SaveControl, SaveOptions, save};

use crate::stream::StreamError;
use std::io;

/// Why a save or a restore ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Xen refused something.
    #[error("{what}: {error}")]
    Hypervisor {
        /// What was being done.
        what: &'static str,
        /// The refusal.
        error: crate::Error,
    },
    /// The stream breaks its format.
    #[error("the stream: {0}")]
    Stream(#[from] StreamError),
    /// The stream could not be read or written.
    #[error("{what}: {}", crate::reason(error))]
    Io {
        /// What was being done.
        what: &'static str,
        /// The reason.
        error: io::Error,
    },
    /// The guest or the stream is in a state that this cannot go on from.
    #[error("{0}")]
    State(String),
    /// Whoever called asked to stop, or could not do its part.
    #[error("{0}: the toolstack refused")]
    Refused(&'static str),
}

/// The result of a step of a migration.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Whether a stream ends where it must not: its writer is gone.
    fn is_end_of_stream(&self) -> bool {
        use io::ErrorKind::{ConnectionReset, UnexpectedEof};
        matches!(self, Error::Io { error, .. } if matches!(error.kind(), UnexpectedEof | ConnectionReset))
    }

    /// The errno that fits best, for callers that can only carry one.
    pub fn errno(&self) -> i32 {
        match self {
            Error::Hypervisor { error, .. } => error.errno().map_or(libc::EINVAL, |e| e as i32),
            Error::Io { error, .. } => error.raw_os_error().unwrap_or(libc::EIO),
            Error::Stream(_) | Error::State(_) => libc::EINVAL,
            Error::Refused(_) => libc::ECANCELED,
        }
    }
}

/// Says what was being done when Xen refused or the stream failed.
trait During<T> {
    fn during(self, what: &'static str) -> Result<T>;
}

impl<T> During<T> for crate::Result<T> {
    fn during(self, what: &'static str) -> Result<T> {
        self.map_err(|error| Error::Hypervisor { what, error })
    }
}

impl<T> During<T> for io::Result<T> {
    fn during(self, what: &'static str) -> Result<T> {
        self.map_err(|error| Error::Io { what, error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn errors_of_the_stream_are_told_in_words() {
        let told = |error: io::Error| Err::<(), _>(error).during("reading the stream").unwrap_err().to_string();
        assert_eq!(told(io::Error::from_raw_os_error(libc::EPIPE)), "reading the stream: Broken pipe");
        let cut = (&[0_u8; 3][..]).read_exact(&mut [0; 8]).unwrap_err();
        assert_eq!(told(cut), "reading the stream: it ends too early");
    }
}
