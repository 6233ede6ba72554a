//! The hypervisor side of the toolstack.
//!
//! Safe calls over Xen's `libxenctrl`, `libxenforeignmemory` and `libxenevtchn`; guest images and
//! domain builders. This crate knows nothing of xenstore or of configuration files.

pub mod error;
pub mod image;
pub mod stream;
pub mod types;

pub use error::{Error, Result};
pub use types::{DomId, EvtchnPort, Gfn, GrantRef, Kib, Mfn, Pfn};
