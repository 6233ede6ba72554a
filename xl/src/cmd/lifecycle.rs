//! A domain's life after its creation: pausing, asking it to stop, sending it events, destroying it.

use crate::cli::Run;
use crate::failure::Failure;
use crate::session::Session;
use clap::Args;
use libxc::DomId;
use libxc::domain::{DomainFlags, Trigger as XenTrigger};
use libxl::domain::shutdown::{self, End, Request};
use libxl::domain::{control, info};
use libxl::types::{DomainType, Trigger as TriggerName};
use libxl::{Error, ErrorKind, Result as LibxlResult};

/// `xl destroy`.
#[derive(Args)]
pub(crate) struct Destroy {
    /// Permit destroying domain 0, which only works from another control domain
    #[arg(short)]
    force: bool,
    /// Name or number of the domain
    domain: String,
}

impl Run for Destroy {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let domid = session.domain(&self.domain)?;
        if domid == DomId(0) && !self.force {
            return Err(Failure::new(1, "domain 0 is not destroyed (-f, from another control domain, would)"));
        }
        Ok(libxl::domain::destroy(&session.ctx, domid)?)
    }
}

/// `xl pause`.
#[derive(Args)]
pub(crate) struct Pause {
    /// Name or number of the domain
    domain: String,
}

impl Run for Pause {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let domid = session.domain(&self.domain)?;
        said_only(session, control::pause(&session.ctx, domid))
    }
}

/// `xl unpause`.
#[derive(Args)]
pub(crate) struct Unpause {
    /// Name or number of the domain
    domain: String,
}

impl Run for Unpause {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let domid = session.domain(&self.domain)?;
        said_only(session, control::unpause(&session.ctx, domid))
    }
}

/// What `xl shutdown` and `xl reboot` take.
#[derive(Args)]
struct Stop {
    /// All domains but this one
    #[arg(short, long)]
    all: bool,
    /// Wait until it has stopped; twice to wait until it is gone
    #[arg(short, long, action = clap::ArgAction::Count)]
    wait: u8,
    /// Press the ACPI button of a guest that has no PV drivers
    #[arg(short = 'F')]
    fall_back: bool,
    /// Name or number of the domain
    domain: Option<String>,
}

impl Stop {
    fn run(&self, session: &Session, request: Request, button: XenTrigger) -> Result<(), Failure> {
        let domids = match (&self.domain, self.all) {
            (_, true) => guests(session)?,
            (Some(domain), false) => vec![session.domain(domain)?],
            (None, false) => return Err(Failure::new(1, "which domain? (its name or number, or -a for all)")),
        };
        for domid in &domids {
            let doing = if request == Request::Reboot { "Rebooting" } else { "Shutting down" };
            tracing::info!("{doing} domain {domid}");
            self.ask(session, *domid, request, button)?;
        }
        if self.wait > 0 {
            shutdown::wait_for_ends(&session.ctx, &domids, self.wait > 1, tell_end)?;
        }
        Ok(())
    }

    fn ask(&self, session: &Session, domid: DomId, request: Request, button: XenTrigger) -> LibxlResult<()> {
        match shutdown::request(&session.ctx, domid, request) {
            Err(e) if e.kind() == ErrorKind::NoParavirt && self.fall_back => {
                tracing::info!("domain {domid} has no PV drivers: pressing its ACPI button");
                control::send_trigger(&session.ctx, domid, button, 0)
            }
            done => done,
        }
    }
}

/// All domains that can be asked to stop: not this one, and not the one that runs xenstore.
fn guests(session: &Session) -> Result<Vec<DomId>, Failure> {
    let stoppable =
        |info: &libxc::domain::DomainInfo| info.domid.0 != 0 && !info.flags.contains(DomainFlags::XS_DOMAIN);
    Ok(info::list(&session.ctx)?.iter().filter(|info| stoppable(info)).map(|info| info.domid).collect())
}

fn tell_end(domid: DomId, end: End) {
    match end {
        End::Shutdown(reason) => tracing::info!("domain {domid} has shut down, reason code {}", reason.code()),
        End::Destroyed => tracing::info!("domain {domid} has been destroyed"),
    }
}

/// `xl shutdown`.
#[derive(Args)]
pub(crate) struct Shutdown {
    #[command(flatten)]
    stop: Stop,
}

