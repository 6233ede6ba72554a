//! What a domain is made of: memory, vCPUs, kernel, platform (`libxl_domain_build_info`).

use super::*;

record! {
    /// What a domain is made of (`libxl_domain_build_info`). Amounts of memory are in KiB; `None` is the default.
    pub struct DomainBuildInfo {
        /// How many vCPUs it can have.
        max_vcpus: u32,
        /// The vCPUs that are online at the start.
        avail_vcpus: Bitmap,
        /// The CPUs all vCPUs may run on; older than `vcpu_hard_affinity`.
        cpumap: Bitmap,
        /// The NUMA nodes its memory comes from.
        nodemap: Bitmap,
        /// The CPUs each vCPU may run on.
        vcpu_hard_affinity: Vec<Bitmap>,
        /// The CPUs each vCPU runs on best.
        vcpu_soft_affinity: Vec<Bitmap>,
        /// Whether to choose NUMA nodes automatically.
        numa_placement: DefBool,
        /// How it sees the time stamp counter.
        tsc_mode: TscMode,
        /// The most memory it can ever have.
        max_memkb: Option<u64>,
        /// The memory it starts with.
        target_memkb: Option<u64>,
        /// The colours of the last-level cache that its memory has (Xen after 4.17, Arm).
        llc_colors: Vec<u32>,
        /// The part of it that is the graphics card's.
        video_memkb: Option<u64>,
        /// The hypervisor's memory for its page tables.
        shadow_memkb: Option<u64>,
        /// The hypervisor's memory for its IOMMU page tables.
        iommu_memkb: Option<u64>,
        /// What its clock differs from the host's, in seconds.
        rtc_timeoffset: u32,
        /// The security label it runs with once built, as a number.
        exec_ssidref: u32,
        /// The security label it runs with once built.
        exec_ssid_label: Option<String>,
        /// Whether its clock shows local time.
        localtime: DefBool,
        /// Whether it refuses to be migrated.
        disable_migrate: DefBool,
        /// What CPUID and MSRs show it.
        cpuid: CpuidPolicyList,
        /// The first virtual device that is free for disks of libxl's own.
        blkdev_start: Option<String>,
        /// Its virtual NUMA nodes.
        vnuma_nodes: Vec<VnodeInfo>,
        /// The most frames of its grant table; `None` is the hypervisor's limit.
        max_grant_frames: Option<u32>,
        /// The most frames of its maptrack table; `None` is the hypervisor's limit.
        max_maptrack_frames: Option<u32>,
        /// The highest version of its grant table.
        max_grant_version: Option<u32>,
        /// Which program emulates its devices.
        device_model_version: DeviceModelVersion,
        /// Whether that program runs in a domain of its own.
        device_model_stubdomain: DefBool,
        /// That domain's memory.
        stubdomain_memkb: Option<u64>,
        /// That domain's kernel.
        stubdomain_kernel: Option<String>,
        /// That domain's kernel command line.
        stubdomain_cmdline: Option<String>,
        /// That domain's ramdisk.
        stubdomain_ramdisk: Option<String>,
        /// The program; needs `device_model_version` too.
        device_model: Option<String>,
        /// The security label of its device model's domain, as a number.
        device_model_ssidref: u32,
        /// The security label of its device model's domain.
        device_model_ssid_label: Option<String>,
        /// The user that its device model runs as.
        device_model_user: Option<String>,
        /// Further arguments of the device model.
        extra: Vec<String>,
        /// Further arguments of the device model of a PV guest.
        extra_pv: Vec<String>,
        /// Further arguments of the device model of an HVM guest.
        extra_hvm: Vec<String>,
        /// How much CPU time it may use.
        sched_params: DomainSchedParams,
        /// I/O ports of the host that it gets.
        ioports: Vec<IoportRange>,
        /// Interrupts of the host that it gets.
        irqs: Vec<u32>,
        /// I/O memory of the host that it gets.
        iomem: Vec<IomemRange>,
        /// Whether its memory is claimed before it is built.
        claim_mode: DefBool,
        /// The most event channels it may have; 0 is the default.
        event_channels: u32,
        /// The kernel, or an HVM guest's `hvmloader`.
        kernel: Option<String>,
        /// The kernel's command line.
        cmdline: Option<String>,
        /// The ramdisk.
        ramdisk: Option<String>,
        /// A partial device tree of an Arm guest. It is trusted.
        device_tree: Option<String>,
        /// Whether it has ACPI tables.
        acpi: DefBool,
        /// The program that finds kernel and ramdisk on its disk.
        bootloader: Option<String>,
        /// That program's arguments.
        bootloader_args: Vec<String>,
        /// Whether that program is confined (Xen after 4.17).
        bootloader_restrict: DefBool,
        /// The user that the confined program runs as (Xen after 4.17).
        bootloader_user: Option<String>,
        /// What happens to timer ticks that it missed.
        timer_mode: TimerMode,
        /// Whether it may run guests of its own.
        nested_hvm: DefBool,
        /// Whether it has an APIC.
        apic: DefBool,
        /// Whether its device model is confined.
        dm_restrict: DefBool,
        /// The trusted execution environment of an Arm guest.
        tee: TeeType,
        /// What only a guest of its kind has; libxl's `u`, selected by `type`.
        type_info: TypeInfo,
        /// What only an Arm guest has.
        arch_arm: ArchArm,
        /// What only an x86 guest has.
        arch_x86: ArchX86,
        /// Whether it has alternate p2ms.
        altp2m: Altp2mMode,
        /// How many alternate p2ms it has (Xen after 4.17).
        altp2m_count: Option<u32>,
        /// The buffer of each vCPU's trace of executed code, in KiB; 0 is none.
        vmtrace_buf_kb: i32,
        /// Whether it has performance counters.
        vpmu: DefBool,
        /// Whether accesses to addresses with nothing there are faults (Xen after 4.17, Arm).
        trap_unmapped_accesses: DefBool,
        /// The features that xenstored offers it, as bits; `None` is all (Xen after 4.17).
        xenstore_feature_mask: Option<u32>,
        /// What it may use of xenstore (Xen after 4.17).
        xenstore_quota: Option<XsQuotaList>,
    }
}

