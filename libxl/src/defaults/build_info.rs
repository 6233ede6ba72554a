//! What the domain is made of, for every kind of guest.

use std::io::ErrorKind;

use libxc::host::HostCapabilities;

use super::{HostFacts, hvm};
use crate::types::{DeviceModelVersion, DomainBuildInfo, DomainType, PvInfo, PvhInfo, TimerMode, TypeInfo};
use crate::{Error, Result};

/// The highest number of vCPUs that `avail_vcpus` may name (`HVM_MAX_VCPUS`).
const MAX_AVAILABLE_VCPUS: u32 = 128;
/// More vCPUs than the hypervisor gives any guest.
const MAX_VCPUS: u32 = 8192;
/// Event channels of a guest whose configuration says nothing.
const EVENT_CHANNELS: u32 = 1023;
/// The highest grant table version that a domain can be created with (`XEN_DOMCTL_GRANT_version_mask`).
const MAX_GRANT_VERSION: u32 = 0xf;
/// The security label of stub domains that name none (`SECINITSID_DOMDM`).
const SECURITY_ID_STUBDOMAIN: u32 = 13;
/// The command line of the PV shim.
const PVSHIM_CMDLINE: &str = "pv-shim console=xen,pv";

pub(super) fn apply(b_info: &mut DomainBuildInfo, capabilities: HostCapabilities, host: &dyn HostFacts) -> Result<()> {
    move_deprecated(b_info)?;
    device_model(b_info, host)?;
    vcpus(b_info)?;
    stubdomain(b_info, host);

    b_info.blkdev_start.get_or_insert_with(|| "xvda".into());
    b_info.numa_placement.set_default(true);
    b_info.vpmu.set_default(false);
    b_info.claim_mode.set_default(false);
    b_info.localtime.set_default(false);
    b_info.disable_migrate.set_default(false);
    b_info.dm_restrict.set_default(false);
    b_info.acpi.set_default(true);
    b_info.arch_x86.msr_relaxed.set_default(false);
    for range in &mut b_info.iomem {
        range.gfn.get_or_insert(range.start);
    }
    if b_info.event_channels == 0 {
        b_info.event_channels = EVENT_CHANNELS;
    }
    grant_version(b_info, capabilities)?;

    match &mut b_info.type_info {
        TypeInfo::Hvm(_) => hvm::apply(b_info)?,
        TypeInfo::Pv(pv) => {
            pv.e820_host.set_default(false);
            pv.slack_memkb.get_or_insert(0);
        }
        TypeInfo::Pvh(pvh) => pv_shim(pvh, host),
        TypeInfo::Invalid => {}
    }
    b_info.video_memkb.get_or_insert(0);
    if b_info.domain_type() != DomainType::Pv {
        if b_info.timer_mode == TimerMode::Unknown {
            b_info.timer_mode = TimerMode::NoDelayForMissedTicks;
        }
        b_info.apic.set_default(true);
        b_info.nested_hvm.set_default(false);
    }
    Ok(())
}

/// Moves values from the fields where they once were to those where they are now.
fn move_deprecated(b_info: &mut DomainBuildInfo) -> Result<()> {
    match &mut b_info.type_info {
        TypeInfo::Hvm(hvm) => {
            move_value("apic", &mut hvm.apic, &mut b_info.apic)?;
            move_value("nested_hvm", &mut hvm.nested_hvm, &mut b_info.nested_hvm)?;
            move_value("timer_mode", &mut hvm.timer_mode, &mut b_info.timer_mode)
        }
        TypeInfo::Pv(PvInfo { kernel, ramdisk, cmdline, bootloader, bootloader_args, .. }) => {
            move_value("kernel", kernel, &mut b_info.kernel)?;
            move_value("ramdisk", ramdisk, &mut b_info.ramdisk)?;
            move_value("cmdline", cmdline, &mut b_info.cmdline)?;
            move_value("bootloader", bootloader, &mut b_info.bootloader)?;
            move_value("bootloader_args", bootloader_args, &mut b_info.bootloader_args)
        }
        _ => Ok(()),
    }
}

fn move_value<T: Default + PartialEq>(name: &str, old: &mut T, new: &mut T) -> Result<()> {
    let unset = T::default();
    if *old == unset {
        return Ok(());
    }
    if *new != unset {
        return Err(Error::invalid(format!("{name} is given both in its present and in its former place")));
    }
    *new = std::mem::take(old);
    Ok(())
}

