//! What can be known before a domain exists.

use super::{devices, memory, name};
use crate::error::{Error, Result, ResultExt};
use crate::types::{DomainConfig, DomainType};
use crate::{Ctx, dm};
use libxc::image::{Kernel, Ramdisk};
use std::path::Path;

/// The files that the domain boots from, read and understood.
pub(super) struct Images {
    /// The kernel, decompressed.
    pub kernel: Kernel,
    /// The initial ramdisk.
    pub ramdisk: Option<Ramdisk>,
}

/// Refuses what would fail later with a domain half built.
pub(super) fn check(ctx: &Ctx, config: &DomainConfig) -> Result<()> {
    unsupported(config)?;
    name::check_free(ctx, ctx.xs()?, config.c_info.name.as_deref().unwrap_or_default(), None)?;
    devices::check(ctx, config)?;
    dm::check(ctx, config)?;
    memory::check(ctx, &config.b_info)
}

/// Reads the files that the domain boots from.
pub(super) fn images(config: &DomainConfig) -> Result<Images> {
    let b_info = &config.b_info;
    let path = b_info.kernel.as_deref().filter(|p| !p.is_empty());
    let path = path.ok_or_else(|| Error::invalid("the domain has no kernel (kernel= or bootloader=)"))?;
    let kernel = Kernel::read(Path::new(path)).context("kernel (kernel=)")?;
    let ramdisk = b_info.ramdisk.as_deref().filter(|p| !p.is_empty());
    let ramdisk = ramdisk.map(|p| Ramdisk::read(Path::new(p)).context("ramdisk (ramdisk=)")).transpose()?;
    Ok(Images { kernel, ramdisk })
}

/// Whatever the configuration asks for and this toolstack does not do yet is refused by name.
fn unsupported(config: &DomainConfig) -> Result<()> {
    let b_info = &config.b_info;
    let asked = [
        (config.c_info.type_ == DomainType::Hvm, "type=\"hvm\""),
        (b_info.bootloader.is_some(), "bootloader="),
        (!config.pcidevs.is_empty(), "pci="),
        (!b_info.vnuma_nodes.is_empty(), "vnuma="),
    ];
    match asked.iter().find(|(asked, _)| *asked) {
        None => Ok(()),
        Some((_, key)) => Err(Error::new(
            crate::ErrorKind::NotImplemented,
            format!("{key} is not supported yet; remove it, or create the domain with the stock toolstack"),
        )),
    }
}
