//! The enumerations of the IDL that configuration and status share.

names! {
    /// What kind of guest a domain is (`libxl_domain_type`).
    pub enum DomainType default Invalid {
        Invalid = -1 "invalid",
        Hvm = 1 "hvm",
        Pv = 2 "pv",
        Pvh = 3 "pvh",
    }
}

names! {
    /// Which reserved device memory a guest's memory map leaves room for (`libxl_rdm_reserve_strategy`).
    pub enum RdmReserveStrategy default Ignore {
        Ignore = 0 "ignore",
        Host = 1 "host",
    }
}

names! {
    /// Whether a conflict with reserved device memory is an error (`libxl_rdm_reserve_policy`).
    pub enum RdmReservePolicy default Invalid {
        Invalid = -1 "invalid",
        Strict = 0 "strict",
        Relaxed = 1 "relaxed",
    }
}

names! {
    /// Which program emulates a guest's devices (`libxl_device_model_version`).
    pub enum DeviceModelVersion default Unknown {
        Unknown = 0 "unknown",
        /// Xen's old fork of QEMU.
        QemuXenTraditional = 1 "qemu_xen_traditional",
        /// QEMU.
        QemuXen = 2 "qemu_xen",
    }
}

names! {
    /// Which of a domain's consoles is meant (`libxl_console_type`).
    pub enum ConsoleType default Unknown {
        Unknown = 0 "unknown",
        Serial = 1 "serial",
        Pv = 2 "pv",
        Vuart = 3 "vuart",
    }
}

names! {
    /// What happens to a domain that has shut down (`libxl_action_on_shutdown`).
    pub enum ActionOnShutdown default Destroy {
        Destroy = 1 "destroy",
        Restart = 2 "restart",
        RestartRename = 3 "restart_rename",
        Preserve = 4 "preserve",
        CoredumpDestroy = 5 "coredump_destroy",
        CoredumpRestart = 6 "coredump_restart",
        SoftReset = 7 "soft_reset",
    }
}

names! {
    /// An event that `xl trigger` sends to a guest (`libxl_trigger`).
    pub enum Trigger default Unknown {
        Unknown = 0 "unknown",
        Power = 1 "power",
        Sleep = 2 "sleep",
        Nmi = 3 "nmi",
        Init = 4 "init",
        Reset = 5 "reset",
        S3Resume = 6 "s3resume",
    }
}

names! {
    /// How a guest sees the time stamp counter (`libxl_tsc_mode`, `xl.cfg(5)`).
    pub enum TscMode default Default {
        Default = 0 "default",
        AlwaysEmulate = 1 "always_emulate",
        Native = 2 "native",
        NativeParavirt = 3 "native_paravirt",
    }
}

names! {
    /// Which kind of graphics card is passed through (`libxl_gfx_passthru_kind`).
    pub enum GfxPassthruKind default Default {
        Default = 0 "default",
        Igd = 1 "igd",
    }
}

names! {
    /// What happens to virtual timer ticks that fell due while a vCPU did not run (`HVM_PARAM_TIMER_MODE`).
    pub enum TimerMode default Unknown {
        Unknown = -1 "unknown",
        DelayForMissedTicks = 0 "delay_for_missed_ticks",
        NoDelayForMissedTicks = 1 "no_delay_for_missed_ticks",
        NoMissedTicksPending = 2 "no_missed_ticks_pending",
        OneMissedTickPending = 3 "one_missed_tick_pending",
    }
}

names! {
    /// The firmware of an HVM guest (`libxl_bios_type`).
    pub enum BiosType default Unknown {
        Unknown = 0 "unknown",
        Rombios = 1 "rombios",
        Seabios = 2 "seabios",
        Ovmf = 3 "ovmf",
    }
}

names! {
    /// A scheduler, numbered as in domctl.h (`libxl_scheduler`).
    pub enum Scheduler default Unknown {
        Unknown = 0 "unknown",
        Sedf = 4 "sedf",
        Credit = 5 "credit",
        Credit2 = 6 "credit2",
        Arinc653 = 7 "arinc653",
        Rtds = 8 "rtds",
        Null = 9 "null",
    }
}

names! {
    /// Why a domain shut down, numbered as `SHUTDOWN_*` in sched.h (`libxl_shutdown_reason`).
    pub enum ShutdownReason default Unknown {
        Unknown = -1 "unknown",
        Poweroff = 0 "poweroff",
        Reboot = 1 "reboot",
        Suspend = 2 "suspend",
        Crash = 3 "crash",
        Watchdog = 4 "watchdog",
        SoftReset = 5 "soft_reset",
    }
}

names! {
    /// The graphics card that is emulated (`libxl_vga_interface_type`).
    pub enum VgaInterfaceType default Unknown {
        Unknown = 0 "unknown",
        Cirrus = 1 "cirrus",
        Std = 2 "std",
        None = 3 "none",
        Qxl = 4 "qxl",
    }
}

names! {
    /// The vendor whose PCI device is emulated, so that its drivers load (`libxl_vendor_device`).
    pub enum VendorDevice default None {
        None = 0 "none",
        Xenserver = 1 "xenserver",
    }
}

names! {
    /// A group of the Viridian (Hyper-V) interfaces, numbered as in a bitmap (`libxl_viridian_enlightenment`).
    pub enum ViridianEnlightenment {
        Base = 0 "base",
        Freq = 1 "freq",
        TimeRefCount = 2 "time_ref_count",
        ReferenceTsc = 3 "reference_tsc",
        HcallRemoteTlbFlush = 4 "hcall_remote_tlb_flush",
        ApicAssist = 5 "apic_assist",
        CrashCtl = 6 "crash_ctl",
        Synic = 7 "synic",
        Stimer = 8 "stimer",
        HcallIpi = 9 "hcall_ipi",
        ExProcessorMasks = 10 "ex_processor_masks",
        NoVpLimit = 11 "no_vp_limit",
        CpuHotplug = 12 "cpu_hotplug",
    }
}

