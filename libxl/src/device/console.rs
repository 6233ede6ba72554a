//! Consoles: the first one of every guest, more of them, and channels, which are consoles with a name.

use super::{Device, DeviceKind, Nodes, XenbusState, backend_domid, devid};
use crate::error::{Error, Result};
use crate::types::{ChannelEnd, DeviceChannel};
use libxc::{DomId, EvtchnPort, Gfn};

/// The most bytes of output that xenconsoled keeps for a guest.
const LIMIT: u32 = 1 << 20;
/// What the console speaks.
const PROTOCOL: &str = "vt100";

/// Who serves the first console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsoleBackend {
    /// xenconsoled.
    Xenconsoled,
    /// QEMU.
    Ioemu,
}

/// The first console of a guest, whose ring is in a page that the builder made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrimaryConsole {
    /// Who serves it.
    pub served_by: ConsoleBackend,
    /// Its event channel, allocated for the backend in the guest.
    pub port: EvtchnPort,
    /// Its ring. A machine frame for a PV guest.
    pub ring: Gfn,
    /// Its terminal, if known already: of a domain that goes on after a soft reset.
    pub tty: Option<String>,
}

/// The nodes of a guest's first console. It needs no agreement between its ends, so its frontend has
/// no state.
pub fn primary_console(domid: DomId, console: &PrimaryConsole) -> Nodes {
    let mut nodes = Nodes::bare(device(domid, 0, DomId(0)));
    backend(&mut nodes);
    nodes.front("backend-id", 0);
    frontend(&mut nodes, console.served_by, "pty", console.tty.as_deref());
    nodes.front_readonly("port", console.port);
    nodes.front_readonly("ring-ref", console.ring);
    nodes
}

/// The nodes of another console (a serial port of a PV guest), served by QEMU as a terminal.
pub fn secondary_console(domid: DomId, devid: u32, backend_domid: DomId) -> Nodes {
    let mut nodes = Nodes::bare(device(domid, devid, backend_domid));
    backend(&mut nodes);
    negotiating_frontend(&mut nodes, "pty");
    nodes
}

/// The nodes of a channel. Channels are numbered from 0; as consoles they come after the first one.
pub fn channel(domid: DomId, channel: &DeviceChannel) -> Result<Nodes> {
    let number = devid(channel.devid, DeviceKind::Console)?;
    let console = number.checked_add(1).ok_or_else(|| Error::invalid(format!("there is no channel {number}")))?;
    let name = channel.name.as_deref().ok_or_else(|| Error::invalid(format!("channel {number} has no name")))?;
    let (connection, output, path) = match &channel.connection {
        ChannelEnd::Pty => ("pty", "pty".to_owned(), None),
        ChannelEnd::Socket(socket) => {
            let path = socket.path.as_deref();
            let path = path.ok_or_else(|| Error::invalid(format!("channel {name}: its socket has no path")))?;
            ("socket", format!("chardev:libxl-channel{number}"), Some(path))
        }
        ChannelEnd::Unknown => return Err(Error::invalid(format!("channel {name} ends nowhere (connection=)"))),
    };
    let mut nodes = Nodes::bare(device(domid, console, backend_domid(channel.backend_domid)?));
    backend(&mut nodes);
    nodes.back("name", name);
    nodes.back("connection", connection);
    nodes.back_some("path", path);
    nodes.front_readonly("name", name);
    negotiating_frontend(&mut nodes, &output);
    Ok(nodes)
}

fn device(domid: DomId, devid: u32, backend_domid: DomId) -> Device {
    let kind = DeviceKind::Console;
    Device { domid, kind, devid, backend_domid, backend_kind: kind }
}

fn backend(nodes: &mut Nodes) {
    nodes.back("frontend-id", nodes.device.domid);
    nodes.back("online", 1);
    nodes.back("state", XenbusState::Initialising.digit());
    nodes.back("protocol", PROTOCOL);
}

fn negotiating_frontend(nodes: &mut Nodes, output: &str) {
    nodes.front("backend-id", nodes.device.backend_domid);
    nodes.front("state", XenbusState::Initialising.digit());
    nodes.front("protocol", PROTOCOL);
    frontend(nodes, ConsoleBackend::Ioemu, output, None);
}

