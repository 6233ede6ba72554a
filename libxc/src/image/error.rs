//! Why an image is refused: the file, the field, the reason.

use std::{fmt, io};

/// A refused kernel or ramdisk.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {fault}")]
pub struct Error {
    /// The file, as the configuration names it.
    pub file: String,
    /// What is wrong with it.
    #[source]
    pub fault: Fault,
}

/// What is wrong with an image.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The file cannot be read.
    #[error("{0}")]
    Unreadable(io::Error),
    /// A field has a value that cannot be.
    #[error("{field}: {why}")]
    Malformed {
        /// The field, by its name in the format's own specification.
        field: String,
        /// What it holds, and what it may hold.
        why: String,
    },
    /// The image is sound but of no kind that Xen can start this way.
    #[error("{0}")]
    Unsuitable(String),
}

impl Fault {
    /// A field with an impossible value.
    pub(super) fn malformed(field: impl fmt::Display, why: impl fmt::Display) -> Fault {
        Fault::Malformed { field: field.to_string(), why: why.to_string() }
    }

    /// Adds the file's name.
    pub(super) fn of(self, file: &str) -> Error {
        Error { file: file.to_owned(), fault: self }
    }
}
