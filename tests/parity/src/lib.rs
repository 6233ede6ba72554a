//! Stock xl's own parser, run without Xen, and configurations to put to it and to ours.

pub mod cases;
pub mod combine;
pub mod compare;
pub mod reference;
pub mod runner;
pub mod stock;
