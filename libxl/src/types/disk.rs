//! Disks.

use super::DefBool;

names! {
    /// The format of a disk image (`libxl_disk_format`).
    pub enum DiskFormat default Unknown {
        Unknown = 0 "unknown",
        Qcow = 1 "qcow",
        Qcow2 = 2 "qcow2",
        Vhd = 3 "vhd",
        Raw = 4 "raw",
        Empty = 5 "empty",
        Qed = 6 "qed",
    }
}

names! {
    /// What serves a disk (`libxl_disk_backend`).
    pub enum DiskBackend default Unknown {
        Unknown = 0 "unknown",
        /// The kernel's blkback.
        Phy = 1 "phy",
        /// blktap, which is gone.
        Tap = 2 "tap",
        /// QEMU.
        Qdisk = 3 "qdisk",
        /// Something that looks at xenstore by itself.
        Standalone = 4 "standalone",
    }
}

names! {
    /// The protocol a disk speaks (`libxl_disk_specification`).
    pub enum DiskSpecification default Unknown {
        Unknown = 0 "unknown",
        Xen = 1 "xen",
        Virtio = 2 "virtio",
    }
}

names! {
    /// How a virtio disk is attached (`libxl_disk_transport`).
    pub enum DiskTransport default Unknown {
        Unknown = 0 "unknown",
        Mmio = 1 "mmio",
    }
}

record! {
    /// A disk (`libxl_device_disk`, `xl-disk-configuration(5)`).
    pub struct DeviceDisk {
        /// The domain that serves it.
        backend_domid: u32,
        /// That domain's name, which goes before the number.
        backend_domname: Option<String>,
        /// The image or block device.
        pdev_path: Option<String>,
        /// What the guest calls it: `xvda`, `hda`, `sda`, `d0p1`.
        vdev: Option<String>,
        /// What serves it.
        backend: DiskBackend,
        /// The format of the image.
        format: DiskFormat,
        /// The hotplug script.
        script: Option<String>,
        /// Whether it can be taken away at run time: 0 or 1.
        removable: i32,
        /// Whether the guest may write: 0 or 1.
        readwrite: i32,
        /// Whether it is a CD drive: 0 or 1.
        is_cdrom: i32,
        /// Whether QEMU may read and write past the page cache.
        direct_io_safe: bool,
        /// Whether the guest's discards reach the image.
        discard_enable: DefBool,
        /// The protocol.
        specification: DiskSpecification,
        /// How a virtio disk is attached.
        transport: DiskTransport,
        /// A virtio disk's interrupt; libxl's own.
        irq: u32,
        /// A virtio disk's register address; libxl's own.
        base: u64,
        /// Whether COLO replicates it.
        colo_enable: DefBool,
        /// Whether COLO restores it here.
        colo_restore_enable: DefBool,
        /// COLO's other host.
        colo_host: Option<String>,
        /// COLO's port there.
        colo_port: i32,
        /// COLO's export name.
        colo_export: Option<String>,
        /// COLO's active disk.
        active_disk: Option<String>,
        /// COLO's hidden disk.
        hidden_disk: Option<String>,
        /// Whether the frontend may trust the backend.
        trusted: DefBool,
        /// Whether a virtio disk's memory is shared by grants (Xen after 4.17).
        grant_usage: DefBool,
    }
}
