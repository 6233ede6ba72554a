//! What only an HVM guest has: firmware, graphics, emulated devices.

use super::viridian;
use crate::types::{
    BiosType, DeviceModelVersion, DomainBuildInfo, HvmInfo, RdmReservePolicy, SpiceInfo, TypeInfo, VgaInterfaceType,
};
use crate::{Error, Result};

/// Reserved device memory below this address may clash with the guest's memory: 2 GiB, in KiB.
const RDM_BOUNDARY_KIB: u64 = 2048 * 1024;

pub(super) fn apply(b_info: &mut DomainBuildInfo) -> Result<()> {
    if b_info.kernel.is_none() && (b_info.ramdisk.is_some() || b_info.cmdline.is_some()) {
        return Err(Error::invalid("ramdisk and cmdline of an HVM guest need a kernel (kernel=)"));
    }
    let model = b_info.device_model_version;
    let TypeInfo::Hvm(hvm) = &mut b_info.type_info else { return Ok(()) };
    firmware(hvm, model)?;
    let video_kib = b_info.video_memkb;
    b_info.video_memkb = Some(video_memory(hvm, model, video_kib)?);
    switches(hvm);
    usb(hvm)?;
    displays(hvm)?;
    viridian::mask(hvm)?;
    serial_ports(hvm)?;
    hvm.mmio_hole_memkb.get_or_insert(0);
    hvm.boot.get_or_insert_with(|| "cda".into());
    if hvm.rdm.policy == RdmReservePolicy::Invalid {
        hvm.rdm.policy = RdmReservePolicy::Relaxed;
    }
    hvm.rdm_mem_boundary_memkb.get_or_insert(RDM_BOUNDARY_KIB);
    Ok(())
}

/// The firmware, which must be one that the device model works with.
fn firmware(hvm: &mut HvmInfo, model: DeviceModelVersion) -> Result<()> {
    let is_traditional = model == DeviceModelVersion::QemuXenTraditional;
    if hvm.bios == BiosType::Unknown {
        hvm.bios = if is_traditional { BiosType::Rombios } else { BiosType::Seabios };
    }
    match (is_traditional, hvm.bios == BiosType::Rombios) {
        (true, false) => Err(Error::invalid(format!("qemu-xen-traditional needs bios=\"rombios\", not {}", hvm.bios))),
        (false, true) => Err(Error::invalid("qemu-xen does not work with bios=\"rombios\"")),
        _ => Ok(()),
    }
}

/// The memory of the graphics card, in KiB.
fn video_memory(hvm: &mut HvmInfo, model: DeviceModelVersion, given: Option<u64>) -> Result<u64> {
    if hvm.vga.kind == VgaInterfaceType::Unknown {
        hvm.vga.kind = VgaInterfaceType::Cirrus;
    }
    let card = hvm.vga.kind;
    let is_traditional = model == DeviceModelVersion::QemuXenTraditional;
    let default_mib = match (card, is_traditional) {
        (VgaInterfaceType::None, _) => return Ok(given.unwrap_or(0)),
        (VgaInterfaceType::Qxl, true) => {
            return Err(Error::invalid("vga=\"qxl\" needs qemu-xen, not qemu-xen-traditional"));
        }
        (VgaInterfaceType::Qxl, false) => 128,
        (VgaInterfaceType::Std, true) => 8,
        (VgaInterfaceType::Std, false) => 16,
        (_, true) => 4,
        (_, false) => 8,
    };
    let kib = given.unwrap_or(default_mib * 1024);
    if card == VgaInterfaceType::Cirrus && is_traditional {
        if kib != default_mib * 1024 {
            tracing::warn!("videoram is not heeded: the card of qemu-xen-traditional has 4 MiB");
        }
    } else if kib < default_mib * 1024 {
        let mib = kib / 1024;
        return Err(Error::invalid(format!("videoram={mib}: a {card} card needs at least {default_mib} MiB")));
    }
    Ok(kib)
}

/// Settles the switches that stand for themselves.
fn switches(hvm: &mut HvmInfo) {
    let switches = [
        (&mut hvm.pae, true),
        (&mut hvm.acpi, true),
        (&mut hvm.acpi_s3, true),
        (&mut hvm.acpi_s4, true),
        (&mut hvm.acpi_laptop_slate, false),
        (&mut hvm.nx, true),
        (&mut hvm.viridian, false),
        (&mut hvm.hpet, true),
        (&mut hvm.vpt_align, true),
        (&mut hvm.altp2m, false),
        (&mut hvm.usb, false),
        (&mut hvm.vkb_device, true),
        (&mut hvm.xen_platform_pci, true),
        (&mut hvm.nographic, false),
        (&mut hvm.gfx_passthru, false),
    ];
    for (switch, default) in switches {
        switch.set_default(default);
    }
}

/// The USB controller: by version, or by the older `usb` and `usbdevice`, not both.
fn usb(hvm: &mut HvmInfo) -> Result<()> {
    if !hvm.spice.enable.set_default(false) && hvm.spice.usbredirection > 0 {
        tracing::warn!("spiceusbredirection is not heeded: there is no SPICE server (spice=1)");
        hvm.spice.usbredirection = 0;
    }
    if hvm.usbversion == 0 && hvm.spice.usbredirection > 0 {
        hvm.usbversion = 2;
    }
    let is_by_version = hvm.usbversion != 0 || hvm.spice.usbredirection != 0;
    let is_older = hvm.usb.is_true() || hvm.usbdevice.is_some() || !hvm.usbdevice_list.is_empty();
    if is_by_version && is_older {
        return Err(Error::invalid("usbversion and spiceusbredirection do not go with usb and usbdevice"));
    }
    if hvm.usbdevice.is_some() && !hvm.usbdevice_list.is_empty() {
        return Err(Error::invalid("usbdevice is given both as one and as a list"));
    }
    if !(0..=3).contains(&hvm.usbversion) {
        return Err(Error::invalid(format!("usbversion={}: there are 1, 2 and 3", hvm.usbversion)));
    }
    Ok(())
}

/// Where the picture goes.
fn displays(hvm: &mut HvmInfo) -> Result<()> {
    if hvm.vnc.enable.set_default(true) {
        hvm.vnc.findunused.set_default(true);
        hvm.vnc.listen.get_or_insert_with(|| "127.0.0.1".into());
    }
    if hvm.sdl.enable.set_default(false) {
        hvm.sdl.opengl.set_default(false);
    }
    if hvm.spice.enable.is_true() {
        spice(&mut hvm.spice)?;
    }
    Ok(())
}

fn spice(spice: &mut SpiceInfo) -> Result<()> {
    spice.agent_mouse.set_default(true);
    spice.vdagent.set_default(false);
    spice.clipboard_sharing.set_default(false);
    if spice.port == 0 && spice.tls_port == 0 {
        return Err(Error::invalid("spice=1 needs a port (spiceport= or spicetls_port=)"));
    }
    let is_open = spice.disable_ticketing.set_default(false);
    if !is_open && spice.passwd.as_deref().unwrap_or_default().is_empty() {
        return Err(Error::invalid("spice=1 needs a password (spicepasswd=), or spicedisable_ticketing=1"));
    }
    Ok(())
}

fn serial_ports(hvm: &HvmInfo) -> Result<()> {
    if hvm.serial.is_some() && !hvm.serial_list.is_empty() {
        return Err(Error::invalid("serial is given both as one and as a list"));
    }
    Ok(())
}
