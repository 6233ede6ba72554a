//! Where a domain's VNC server listens, for a viewer (`libxl_vncviewer_exec`). QEMU's address stands in xenstore.

use crate::Ctx;
use crate::error::{Error, Result};
use crate::xenstore::{Store, schema};
use libxc::DomId;

/// The port of display 0.
const FIRST_PORT: u16 = 5900;

/// A domain's VNC server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where it listens, as viewers take it: HOST:DISPLAY, or HOST::PORT for a port that is no display's.
    pub address: String,
    /// What it asks for.
    pub password: Option<String>,
}

/// Finds the VNC server of a domain.
///
/// # Errors
/// A domain without one; an address that is none.
pub fn server(ctx: &Ctx, domid: DomId) -> Result<Server> {
    let console = format!("{}/console", schema::domain(domid));
    let nodes = ["vnc-listen", "vnc-port", "vnc-pass"].map(|name| format!("{console}/{name}"));
    let mut values = ctx.xs()?.read_many(&nodes)?.into_iter();
    let [listen, port, password] = [(); 3].map(|()| values.next().flatten());
    let port =
        port.ok_or_else(|| Error::fail(format!("domain {domid} has no VNC server (vfb=[\"vnc=1\"] makes one)")))?;
    let listen = listen.unwrap_or_else(|| "localhost".into());
    let address = address(&listen, &port);
    let address = address.ok_or_else(|| Error::fail(format!("domain {domid}: VNC at {listen:?}, port {port:?}")))?;
    Ok(Server { address, password })
}

fn address(listen: &str, port: &str) -> Option<String> {
    let port: u16 = port.parse().ok()?;
    // It becomes an argument of the viewer.
    if listen.is_empty() || listen.starts_with('-') {
        return None;
    }
    Some(match port.checked_sub(FIRST_PORT) {
        Some(display) => format!("{listen}:{display}"),
        None => format!("{listen}::{port}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_viewers() {
        assert_eq!(address("127.0.0.1", "5907").as_deref(), Some("127.0.0.1:7"));
        assert_eq!(address("host", "80").as_deref(), Some("host::80"));
        for (listen, port) in [("host", "x"), ("host", "70000"), ("", "5900"), ("-via", "5900")] {
            assert_eq!(address(listen, port), None, "{listen} {port}");
        }
    }
}
