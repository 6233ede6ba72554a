//! The Xen toolstack as a library: domains, devices, xenstore, migration.
//!
//! It never prints, exits, or reads arguments or the environment: that is the program's part.

pub mod ctx;
pub mod defaults;
pub mod device;
mod dm;
pub mod domain;
pub mod domid_history;
pub mod error;
pub mod event;
pub mod exec;
pub mod gc;
pub mod host;
pub mod lock;
pub mod logfile;
pub mod paths;
mod save_helper;
pub mod stream;
pub mod stream_filter;
pub mod types;
pub mod userdata;
pub mod vnuma;
pub mod xenstore;

pub use ctx::Ctx;
pub use error::{Error, ErrorKind, Result};
pub use paths::Paths;