keyed_union! {
    /// What only a guest of one kind has.
    #[derive(Default)]
    pub enum TypeInfo {
        /// An HVM guest: an emulated PC.
        Hvm(Box<HvmInfo>) = "type.hvm",
        /// A PV guest.
        Pv(PvInfo) = "type.pv",
        /// A PVH guest: hardware virtualisation without an emulated PC.
        Pvh(PvhInfo) = "type.pvh";
        /// Nobody has said yet.
        #[default]
        Invalid = "type.invalid",
    }
}

impl TypeInfo {
    /// What stands for a guest of this kind before anything is set.
    pub fn new(domain_type: DomainType) -> TypeInfo {
        match domain_type {
            DomainType::Hvm => TypeInfo::Hvm(Box::default()),
            DomainType::Pv => TypeInfo::Pv(PvInfo::default()),
            DomainType::Pvh => TypeInfo::Pvh(PvhInfo::default()),
            DomainType::Invalid => TypeInfo::Invalid,
        }
    }
}

impl DomainBuildInfo {
    /// The kind of guest.
    pub fn domain_type(&self) -> DomainType {
        match self.type_info {
            TypeInfo::Hvm(_) => DomainType::Hvm,
            TypeInfo::Pv(_) => DomainType::Pv,
            TypeInfo::Pvh(_) => DomainType::Pvh,
            TypeInfo::Invalid => DomainType::Invalid,
        }
    }

    /// What only an HVM guest has, if it is one.
    pub fn hvm(&self) -> Option<&HvmInfo> {
        if let TypeInfo::Hvm(hvm) = &self.type_info { Some(hvm) } else { None }
    }

    /// What only an HVM guest has, if it is one.
    pub fn hvm_mut(&mut self) -> Option<&mut HvmInfo> {
        if let TypeInfo::Hvm(hvm) = &mut self.type_info { Some(hvm) } else { None }
    }

    /// What only a PV guest has, if it is one.
    pub fn pv(&self) -> Option<&PvInfo> {
        if let TypeInfo::Pv(pv) = &self.type_info { Some(pv) } else { None }
    }

    /// What only a PV guest has, if it is one.
    pub fn pv_mut(&mut self) -> Option<&mut PvInfo> {
        if let TypeInfo::Pv(pv) = &mut self.type_info { Some(pv) } else { None }
    }

    /// What only a PVH guest has, if it is one.
    pub fn pvh(&self) -> Option<&PvhInfo> {
        if let TypeInfo::Pvh(pvh) = &self.type_info { Some(pvh) } else { None }
    }

