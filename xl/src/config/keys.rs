//! Every key of a guest's configuration: the one table from which unknown keys are told, TOML is read and the JSON
//! Schema is made. What the keys mean is in xl.cfg(5); what they do is in the files of their topics.

use Guests::{All, Arm, Hvm, HvmPvh, Pv, PvHvm, PvPvh, Pvh};
use Shape::{
    Bool, Choice, Integer, IntegerOrChoice, Items, Joined, Number, String, Strings, StringsOrBool, StringsOrString,
    Word,
};
use libxl::types::DomainType;

/// What a key's value looks like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shape {
    /// 0 or 1; any other number is yes too.
    Bool,
    /// A yes or no that is a word of its own in a specification: `word`, `noword` or none.
    Word,
    /// A whole number.
    Integer,
    /// A number or a choice by name, for keys whose numbers are an old form.
    IntegerOrChoice(&'static [&'static str]),
    /// Text.
    String,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of strings.
    Strings,
    /// A list of numbers.
    Number,
    /// A list of strings, or one string.
    StringsOrString,
    /// A list of strings, or yes or no.
    StringsOrBool,
    /// A list within a string, with this between its items; in TOML it may be an array.
    Joined(&'static str),
    /// A list of specifications with keys of their own: devices, mostly.
    Items(Item),
}

/// How one specification of a list is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Item {
    /// Its keys.
    pub(crate) keys: &'static [(&'static str, Shape)],
    /// How xl.cfg writes them.
    pub(crate) form: ItemForm,
}

/// How xl.cfg writes the keys of one specification.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ItemForm {
    /// One string: `"key=value,key=value"`.
    Pairs,
    /// A list of strings, one for each key: `["key=value", "key=value"]`.
    List,
    /// A list of strings, each `"kind, key=value, ..."`.
    Cards,
}

/// Which guests a key is for. For others it has no effect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Guests {
    /// Any.
    All,
    /// HVM only.
    Hvm,
    /// PV only.
    Pv,
    /// PVH only.
    Pvh,
    /// HVM and PVH.
    HvmPvh,
    /// PV and PVH.
    PvPvh,
    /// PV and HVM.
    PvHvm,
    /// Arm only.
    Arm,
}

impl Guests {
    /// Whether a guest of this type is one of them.
    pub(crate) fn include(self, guest: DomainType) -> bool {
        match guest {
            DomainType::Hvm => matches!(self, All | Hvm | HvmPvh | PvHvm),
            DomainType::Pv => matches!(self, All | Pv | PvPvh | PvHvm),
            DomainType::Pvh => matches!(self, All | Pvh | HvmPvh | PvPvh),
            DomainType::Invalid => false,
        }
    }

    /// Their kinds, if these are not all.
    pub(crate) fn names(self) -> Option<&'static str> {
        match self {
            All => None,
            Hvm => Some("HVM"),
            Pv => Some("PV"),
            Pvh => Some("PVH"),
            HvmPvh => Some("HVM and PVH"),
            PvPvh => Some("PV and PVH"),
            PvHvm => Some("PV and HVM"),
            Arm => Some("Arm"),
        }
    }
}

/// Which Xen a key is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Status {
    /// Xen 4.17 and later.
    Current,
    /// Accepted, and there is something better.
    Deprecated,
    /// Accepted by stock xl of a later Xen than 4.17, which has nothing for it.
    Later,
}

/// A key of the top level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// Its name.
    pub(crate) name: &'static str,
    /// What its value looks like.
    pub(crate) shape: Shape,
    /// Whom it is for.
    pub(crate) guests: Guests,
    /// Whether it is current.
    pub(crate) status: Status,
    /// What it sets, in one line.
    pub(crate) about: &'static str,
}

impl Key {
    const fn deprecated(self) -> Key {
        Key { status: Status::Deprecated, ..self }
    }

    const fn later(self) -> Key {
        Key { status: Status::Later, ..self }
    }
}

const fn key(name: &'static str, shape: Shape, guests: Guests, about: &'static str) -> Key {
    Key { name, shape, guests, status: Status::Current, about }
}

/// The key of this name.
pub(crate) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|k| k.name == name)
}

