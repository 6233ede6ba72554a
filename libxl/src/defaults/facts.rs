//! What defaults depend on besides the configuration.

use std::io;

use libxc::host::HostCapabilities;

use crate::Result;

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A block device.
    Block,
    /// Anything else.
    Other,
}

/// The host, as far as defaults depend on it. Each question is asked only where a configuration makes it matter.
pub trait HostFacts {
    /// What hardware and hypervisor can do.
    fn capabilities(&self) -> Result<HostCapabilities>;

    /// The directory of guest firmware: the PV shim, kernels of stub domains.
    fn firmware_dir(&self) -> String;

    /// The directory of hotplug scripts.
    fn script_dir(&self) -> String;

    /// QEMU.
    fn qemu(&self) -> String;

    /// What the path leads to, symbolic links followed.
    fn file_kind(&self, path: &str) -> io::Result<FileKind>;

    /// Whether the file may be executed; an error if that cannot be found out, `NotFound` if there is none.
    fn is_executable(&self, path: &str) -> io::Result<bool>;

    /// The number of the running domain that has this name, or this number.
    fn domain(&self, name_or_number: &str) -> Result<u32>;

    /// The number of the CPU pool that has this name, or this number.
    fn cpupool(&self, name_or_number: &str) -> Result<Option<u32>>;

    /// Whether there is a CPU pool with this number.
    fn has_cpupool(&self, id: u32) -> Result<bool>;

    /// The number of a security label; `None` where the hypervisor has no security module.
    fn security_id(&self, label: &str) -> Result<Option<u32>>;

    /// Whether this kernel serves PV USB controllers.
    fn has_usbback(&self) -> bool;
}
