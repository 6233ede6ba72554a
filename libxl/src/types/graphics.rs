//! Graphics of a guest: the emulated card and where its picture goes.

use super::{DefBool, VgaInterfaceType};

record! {
    /// The emulated graphics card (`libxl_vga_interface_info`).
    pub struct VgaInterfaceInfo {
        /// Which card.
        kind: VgaInterfaceType,
    }
}

record! {
    /// A VNC server for the guest's display (`libxl_vnc_info`).
    pub struct VncInfo {
        /// Whether there is one.
        enable: DefBool,
        /// `address` or `address:display` to listen on.
        listen: Option<String>,
        /// The password.
        passwd: Option<String>,
        /// The display number: the port is 5900 more.
        display: i32,
        /// Whether to look for an unused port.
        findunused: DefBool,
    }
}

record! {
    /// A SPICE server for the guest's display (`libxl_spice_info`). It needs a port or a TLS port.
    pub struct SpiceInfo {
        /// Whether there is one.
        enable: DefBool,
        /// The port.
        port: i32,
        /// The port for TLS.
        tls_port: i32,
        /// The address to listen on.
        host: Option<String>,
        /// Whether clients connect without a password.
        disable_ticketing: DefBool,
        /// The password.
        passwd: Option<String>,
        /// Whether the SPICE agent moves the mouse.
        agent_mouse: DefBool,
        /// Whether the guest has the SPICE agent's channel.
        vdagent: DefBool,
        /// Whether the clipboard is shared.
        clipboard_sharing: DefBool,
        /// How many USB redirection channels there are.
        usbredirection: i32,
        /// How images are compressed.
        image_compression: Option<String>,
        /// Which parts of the picture are streamed as video.
        streaming_video: Option<String>,
    }
}

record! {
    /// A window on the host's own display (`libxl_sdl_info`).
    pub struct SdlInfo {
        /// Whether there is one.
        enable: DefBool,
        /// Whether it is drawn with OpenGL.
        opengl: DefBool,
        /// The X display.
        display: Option<String>,
        /// The X authority file.
        xauthority: Option<String>,
    }
}