const fn pairs(keys: &'static [(&'static str, Shape)]) -> Shape {
    Items(Item { keys, form: ItemForm::Pairs })
}

const ACTIONS: Shape =
    Choice(&["destroy", "restart", "rename-restart", "preserve", "coredump-destroy", "coredump-restart", "soft-reset"]);

/// What is said of keys that stock xl of a later Xen has.
pub(crate) const NEEDS_LATER: &str = "needs a later version of Xen than 4.17";

/// What is said of COLO's parameters.
pub(crate) const COLO: &str = "COLO is not built yet";

/// The keys of a disk. `target` is written last, as it takes the rest of the string.
pub(crate) const DISK: &[(&str, Shape)] = &[
    ("format", Choice(&["raw", "qcow", "qcow2", "vhd", "qed", "empty"])),
    ("vdev", String),
    ("access", Choice(&["ro", "r", "rw", "w"])),
    ("devtype", Choice(&["disk", "cdrom"])),
    ("cdrom", Word),
    ("backend", String),
    ("backendtype", Choice(&["phy", "tap", "qdisk", "standalone"])),
    ("specification", Choice(&["xen", "virtio"])),
    ("script", String),
    ("direct-io-safe", Word),
    ("discard", Word),
    ("trusted", Word),
    ("colo", Word),
    ("colo-host", String),
    ("colo-port", Integer),
    ("colo-export", String),
    ("active-disk", String),
    ("hidden-disk", String),
    ("grant_usage", Bool),
    ("target", String),
];

/// The keys of a network device, without those of COLO, which are in `vif.rs`.
pub(crate) const VIF: &[(&str, Shape)] = &[
    ("type", Choice(&["vif", "ioemu"])),
    ("mac", String),
    ("bridge", String),
    ("gatewaydev", String),
    ("netdev", String),
    ("ip", String),
    ("script", String),
    ("backend", String),
    ("vifname", String),
    ("model", String),
    ("rate", String),
    ("devid", Integer),
    ("mtu", Integer),
    ("trusted", Word),
    ("forwarddev", String),
    ("accel", String),
    ("vlan", String),
];

/// The keys of a host PCI device.
pub(crate) const PCI: &[(&str, Shape)] = &[
    ("bdf", String),
    ("name", String),
    ("vslot", String),
    ("permissive", Bool),
    ("msitranslate", Bool),
    ("seize", Bool),
    ("power_mgmt", Bool),
    ("rdm_policy", Choice(&["strict", "relaxed"])),
];

/// The keys of a virtual frame buffer.
pub(crate) const VFB: &[(&str, Shape)] = &[
    ("vnc", Bool),
    ("vnclisten", String),
    ("vncpasswd", String),
    ("vncdisplay", Integer),
    ("vncunused", Bool),
    ("keymap", String),
    ("sdl", Bool),
    ("opengl", Bool),
    ("display", String),
    ("xauthority", String),
];

/// The keys of a USB controller.
pub(crate) const USBCTRL: &[(&str, Shape)] =
    &[("type", Choice(&["auto", "pv", "devicemodel", "qusb"])), ("version", Integer), ("ports", Integer)];

/// The keys of a host USB device.
pub(crate) const USBDEV: &[(&str, Shape)] = &[
    ("type", Choice(&["hostdev"])),
    ("hostbus", Integer),
    ("hostaddr", Integer),
    ("controller", Integer),
    ("port", Integer),
];

/// The keys of a virtual TPM.
pub(crate) const VTPM: &[(&str, Shape)] = &[("backend", String), ("uuid", String)];

/// The keys of a 9pfs share.
pub(crate) const P9: &[(&str, Shape)] = &[
    ("type", Choice(&["qemu", "xen_9pfsd"])),
    ("tag", String),
    ("path", String),
    ("security_model", String),
    ("backend", String),
    ("max-space", Integer),
    ("max-files", Integer),
    ("max-open-files", Integer),
    ("auto-delete", Bool),
];

/// The keys of a PV calls interface.
pub(crate) const PVCALLS: &[(&str, Shape)] = &[("backend", String)];

/// The keys of a virtual display.
pub(crate) const VDISPL: &[(&str, Shape)] = &[("backend", String), ("be-alloc", Bool), ("connectors", Joined(";"))];

