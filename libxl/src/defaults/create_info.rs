//! What the domain is: paging, scripts, security, CPU pool, passthrough.

use libxc::host::HostCapabilities;

use super::HostFacts;
use crate::error::ResultExt;
use crate::types::{DomainConfig, DomainType, Passthrough, Uuid};
use crate::{Error, Result};

/// The security label of guests that name none (`SECINITSID_DOMU`).
const SECURITY_ID_GUEST: u32 = 12;

pub(super) fn apply(config: &mut DomainConfig, capabilities: HostCapabilities, host: &dyn HostFacts) -> Result<()> {
    let kind = config.c_info.type_;
    if kind == DomainType::Invalid {
        return Err(Error::invalid("the type of the domain is not given (type=\"pv\", \"pvh\" or \"hvm\")"));
    }
    if config.b_info.domain_type() != kind {
        let built = config.b_info.domain_type();
        return Err(Error::invalid(format!("a domain of type {kind} cannot be built as {built}")));
    }
    security_labels(config, host)?;
    cpupool(config, host)?;

    let c_info = &mut config.c_info;
    if kind != DomainType::Pv {
        if capabilities.contains(HostCapabilities::HAP) {
            c_info.hap.set_default(true);
        } else if capabilities.contains(HostCapabilities::SHADOW) {
            c_info.hap.set_default(false);
        } else {
            return Err(Error::invalid(format!("a {kind} guest needs hardware-assisted or shadow paging: none here")));
        }
        c_info.oos.set_default(true);
    }
    c_info.run_hotplug_scripts.set_default(true);
    c_info.driver_domain.set_default(false);
    c_info.xend_suspend_evtchn_compat.set_default(false);
    if c_info.ssidref == 0 {
        c_info.ssidref = SECURITY_ID_GUEST;
    }
    if c_info.uuid.is_nil() {
        c_info.uuid = Uuid::new_v4();
    }
    passthrough(config, capabilities)
}

/// Turns security labels into numbers, where the hypervisor knows labels at all.
fn security_labels(config: &mut DomainConfig, host: &dyn HostFacts) -> Result<()> {
    let (c_info, b_info) = (&mut config.c_info, &mut config.b_info);
    let labels = [
        (&c_info.ssid_label, &mut c_info.ssidref, "init_seclabel"),
        (&b_info.exec_ssid_label, &mut b_info.exec_ssidref, "seclabel"),
        (&b_info.device_model_ssid_label, &mut b_info.device_model_ssidref, "device_model_stubdomain_seclabel"),
    ];
    for (label, number, key) in labels {
        let Some(label) = label else { continue };
        match host.security_id(label).with_context(|| format!("{key}=\"{label}\""))? {
            Some(id) => *number = id,
            None => tracing::warn!("{key} is not heeded: the hypervisor has no security module"),
        }
    }
    Ok(())
}

fn cpupool(config: &mut DomainConfig, host: &dyn HostFacts) -> Result<()> {
    let c_info = &mut config.c_info;
    if let Some(name) = &c_info.pool_name {
        let missing = || Error::invalid(format!("there is no CPU pool \"{name}\" (pool=)"));
        c_info.poolid = host.cpupool(name)?.ok_or_else(missing)?;
    } else if c_info.poolid != 0 && !host.has_cpupool(c_info.poolid)? {
        return Err(Error::invalid(format!("there is no CPU pool {}", c_info.poolid)));
    }
    Ok(())
}

/// Chooses how DMA is translated (`libxl__arch_passthrough_mode_setdefault` for x86).
fn passthrough(config: &mut DomainConfig, capabilities: HostCapabilities) -> Result<()> {
    let has_devices = !config.pcidevs.is_empty() || !config.dtdevs.is_empty();
    let c_info = &mut config.c_info;
    if c_info.passthrough == Passthrough::Default {
        c_info.passthrough = if has_devices { Passthrough::Enabled } else { Passthrough::Disabled };
    }
    if c_info.passthrough == Passthrough::Disabled {
        return match has_devices {
            true => Err(Error::invalid("passthrough=\"disabled\" contradicts the devices to be passed through (pci=)")),
            false => Ok(()),
        };
    }
    if !capabilities.contains(HostCapabilities::DIRECTIO) {
        let message = "passthrough needs an IOMMU, which this host lacks or the hypervisor does not use (iommu=)";
        return Err(Error::invalid(message));
    }
    if c_info.type_ == DomainType::Pvh {
        return Err(Error::invalid("PVH guests on x86 cannot have devices passed through"));
    }
    let why_not_shared = if c_info.type_ == DomainType::Pv {
        Some("a PV guest has no page tables to share")
    } else if !capabilities.contains(HostCapabilities::IOMMU_HAP_PT_SHARE) {
        Some("this host's IOMMU cannot share the CPU's page tables")
    } else if !c_info.hap.is_true() {
        Some("sharing needs hardware-assisted paging (hap=1)")
    } else {
        None
    };
    match (c_info.passthrough, why_not_shared) {
        (Passthrough::Enabled, None) => c_info.passthrough = Passthrough::SharePt,
        (Passthrough::Enabled, Some(_)) => c_info.passthrough = Passthrough::SyncPt,
        (Passthrough::SharePt, Some(why)) => return Err(Error::invalid(format!("passthrough=\"share_pt\": {why}"))),
        _ => {}
    }
    Ok(())
}
