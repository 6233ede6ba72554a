//! The commands, by topic: arguments in, a call of libxl, its answer printed.

pub(crate) mod attach;
pub(crate) mod cdrom;
pub(crate) mod config_update;
pub(crate) mod configfile;
pub(crate) mod console;
pub(crate) mod cpupool;
pub(crate) mod create;
pub(crate) mod devd;
pub(crate) mod device;
pub(crate) mod documents;
pub(crate) mod flask;
pub(crate) mod gc;
pub(crate) mod host;
pub(crate) mod lifecycle;
pub(crate) mod list;
pub(crate) mod memory;
pub(crate) mod migrate;
pub(crate) mod name;
pub(crate) mod save;
pub(crate) mod sched;
pub(crate) mod schema;
pub(crate) mod small_device;
pub(crate) mod unbuilt;
pub(crate) mod usb;
pub(crate) mod vcpu;
pub(crate) mod vncviewer;