/// The keys of a virtual keyboard.
pub(crate) const VKB: &[(&str, Shape)] = &[
    ("backend", String),
    ("backend-type", Choice(&["qemu", "linux"])),
    ("unique-id", String),
    ("feature-disable-keyboard", Bool),
    ("feature-disable-pointer", Bool),
    ("feature-abs-pointer", Bool),
    ("feature-raw-pointer", Bool),
    ("feature-multi-touch", Bool),
    ("multi-touch-width", Integer),
    ("multi-touch-height", Integer),
    ("multi-touch-num-contacts", Integer),
    ("width", Integer),
    ("height", Integer),
];

/// The keys of a channel.
pub(crate) const CHANNEL: &[(&str, Shape)] =
    &[("connection", Choice(&["pty", "socket"])), ("name", String), ("path", String), ("backend", String)];

/// The keys of a virtual NUMA node.
pub(crate) const VNUMA: &[(&str, Shape)] =
    &[("pnode", Integer), ("size", Integer), ("vcpus", Joined(",")), ("vdistances", Joined(","))];

/// The keys of a virtual sound card's parts. Each part is `card`, `pcm` or `stream`.
pub(crate) const VSND: &[(&str, Shape)] = &[
    ("backend", String),
    ("short-name", String),
    ("long-name", String),
    ("name", String),
    ("unique-id", String),
    ("type", Choice(&["p", "c", "P", "C"])),
    ("sample-rates", Joined(";")),
    ("sample-formats", Joined(";")),
    ("channels-min", Integer),
    ("channels-max", Integer),
    ("buffer-size", Integer),
];

/// The keys of a virtio device (Arm).
pub(crate) const VIRTIO: &[(&str, Shape)] =
    &[("backend", String), ("type", String), ("transport", Choice(&["unknown", "mmio"])), ("grant_usage", Bool)];

