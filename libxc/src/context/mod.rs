//! What Xen says of a domain's virtual hardware, and takes back, as records: [`hvm`] for the form that every Xen has
//! (`XEN_DOMCTL_gethvmcontext`), [`domain`] for the form proposed for all kinds of domains.
//!
//! Pure: bytes in, values out.

pub mod domain;
pub mod hvm;
mod layout;

pub use layout::{Field, fields};
