//! The hypervisor side of the toolstack.
//!
//! Safe calls over Xen's C libraries; guest images and domain builders. This crate knows nothing of
//! xenstore or of configuration files.

mod buffer;
pub mod build;
pub mod context;
pub mod cpuid;
pub mod domain;
pub mod error;
pub mod evtchn;
pub mod flask;
pub mod foreign;
mod foreign_io;
mod handle;
pub mod host;
pub mod hvm;
mod hypercall;
pub mod image;
pub mod logdirty;
pub mod memory;
pub mod migrate;
pub mod p2m;
pub mod passthrough;
pub mod pv;
mod resume;
pub mod sched;
pub mod stream;
pub mod types;
pub mod vcpu;

pub use error::{Error, Result, reason};
pub use evtchn::EventChannels;
pub use foreign::ForeignMap;
pub use handle::Xc;
pub use types::{DomId, EvtchnPort, Gfn, GrantRef, Kib, Mfn, Pfn};
