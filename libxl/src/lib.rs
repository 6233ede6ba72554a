//! The Xen toolstack as a library: domains, devices, xenstore, migration.
//!
//! It never prints, exits, or reads arguments or the environment: that is the program's part.

pub mod error;
pub mod stream;
pub mod types;
pub mod xenstore;

pub use error::{Error, ErrorKind, Result};
