//! `xl vncviewer`, and the viewer that `xl create -V` and `xl restore -V` start.

use crate::cli::Run;
use crate::failure::Failure;
use crate::session::Session;
use clap::Args;
use libxc::DomId;
use libxl::domain::vnc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::env;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// `xl vncviewer`.
#[derive(Args)]
pub(crate) struct VncViewer {
    /// Give the VNC password to the viewer on its standard input
    #[arg(short = 'a', long, visible_alias = "vncviewer-autopass")]
    autopass: bool,
    /// Name or number of the domain
    domain: String,
}

impl Run for VncViewer {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let domid = session.domain(&self.domain)?;
        let mut viewer = command(session, domid, self.autopass)?;
        let failed = viewer.exec();
        Err(not_started(&viewer, &failed))
    }
}

/// The viewer that comes with a new domain.
#[derive(Args, Clone, Copy)]
pub(crate) struct Viewer {
    /// Open the VNC display
    #[arg(short = 'V', long)]
    vncviewer: bool,
    /// Open the VNC display, and give the VNC password to the viewer on its standard input
    #[arg(short = 'A', long)]
    vncviewer_autopass: bool,
}

impl Viewer {
    /// Starts it if it was asked for; it stays when this process ends. The domain runs, whatever becomes of its viewer.
    pub(crate) fn start(self, session: &Session, domid: DomId) {
        if !(self.vncviewer || self.vncviewer_autopass) {
            return;
        }
        let started = command(session, domid, self.vncviewer_autopass)
            .and_then(|mut viewer| viewer.spawn().map_err(|e| not_started(&viewer, &e)));
        if let Err(failure) = started {
            eprintln!("xl: warning: the domain runs, but without a viewer: {failure}");
        }
    }
}

/// The call of `$VNCVIEWER`, or of vncviewer.
fn command(session: &Session, domid: DomId, autopass: bool) -> Result<Command, Failure> {
    let server = vnc::server(&session.ctx, domid)?;
    let mut viewer = Command::new(env::var_os("VNCVIEWER").unwrap_or_else(|| "vncviewer".into()));
    viewer.arg(server.address);
    if let Some(password) = server.password.filter(|_| autopass) {
        let password = in_memory(&password).map_err(|e| Failure::new(1, format!("the VNC password: {e}")))?;
        viewer.arg("-autopass").stdin(Stdio::from(password));
    }
    Ok(viewer)
}

/// A file that nobody else can open.
fn in_memory(text: &str) -> io::Result<File> {
    let mut file = File::from(memfd_create(c"vncpasswd", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file)
}

fn not_started(viewer: &Command, error: &io::Error) -> Failure {
    let program = viewer.get_program().display();
    Failure::new(1, format!("starting {program}: {} (VNCVIEWER names another viewer)", libxc::reason(error)))
}
