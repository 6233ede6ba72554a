//! What a domain gets where its configuration does not say (`libxl__domain_config_setdefault` and its kin).
//!
//! [`apply`] turns a configuration as written into one in which everything that creation needs is decided, or says
//! why the configuration cannot be. It changes nothing on the host and reads it only through [`HostFacts`], so that
//! it can be tried without Xen. Its steps, in order:
//!
//! 1. [`create_info`]: paging, scripts, security label, CPU pool, how DMA is translated.
//! 2. [`memory`]: memory sizes, and what the hypervisor needs beside the guest's memory.
//! 3. [`build_info`] and [`hvm`]: vCPUs, device model, firmware, graphics, switches.
//! 4. [`checks`]: combinations that cannot work.
//! 5. [`devices`], [`disk`] and [`usb`]: each device, and the numbers of those that have none.
//!
//! What is stored for `xl list -l`, reboot and migration is not the result but the configuration as written, with the
//! few values that must stay the same for the domain's life: [`stored_form`].

mod build_info;
mod checks;
mod create_info;
pub mod devices;
pub mod disk;
mod facts;
mod host;
mod hvm;
pub mod memory;
mod stored;
pub mod usb;
pub mod viridian;

#[cfg(test)]
mod tests;

pub use facts::{FileKind, HostFacts};
pub use stored::stored_form;

use crate::Result;
use crate::types::DomainConfig;

/// Decides everything that the configuration leaves open.
///
/// It is idempotent: a configuration that it has been applied to stays as it is.
///
/// # Errors
/// `Invalid` for a configuration that cannot be, with the words that name the keys; whatever [`HostFacts`] gives.
pub fn apply(config: &mut DomainConfig, host: &dyn HostFacts) -> Result<()> {
    let capabilities = host.capabilities()?;
    create_info::apply(config, capabilities, host)?;
    memory::apply(config);
    build_info::apply(&mut config.b_info, capabilities, host)?;
    checks::combinations(config, capabilities)?;
    devices::apply(config, host)?;
    Ok(())
}
