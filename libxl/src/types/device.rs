//! Devices other than disks, network interfaces and sound cards.
//!
//! Of every device, `backend_domid` and `backend_domname` say which domain serves it (the name goes before the
//! number), and `devid` is its number in the guest, chosen by libxl if `None`.

use super::*;

record! {
    /// A framebuffer (`libxl_device_vfb`).
    pub struct DeviceVfb {
        /// The domain that serves it.
        backend_domid: u32,
        /// That domain's name.
        backend_domname: Option<String>,
        /// Its number in the guest.
        devid: Option<u32>,
        /// Its VNC server.
        vnc: VncInfo,
        /// Its window on the host.
        sdl: SdlInfo,
        /// The keyboard's layout; `None` is en-us.
        keymap: Option<String>,
    }
}

names! {
    /// What serves a keyboard (`libxl_vkb_backend`).
    pub enum VkbBackend default Unknown {
        Unknown = 0 "unknown",
        Qemu = 1 "qemu",
        Linux = 2 "linux",
    }
}

record! {
    /// A keyboard, mouse or touch screen (`libxl_device_vkb`).
    pub struct DeviceVkb {
        /// The domain that serves it.
        backend_domid: u32,
        /// That domain's name.
        backend_domname: Option<String>,
        /// Its number in the guest.
        devid: Option<u32>,
        /// What serves it.
        backend_type: VkbBackend,
        /// What the backend knows it by.
        unique_id: Option<String>,
        /// No keyboard.
        feature_disable_keyboard: bool,
        /// No pointer.
        feature_disable_pointer: bool,
        /// The pointer has absolute coordinates.
        feature_abs_pointer: bool,
        /// The pointer's coordinates are not scaled.
        feature_raw_pointer: bool,
        /// There is a touch screen.
        feature_multi_touch: bool,
        /// The pointer's largest x coordinate.
        width: u32,
        /// The pointer's largest y coordinate.
        height: u32,
        /// The touch screen's width.
        multi_touch_width: u32,
        /// The touch screen's height.
        multi_touch_height: u32,
        /// How many touches it tells apart.
        multi_touch_num_contacts: u32,
    }
}

record! {
    /// A PCI device of the host that the guest gets (`libxl_device_pci`, `xl-pci-configuration(5)`).
    pub struct DevicePci {
        /// Its function.
        func: u8,
        /// Its slot.
        dev: u8,
        /// Its bus.
        bus: u8,
        /// Its PCI segment.
        domain: i32,
        /// Its slot and function in the guest, as `(slot << 3) | function`; 0 is any.
        vdevfn: u32,
        /// The functions to pass, as bits, for a device given as a whole.
        vfunc_mask: u32,
        /// Whether MSI is turned into line interrupts for the guest.
        msitranslate: bool,
        /// Whether the guest manages its power.
        power_mgmt: bool,
        /// Whether the guest may write all of its configuration space.
        permissive: bool,
        /// Whether it is taken from its driver without asking.
        seize: bool,
        /// Whether a conflict of its reserved memory is an error.
        rdm_policy: RdmReservePolicy,
        /// The name it was made assignable under.
        name: Option<String>,
    }
}

record! {
    /// Reserved device memory that the guest's memory map leaves room for (`libxl_device_rdm`).
    pub struct DeviceRdm {
        /// The first address.
        start: u64,
        /// How many bytes.
        size: u64,
        /// Whether a conflict is an error.
        policy: RdmReservePolicy,
    }
}

names! {
    /// The kind of a USB controller (`libxl_usbctrl_type`).
    pub enum UsbctrlType default Auto {
        Auto = 0 "auto",
        /// PV, served by the kernel.
        Pv = 1 "pv",
        /// Emulated.
        Devicemodel = 2 "devicemodel",
        /// PV, served by QEMU.
        Qusb = 3 "qusb",
    }
}

names! {
    /// The kind of a USB device (`libxl_usbdev_type`).
    pub enum UsbdevType {
        Hostdev = 1 "hostdev",
    }
}

record! {
    /// A USB controller (`libxl_device_usbctrl`).
    pub struct DeviceUsbctrl {
        /// Its kind.
        type_ as "type": UsbctrlType,
        /// Its number in the guest.
        devid: Option<u32>,
        /// The version of USB: 1, 2 or 3.
        version: i32,
        /// How many ports.
        ports: i32,
        /// The domain that serves it.
        backend_domid: u32,
        /// That domain's name.
        backend_domname: Option<String>,
    }
}

record! {
    /// A USB device that the guest gets (`libxl_device_usbdev`).
    pub struct DeviceUsbdev {
        /// The number of its controller.
        ctrl: Option<u32>,
        /// The port there, from 1; 0 is any.
        port: i32,
        /// Which device; libxl's `u`.
        device: Option<UsbDevice>,
    }
}

keyed_union! {
    /// Where a USB device comes from.
    pub enum UsbDevice optional {
        /// A device of the host.
        Hostdev(UsbHostdev) = "type.hostdev";
    }
}