/// Chooses the program that emulates devices: QEMU, unless it is missing.
fn device_model(b_info: &mut DomainBuildInfo, host: &dyn HostFacts) -> Result<()> {
    let in_stubdomain = b_info.device_model_stubdomain.set_default(false);
    if in_stubdomain && b_info.device_model_ssidref == 0 {
        b_info.device_model_ssidref = SECURITY_ID_STUBDOMAIN;
    }
    if b_info.device_model_version != DeviceModelVersion::Unknown {
        return Ok(());
    }
    if in_stubdomain {
        b_info.device_model_version = match b_info.domain_type() {
            DomainType::Hvm => DeviceModelVersion::QemuXenTraditional,
            _ => DeviceModelVersion::QemuXen,
        };
        return Ok(());
    }
    let program = b_info.device_model.clone().unwrap_or_else(|| host.qemu());
    b_info.device_model_version = match host.is_executable(&program) {
        Ok(true) => DeviceModelVersion::QemuXen,
        Ok(false) => return Err(Error::fail(format!("the device model {program} is not executable"))),
        Err(e) if e.kind() == ErrorKind::NotFound => {
            tracing::info!("there is no device model {program}: assuming the traditional one");
            DeviceModelVersion::QemuXenTraditional
        }
        Err(e) => return Err(Error::from(e).context(format!("looking for the device model {program}"))),
    };
    Ok(())
}

fn vcpus(b_info: &mut DomainBuildInfo) -> Result<()> {
    if b_info.max_vcpus > MAX_VCPUS {
        return Err(Error::invalid(format!("maxvcpus={}: no guest can have more than {MAX_VCPUS}", b_info.max_vcpus)));
    }
    if b_info.avail_vcpus.is_empty() {
        b_info.avail_vcpus.insert(0);
    } else if b_info.avail_vcpus.last() >= Some(MAX_AVAILABLE_VCPUS) {
        return Err(Error::fail(format!("vcpus: no more than {MAX_AVAILABLE_VCPUS} can be online at the start")));
    }
    if !b_info.cpumap.is_empty() && b_info.vcpu_hard_affinity.is_empty() {
        b_info.vcpu_hard_affinity = vec![b_info.cpumap.clone(); b_info.max_vcpus as usize];
    }
    Ok(())
}

/// Memory, kernel and ramdisk of the domain that the device model runs in, if it does.
fn stubdomain(b_info: &mut DomainBuildInfo, host: &dyn HostFacts) {
    let is_linux = b_info.device_model_version == DeviceModelVersion::QemuXen;
    let memory_mib = match (b_info.device_model_stubdomain.is_true(), is_linux) {
        (false, _) => 0,
        (true, true) => 128,
        (true, false) => 28,
    };
    b_info.stubdomain_memkb.get_or_insert(memory_mib * 1024);
    if b_info.domain_type() != DomainType::Hvm || memory_mib == 0 {
        return;
    }
    let firmware = |name: &str| format!("{}/{name}", host.firmware_dir());
    if is_linux {
        b_info.stubdomain_kernel.get_or_insert_with(|| firmware("qemu-stubdom-linux-kernel"));
        b_info.stubdomain_ramdisk.get_or_insert_with(|| firmware("qemu-stubdom-linux-rootfs"));
    } else {
        b_info.stubdomain_kernel.get_or_insert_with(|| firmware("ioemu-stubdom.gz"));
    }
}

/// The highest grant table version: what the hypervisor has, or what was asked for if that can be.
fn grant_version(b_info: &mut DomainBuildInfo, capabilities: HostCapabilities) -> Result<()> {
    let best = if capabilities.contains(HostCapabilities::GNTTAB_V2) {
        2
    } else {
        u32::from(capabilities.contains(HostCapabilities::GNTTAB_V1))
    };
    let version = *b_info.max_grant_version.get_or_insert(best);
    if version > MAX_GRANT_VERSION {
        return Err(Error::invalid(format!("max_grant_version={version} is out of range (0 to {MAX_GRANT_VERSION})")));
    }
    Ok(())
}

fn pv_shim(pvh: &mut PvhInfo, host: &dyn HostFacts) {
    if pvh.pvshim.set_default(false) {
        pvh.pvshim_path.get_or_insert_with(|| format!("{}/xen-shim", host.firmware_dir()));
        pvh.pvshim_cmdline.get_or_insert_with(|| PVSHIM_CMDLINE.into());
    }
}
