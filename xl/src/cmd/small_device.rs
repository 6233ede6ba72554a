//! Devices of the smaller kinds that a domain has: their lists, and taking them away. Stock xl's statuses differ from
//! kind to kind.

use crate::cli::Run;
use crate::failure::Failure;
use crate::output::small_devices::DeviceJson;
use crate::output::{self, Format, media, small_devices as tables};
use crate::session::Session;
use clap::Args;
use libxc::DomId;
use libxl::Ctx;
use libxl::device::{self, Device, DeviceKind, Force};
use serde::Serialize;

/// Stock xl's status where it returns libxl's ERROR_FAIL itself.
const MINUS_THREE: u8 = 253;

/// What a list is asked for.
#[derive(Args)]
pub(crate) struct Asked {
    #[command(flatten)]
    format: Format,
    /// Names or numbers of domains
    #[arg(required = true, value_name = "Domain")]
    domains: Vec<String>,
}

/// What a list makes of a domain that is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// It goes on, and succeeds.
    Skipped,
    /// It ends there, and fails.
    Fatal,
}

impl Asked {
    /// Prints the devices of all domains: as JSON, or as `head` and `table` have them.
    fn print<T, J>(
        &self,
        session: &Session,
        list: fn(&Ctx, DomId) -> libxl::Result<Vec<T>>,
        missing: Missing,
        table: impl FnOnce(&[T]) -> String,
    ) -> Result<(), Failure>
    where
        J: Serialize + for<'a> From<&'a T>,
    {
        let (mut devices, mut failed) = (Vec::new(), None);
        for domain in &self.domains {
            match session.domain(domain) {
                Ok(domid) => devices.extend(list(&session.ctx, domid)?),
                Err(failure) if missing == Missing::Skipped => output::complain(&failure),
                Err(failure) => {
                    failed = Some(failure);
                    break;
                }
            }
        }
        if !self.format.is_json() {
            output::print(&table(&devices))?;
        } else if failed.is_none() {
            output::print_json(&devices.iter().map(J::from).collect::<Vec<_>>())?;
        }
        failed.map_or(Ok(()), Err)
    }
}

/// `xl channel-list`.
#[derive(Args)]
pub(crate) struct ChannelList {
    #[command(flatten)]
    asked: Asked,
}

impl Run for ChannelList {
    fn run(self, session: &Session) -> Result<(), Failure> {
        self.asked.print::<_, DeviceJson<tables::ChannelJson>>(session, device::channels, Missing::Fatal, |channels| {
            tables::channels_head() + &tables::channels(channels)
        })
    }
}

/// `xl vtpm-list`.
#[derive(Args)]
pub(crate) struct VtpmList {
    #[command(flatten)]
    asked: Asked,
}

impl Run for VtpmList {
    fn run(self, session: &Session) -> Result<(), Failure> {
        self.asked.print::<_, DeviceJson<tables::VtpmJson>>(session, device::vtpms, Missing::Skipped, |vtpms| {
            tables::vtpms_head() + &tables::vtpms(vtpms)
        })
    }
}

/// `xl vkb-list`.
#[derive(Args)]
pub(crate) struct VkbList {
    #[command(flatten)]
    asked: Asked,
}

impl Run for VkbList {
    fn run(self, session: &Session) -> Result<(), Failure> {
        self.asked.print::<_, DeviceJson<tables::VkbJson>>(session, device::vkbs, Missing::Fatal, |vkbs| {
            tables::vkbs_head() + &tables::vkbs(vkbs)
        })
    }
}

/// `xl vdispl-list`.
#[derive(Args)]
pub(crate) struct VdisplList {
    #[command(flatten)]
    asked: Asked,
}

impl Run for VdisplList {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let missing = Missing::Skipped;
        self.asked.print::<_, DeviceJson<media::VdisplJson>>(session, device::vdispls, missing, media::vdispls)
    }
}

/// `xl vsnd-list`.
#[derive(Args)]
pub(crate) struct VsndList {
    #[command(flatten)]
    asked: Asked,
}

impl Run for VsndList {
    fn run(self, session: &Session) -> Result<(), Failure> {
        self.asked.print::<_, DeviceJson<media::VsndJson>>(session, device::vsnds, Missing::Skipped, media::vsnds)
    }
}

/// Which device of a domain.
#[derive(Args)]
pub(crate) struct One {
    /// Name or number of the domain
    #[arg(value_name = "Domain")]
    domain: String,
    /// The device's number
    #[arg(value_name = "DevId")]
    device: String,
}

impl One {
    fn detach(&self, session: &Session, kind: DeviceKind, list: &str) -> Result<(), Failure> {
        let domid = session.domain(&self.domain)?;
        let found = device::find(&session.ctx, domid, kind, &self.device, list);
        let found = found.map_err(|e| Failure::from(e).with_status(MINUS_THREE))?;
        remove(session, domid, found).map_err(|failure| failure.with_status(MINUS_THREE))
    }
}

fn remove(session: &Session, domid: DomId, device: Device) -> Result<(), Failure> {
    let removed = device::remove(&session.ctx, &[device], Force::AfterTimeout);
    Ok(removed.map_err(|e| e.context(format!("detaching from {domid}")))?)
}

/// `xl vkb-detach`.
#[derive(Args)]
pub(crate) struct VkbDetach {
    #[command(flatten)]
    one: One,
}

impl Run for VkbDetach {
    fn run(self, session: &Session) -> Result<(), Failure> {
        self.one.detach(session, DeviceKind::Vkbd, "vkb-list")
    }
}

/// `xl vdispl-detach`.
#[derive(Args)]
pub(crate) struct VdisplDetach {
    #[command(flatten)]
    one: One,
}

impl Run for VdisplDetach {
    fn run(self, session: &Session) -> Result<(), Failure> {
        self.one.detach(session, DeviceKind::Vdispl, "vdispl-list")
    }
}

/// `xl vsnd-detach`.
#[derive(Args)]
pub(crate) struct VsndDetach {
    #[command(flatten)]
    one: One,
}

impl Run for VsndDetach {
    fn run(self, session: &Session) -> Result<(), Failure> {
        self.one.detach(session, DeviceKind::Vsnd, "vsnd-list")
    }
}

/// `xl vtpm-detach`.
#[derive(Args)]
pub(crate) struct VtpmDetach {
    /// Name or number of the domain
    #[arg(value_name = "Domain")]
    domain: String,
    /// The module: its number or its UUID
    #[arg(value_name = "DevId|uuid")]
    device: String,
}

impl Run for VtpmDetach {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let domid = session.domain(&self.domain)?;
        let found = device::find_vtpm(&session.ctx, domid, &self.device)?;
        remove(session, domid, found)
    }
}
