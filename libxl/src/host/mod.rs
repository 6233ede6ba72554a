//! The host: its hardware, hypervisor, CPU pools and schedulers.

pub mod cpupool;
pub mod domain0;
pub mod interface;
pub mod loop_device;
pub mod numa;
pub mod pci;
pub mod sched;
pub(crate) mod usb;
