//! A domain's whole configuration.

use super::*;

record! {
    /// All that is needed to make a domain (`libxl_domain_config`).
    pub struct DomainConfig {
        /// What the domain is.
        c_info: DomainCreateInfo,
        /// What it is made of.
        b_info: DomainBuildInfo,
        /// Disks.
        disks: Vec<DeviceDisk>,
        /// Network interfaces.
        nics: Vec<DeviceNic>,
        /// PCI devices of the host that the guest gets.
        pcidevs: Vec<DevicePci>,
        /// Reserved device memory that the guest's memory map leaves room for.
        rdms: Vec<DeviceRdm>,
        /// Devices of the host's device tree that an Arm guest gets.
        dtdevs: Vec<DeviceDtdev>,
        /// Virtio devices of an Arm guest (Xen after 4.17).
        virtios: Vec<DeviceVirtio>,
        /// Framebuffers.
        vfbs: Vec<DeviceVfb>,
        /// Keyboards, mice and touch screens.
        vkbs: Vec<DeviceVkb>,
        /// Trusted platform modules.
        vtpms: Vec<DeviceVtpm>,
        /// Shared directories.
        p9s: Vec<DeviceP9>,
        /// PV calls interfaces: sockets of the backend.
        pvcallsifs: Vec<DevicePvcallsif>,
        /// PV displays.
        vdispls: Vec<DeviceVdispl>,
        /// PV sound cards.
        vsnds: Vec<DeviceVsnd>,
        /// Channels: consoles with a name.
        channels: Vec<DeviceChannel>,
        /// USB controllers.
        usbctrls: Vec<DeviceUsbctrl>,
        /// USB devices of the host that the guest gets.
        usbdevs: Vec<DeviceUsbdev>,
        /// What happens when the guest powers off.
        on_poweroff: ActionOnShutdown,
        /// What happens when the guest reboots.
        on_reboot: ActionOnShutdown,
        /// What happens when the guest's watchdog fires.
        on_watchdog: ActionOnShutdown,
        /// What happens when the guest crashes.
        on_crash: ActionOnShutdown,
        /// What happens when the guest resets itself for a crash kernel.
        on_soft_reset: ActionOnShutdown,
    }
}

record! {
    /// What a domain is: its kind, name and place (`libxl_domain_create_info`).
    pub struct DomainCreateInfo {
        /// PV, HVM or PVH.
        type_ as "type": DomainType,
        /// Whether the CPU translates guest addresses (hardware-assisted paging) rather than shadow page tables.
        hap: DefBool,
        /// Whether shadow page tables may be out of sync.
        oos: DefBool,
        /// The security label as a number.
        ssidref: u32,
        /// The security label.
        ssid_label: Option<String>,
        /// The name, unique on the host.
        name: Option<String>,
        /// The number to create it with; [`INVALID_DOMID`] or 0 for any.
        domid: u32,
        /// The UUID.
        uuid: Uuid,
        /// Nodes to write below the domain's xenstore directory.
        xsdata: KeyValueList,
        /// Nodes to write below the domain's `platform` directory.
        platformdata: KeyValueList,
        /// The CPU pool by number.
        poolid: u32,
        /// The CPU pool by name, which goes before `poolid`.
        pool_name: Option<String>,
        /// Whether hotplug scripts run here, not in a driver domain or from udev.
        run_hotplug_scripts: DefBool,
        /// Whether the domain serves devices to others.
        driver_domain: DefBool,
        /// How DMA of devices that it gets is translated.
        passthrough: Passthrough,
        /// Whether to make the suspend event channel's xenstore node as xend did.
        xend_suspend_evtchn_compat: DefBool,
    }
}

record! {
    /// How a domain is restored from a stream (`libxl_domain_restore_params`).
    pub struct DomainRestoreParams {
        /// Whether the stream goes on: a [`CheckpointedStream`] by its number.
        checkpointed_stream: i32,
        /// The version of the stream; `None` is 1, the legacy one.
        stream_version: Option<u32>,
        /// COLO's network proxy script.
        colo_proxy_script: Option<String>,
        /// Whether COLO's proxy is in QEMU rather than in the kernel.
        userspace_colo_proxy: DefBool,
    }
}

record! {
    /// How Remus or COLO protects a domain (`libxl_domain_remus_info`).
    pub struct DomainRemusInfo {
        /// The time between checkpoints, in milliseconds.
        interval: i32,
        /// Whether to run without the means that make it safe.
        allow_unsafe: DefBool,
        /// Whether checkpoints go to `/dev/null`.
        blackhole: DefBool,
        /// Whether memory is compressed.
        compression: DefBool,
        /// Whether network output is held until the next checkpoint.
        netbuf: DefBool,
        /// The script that sets up network buffering.
        netbufscript: Option<String>,
        /// Whether disks are replicated.
        diskbuf: DefBool,
        /// Whether it is COLO.
        colo: DefBool,
        /// Whether COLO's proxy is in QEMU rather than in the kernel.
        userspace_colo_proxy: DefBool,
    }
}
