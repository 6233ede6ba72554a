//! Other discs for a guest's CD drive: `cd-insert`, `cd-eject`.

use super::attach::{Parameters, show};
use crate::cli::Run;
use crate::config::disk;
use crate::failure::Failure;
use crate::session::Session;
use clap::Args;
use libxl::domain::info;
use libxl::types::{DiskFormat, DomainType};
use std::fs;

/// `xl cd-insert`.
#[derive(Args)]
pub(crate) struct CdInsert {
    /// Name or number of the domain
    #[arg(value_name = "Domain")]
    domain: String,
    /// The drive, as hdc
    #[arg(value_name = "VirtualDevice")]
    drive: String,
    /// The disc: an image file or a device
    path: String,
}

impl Run for CdInsert {
    fn run(self, session: &Session) -> Result<(), Failure> {
        change(session, &self.domain, &self.drive, &self.path)
    }
}

/// `xl cd-eject`.
#[derive(Args)]
pub(crate) struct CdEject {
    /// Name or number of the domain
    #[arg(value_name = "Domain")]
    domain: String,
    /// The drive, as hdc
    #[arg(value_name = "VirtualDevice")]
    drive: String,
}

impl Run for CdEject {
    fn run(self, session: &Session) -> Result<(), Failure> {
        change(session, &self.domain, &self.drive, "")
    }
}

fn change(session: &Session, domain: &str, drive: &str, path: &str) -> Result<(), Failure> {
    let domid = session.domain(domain)?;
    let text = format!("vdev={drive},access=r,devtype=cdrom,target={path}");
    let disc = Parameters::new(vec![text]).read(1, disk::parse)?;
    if disc.format != DiskFormat::Empty
        && let Some(path) = disc.pdev_path.as_deref()
        && let Err(e) = fs::metadata(path)
    {
        return Err(Failure::new(1, format!("{path}: {}", libxl::Error::from(e))));
    }
    if show(session, "disk", &disc)? {
        return Ok(());
    }
    let why = match info::kind(&session.ctx, &info::get(&session.ctx, domid)?)? {
        DomainType::Hvm => "changing the disc of an HVM guest is not built yet".to_owned(),
        kind => format!(
            "domain {domid} is a {kind} guest, whose CD drive is a disk like others: xl block-detach and block-attach \
             change it"
        ),
    };
    Err(Failure::new(1, why))
}
