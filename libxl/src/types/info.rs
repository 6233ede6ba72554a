//! The state of devices, as the list commands show it.
//!
//! Of every device `state` is the frontend's XenbusState, `evtch` and `rref` are its event channel and the grant
//! reference of its ring, -1 where there is none.

use super::*;

group! {
    /// The two sides of a device in xenstore.
    pub struct DeviceEnds {
        /// The backend's directory.
        backend: Option<String>,
        /// The backend's domain.
        backend_id: u32,
        /// The frontend's directory.
        frontend: Option<String>,
        /// The frontend's domain.
        frontend_id: u32,
    }
}

record! {
    /// The state of a disk (`libxl_diskinfo`).
    pub struct DiskInfo {
        /// Its backend and frontend.
        ends: DeviceEnds,
        /// The number in the guest.
        devid: Option<u32>,
        /// The frontend's XenbusState.
        state: i32,
        /// The event channel.
        evtch: i32,
        /// The ring's grant reference.
        rref: i32,
    }
}

record! {
    /// The state of a network interface (`libxl_nicinfo`).
    pub struct NicInfo {
        /// Its backend and frontend.
        ends: DeviceEnds,
        /// The number in the guest.
        devid: Option<u32>,
        /// The frontend's XenbusState.
        state: i32,
        /// The event channel.
        evtch: i32,
        /// The sending ring's grant reference.
        rref_tx: i32,
        /// The receiving ring's grant reference.
        rref_rx: i32,
    }
}

record! {
    /// The state of a trusted platform module (`libxl_vtpminfo`).
    pub struct VtpmInfo {
        /// Its backend and frontend.
        ends: DeviceEnds,
        /// The number in the guest.
        devid: Option<u32>,
        /// The frontend's XenbusState.
        state: i32,
        /// The event channel.
        evtch: i32,
        /// The ring's grant reference.
        rref: i32,
        /// What the backend knows it by.
        uuid: Uuid,
    }
}

record! {
    /// The state of a USB controller (`libxl_usbctrlinfo`).
    pub struct UsbctrlInfo {
        /// Its kind.
        type_ as "type": UsbctrlType,
        /// The number in the guest.
        devid: Option<u32>,
        /// The version of USB.
        version: i32,
        /// How many ports.
        ports: i32,
        /// Its backend and frontend.
        ends: DeviceEnds,
        /// The frontend's XenbusState.
        state: i32,
        /// The event channel.
        evtch: i32,
        /// The request ring's grant reference.
        ref_urb: i32,
        /// The connection ring's grant reference.
        ref_conn: i32,
    }
}

record! {
    /// The state of a channel (`libxl_channelinfo`).
    pub struct ChannelInfo {
        /// Its backend and frontend.
        ends: DeviceEnds,
        /// The number in the guest.
        devid: Option<u32>,
        /// The frontend's XenbusState.
        state: i32,
        /// The event channel.
        evtch: i32,
        /// The ring's grant reference.
        rref: i32,
        /// Where it ends in the backend domain; libxl's `u`, selected by `connection`.
        connection: ChannelInfoEnd,
    }
}

keyed_union! {
    /// Where a channel ends in the backend domain, with what was found there.
    #[derive(Default)]
    pub enum ChannelInfoEnd {
        /// A terminal.
        Pty(ChannelPty) = "connection.pty";
        /// Not known.
        #[default]
        Unknown = "connection.unknown",
        /// A Unix socket.
        Socket = "connection.socket",
    }
}

record! {
    /// A channel's terminal.
    pub struct ChannelPty {
        /// Its path.
        path: Option<String>,
    }
}

record! {
    /// The state of a keyboard (`libxl_vkbinfo`).
    pub struct VkbInfo {
        /// Its backend and frontend.
        ends: DeviceEnds,
        /// The number in the guest.
        devid: Option<u32>,
        /// The frontend's XenbusState.
        state: i32,
        /// The event channel.
        evtch: i32,
        /// The ring's grant reference.
        rref: i32,
    }
}

record! {
    /// The state of a PV display (`libxl_vdisplinfo`).
    pub struct VdisplInfo {
        /// Its backend and frontend.
        ends: DeviceEnds,
        /// The number in the guest.
        devid: Option<u32>,
        /// The frontend's XenbusState.
        state: i32,
        /// Whether the backend allocates the buffers.
        be_alloc: bool,
        /// Its connectors.
        connectors: Vec<ConnectorInfo>,
    }
}

record! {
    /// The state of a connector of a PV display (`libxl_connectorinfo`).
    pub struct ConnectorInfo {
        /// What the backend knows it by.
        unique_id: Option<String>,
        /// Its width, in pixels.
        width: u32,
        /// Its height, in pixels.
        height: u32,
        /// The requests' event channel.
        req_evtch: i32,
        /// The requests' ring.
        req_rref: i32,
        /// The events' event channel.
        evt_evtch: i32,
        /// The events' ring.
        evt_rref: i32,
    }
}

record! {
    /// The state of a sound card (`libxl_vsndinfo`).
    pub struct VsndInfo {
        /// Its backend and frontend.
        ends: DeviceEnds,
        /// The number in the guest.
        devid: Option<u32>,
        /// The frontend's XenbusState.
        state: i32,
        /// Its devices.
        pcms: Vec<PcmInfo>,
    }
}

record! {
    /// The state of a device of a sound card (`libxl_pcminfo`).
    pub struct PcmInfo {
        /// Its streams.
        streams: Vec<StreamInfo>,
    }
}

record! {
    /// The state of a stream of a sound card (`libxl_streaminfo`).
    pub struct StreamInfo {
        /// The requests' event channel.
        req_evtch: i32,
        /// The requests' ring.
        req_rref: i32,
    }
}
