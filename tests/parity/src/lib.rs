//! Stock xl's own parser and its tool for streams, run without Xen, and what to put to them and to ours.

pub mod cases;
pub mod combine;
pub mod compare;
pub mod legacy;
pub mod reference;
pub mod runner;
pub mod stock;
pub mod stream;
pub mod tool;
