//! What can be known before a domain exists.

use super::{devices, memory, name};
use crate::defaults::HostFacts;
use crate::error::{Error, Result, ResultExt};
use crate::types::{DomainConfig, DomainType};
use crate::{Ctx, defaults, dm};
use libxc::image::{Kernel, Ramdisk};
use std::path::Path;

/// The files that the domain boots from, read and understood.
pub(super) struct Images {
    /// The kernel, decompressed.
    pub kernel: Kernel,
    /// The initial ramdisk.
    pub ramdisk: Option<Ramdisk>,
}

/// Refuses a configuration of which no domain could be created, as far as that shows without Xen, and while another
/// domain may have its name and memory.
///
/// # Errors
/// What does not go together in it, or what it asks for that this toolstack does not do yet.
pub fn check_configuration(ctx: &Ctx, host: &dyn HostFacts, given: &DomainConfig) -> Result<()> {
    let mut config = given.clone();
    defaults::apply(&mut config, host)?;
    unsupported(&config, true)?;
    devices::check_kinds(ctx, &config)?;
    dm::check_kinds(ctx, &config)
}

/// Refuses what would fail later with a domain half built. A domain that does not boot comes out of a stream.
pub(super) fn check(ctx: &Ctx, config: &DomainConfig, boots: bool) -> Result<()> {
    unsupported(config, boots)?;
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

/// Whatever the configuration asks for and this toolstack does not do yet is refused by name. What a domain boots from
/// does not matter to one out of a stream, whose memory has it.
fn unsupported(config: &DomainConfig, boots: bool) -> Result<()> {
    let b_info = &config.b_info;
    let asked = [
        (config.c_info.type_ == DomainType::Hvm, "type=\"hvm\""),
        (boots && b_info.bootloader.is_some(), "bootloader="),
        (boots && b_info.pvh().is_some_and(|pvh| pvh.pvshim.is_true()), "pvshim="),
        // It sets e820_host too.
        (!config.pcidevs.is_empty(), "pci="),
        (b_info.pv().is_some_and(|pv| pv.e820_host.is_true()), "e820_host="),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{DevicePci, TypeInfo};

    fn guest(type_: DomainType) -> DomainConfig {
        let mut config = DomainConfig::default();
        config.c_info.type_ = type_;
        config.b_info.type_info = TypeInfo::new(type_);
        config
    }

    fn refused(config: &DomainConfig, boots: bool) -> String {
        unsupported(config, boots).err().map(|e| e.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_is_not_done_yet_is_refused_by_name() {
        assert_eq!(refused(&guest(DomainType::Pv), true), "");
        assert!(refused(&guest(DomainType::Hvm), false).starts_with("type=\"hvm\" is not supported yet"));
        let mut config = guest(DomainType::Pv);
        config.b_info.pv_mut().unwrap().e820_host = true.into();
        assert!(refused(&config, true).starts_with("e820_host= "));
        config.pcidevs.push(DevicePci::default());
        assert!(refused(&config, false).starts_with("pci= "));
    }

    #[test]
    fn a_domain_out_of_a_stream_does_not_boot() {
        let (mut loaded, mut shim) = (guest(DomainType::Pv), guest(DomainType::Pvh));
        loaded.b_info.bootloader = Some("pygrub".into());
        shim.b_info.pvh_mut().unwrap().pvshim = true.into();
        assert!(refused(&loaded, true).starts_with("bootloader= ") && refused(&shim, true).starts_with("pvshim= "));
        assert_eq!((refused(&loaded, false), refused(&shim, false)), (String::new(), String::new()));
    }
}
