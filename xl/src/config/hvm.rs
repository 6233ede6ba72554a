//! What only HVM guests have: the emulated PC (xl.cfg(5), "Fully-virtualised (HVM) Guest Specific Options").

use super::boot;
use super::diagnostic::{Diagnostics, FAILED};
use super::graphics;
use super::items;
use super::later;
use super::reader::Reader;
use super::source::Text;
use libxl::types::{Bitmap, DomainBuildInfo, HvmInfo, MsVmGenid, VendorDevice, ViridianEnlightenment};

/// The least and the most of the hole below 4 GiB, in MiB (Xen's `HVM_BELOW_4G_MMIO_LENGTH` and `_START`).
const MMIO_HOLE_MIB: std::ops::RangeInclusive<u64> = 256..=3840;

/// The size of a set of enlightenments (`LIBXL_BUILDINFO_HVM_VIRIDIAN_ENABLE_DISABLE_WIDTH`).
const VIRIDIAN_WIDTH: u32 = 64;

/// `XEN_HVM_MCA_CAP_LMCE`
const MCA_CAP_LMCE: u64 = 1;

/// Reads firmware and platform, before the devices.
pub(crate) fn platform(reader: &mut Reader<'_>, build: &mut DomainBuildInfo, genid: MsVmGenid) {
    boot::hvm_kernel(reader, build);
    reader.set_switch("apic", &mut build.apic);
    let Some(hvm) = build.hvm_mut() else { return };
    boot::hvm_bios(reader, hvm);
    reader.set_switch("pae", &mut hvm.pae);
    reader.set_switch("acpi_s3", &mut hvm.acpi_s3);
    reader.set_switch("acpi_s4", &mut hvm.acpi_s4);
    reader.set_switch("acpi_laptop_slate", &mut hvm.acpi_laptop_slate);
    reader.set_switch("nx", &mut hvm.nx);
    reader.set_switch("hpet", &mut hvm.hpet);
    reader.set_switch("vpt_align", &mut hvm.vpt_align);
    viridian(reader, hvm);
    mmio_hole(reader, hvm);
    if let Some(on) = reader.boolean("altp2mhvm") {
        hvm.altp2m = on.into();
        reader.diagnostics.warning(reader.span("altp2mhvm"), "`altp2mhvm' is deprecated").help("use `altp2m'");
    }
    reader.set_string("smbios_firmware", &mut hvm.smbios_firmware);
    reader.set_string("acpi_firmware", &mut hvm.acpi_firmware);
    match reader.text("ms_vm_genid") {
        None => {}
        Some(text) if text.text == "generate" => hvm.ms_vm_genid = genid,
        Some(text) if text.text == "none" => {}
        Some(text) => {
            reader.diagnostics.error(text.span, "`ms_vm_genid' is \"generate\" or \"none\"");
        }
    }
    if let Some(size) = reader.mebibytes("rdm_mem_boundary") {
        hvm.rdm_mem_boundary_memkb = Some(size);
    }
    mca_caps(reader, hvm);
    later::hvm(reader, hvm);
    boot::hvm_firmware(reader, hvm);
}

/// `viridian`: a list of enlightenments, `!` before one takes it away; or yes or no.
fn viridian(reader: &mut Reader<'_>, hvm: &mut HvmInfo) {
    let Some(list) = reader.list_if_one("viridian") else {
        if let Some(on) = reader.number_if_one("viridian") {
            hvm.viridian = (on != 0).into();
        } else if reader.has("viridian") {
            let message = "`viridian' is a list of enlightenments, or 1 or 0";
            reader.diagnostics.ignored(reader.span("viridian"), message);
        }
        return;
    };
    for text in reader.leading_texts("viridian", list) {
        match text.text {
            "all" => hvm.viridian_enable = Bitmap::full(VIRIDIAN_WIDTH),
            "defaults" => hvm.viridian = true.into(),
            _ => enlightenment(text, hvm, reader.diagnostics),
        }
    }
}

fn enlightenment(text: Text<'_>, hvm: &mut HvmInfo, diagnostics: &mut Diagnostics) {
    let (name, set, reset) = match text.strip_prefix("!") {
        Some(name) => (name, &mut hvm.viridian_disable, &mut hvm.viridian_enable),
        None => (text, &mut hvm.viridian_enable, &mut hvm.viridian_disable),
    };
    match name.text.parse::<ViridianEnlightenment>() {
        Ok(parsed) => {
            set.insert(parsed.number() as u32);
            reset.remove(parsed.number() as u32);
        }
        Err(unknown) => {
            let error = items::unknown_choice(name, "viridian enlightenment", &unknown, diagnostics).status(FAILED);
            error.help(format!("known are all, defaults, {}", unknown.known.join(", ")));
        }
    }
}

fn mmio_hole(reader: &mut Reader<'_>, hvm: &mut HvmInfo) {
    let Some(size) = reader.mebibytes("mmio_hole") else { return };
    if !MMIO_HOLE_MIB.contains(&(size / 1024)) {
        let message = format!("`mmio_hole' is {} to {} MiB", MMIO_HOLE_MIB.start(), MMIO_HOLE_MIB.end());
        reader.diagnostics.error(reader.span("mmio_hole"), message);
    }
    hvm.mmio_hole_memkb = Some(size);
}

fn mca_caps(reader: &mut Reader<'_>, hvm: &mut HvmInfo) {
    if !reader.has("mca_caps") {
        return;
    }
    let span = reader.span("mca_caps");
    let Some(list) = reader.list_if_one("mca_caps") else {
        reader.diagnostics.error(span, "`mca_caps' is a list").status(FAILED).help("write mca_caps = [ \"lmce\" ]");
        return;
    };
    for value in list {
        match value.atom() {
            Some(text) if text.text == "lmce" => hvm.mca_caps |= MCA_CAP_LMCE,
            _ => {
                let error = reader.diagnostics.error(value.span, "unknown machine check capability");
                error.status(FAILED).help("there is lmce");
            }
        }
    }
}

/// Reads the emulated devices.
pub(crate) fn devices(reader: &mut Reader<'_>, hvm: &mut HvmInfo) {
    if let Some(hdtype) = reader.text("hdtype") {
        items::choice(hdtype, "hdtype", &mut hvm.hdtype, reader.diagnostics);
    }
    graphics::hvm(reader, hvm);
    (hvm.serial, hvm.serial_list) = one_or_list(reader, "serial");
    reader.set_string("boot", &mut hvm.boot);
    reader.set_switch("usb", &mut hvm.usb);
    reader.set_number("usbversion", &mut hvm.usbversion);
    (hvm.usbdevice, hvm.usbdevice_list) = one_or_list(reader, "usbdevice");
    reader.set_switch("vkb_device", &mut hvm.vkb_device);
    reader.set_string("soundhw", &mut hvm.soundhw);
    reader.set_switch("xen_platform_pci", &mut hvm.xen_platform_pci);
    vendor_device(reader, hvm);
}

fn one_or_list(reader: &mut Reader<'_>, key: &str) -> (Option<String>, Vec<String>) {
    match reader.list_if_one(key) {
        Some(_) => (None, reader.strings(key)),
        None => (reader.string(key), Vec::new()),
    }
}

fn vendor_device(reader: &mut Reader<'_>, hvm: &mut HvmInfo) {
    let Some(text) = reader.text("vendor_device") else { return };
    match text.text.parse::<VendorDevice>() {
        Ok(device) => hvm.vendor_device = device,
        Err(_) => {
            let error = reader.diagnostics.error(text.span, format!("unknown vendor_device `{}'", text.text));
            error.status(FAILED).help("it is none or xenserver");
        }
    }
}