impl Run for Shutdown {
    fn run(self, session: &Session) -> Result<(), Failure> {
        self.stop.run(session, Request::PowerOff, XenTrigger::Power)
    }
}

/// `xl reboot`.
#[derive(Args)]
pub(crate) struct Reboot {
    #[command(flatten)]
    stop: Stop,
}

impl Run for Reboot {
    fn run(self, session: &Session) -> Result<(), Failure> {
        self.stop.run(session, Request::Reboot, XenTrigger::Reset)
    }
}

/// `xl trigger`.
#[derive(Args)]
pub(crate) struct Trigger {
    /// Name or number of the domain
    domain: String,
    /// nmi, reset, init, power, sleep or s3resume
    trigger: String,
    /// The vCPU that gets it
    vcpu: Option<String>,
}

impl Run for Trigger {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let domid = session.domain(&self.domain)?;
        let name: TriggerName = self.trigger.parse().map_err(|e| Failure::new(1, format!("trigger: {e}")))?;
        let trigger = match name {
            TriggerName::Nmi => XenTrigger::Nmi,
            TriggerName::Reset => XenTrigger::Reset,
            TriggerName::Init => XenTrigger::Init,
            TriggerName::Power => XenTrigger::Power,
            TriggerName::Sleep => XenTrigger::Sleep,
            TriggerName::S3Resume => return wake(session, domid),
            TriggerName::Unknown => return said_only(session, Err(Error::invalid("\"unknown\" is no trigger"))),
        };
        let vcpu = self.vcpu.as_deref().unwrap_or("0").parse().unwrap_or_else(|_| {
            tracing::warn!("\"{}\" is no vCPU's number: taking vCPU 0", self.vcpu.as_deref().unwrap_or_default());
            0
        });
        said_only(session, control::send_trigger(&session.ctx, domid, trigger, vcpu))
    }
}

/// Wakes a domain that sleeps in ACPI's S3: HVM guests alone can.
fn wake(session: &Session, domid: DomId) -> Result<(), Failure> {
    match info::get(&session.ctx, domid).and_then(|domain| info::kind(&session.ctx, &domain)) {
        Ok(DomainType::Hvm) => Err(Failure::new(1, "trigger s3resume: not built yet")),
        Ok(_) => said_only(session, Err(Error::invalid(format!("domain {domid} is no HVM guest: it cannot sleep")))),
        Err(e) => said_only(session, Err(e)),
    }
}

/// `xl button-press`.
#[derive(Args)]
pub(crate) struct ButtonPress {
    /// Name or number of the domain
    domain: String,
    /// power or sleep
    button: String,
}

impl Run for ButtonPress {
    fn run(self, session: &Session) -> Result<(), Failure> {
        tracing::warn!("button-press is deprecated: use trigger");
        let domid = session.domain(&self.domain)?;
        let button = match self.button.as_str() {
            "power" => XenTrigger::Power,
            "sleep" => XenTrigger::Sleep,
            other => return Err(Failure::new(1, format!("there is no button \"{other}\": power or sleep"))),
        };
        said_only(session, control::send_trigger(&session.ctx, domid, button, 0))
    }
}

/// `xl sysrq`.
#[derive(Args)]
pub(crate) struct Sysrq {
    /// Name or number of the domain
    domain: String,
    /// The key, one character
    letter: String,
}

impl Run for Sysrq {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let domid = session.domain(&self.domain)?;
        let mut letters = self.letter.chars();
        match (letters.next(), letters.next()) {
            (Some(key), None) => said_only(session, control::send_sysrq(&session.ctx, domid, key)),
            _ => Err(Failure::new(1, format!("a sysrq key is one character, not \"{}\"", self.letter))),
        }
    }
}

/// Reports a failure, and ends with status 0 nevertheless: so does stock xl in these commands once it knows the
/// domain's number, and scripts count on it. That there is no Xen at all is a failure for it too.
fn said_only(session: &Session, done: LibxlResult<()>) -> Result<(), Failure> {
    let Err(error) = done else { return Ok(()) };
    let status = if session.ctx.xc().is_ok() { 0 } else { 1 };
    Err(Failure::from(error).with_status(status))
}
