//! libxl's types (`libxl_types.idl`), with libxl's field names and libxl's JSON form.
//!
//! The JSON is a compatibility format: it is what lies in `/var/lib/xen/userdata-*`, what `xl list -l` and
//! `xl create -N` print, and what migration streams carry. [`idl`] says how types stand in it, [`json`] reads and
//! writes its text.

#[macro_use]
pub(crate) mod idl;

mod bitmap;
mod build;
mod builtin;
mod cpuid;
mod defbool;
mod device;
mod disk;
mod domain;
mod enums;
mod event;
mod graphics;
mod host;
mod info;
pub mod json;
mod nic;
mod psr;
mod sched;
mod sound;

pub use bitmap::Bitmap;
pub use build::*;
pub use builtin::*;
pub use cpuid::*;
pub use defbool::DefBool;
pub use device::*;
pub use disk::*;
pub use domain::*;
pub use enums::*;
pub use event::*;
pub use graphics::*;
pub use host::*;
pub use info::*;
pub use nic::*;
pub use psr::*;
pub use sched::*;
pub use sound::*;
