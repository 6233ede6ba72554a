//! What every operation of the toolstack is given: where things are, and the roads to Xen.

use crate::error::{Error, Result};
use crate::event::Cancel;
use crate::paths::Paths;
use crate::xenstore::Client;
use libxc::{DomId, Xc};
use std::cell::OnceCell;
use std::time::Duration;

/// How long a destroyed domain's number is not given to another, by default
/// (`LIBXL_DOMID_REUSE_TIMEOUT`).
pub const DOMID_REUSE_TIMEOUT: Duration = Duration::from_secs(60);

/// The toolstack's context. Connections are opened when first used, so that what needs no Xen works
/// without it.
pub struct Ctx {
    /// Where things are on this host.
    pub paths: Paths,
    /// How long a destroyed domain's number is not used again.
    pub domid_reuse_timeout: Duration,
    /// What ends waits early; none if nothing does.
    pub cancel: Option<Cancel>,
    /// The domain that this runs in: domain 0, or a driver domain that serves devices.
    pub domid: DomId,
    xc: OnceCell<Xc>,
    xs: OnceCell<Client>,
}

impl Ctx {
    /// A context that has opened nothing yet.
    pub fn new(paths: Paths) -> Ctx {
        Ctx {
            paths,
            domid_reuse_timeout: DOMID_REUSE_TIMEOUT,
            cancel: None,
            domid: DomId(0),
            xc: OnceCell::new(),
            xs: OnceCell::new(),
        }
    }

    /// Uses this connection to xenstore instead of opening one.
    pub fn with_xs(self, client: Client) -> Ctx {
        Ctx { xs: OnceCell::from(client), ..self }
    }

    /// The way to the hypervisor, opened at the first call.
    pub fn xc(&self) -> Result<&Xc> {
        if let Some(xc) = self.xc.get() {
            return Ok(xc);
        }
        let xc = Xc::open()?;
        Ok(self.xc.get_or_init(|| xc))
    }

    /// The connection to xenstore, opened at the first call.
    pub fn xs(&self) -> Result<&Client> {
        if let Some(client) = self.xs.get() {
            return Ok(client);
        }
        let opened = Client::open(&self.paths.xenstored_socket, &self.paths.xenbus_device);
        let client = opened.map_err(|e| self.no_xenstore(&e))?;
        Ok(self.xs.get_or_init(|| client))
    }

    fn no_xenstore(&self, tried: &std::io::Error) -> Error {
        let under_xen = std::fs::read(&self.paths.hypervisor_type).is_ok_and(|t| t.starts_with(b"xen"));
        let meaning = match (under_xen, tried.kind()) {
            (_, std::io::ErrorKind::PermissionDenied) => "no right to use xenstore (run as root)",
            (true, _) => "cannot reach xenstored (start it: the service is called xencommons or xenstored)",
            (false, _) => "this host does not run under Xen (boot it with the Xen hypervisor)",
        };
        Error::fail(format!("{meaning}: tried {tried}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn not_under_xen_is_one_clear_sentence() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::installed(Path::new("/usr")).rooted(root.path());
        std::fs::create_dir_all(paths.hypervisor_type.parent().unwrap()).unwrap();
        let ctx = Ctx::new(paths);
        let error = ctx.xs().unwrap_err().to_string();
        assert!(error.starts_with("this host does not run under Xen (boot"), "{error}");
        assert!(error.contains("run/xenstored/socket: No such file"), "{error}");
        assert!(error.contains("dev/xen/xenbus: No such file"), "{error}");

        std::fs::write(&ctx.paths.hypervisor_type, "xen\n").unwrap();
        let error = ctx.xs().unwrap_err().to_string();
        assert!(error.starts_with("cannot reach xenstored (start it"), "{error}");
    }
}
