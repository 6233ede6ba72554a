//! What a guest boots: kernel, ramdisk, command line, bootloader, firmware (xl.cfg(5), "Direct Kernel Boot",
//! "Non direct Kernel Boot").

use super::diagnostic::FAILED;
use super::items;
use super::reader::Reader;
use libxl::types::{BiosType, DomainBuildInfo, HvmInfo};

/// Reads what all guests have.
pub(crate) fn read(reader: &mut Reader<'_>, build: &mut DomainBuildInfo) {
    reader.set_string("kernel", &mut build.kernel);
    reader.set_string("ramdisk", &mut build.ramdisk);
    reader.set_string("device_tree", &mut build.device_tree);
    build.cmdline = cmdline(reader);
    reader.set_string("bootloader", &mut build.bootloader);
    build.bootloader_args = bootloader_args(reader);
}

/// `cmdline`, or what `root` and `extra` make of it.
fn cmdline(reader: &mut Reader<'_>) -> Option<String> {
    let (cmdline, root, extra) = (reader.string("cmdline"), reader.string("root"), reader.string("extra"));
    if cmdline.is_some() {
        for (key, value) in [("root", &root), ("extra", &extra)] {
            if value.is_some() {
                reader.diagnostics.ignored(reader.span(key), format!("`{key}' besides `cmdline'"));
            }
        }
        return cmdline;
    }
    match (root, extra) {
        (Some(root), Some(extra)) => Some(format!("root={root} {extra}")),
        (Some(root), None) => Some(format!("root={root}")),
        (None, extra) => extra,
    }
}

fn bootloader_args(reader: &mut Reader<'_>) -> Vec<String> {
    if reader.list_if_one("bootloader_args").is_some() {
        return reader.strings("bootloader_args");
    }
    let Some(text) = reader.text("bootloader_args") else { return Vec::new() };
    reader
        .diagnostics
        .warning(text.span, "`bootloader_args' as one string is deprecated")
        .help("write a list: bootloader_args = [ \"one\", \"two\" ]");
    text.tokens(&[' ', '\t', '\n']).map(|arg| arg.text.to_string()).collect()
}

/// PV and PVH guests: `firmware` stands for a kernel that comes with Xen; one of kernel and bootloader is required.
pub(crate) fn paravirtual(reader: &mut Reader<'_>, build: &mut DomainBuildInfo, firmware_dir: &str) {
    if let Some(firmware) = reader.text("firmware") {
        if build.kernel.is_some() {
            reader.diagnostics.error(firmware.span, "both `kernel' and `firmware': there can be only one");
        } else if !"pvgrub32".starts_with(firmware.text) && !"pvgrub64".starts_with(firmware.text) {
            reader
                .diagnostics
                .error(firmware.span, format!("unknown firmware `{}' for this type of guest", firmware.text))
                .help("it is pvgrub32 or pvgrub64");
        }
        build.kernel = Some(format!("{firmware_dir}/{}.bin", firmware.text));
    }
    if build.kernel.is_none() && build.bootloader.is_none() {
        reader
            .diagnostics
            .error_overall("neither `kernel' nor `bootloader' is given")
            .help("a PV or PVH guest needs kernel = \"/path\", or bootloader = \"pygrub\" and a disk");
    }
}

/// HVM guests: their kernel is for direct boot, and firmware comes in several keys.
pub(crate) fn hvm_kernel(reader: &mut Reader<'_>, build: &mut DomainBuildInfo) {
    let is_loader = |kernel: &String| kernel.rsplit('/').next() == Some("hvmloader");
    if build.kernel.as_ref().is_some_and(is_loader) {
        reader
            .diagnostics
            .ignored(reader.span("kernel"), "`kernel' does not name the firmware of an HVM guest")
            .help("for other firmware than the usual use `firmware_override'");
        build.kernel = None;
    }
}

/// Reads `firmware_override`, `bios_path_override`, `bios`.
pub(crate) fn hvm_bios(reader: &mut Reader<'_>, hvm: &mut HvmInfo) {
    reader.set_string("firmware_override", &mut hvm.firmware);
    reader.set_string("bios_path_override", &mut hvm.system_firmware);
    if let Some(bios) = reader.text("bios") {
        items::choice(bios, "bios", &mut hvm.bios, reader.diagnostics);
    } else if hvm.system_firmware.is_some() {
        reader
            .diagnostics
            .warning(reader.span("bios_path_override"), "`bios_path_override' without `bios'")
            .help("say which it is: bios = \"seabios\"");
    }
}

/// Reads `firmware`: the name of a BIOS, or `uefi` or `bios` (which may be shortened), or else a path.
pub(crate) fn hvm_firmware(reader: &mut Reader<'_>, hvm: &mut HvmInfo) {
    let Some(firmware) = reader.text("firmware") else { return };
    if let Ok(bios) = firmware.text.parse() {
        hvm.bios = bios;
    } else if "uefi".starts_with(firmware.text) {
        hvm.bios = BiosType::Ovmf;
    } else if !"bios".starts_with(firmware.text) {
        hvm.firmware = Some(firmware.text.to_string());
    }
}

/// Reads a list of arguments for the device model.
pub(crate) fn device_model_args(reader: &mut Reader<'_>, key: &str) -> Vec<String> {
    if reader.text_if_single(key).is_some() {
        reader
            .diagnostics
            .error(reader.span(key), format!("`{key}' is a single value, but should be a list"))
            .status(FAILED)
            .help(format!("write {key} = [ \"one\", \"two\" ]"));
        return Vec::new();
    }
    reader.strings(key)
}
