//! The host and the hypervisor: `info`, `dmesg`, `debug-keys`, `set-parameters`, `top`.

use crate::cli::Run;
use crate::failure::Failure;
use crate::output::host::{self as text, Host, Topology, Uname};
use crate::output::{self, Format};
use crate::session::Session;
use clap::Args;
use libxl::Result as LibxlResult;
use libxl::host::{cpupool, pci};
use libxl::types::Scheduler;
use std::path::Path;

/// `xl info`.
#[derive(Args)]
pub(crate) struct Info {
    /// Add the CPU topology and the NUMA nodes
    #[arg(short, long)]
    numa: bool,
    /// Show the features of xenstore that a later Xen has (not built yet)
    #[arg(short = 'x', long)]
    xenstore: bool,
    #[command(flatten)]
    output: Format,
    /// Show only the values of the keys that begin like this
    key: Option<String>,
}

impl Run for Info {
    fn run(self, session: &Session) -> Result<(), Failure> {
        if self.xenstore {
            return Err(Failure::new(1, "info -x: this option is not built yet"));
        }
        let host = host(session)?;
        let topology = if self.numa { Some(topology(session)?) } else { None };
        match (&self.key, &topology) {
            _ if self.output.is_json() => output::print_json(&text::info_json(&host, topology.as_ref())),
            (Some(key), None) => output::print(&text::info_values(&host, key)),
            _ => output::print(&text::info(&host, topology.as_ref())),
        }
    }
}

fn host(session: &Session) -> LibxlResult<Host> {
    let xc = session.ctx.xc()?;
    let scheduler = Scheduler::from_number(xc.scheduler()? as i32).unwrap_or_default();
    Ok(Host {
        uname: uname()?,
        physical: xc.physinfo()?,
        sharing_freed_pages: xc.sharing_freed_pages()?,
        sharing_used_frames: xc.sharing_used_frames()?,
        free_cpus: cpupool::free_cpus(&session.ctx)?.count(),
        version: xc.version()?,
        scheduler: scheduler.name(),
    })
}

fn uname() -> LibxlResult<Uname> {
    let uname = nix::sys::utsname::uname()?;
    let text = |field: &std::ffi::OsStr| field.to_string_lossy().into_owned();
    Ok(Uname {
        host: text(uname.nodename()),
        release: text(uname.release()),
        version: text(uname.version()),
        machine: text(uname.machine()),
    })
}

fn topology(session: &Session) -> LibxlResult<Topology> {
    let xc = session.ctx.xc()?;
    let devices = pci::devices(Path::new("/sys"))?;
    let nodes = xc.pci_topology(&devices)?;
    Ok(Topology {
        cpus: xc.cpu_topology()?,
        devices: devices.into_iter().zip(nodes).collect(),
        nodes: xc.numa_nodes()?,
    })
}

/// `xl dmesg`.
#[derive(Args)]
pub(crate) struct Dmesg {
    /// Empty Xen's message buffer after reading it
    #[arg(short, long)]
    clear: bool,
}

impl Run for Dmesg {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let messages = session.ctx.xc()?.console_ring(self.clear).map_err(libxl::Error::from)?;
        output::print_bytes(&messages)
    }
}

/// `xl debug-keys`.
#[derive(Args)]
pub(crate) struct DebugKeys {
    /// The keys, as on Xen's console
    keys: String,
}

impl Run for DebugKeys {
    fn run(self, session: &Session) -> Result<(), Failure> {
        Ok(session.ctx.xc()?.debug_keys(self.keys.as_bytes()).map_err(libxl::Error::from)?)
    }
}

/// `xl set-parameters`.
#[derive(Args)]
pub(crate) struct SetParameters {
    /// Parameters of Xen's command line, name=value
    parameters: String,
}

/// `xl top`.
#[derive(Args)]
pub(crate) struct Top {}

impl Run for Top {
    fn run(self, _: &Session) -> Result<(), Failure> {
        let status = std::process::Command::new("xentop").status();
        let status = status
            .map_err(|e| Failure::new(1, format!("xentop: {} (it comes with Xen's tools)", libxc::reason(&e))))?;
        // Stock xl passes on what system(3) returned, whose low byte is 0 unless a signal ended it.
        match std::os::unix::process::ExitStatusExt::signal(&status) {
            Some(signal) => Err(Failure::silent(signal as u8)),
            None => Ok(()),
        }
    }
}