names! {
    /// The controller of an HVM guest's emulated disks (`libxl_hdtype`).
    pub enum Hdtype default Ide {
        Ide = 1 "ide",
        Ahci = 2 "ahci",
    }
}

names! {
    /// Whether a migration stream goes on after the first copy (`libxl_checkpointed_stream`).
    pub enum CheckpointedStream default None {
        None = 0 "none",
        Remus = 1 "remus",
        Colo = 2 "colo",
    }
}

names! {
    /// An emulated serial port of an Arm guest (`libxl_vuart_type`).
    pub enum VuartType default Unknown {
        Unknown = 0 "unknown",
        SbsaUart = 1 "sbsa_uart",
    }
}

names! {
    /// How a domain's DMA is translated (`libxl_passthrough`).
    pub enum Passthrough default Default {
        Default = 0 "default",
        Disabled = 1 "disabled",
        /// Becomes one of the two below once defaults are settled.
        Enabled = 2 "enabled",
        /// IOMMU page tables of its own.
        SyncPt = 3 "sync_pt",
        /// IOMMU page tables shared with the CPU's.
        SharePt = 4 "share_pt",
    }
}

names! {
    /// The interrupt controller of an Arm guest (`libxl_gic_version`).
    pub enum GicVersion default Default {
        Default = 0 "default",
        V2 = 0x20 "v2",
        V3 = 0x30 "v3",
    }
}

names! {
    /// The trusted execution environment of an Arm guest (`libxl_tee_type`).
    pub enum TeeType default None {
        None = 0 "none",
        Optee = 1 "optee",
        /// The Arm Firmware Framework (Xen after 4.17).
        Ffa = 2 "ffa",
    }
}

names! {
    /// The length of an Arm guest's SVE vectors in bits (`libxl_sve_type`, Xen after 4.17).
    pub enum SveType default Disabled {
        /// As long as the host's.
        Hw = -1 "hw",
        Disabled = 0 "disabled",
        Bits128 = 128 "128",
        Bits256 = 256 "256",
        Bits384 = 384 "384",
        Bits512 = 512 "512",
        Bits640 = 640 "640",
        Bits768 = 768 "768",
        Bits896 = 896 "896",
        Bits1024 = 1024 "1024",
        Bits1152 = 1152 "1152",
        Bits1280 = 1280 "1280",
        Bits1408 = 1408 "1408",
        Bits1536 = 1536 "1536",
        Bits1664 = 1664 "1664",
        Bits1792 = 1792 "1792",
        Bits1920 = 1920 "1920",
        Bits2048 = 2048 "2048",
    }
}

names! {
    /// How an Arm guest reaches the system control processor (`libxl_arm_sci_type`, Xen after 4.17).
    pub enum ArmSciType default None {
        None = 0 "none",
        ScmiSmc = 1 "scmi_smc",
    }
}

names! {
    /// A string in the SMBIOS tables (`libxl_smbios_type`, Xen after 4.17).
    pub enum SmbiosType {
        BiosVendor = 1 "bios_vendor",
        BiosVersion = 2 "bios_version",
        SystemManufacturer = 3 "system_manufacturer",
        SystemProductName = 4 "system_product_name",
        SystemVersion = 5 "system_version",
        SystemSerialNumber = 6 "system_serial_number",
        BaseboardManufacturer = 7 "baseboard_manufacturer",
        BaseboardProductName = 8 "baseboard_product_name",
        BaseboardVersion = 9 "baseboard_version",
        BaseboardSerialNumber = 10 "baseboard_serial_number",
        BaseboardAssetTag = 11 "baseboard_asset_tag",
        BaseboardLocationInChassis = 12 "baseboard_location_in_chassis",
        EnclosureManufacturer = 13 "enclosure_manufacturer",
        EnclosureSerialNumber = 14 "enclosure_serial_number",
        EnclosureAssetTag = 15 "enclosure_asset_tag",
        BatteryManufacturer = 16 "battery_manufacturer",
        BatteryDeviceName = 17 "battery_device_name",
        /// A manufacturer's own; there can be 99.
        Oem = 18 "oem",
    }
}

names! {
    /// How a virtio device is connected (`libxl_virtio_transport`, Xen after 4.17).
    pub enum VirtioTransport default Unknown {
        Unknown = 0 "unknown",
        Mmio = 1 "mmio",
    }
}

names! {
    /// Whether a guest has alternate p2ms, and who may use them (`libxl_altp2m_mode`, `HVM_PARAM_ALTP2M`).
    pub enum Altp2mMode default Disabled {
        Disabled = 0 "disabled",
        Mixed = 1 "mixed",
        External = 2 "external",
        Limited = 3 "limited",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_any_case_and_numbers_both_ways() {
        assert_eq!("Restart_Rename".parse(), Ok(ActionOnShutdown::RestartRename));
        assert_eq!(GicVersion::from_number(0x30), Some(GicVersion::V3));
        assert_eq!(TimerMode::Unknown.number(), -1);
        assert_eq!(DomainType::from_number(0), None);
    }

    #[test]
    fn an_unknown_name_tells_the_known_ones() {
        let error = "xen".parse::<BiosType>().unwrap_err();
        assert_eq!(error.to_string(), "unknown name \"xen\", expected one of unknown, rombios, seabios, ovmf");
    }
}
