//! Network interfaces.

use super::{DefBool, Mac};

names! {
    /// Whether an interface is emulated as well (`libxl_nic_type`).
    pub enum NicType default Unknown {
        Unknown = 0 "unknown",
        /// Emulated, with a PV interface beside it.
        VifIoemu = 1 "vif_ioemu",
        /// PV only.
        Vif = 2 "vif",
    }
}

record! {
    /// A network interface (`libxl_device_nic`, `xl-network-configuration(5)`).
    pub struct DeviceNic {
        /// The domain that serves it.
        backend_domid: u32,
        /// That domain's name, which goes before the number.
        backend_domname: Option<String>,
        /// Its number in the guest.
        devid: Option<u32>,
        /// The largest packet; 0 is the default.
        mtu: i32,
        /// The card that is emulated.
        model: Option<String>,
        /// Its Ethernet address.
        mac: Mac,
        /// The addresses for the hotplug script.
        ip: Option<String>,
        /// The bridge it joins.
        bridge: Option<String>,
        /// The name of the backend's interface.
        ifname: Option<String>,
        /// The hotplug script.
        script: Option<String>,
        /// Whether it is emulated as well.
        nictype: NicType,
        /// How many bytes it may send in each interval; 0 is no limit.
        rate_bytes_per_interval: u64,
        /// That interval, in microseconds.
        rate_interval_usecs: u32,
        /// The gateway's device, for `vif-route`.
        gatewaydev: Option<String>,
        /// The VLANs that its port of the bridge is in (Xen after 4.17).
        vlan: Option<String>,
        /// What COLO needs; its fields stand in the interface's own object.
        colo: NicColo,
        /// Whether the frontend may trust the backend.
        trusted: DefBool,
    }
}

group! {
    /// COLO's sockets and packet filters of an interface: QEMU object ids, addresses and ports
    /// (`docs/COLO-proxy.txt` of QEMU).
    #[allow(missing_docs, reason = "the names are QEMU's own")]
    pub struct NicColo {
        coloft_forwarddev: Option<String>,
        colo_sock_mirror_id: Option<String>,
        colo_sock_mirror_ip: Option<String>,
        colo_sock_mirror_port: Option<String>,
        colo_sock_compare_pri_in_id: Option<String>,
        colo_sock_compare_pri_in_ip: Option<String>,
        colo_sock_compare_pri_in_port: Option<String>,
        colo_sock_compare_sec_in_id: Option<String>,
        colo_sock_compare_sec_in_ip: Option<String>,
        colo_sock_compare_sec_in_port: Option<String>,
        colo_sock_compare_notify_id: Option<String>,
        colo_sock_compare_notify_ip: Option<String>,
        colo_sock_compare_notify_port: Option<String>,
        colo_sock_redirector0_id: Option<String>,
        colo_sock_redirector0_ip: Option<String>,
        colo_sock_redirector0_port: Option<String>,
        colo_sock_redirector1_id: Option<String>,
        colo_sock_redirector1_ip: Option<String>,
        colo_sock_redirector1_port: Option<String>,
        colo_sock_redirector2_id: Option<String>,
        colo_sock_redirector2_ip: Option<String>,
        colo_sock_redirector2_port: Option<String>,
        colo_filter_mirror_queue: Option<String>,
        colo_filter_mirror_outdev: Option<String>,
        colo_filter_redirector0_queue: Option<String>,
        colo_filter_redirector0_indev: Option<String>,
        colo_filter_redirector0_outdev: Option<String>,
        colo_filter_redirector1_queue: Option<String>,
        colo_filter_redirector1_indev: Option<String>,
        colo_filter_redirector1_outdev: Option<String>,
        colo_compare_pri_in: Option<String>,
        colo_compare_sec_in: Option<String>,
        colo_compare_out: Option<String>,
        colo_compare_notify_dev: Option<String>,
        colo_sock_sec_redirector0_id: Option<String>,
        colo_sock_sec_redirector0_ip: Option<String>,
        colo_sock_sec_redirector0_port: Option<String>,
        colo_sock_sec_redirector1_id: Option<String>,
        colo_sock_sec_redirector1_ip: Option<String>,
        colo_sock_sec_redirector1_port: Option<String>,
        colo_filter_sec_redirector0_queue: Option<String>,
        colo_filter_sec_redirector0_indev: Option<String>,
        colo_filter_sec_redirector0_outdev: Option<String>,
        colo_filter_sec_redirector1_queue: Option<String>,
        colo_filter_sec_redirector1_indev: Option<String>,
        colo_filter_sec_redirector1_outdev: Option<String>,
        colo_filter_sec_rewriter0_queue: Option<String>,
        colo_checkpoint_host: Option<String>,
        colo_checkpoint_port: Option<String>,
    }
}