record! {
    /// A USB device of the host.
    pub struct UsbHostdev {
        /// Its bus.
        hostbus: u8,
        /// Its address there.
        hostaddr: u8,
    }
}

record! {
    /// A device of the host's device tree (`libxl_device_dtdev`).
    pub struct DeviceDtdev {
        /// Its path in the tree.
        path: Option<String>,
    }
}

record! {
    /// A trusted platform module (`libxl_device_vtpm`).
    pub struct DeviceVtpm {
        /// The domain that serves it.
        backend_domid: u32,
        /// That domain's name.
        backend_domname: Option<String>,
        /// Its number in the guest.
        devid: Option<u32>,
        /// What the backend knows it by.
        uuid: Uuid,
    }
}

names! {
    /// What serves a shared directory (`libxl_p9_type`, Xen after 4.17; before, it is QEMU).
    pub enum P9Type default Unknown {
        Unknown = 0 "unknown",
        Qemu = 1 "qemu",
        /// Xen's own daemon.
        Xen9pfsd = 2 "xen_9pfsd",
    }
}

record! {
    /// A shared directory (`libxl_device_p9`).
    pub struct DeviceP9 {
        /// The domain that serves it.
        backend_domid: u32,
        /// That domain's name.
        backend_domname: Option<String>,
        /// What the guest mounts it by.
        tag: Option<String>,
        /// The directory.
        path: Option<String>,
        /// How file owners are kept: `none`.
        security_model: Option<String>,
        /// Its number in the guest.
        devid: Option<u32>,
        /// What serves it. The limits below are of Xen's own daemon.
        type_ as "type": P9Type,
        /// The most space it may take on the backend's disk, in MiB; 0 is no limit.
        max_space: i32,
        /// The most files in it; 0 is no limit.
        max_files: i32,
        /// The most files that may be open at once; 0 is the daemon's choice.
        max_open_files: i32,
        /// Whether the oldest file goes where a new one would be beyond a limit.
        auto_delete: bool,
    }
}

record! {
    /// A virtio device of an Arm guest (`libxl_device_virtio`, Xen after 4.17).
    pub struct DeviceVirtio {
        /// The domain that serves it.
        backend_domid: u32,
        /// That domain's name.
        backend_domname: Option<String>,
        /// What it is, as the device tree has it: `virtio,deviceN`.
        type_ as "type": Option<String>,
        /// How it is connected.
        transport: VirtioTransport,
        /// Whether its memory is shared by grants.
        grant_usage: DefBool,
        /// Its number in the guest.
        devid: Option<u32>,
        /// Its interrupt; libxl's choice.
        irq: u32,
        /// The address of its registers; libxl's choice.
        base: u64,
    }
}

record! {
    /// A PV calls interface: sockets of the backend domain (`libxl_device_pvcallsif`).
    pub struct DevicePvcallsif {
        /// The domain that serves it.
        backend_domid: u32,
        /// That domain's name.
        backend_domname: Option<String>,
        /// Its number in the guest.
        devid: Option<u32>,
    }
}

record! {
    /// A channel: a console with a name (`libxl_device_channel`).
    pub struct DeviceChannel {
        /// The domain that serves it.
        backend_domid: u32,
        /// That domain's name.
        backend_domname: Option<String>,
        /// Its number in the guest.
        devid: Option<u32>,
        /// The name the guest finds it by.
        name: Option<String>,
        /// Where it ends in the backend domain; libxl's `u`, selected by `connection`.
        connection: ChannelEnd,
    }
}

names! {
    /// The kinds of ends that a channel can have (`libxl_channel_connection`).
    pub enum ChannelConnection default Unknown {
        Unknown = 0 "unknown",
        Pty = 1 "pty",
        Socket = 2 "socket",
    }
}

keyed_union! {
    /// Where a channel ends in the backend domain.
    #[derive(Default)]
    pub enum ChannelEnd {
        /// A listening Unix socket.
        Socket(ChannelSocket) = "connection.socket";
        /// Nobody has said yet.
        #[default]
        Unknown = "connection.unknown",
        /// A terminal.
        Pty = "connection.pty",
    }
}

record! {
    /// A channel's Unix socket.
    pub struct ChannelSocket {
        /// Its path.
        path: Option<String>,
    }
}

record! {
    /// A PV display (`libxl_device_vdispl`).
    pub struct DeviceVdispl {
        /// The domain that serves it.
        backend_domid: u32,
        /// That domain's name.
        backend_domname: Option<String>,
        /// Its number in the guest.
        devid: Option<u32>,
        /// Whether the backend allocates the buffers.
        be_alloc: bool,
        /// Its connectors.
        connectors: Vec<ConnectorParam>,
    }
}

record! {
    /// A connector of a PV display (`libxl_connector_param`).
    pub struct ConnectorParam {
        /// What the backend knows it by.
        unique_id: Option<String>,
        /// Its width, in pixels.
        width: u32,
        /// Its height, in pixels.
        height: u32,
    }
}
