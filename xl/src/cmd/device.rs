//! The devices that a domain has: `block-list`, `block-detach`, `network-list`, `network-detach`.

use crate::cli::Run;
use crate::failure::Failure;
use crate::output::devices::{DiskJson, NicJson};
use crate::output::{self, Format, devices as tables};
use crate::session::Session;
use clap::Args;
use libxl::device::{self, DeviceKind, Force};

/// `xl block-list`.
#[derive(Args)]
pub(crate) struct BlockList {
    #[command(flatten)]
    format: Format,
    /// Names or numbers of domains
    #[arg(required = true, value_name = "Domain")]
    domains: Vec<String>,
}

impl Run for BlockList {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let mut disks = Vec::new();
        for domain in &self.domains {
            // As with stock xl, one that is not there is no failure of the command.
            match session.domain(domain) {
                Ok(domid) => disks.extend(device::disks(&session.ctx, domid)?),
                Err(failure) => output::complain(&failure),
            }
        }
        if self.format.is_json() {
            return output::print_json(&disks.iter().map(DiskJson::from).collect::<Vec<_>>());
        }
        output::print(&(tables::disks_head() + &tables::disks(&disks)))
    }
}

/// `xl block-detach`.
#[derive(Args)]
pub(crate) struct BlockDetach {
    /// Do not wait for the guest to let go
    #[arg(short, long)]
    force: bool,
    /// Name or number of the domain
    #[arg(value_name = "Domain")]
    domain: String,
    /// The disk: xvda, or its number
    #[arg(value_name = "DevId")]
    disk: String,
}

impl Run for BlockDetach {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let domid = session.domain(&self.domain)?;
        let disk = device::find_disk(&session.ctx, domid, &self.disk)?;
        if disk.kind == DeviceKind::VirtioDisk {
            let what = format!("{disk} of domain {domid} is a virtio disk, which no guest lets go of while it runs");
            return Err(Failure::new(1, what));
        }
        let force = if self.force { Force::Always } else { Force::Never };
        Ok(device::remove(&session.ctx, &[disk], force).map_err(|e| e.context(format!("detaching from {domid}")))?)
    }
}

/// `xl network-list`.
#[derive(Args)]
pub(crate) struct NetworkList {
    #[command(flatten)]
    format: Format,
    /// Names or numbers of domains
    #[arg(required = true, value_name = "Domain")]
    domains: Vec<String>,
}

impl Run for NetworkList {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let mut nics = Vec::new();
        let mut missing = None;
        for domain in &self.domains {
            // As with stock xl, one that is not there ends the list.
            match session.domain(domain) {
                Ok(domid) => nics.extend(device::nics(&session.ctx, domid)?),
                Err(failure) => {
                    missing = Some(failure);
                    break;
                }
            }
        }
        if self.format.is_json() && missing.is_none() {
            return output::print_json(&nics.iter().map(NicJson::from).collect::<Vec<_>>());
        } else if !self.format.is_json() {
            output::print(&(tables::nics_head() + &tables::nics(&nics)))?;
        }
        missing.map_or(Ok(()), Err)
    }
}

/// `xl network-detach`.
#[derive(Args)]
pub(crate) struct NetworkDetach {
    /// Name or number of the domain
    #[arg(value_name = "Domain")]
    domain: String,
    /// The interface: its number or its Ethernet address
    #[arg(value_name = "DevId|mac")]
    interface: String,
}

impl Run for NetworkDetach {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let domid = session.domain(&self.domain)?;
        let nic = device::find_nic(&session.ctx, domid, &self.interface)?;
        let removed = device::remove(&session.ctx, &[nic], Force::AfterTimeout);
        Ok(removed.map_err(|e| e.context(format!("detaching from {domid}")))?)
    }
}
