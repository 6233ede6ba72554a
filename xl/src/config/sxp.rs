//! Configurations as S-expressions, for `output_format = "sxp"` in xl.conf: the form from before JSON, which stock xl
//! keeps for old scripts. It shows what it always showed, and nothing newer.

use libxl::types::{
    DeviceDisk, DeviceNic, DevicePci, DeviceVfb, DomainBuildInfo, DomainConfig, DomainCreateInfo, DomainType, HvmInfo,
    PvInfo, TypeInfo, Uuid, VgaInterfaceType,
};
use std::fmt::{Display, Write};

/// The configuration of a domain, or of none: its number is -1 then. PVH guests have no such form.
pub(crate) fn domain(running: Option<(u16, Uuid)>, config: &DomainConfig) -> Option<String> {
    if config.c_info.type_ == DomainType::Pvh {
        return None;
    }
    let domid = running.map_or(-1, |(domid, _)| i32::from(domid));
    let mut tree = Tree::default();
    tree.node("(domain", |tree| {
        tree.leaf("domid", domid);
        create_info(tree, &config.c_info, running.map(|(_, uuid)| uuid));
        build_info(tree, &config.b_info);
        tree.node("(image", |tree| match &config.b_info.type_info {
            TypeInfo::Hvm(hvm) => tree.node("(hvm", |tree| hvm_image(tree, &config.b_info, hvm)),
            // The head closes what it opens, as it does with stock xl.
            TypeInfo::Pv(pv) => tree.node("(linux 0)", |tree| pv_image(tree, &config.b_info, pv)),
            _ => {}
        });
        config.disks.iter().for_each(|device| disk(tree, domid, device));
        config.nics.iter().for_each(|device| vif(tree, domid, device));
        config.pcidevs.iter().for_each(|device| pci(tree, device));
        config.vfbs.iter().for_each(|device| vfb(tree, domid, device));
    });
    Some(tree.text)
}

/// Text that grows line by line, indented by tabs.
#[derive(Default)]
struct Tree {
    text: String,
    depth: usize,
}

impl Tree {
    fn line(&mut self, text: impl Display) {
        let _ = writeln!(self.text, "{:\t<1$}{text}", "", self.depth);
    }

    fn leaf(&mut self, name: &str, value: impl Display) {
        self.line(format_args!("({name} {value})"));
    }

    /// Text that may be missing; C's printf writes that as `(null)`.
    fn text(&mut self, name: &str, value: &Option<String>) {
        self.leaf(name, value.as_deref().unwrap_or("(null)"));
    }

    /// A number that may be unset, which libxl has as -1.
    fn number(&mut self, name: &str, value: Option<impl Display>) {
        match value {
            Some(value) => self.leaf(name, value),
            None => self.leaf(name, -1),
        }
    }

    fn node(&mut self, head: &str, inner: impl FnOnce(&mut Tree)) {
        self.line(head);
        self.depth += 1;
        inner(self);
        self.depth -= 1;
        self.line(")");
    }

    fn device(&mut self, kind: &str, inner: impl FnOnce(&mut Tree)) {
        self.node("(device", |tree| tree.node(kind, inner));
    }
}

fn create_info(tree: &mut Tree, create: &DomainCreateInfo, uuid: Option<Uuid>) {
    tree.line("(create_info)");
    tree.leaf("hvm", u8::from(create.type_ == DomainType::Hvm));
    tree.leaf("hap", create.hap);
    tree.leaf("oos", create.oos);
    tree.leaf("ssidref", create.ssidref);
    tree.text("name", &create.name);
    match uuid {
        Some(uuid) => tree.leaf("uuid", uuid),
        None => tree.leaf("uuid", "<unknown>"),
    }
    if let Some(pool) = &create.pool_name {
        tree.leaf("cpupool", pool);
    }
    tree.leaf("xsdata", "(null)");
    tree.leaf("platformdata", "(null)");
}

fn build_info(tree: &mut Tree, build: &DomainBuildInfo) {
    tree.line("(build_info)");
    tree.leaf("max_vcpus", build.max_vcpus);
    tree.number("max_grant_frames", build.max_grant_frames);
    tree.number("max_maptrack_frames", build.max_maptrack_frames);
    tree.leaf("tsc_mode", build.tsc_mode);
    tree.number("max_memkb", build.max_memkb);
    tree.number("target_memkb", build.target_memkb);
    tree.leaf("nomigrate", build.disable_migrate);
    if let (Some(bootloader), TypeInfo::Pv(_)) = (&build.bootloader, &build.type_info) {
        tree.leaf("bootloader", bootloader);
        if !build.bootloader_args.is_empty() {
            tree.leaf("bootloader_args", build.bootloader_args.join(" "));
        }
    }
}