    /// What only a PVH guest has, if it is one.
    pub fn pvh_mut(&mut self) -> Option<&mut PvhInfo> {
        if let TypeInfo::Pvh(pvh) = &mut self.type_info { Some(pvh) } else { None }
    }
}

record! {
    /// What only an HVM guest has (`libxl_domain_build_info.u.hvm`).
    pub struct HvmInfo {
        /// The path of firmware instead of `hvmloader`.
        firmware: Option<String>,
        /// The firmware that `hvmloader` starts.
        bios: BiosType,
        /// Whether the CPU shows PAE.
        pae: DefBool,
        /// Older place of [`DomainBuildInfo::apic`].
        apic: DefBool,
        /// Older place of [`DomainBuildInfo::acpi`].
        acpi: DefBool,
        /// Whether ACPI offers suspend to RAM.
        acpi_s3: DefBool,
        /// Whether ACPI offers suspend to disk.
        acpi_s4: DefBool,
        /// Whether ACPI offers the laptop/slate mode switch of Windows.
        acpi_laptop_slate: DefBool,
        /// Whether the CPU shows NX.
        nx: DefBool,
        /// Whether the default Viridian interfaces are offered.
        viridian: DefBool,
        /// Viridian interfaces to add, by [`ViridianEnlightenment`] number.
        viridian_enable: Bitmap,
        /// Viridian interfaces to take away, by [`ViridianEnlightenment`] number.
        viridian_disable: Bitmap,
        /// What its clock differs from the host's, as text.
        timeoffset: Option<String>,
        /// Whether there is a high precision event timer.
        hpet: DefBool,
        /// Whether periodic timers are aligned to save wake-ups.
        vpt_align: DefBool,
        /// The size of the hole for devices below 4 GiB.
        mmio_hole_memkb: Option<u64>,
        /// Older place of [`DomainBuildInfo::timer_mode`].
        timer_mode: TimerMode,
        /// Older place of [`DomainBuildInfo::nested_hvm`].
        nested_hvm: DefBool,
        /// Older form of [`DomainBuildInfo::altp2m`].
        altp2m: DefBool,
        /// The path of the firmware that `bios` names.
        system_firmware: Option<String>,
        /// SMBIOS strings (Xen after 4.17).
        smbios: Vec<Smbios>,
        /// A file of SMBIOS structures.
        smbios_firmware: Option<String>,
        /// A file of ACPI tables.
        acpi_firmware: Option<String>,
        /// The controller of the emulated disks.
        hdtype: Hdtype,
        /// Whether there is no graphics at all.
        nographic: DefBool,
        /// The graphics card.
        vga: VgaInterfaceInfo,
        /// Its VNC server.
        vnc: VncInfo,
        /// The keyboard's layout; `None` is en-us.
        keymap: Option<String>,
        /// Its window on the host.
        sdl: SdlInfo,
        /// Its SPICE server.
        spice: SpiceInfo,
        /// Whether a graphics card is passed through as the primary one.
        gfx_passthru: DefBool,
        /// Which kind that card is.
        gfx_passthru_kind: GfxPassthruKind,
        /// Where the serial port goes, as QEMU's `-serial` takes it; older than `serial_list`.
        serial: Option<String>,
        /// The order of devices to boot from: letters of `cdn`.
        boot: Option<String>,
        /// Whether there is a USB controller.
        usb: DefBool,
        /// The version of that controller: 1, 2 or 3.
        usbversion: i32,
        /// An emulated USB device: `tablet` or `mouse`; older than `usbdevice_list`.
        usbdevice: Option<String>,
        /// Whether there is a PV keyboard.
        vkb_device: DefBool,
        /// The sound card.
        soundhw: Option<String>,
        /// Whether there is the PCI device for PV drivers.
        xen_platform_pci: DefBool,
        /// Whether that device's memory is not cached (Xen after 4.17).
        xen_platform_pci_bar_uc: DefBool,
        /// Emulated USB devices.
        usbdevice_list: Vec<String>,
        /// The vendor whose PCI device is there for its drivers.
        vendor_device: VendorDevice,
        /// The generation ID.
        ms_vm_genid: MsVmGenid,
        /// Where the serial ports go, as QEMU's `-serial` takes it.
        serial_list: Vec<String>,
        /// What the memory map does about reserved device memory.
        rdm: RdmReserve,
        /// Reserved device memory is looked for above this address.
        rdm_mem_boundary_memkb: Option<u64>,
        /// Machine check features, as bits of `XEN_HVM_MCA_CAP_*`.
        mca_caps: u64,
        /// Whether interrupts of emulated and physical devices can be event channels (Xen after 4.17).
        pirq: DefBool,
    }
}