/// Every key.
#[rustfmt::skip]
pub(crate) const KEYS: &[Key] = &[
    // The domain.
    key("type", Choice(&["pv", "pvh", "hvm"]), All, "type of guest"),
    key("builder", Choice(&["hvm", "generic"]), All, "type of guest; use `type'").deprecated(),
    key("name", String, All, "name of the domain"),
    key("uuid", String, All, "UUID of the domain; random by default"),
    key("init_seclabel", String, All, "XSM label while the domain is built"),
    key("seclabel", String, All, "XSM label of the domain"),
    key("pool", String, All, "cpupool"),
    key("hap", Bool, HvmPvh, "hardware-assisted paging"),
    key("oos", Bool, HvmPvh, "out-of-sync page tables with shadow paging"),
    key("passthrough", Choice(&["default", "disabled", "enabled", "sync_pt", "share_pt"]), All, "use of the IOMMU"),
    key("driver_domain", Bool, All, "the domain serves devices to others"),
    key("xend_suspend_evtchn_compat", Bool, All, "no event channel for suspend, for guests of the time of xend"),
    key("on_poweroff", ACTIONS, All, "what to do when the guest powers off"),
    key("on_reboot", ACTIONS, All, "what to do when the guest reboots"),
    key("on_watchdog", ACTIONS, All, "what to do when the watchdog fires"),
    key("on_crash", ACTIONS, All, "what to do when the guest crashes"),
    key("on_soft_reset", ACTIONS, All, "what to do on a soft reset"),
    key("nomigrate", Bool, All, "the domain cannot be migrated"),
    key("vpmu", Bool, All, "performance counters for the guest"),
    key("vmtrace_buf_kb", Integer, All, "trace buffer of each vcpu, in KiB"),
    key("msr_relaxed", Bool, All, "reads of unknown MSRs give 0").deprecated(),
    // Memory.
    key("memory", Integer, All, "memory at start, in MiB"),
    key("maxmem", Integer, All, "most memory it can ever have, in MiB"),
    key("shadow_memory", Integer, HvmPvh, "memory for paging structures, in MiB"),
    key("videoram", Integer, All, "video memory, in MiB"),
    key("mmio_hole", Integer, Hvm, "hole below 4 GiB for devices, in MiB"),
    key("rdm", String, Hvm, "treatment of reserved device memory: strategy=host,policy=strict|relaxed"),
    key("rdm_mem_boundary", Integer, Hvm, "memory below this is kept from conflicts with devices, in MiB"),
    key("max_grant_frames", Integer, All, "most frames of the grant table"),
    key("max_maptrack_frames", Integer, All, "most frames of the maptrack table"),
    key("max_grant_version", Integer, All, "highest version of grant tables"),
    key("max_event_channels", Integer, All, "most event channels"),
    // Processors.
    key("vcpus", Integer, All, "vcpus at start"),
    key("maxvcpus", Integer, All, "most vcpus it can have"),
    key("cpus", StringsOrString, All, "hard affinity: a cpu range for all vcpus, or one for each"),
    key("cpus_soft", StringsOrString, All, "soft affinity: a cpu range for all vcpus, or one for each"),
    key("cpu_weight", Integer, All, "weight in the scheduler"),
    key("cap", Integer, All, "most processor time, in percent of one cpu"),
    key("period", Integer, All, "period of the RTDS scheduler, in us"),
    key("slice", Integer, All, "no effect since the SEDF scheduler is gone").deprecated(),
    key("latency", Integer, All, "no effect since the SEDF scheduler is gone").deprecated(),
    key("extratime", Integer, All, "extra time in the RTDS scheduler"),
    key("vnuma", Items(Item { keys: VNUMA, form: ItemForm::List }), All, "virtual NUMA nodes"),
    key("cpuid", StringsOrString, All, "changes to CPUID: \"host,flag=value,...\" or a list of leaves"),
    key("nestedhvm", Bool, HvmPvh, "nested virtualisation"),
    key("altp2m", IntegerOrChoice(&["disabled", "mixed", "external", "limited"]), HvmPvh, "alternate p2m"),
    key("altp2mhvm", Bool, Hvm, "alternate p2m; use `altp2m'").deprecated(),
    key("altp2m_count", Integer, HvmPvh, "number of alternate p2ms").later(),
    key("mca_caps", Strings, Hvm, "machine check capabilities"),
    // Time.
    key("tsc_mode", IntegerOrChoice(&["default", "always_emulate", "native", "native_paravirt"]), All, "the guest's time stamp counter"),
    key("timer_mode", IntegerOrChoice(&["delay_for_missed_ticks", "no_delay_for_missed_ticks", "no_missed_ticks_pending", "one_missed_tick_pending"]), HvmPvh, "what happens to missed timer ticks"),
    key("rtc_timeoffset", Integer, All, "offset of the real-time clock, in seconds"),
    key("localtime", Bool, All, "the real-time clock shows local time"),
    key("hpet", Bool, Hvm, "a high precision event timer"),
    key("vpt_align", Bool, Hvm, "aligned virtual timers"),
    // What it boots.
    key("kernel", String, All, "kernel"),
    key("ramdisk", String, All, "initial ramdisk"),
    key("cmdline", String, All, "kernel's command line"),
    key("root", String, All, "root=... on the kernel's command line"),
    key("extra", String, All, "more of the kernel's command line"),
    key("bootloader", String, PvPvh, "program that takes the kernel from the guest's disk"),
    key("bootloader_args", StringsOrString, PvPvh, "arguments of the bootloader"),
    key("bootloader_restrict", Bool, PvPvh, "the bootloader runs confined").later(),
    key("bootloader_user", String, PvPvh, "user the confined bootloader runs as").later(),
    key("device_tree", String, Arm, "partial device tree"),
    key("firmware", String, All, "firmware: ovmf, seabios, rombios, uefi, bios or a path; PV and PVH: pvgrub32, pvgrub64"),
    key("firmware_override", String, Hvm, "firmware in place of hvmloader"),
    key("bios", Choice(&["seabios", "rombios", "ovmf"]), Hvm, "BIOS"),
    key("bios_path_override", String, Hvm, "path of the BIOS"),
    key("boot", String, Hvm, "order of boot devices: a, c, d, n"),
    key("smbios_firmware", String, Hvm, "file with SMBIOS tables"),
    key("smbios", Strings, Hvm, "SMBIOS strings: type=value").later(),
    key("acpi_firmware", String, Hvm, "file with ACPI tables"),
    key("ms_vm_genid", Choice(&["generate", "none"]), Hvm, "VM generation ID"),
    key("pvshim", Bool, Pvh, "run a PV kernel in a PVH guest"),
    key("pvshim_path", String, Pvh, "the shim"),
    key("pvshim_cmdline", String, Pvh, "command line of the shim"),
    key("pvshim_extra", String, Pvh, "more of the command line of the shim"),
    // The platform.
    key("acpi", Bool, All, "ACPI tables"),
    key("acpi_s3", Bool, Hvm, "suspend to memory"),
    key("acpi_s4", Bool, Hvm, "suspend to disk"),
    key("acpi_laptop_slate", Bool, Hvm, "laptop/slate mode switch"),
    key("apic", Bool, HvmPvh, "APIC"),
    key("pae", Bool, Hvm, "physical address extension"),
    key("nx", Bool, Hvm, "no-execute pages"),
    key("viridian", StringsOrBool, Hvm, "Hyper-V enlightenments"),
    key("xen_platform_pci", Bool, Hvm, "the Xen platform PCI device"),
    key("xen_platform_pci_bar_uc", Bool, Hvm, "uncached BAR of the Xen platform PCI device").later(),
    key("vendor_device", Choice(&["none", "xenserver"]), Hvm, "a vendor's device, for Windows PV drivers"),
    key("hvm_pirq", Bool, Hvm, "physical interrupts as event channels").later(),
    key("e820_host", Bool, Pv, "the host's memory map for the guest"),
    key("xenstore_feature_mask", Integer, All, "xenstore features the guest may see").later(),
    key("xenstore_quota", Strings, All, "xenstore quotas: name=value").later(),
    // Devices.
    key("disk", pairs(DISK), All, "disks"),
    key("vif", pairs(VIF), All, "network devices"),
    key("vif2", Strings, All, "no effect: netchannel2 is gone").deprecated(),
    key("pci", pairs(PCI), All, "host PCI devices"),
    key("pci_msitranslate", Bool, All, "MSI translation for all host PCI devices"),
    key("pci_power_mgmt", Bool, All, "power management for all host PCI devices"),
    key("pci_permissive", Bool, All, "free access to the configuration space of all host PCI devices"),
    key("pci_seize", Bool, All, "take host PCI devices from their drivers"),
    key("dtdev", Strings, Arm, "host devices of the device tree"),
    key("ioports", Strings, All, "host I/O ports, in hex: first or first-last"),
    key("irqs", Number, All, "host interrupts"),
    key("iomem", Strings, All, "host memory frames, in hex: start,number[@gfn]"),
    key("usbctrl", pairs(USBCTRL), All, "USB controllers"),
    key("usbdev", pairs(USBDEV), All, "host USB devices"),
    key("usb", Bool, Hvm, "an emulated USB controller"),
    key("usbversion", Integer, Hvm, "version of the emulated USB controller: 1, 2 or 3"),
    key("usbdevice", StringsOrString, Hvm, "emulated USB devices"),
    key("vtpm", pairs(VTPM), All, "virtual TPMs"),
    key("p9", pairs(P9), All, "9pfs shares"),
    key("pvcalls", pairs(PVCALLS), All, "PV calls interfaces"),
    key("vdispl", pairs(VDISPL), All, "virtual displays"),
    key("vsnd", Items(Item { keys: VSND, form: ItemForm::Cards }), All, "virtual sound cards"),
    key("vkb", pairs(VKB), All, "virtual keyboards"),
    key("vkb_device", Bool, Hvm, "a virtual keyboard for the HVM guest"),
    key("channel", pairs(CHANNEL), All, "channels"),
    key("serial", StringsOrString, Hvm, "serial ports"),
    key("soundhw", String, Hvm, "emulated sound card"),
    key("hdtype", Choice(&["ide", "ahci"]), Hvm, "bus of emulated disks"),
    key("virtio", pairs(VIRTIO), Arm, "virtio devices").later(),
    // Displays.
    key("vfb", pairs(VFB), PvPvh, "virtual frame buffers"),
    key("vnc", Bool, PvHvm, "display by VNC"),
    key("vnclisten", String, PvHvm, "address VNC listens on"),
    key("vncdisplay", Integer, PvHvm, "VNC display number"),
    key("vncunused", Bool, PvHvm, "take the first free VNC display"),
    key("vncpasswd", String, PvHvm, "VNC password"),
    key("vncviewer", Integer, All, "no effect: use `xl create -V'").deprecated(),
    key("sdl", Bool, PvHvm, "display by SDL"),
    key("opengl", Bool, PvHvm, "OpenGL in the SDL display"),
    key("display", String, PvHvm, "X display of the SDL window"),
    key("xauthority", String, PvHvm, "X authority file for the SDL window"),
    key("keymap", String, PvHvm, "keyboard layout"),
    key("nographic", Bool, Hvm, "no emulated graphics"),
    key("vga", Choice(&["none", "stdvga", "cirrus", "qxl"]), Hvm, "emulated graphics adapter"),
    key("stdvga", Bool, Hvm, "standard VGA; use `vga'").deprecated(),
    key("gfx_passthru", IntegerOrChoice(&["default", "igd"]), Hvm, "pass a graphics adapter through"),
    key("spice", Bool, Hvm, "display by SPICE"),
    key("spiceport", Integer, Hvm, "SPICE port"),
    key("spicetls_port", Integer, Hvm, "SPICE port with TLS"),
    key("spicehost", String, Hvm, "address SPICE listens on"),
    key("spicedisable_ticketing", Bool, Hvm, "SPICE without a password"),
    key("spicepasswd", String, Hvm, "SPICE password"),
    key("spiceagent_mouse", Bool, Hvm, "mouse by the SPICE agent"),
    key("spicevdagent", Bool, Hvm, "the SPICE agent"),
    key("spice_clipboard_sharing", Bool, Hvm, "shared clipboard"),
    key("spiceusbredirection", Integer, Hvm, "SPICE USB redirection channels"),
    key("spice_image_compression", String, Hvm, "SPICE image compression"),
    key("spice_streaming_video", String, Hvm, "SPICE video streaming"),
    // The device model.
    key("device_model", String, All, "no effect; use `device_model_override'").deprecated(),
    key("device_model_override", String, All, "the device model's program"),
    key("device_model_version", Choice(&["qemu-xen", "qemu-xen-traditional"]), All, "the device model"),
    key("device_model_stubdomain_override", Bool, Hvm, "the device model runs in a domain of its own"),
    key("device_model_stubdomain_seclabel", String, Hvm, "XSM label of the device model's domain"),
    key("device_model_user", String, All, "user the device model runs as"),
    key("device_model_args", Strings, All, "more arguments for the device model"),
    key("device_model_args_pv", Strings, PvPvh, "more arguments for the device model of a PV or PVH guest"),
    key("device_model_args_hvm", Strings, Hvm, "more arguments for the device model of an HVM guest"),
    key("dm_restrict", Bool, All, "the device model gives up its rights after start"),
    key("stubdomain_kernel", String, Hvm, "kernel of the device model's domain"),
    key("stubdomain_cmdline", String, Hvm, "command line of the device model's domain"),
    key("stubdomain_ramdisk", String, Hvm, "ramdisk of the device model's domain"),
    key("stubdomain_memory", Integer, Hvm, "memory of the device model's domain, in MiB"),
    // Arm.
    key("gic_version", Choice(&["default", "v2", "v3"]), Arm, "version of the interrupt controller"),
    key("vuart", Choice(&["sbsa_uart"]), Arm, "virtual UART"),
    key("tee", Choice(&["none", "optee", "ffa"]), Arm, "trusted execution environment"),
    key("sve", String, Arm, "SVE vector length").later(),
    key("nr_spis", Integer, Arm, "number of shared interrupts").later(),
    key("trap_unmapped_accesses", Bool, Arm, "fault on accesses to nothing").later(),
    key("arm_sci", String, Arm, "system control interface").later(),
    key("llc_colors", Strings, Arm, "cache colours").later(),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_key_is_there_once() {
        let names: HashSet<_> = KEYS.iter().map(|k| k.name).collect();
        assert_eq!(names.len(), KEYS.len());
        assert_eq!(KEYS.len(), 172);
        assert!(find("memory").is_some() && find("memroy").is_none());
    }
}