fn hvm_image(tree: &mut Tree, build: &DomainBuildInfo, hvm: &HvmInfo) {
    tree.text("firmware", &hvm.firmware);
    tree.number("video_memkb", build.video_memkb);
    tree.number("shadow_memkb", build.shadow_memkb);
    tree.leaf("pae", hvm.pae);
    tree.leaf("apic", build.apic);
    tree.leaf("acpi", hvm.acpi);
    tree.leaf("nx", hvm.nx);
    tree.leaf("viridian", hvm.viridian);
    tree.leaf("hpet", hvm.hpet);
    tree.leaf("vpt_align", hvm.vpt_align);
    tree.leaf("timer_mode", build.timer_mode);
    tree.leaf("nestedhvm", build.nested_hvm);
    tree.leaf("stdvga", if hvm.vga.kind == VgaInterfaceType::Std { "True" } else { "False" });
    tree.leaf("vnc", hvm.vnc.enable);
    tree.text("vnclisten", &hvm.vnc.listen);
    tree.leaf("vncdisplay", hvm.vnc.display);
    tree.leaf("vncunused", hvm.vnc.findunused);
    tree.text("keymap", &hvm.keymap);
    tree.leaf("sdl", hvm.sdl.enable);
    tree.leaf("opengl", hvm.sdl.opengl);
    tree.leaf("nographic", hvm.nographic);
    tree.leaf("spice", hvm.spice.enable);
    tree.leaf("spiceport", hvm.spice.port);
    tree.leaf("spicetls_port", hvm.spice.tls_port);
    tree.text("spicehost", &hvm.spice.host);
    tree.leaf("spicedisable_ticketing", hvm.spice.disable_ticketing);
    tree.leaf("spiceagent_mouse", hvm.spice.agent_mouse);
    tree.leaf("device_model", build.device_model.as_deref().unwrap_or("default"));
    tree.leaf("gfx_passthru", hvm.gfx_passthru);
    tree.text("serial", &hvm.serial);
    tree.text("boot", &hvm.boot);
    tree.leaf("usb", hvm.usb);
    tree.text("usbdevice", &hvm.usbdevice);
    tree.leaf("vkb_device", hvm.vkb_device);
}

fn pv_image(tree: &mut Tree, build: &DomainBuildInfo, pv: &PvInfo) {
    tree.text("kernel", &build.kernel);
    tree.text("cmdline", &build.cmdline);
    tree.text("ramdisk", &build.ramdisk);
    tree.leaf("e820_host", pv.e820_host);
}

fn disk(tree: &mut Tree, domid: i32, disk: &DeviceDisk) {
    tree.device("(tap", |tree| {
        tree.leaf("backend_domid", disk.backend_domid);
        tree.leaf("frontend_domid", domid);
        tree.text("physpath", &disk.pdev_path);
        tree.leaf("phystype", disk.backend.number());
        tree.text("virtpath", &disk.vdev);
        tree.leaf("unpluggable", disk.removable);
        tree.leaf("readwrite", disk.readwrite);
        tree.leaf("is_cdrom", disk.is_cdrom);
    });
}

fn vif(tree: &mut Tree, domid: i32, nic: &DeviceNic) {
    tree.device("(vif", |tree| {
        if let Some(name) = &nic.ifname {
            tree.leaf("vifname", name);
        }
        tree.leaf("backend_domid", nic.backend_domid);
        tree.leaf("frontend_domid", domid);
        tree.number("devid", nic.devid);
        tree.leaf("mtu", nic.mtu);
        tree.text("model", &nic.model);
        tree.leaf("mac", nic.mac.to_string().replace(':', ""));
    });
}

fn pci(tree: &mut Tree, pci: &DevicePci) {
    tree.device("(pci", |tree| {
        let DevicePci { domain, bus, dev, func, vdevfn, .. } = pci;
        tree.leaf("pci dev", format_args!("{domain:04x}:{bus:02x}:{dev:02x}.{func:x}@{vdevfn:02x}"));
        let [msi, power] = [pci.msitranslate, pci.power_mgmt].map(u8::from);
        tree.leaf("opts", format_args!("msitranslate {msi} power_mgmt {power}"));
    });
}

fn vfb(tree: &mut Tree, domid: i32, vfb: &DeviceVfb) {
    tree.device("(vfb", |tree| {
        tree.leaf("backend_domid", vfb.backend_domid);
        tree.leaf("frontend_domid", domid);
        tree.number("devid", vfb.devid);
        tree.leaf("vnc", vfb.vnc.enable);
        tree.text("vnclisten", &vfb.vnc.listen);
        tree.leaf("vncdisplay", vfb.vnc.display);
        tree.leaf("vncunused", vfb.vnc.findunused);
        tree.text("keymap", &vfb.keymap);
        tree.leaf("sdl", vfb.sdl.enable);
        tree.leaf("opengl", vfb.sdl.opengl);
        tree.text("display", &vfb.sdl.display);
        tree.text("xauthority", &vfb.sdl.xauthority);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pv_guest_is_shown_and_a_pvh_guest_is_not() {
        let mut config = DomainConfig::default();
        config.c_info.type_ = DomainType::Pv;
        config.b_info.type_info = TypeInfo::new(DomainType::Pv);
        let text = domain(Some((7, Uuid::nil())), &config).unwrap();
        assert!(text.starts_with("(domain\n\t(domid 7)\n\t(create_info)\n\t(hvm 0)\n\t(hap <default>)\n"), "{text}");
        assert!(text.contains("\t(uuid 00000000-0000-0000-0000-000000000000)\n"), "{text}");
        assert!(text.ends_with("\t\t\t(e820_host <default>)\n\t\t)\n\t)\n)\n"), "{text}");
        config.c_info.type_ = DomainType::Pvh;
        assert_eq!(domain(None, &config), None);
    }
}