fn frontend(nodes: &mut Nodes, served_by: ConsoleBackend, output: &str, tty: Option<&str>) {
    nodes.front_readonly("limit", LIMIT);
    let kind = match served_by {
        ConsoleBackend::Xenconsoled => "xenconsoled",
        ConsoleBackend::Ioemu => "ioemu",
    };
    nodes.front_readonly("type", kind);
    nodes.front_readonly("output", output);
    nodes.front_readonly("tty", tty.unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::super::nodes::tests::{assert_written, host};
    use super::super::write_all;
    use super::*;
    use crate::types::ChannelSocket;

    #[test]
    fn the_first_as_stock_xl_writes_it() {
        let (fake, ctx) = host(&[1]);
        let console = PrimaryConsole {
            served_by: ConsoleBackend::Xenconsoled,
            port: EvtchnPort(2),
            ring: Gfn(1744894),
            tty: None,
        };
        write_all(&ctx, &[primary_console(DomId(1), &console)]).unwrap();
        assert_written(
            &fake,
            &["/local/domain/1/console", "/local/domain/0/backend/console/1/0", "/libxl/1/device/console/0"],
            r#"
/libxl/1/device/console/0 = ""   (n0)
/libxl/1/device/console/0/frontend = "/local/domain/1/console"   (n0)
/libxl/1/device/console/0/backend = "/local/domain/0/backend/console/1/0"   (n0)
/libxl/1/device/console/0/frontend-id = "1"   (n0)
/libxl/1/device/console/0/online = "1"   (n0)
/libxl/1/device/console/0/state = "1"   (n0)
/libxl/1/device/console/0/protocol = "vt100"   (n0)
/local/domain/0/backend/console/1/0 = ""   (n0,r1)
/local/domain/0/backend/console/1/0/frontend = "/local/domain/1/console"   (n0,r1)
/local/domain/0/backend/console/1/0/frontend-id = "1"   (n0,r1)
/local/domain/0/backend/console/1/0/online = "1"   (n0,r1)
/local/domain/0/backend/console/1/0/state = "1"   (n0,r1)
/local/domain/0/backend/console/1/0/protocol = "vt100"   (n0,r1)
/local/domain/1/console = ""   (n0,r1)
/local/domain/1/console/backend = "/local/domain/0/backend/console/1/0"   (n0,r1)
/local/domain/1/console/backend-id = "0"   (n1,r0)
/local/domain/1/console/limit = "1048576"   (n0,r1)
/local/domain/1/console/type = "xenconsoled"   (n0,r1)
/local/domain/1/console/output = "pty"   (n0,r1)
/local/domain/1/console/tty = ""   (n0,r1)
/local/domain/1/console/port = "2"   (n0,r1)
/local/domain/1/console/ring-ref = "1744894"   (n0,r1)
"#,
        );
    }

    #[test]
    fn a_channel_to_a_socket() {
        let socket = ChannelSocket { path: Some("/run/agent".into()) };
        let agent = DeviceChannel {
            devid: Some(1),
            name: Some("org.agent".into()),
            connection: ChannelEnd::Socket(socket),
            ..Default::default()
        };
        let (fake, ctx) = host(&[1]);
        write_all(&ctx, &[channel(DomId(1), &agent).unwrap()]).unwrap();
        assert_written(
            &fake,
            &["/local/domain/1/device/console/2", "/local/domain/0/backend/console/1/2"],
            r#"
/local/domain/0/backend/console/1/2 = ""   (n0,r1)
/local/domain/0/backend/console/1/2/frontend = "/local/domain/1/device/console/2"   (n0,r1)
/local/domain/0/backend/console/1/2/frontend-id = "1"   (n0,r1)
/local/domain/0/backend/console/1/2/online = "1"   (n0,r1)
/local/domain/0/backend/console/1/2/state = "1"   (n0,r1)
/local/domain/0/backend/console/1/2/protocol = "vt100"   (n0,r1)
/local/domain/0/backend/console/1/2/name = "org.agent"   (n0,r1)
/local/domain/0/backend/console/1/2/connection = "socket"   (n0,r1)
/local/domain/0/backend/console/1/2/path = "/run/agent"   (n0,r1)
/local/domain/1/device/console/2 = ""   (n1,r0)
/local/domain/1/device/console/2/backend = "/local/domain/0/backend/console/1/2"   (n1,r0)
/local/domain/1/device/console/2/backend-id = "0"   (n1,r0)
/local/domain/1/device/console/2/state = "1"   (n1,r0)
/local/domain/1/device/console/2/protocol = "vt100"   (n1,r0)
/local/domain/1/device/console/2/name = "org.agent"   (n0,r1)
/local/domain/1/device/console/2/limit = "1048576"   (n0,r1)
/local/domain/1/device/console/2/type = "ioemu"   (n0,r1)
/local/domain/1/device/console/2/output = "chardev:libxl-channel1"   (n0,r1)
/local/domain/1/device/console/2/tty = ""   (n0,r1)
"#,
        );
    }

    #[test]
    fn a_channel_needs_a_name_and_an_end() {
        let of = |c: &DeviceChannel| channel(DomId(1), c).unwrap_err().to_string();
        let mut nameless = DeviceChannel { devid: Some(1), ..Default::default() };
        assert_eq!(of(&nameless), "channel 1 has no name");
        nameless.name = Some("x".into());
        assert_eq!(of(&nameless), "channel x ends nowhere (connection=)");
    }
}