record! {
    /// What only a PV guest has (`libxl_domain_build_info.u.pv`).
    pub struct PvInfo {
        /// Older place of [`DomainBuildInfo::kernel`].
        kernel: Option<String>,
        /// Memory kept free beside the guest's.
        slack_memkb: Option<u64>,
        /// Older place of [`DomainBuildInfo::bootloader`].
        bootloader: Option<String>,
        /// Older place of [`DomainBuildInfo::bootloader_args`].
        bootloader_args: Vec<String>,
        /// Older place of [`DomainBuildInfo::cmdline`].
        cmdline: Option<String>,
        /// Older place of [`DomainBuildInfo::ramdisk`].
        ramdisk: Option<String>,
        /// Whether the guest sees the host's memory map, as PCI passthrough needs.
        e820_host: DefBool,
    }
}

record! {
    /// What only a PVH guest has (`libxl_domain_build_info.u.pvh`).
    pub struct PvhInfo {
        /// Whether a PV guest runs in it, in the PV shim.
        pvshim: DefBool,
        /// The shim.
        pvshim_path: Option<String>,
        /// The shim's command line.
        pvshim_cmdline: Option<String>,
        /// More for the shim's command line.
        pvshim_extra: Option<String>,
    }
}

record! {
    /// What only an Arm guest has (`libxl_domain_build_info.arch_arm`).
    pub struct ArchArm {
        /// The interrupt controller.
        gic_version: GicVersion,
        /// The emulated serial port.
        vuart: VuartType,
        /// The length of its SVE vectors (Xen after 4.17).
        sve_vl: SveType,
        /// How many shared interrupts it has (Xen after 4.17).
        nr_spis: Option<u32>,
        /// Its interface to the system control processor (Xen after 4.17).
        arm_sci: Option<ArmSci>,
    }
}

record! {
    /// An Arm guest's interface to the system control processor (`libxl_arm_sci`, Xen after 4.17).
    pub struct ArmSci {
        /// Its kind.
        type_ as "type": ArmSciType,
    }
}

record! {
    /// What only an x86 guest has (`libxl_domain_build_info.arch_x86`).
    pub struct ArchX86 {
        /// Whether reads of unknown MSRs give 0 rather than a fault.
        msr_relaxed: DefBool,
    }
}

record! {
    /// What a domain may use of xenstore (`libxl_xs_quota_list`, Xen after 4.17).
    pub struct XsQuotaList {
        /// Each quota; others are xenstored's.
        quota: Vec<XsQuotaItem>,
    }
}

record! {
    /// A limit by xenstored's name for it (`libxl_xs_quota_item`, Xen after 4.17).
    pub struct XsQuotaItem {
        /// Its name.
        name: Option<String>,
        /// The most.
        val: u32,
    }
}

record! {
    /// A string in the SMBIOS tables (`libxl_smbios`, Xen after 4.17).
    pub struct Smbios {
        /// Which one.
        key: Option<SmbiosType>,
        /// The string.
        value: Option<String>,
    }
}

record! {
    /// A virtual NUMA node (`libxl_vnode_info`).
    pub struct VnodeInfo {
        /// Its memory, in KiB.
        memkb: Option<u64>,
        /// Its distances to all nodes, itself included.
        distances: Vec<u32>,
        /// The host's node it lies on.
        pnode: u32,
        /// Its vCPUs.
        vcpus: Bitmap,
    }
}

record! {
    /// What the memory map does about reserved device memory (`libxl_rdm_reserve`).
    pub struct RdmReserve {
        /// Which of it leaves holes.
        strategy: RdmReserveStrategy,
        /// Whether a conflict is an error.
        policy: RdmReservePolicy,
    }
}

record! {
    /// A range of the host's I/O ports (`libxl_ioport_range`).
    pub struct IoportRange {
        /// The first port.
        first: u32,
        /// How many.
        number: u32,
    }
}

record! {
    /// A range of the host's I/O memory (`libxl_iomem_range`).
    pub struct IomemRange {
        /// The first machine frame.
        start: u64,
        /// How many frames.
        number: u64,
        /// The guest frame it appears at; `None` is the same number.
        gfn: Option<u64>,
    }
}
