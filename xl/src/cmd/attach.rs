//! New devices for a running domain: `block-attach`, `network-attach` and so on.

use crate::cli::Run;
use crate::config::diagnostic::Diagnostics;
use crate::config::load::{self, Options};
use crate::config::source::{Source, Span, Text};
use crate::config::{devices, disk, vif, vsnd};
use crate::failure::Failure;
use crate::output;
use crate::session::Session;
use clap::Args;
use libxc::DomId;
use libxl::types::{DeviceVdispl, DeviceVkb, DeviceVsnd, DeviceVtpm, json};
use libxl::{Ctx, device};
use serde::Serialize;

/// A device's parameters, as the command line has them.
pub(super) struct Parameters {
    source: Source,
    spans: Vec<Span>,
    arguments: Vec<String>,
}

impl Parameters {
    pub(super) fn new(arguments: Vec<String>) -> Parameters {
        let mut spans = Vec::new();
        let mut start = 0;
        for argument in &arguments {
            spans.push(Span::new(start, start + argument.len()));
            start += argument.len() + 1;
        }
        Parameters { source: Source::new("command line", arguments.join("\n").as_bytes()), spans, arguments }
    }

    fn texts(&self) -> Vec<Text<'_>> {
        self.arguments.iter().zip(&self.spans).map(|(text, span)| Text::new(text, *span)).collect()
    }

    /// Reads a device. What is wrong is told on standard error, and ends the command with this status.
    pub(super) fn read<T>(
        &self,
        status: u8,
        parse: impl FnOnce(&[Text<'_>], &mut Diagnostics) -> Option<T>,
    ) -> Result<T, Failure> {
        let mut diagnostics = Diagnostics::for_command_line();
        let device = parse(&self.texts(), &mut diagnostics);
        eprint!("{}", diagnostics.render(&self.source));
        device.filter(|_| !diagnostics.has_errors()).ok_or(Failure::silent(status))
    }
}

/// Shows the device if this is a dry run; whether it was one.
pub(super) fn show(session: &Session, kind: &str, device: &impl Serialize) -> Result<bool, Failure> {
    if session.globals.dry_run {
        output::print(&format!("{kind}: {}\n\n", json::to_string(device)))?;
    }
    Ok(session.globals.dry_run)
}

/// Shows the device if this is a dry run, else attaches it; until it is connected, ^C takes it back.
fn attach<T: Serialize>(
    session: &Session,
    domid: DomId,
    kind: &str,
    device: &T,
    attach: fn(&Ctx, DomId, &T) -> libxl::Result<()>,
) -> Result<(), Failure> {
    if show(session, kind, device)? {
        return Ok(());
    }
    Ok(attach(&session.cancellable()?.ctx, domid, device)?)
}

/// `xl block-attach`.
#[derive(Args)]
pub(crate) struct Block {
    /// Name or number of the domain
    domain: String,
    /// The disk, as in a configuration; what stands in several arguments is taken together
    #[arg(required = true)]
    disk: Vec<String>,
}

impl Run for Block {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let domid = session.domain(&self.domain)?;
        let disk = Parameters::new(self.disk).read(1, disk::parse)?;
        attach(session, domid, "disk", &disk, device::attach_disk)
    }
}

/// `xl network-attach`.
#[derive(Args)]
pub(crate) struct Network {
    /// Name or number of the domain
    domain: String,
    /// mac=, bridge=, script= and so on, as in a configuration
    #[arg(value_name = "key=value")]
    parameters: Vec<String>,
}

impl Run for Network {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let domid = session.domain(&self.domain)?;
        let host = load::host_facts(&session.ctx, Options { without_xen: true, ..Options::default() })?;
        let mut nic = load::xl_conf(&session.ctx, &host)?.default_nic();
        let nic = Parameters::new(self.parameters).read(1, |texts, diagnostics| {
            texts.iter().all(|text| vif::parameter(*text, &mut nic, diagnostics)).then_some(nic)
        })?;
        attach(session, domid, "vif", &nic, |ctx, domid, nic| device::attach_nic(ctx, domid, nic).map(drop))
    }
}

/// `xl vtpm-attach`.
#[derive(Args)]
pub(crate) struct Vtpm {
    /// Name or number of the domain
    domain: String,
    /// uuid= and backend=
    #[arg(value_name = "key=value")]
    parameters: Vec<String>,
}

impl Run for Vtpm {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let domid = session.domain(&self.domain)?;
        let vtpm = Parameters::new(self.parameters).read(1, |texts, diagnostics| {
            let mut vtpm = DeviceVtpm::default();
            texts.iter().all(|text| devices::vtpm_parameter(*text, &mut vtpm, diagnostics)).then_some(vtpm)
        })?;
        attach(session, domid, "vtpm", &vtpm, device::attach_vtpm)
    }
}

/// Stock xl's status where it returns -1.
const MINUS_ONE: u8 = 255;
/// Stock xl's status where it returns libxl's ERROR_FAIL itself.
const MINUS_THREE: u8 = 253;

/// `xl vkb-attach`.
#[derive(Args)]
pub(crate) struct Vkb {
    /// Name or number of the domain
    domain: String,
    /// backend-type=, unique-id= and so on, as in a configuration
    #[arg(required = true, value_name = "key=value")]
    parameters: Vec<String>,
}

impl Run for Vkb {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let domid = session.domain(&self.domain)?;
        let parameters = Parameters::new(self.parameters);
        let mut vkb = parameters.read(MINUS_ONE, |texts, diagnostics| {
            let mut vkb = DeviceVkb::default();
            texts.iter().all(|text| devices::vkb_parameter(*text, &mut vkb, diagnostics)).then_some(vkb)
        })?;
        let whole = |texts: &[Text<'_>]| texts.first().map_or(Span::default(), |t| t.span);
        parameters.read(MINUS_THREE, |texts, diagnostics| {
            devices::complete_vkb(&mut vkb, whole(texts), diagnostics).then_some(())
        })?;
        let done = attach(session, domid, "vkb", &vkb, device::attach_vkb);
        done.map_err(|failure| failure.with_status(MINUS_THREE))
    }
}

/// `xl vdispl-attach`.
#[derive(Args)]
pub(crate) struct Vdispl {
    /// Name or number of the domain
    domain: String,
    /// connectors=, be-alloc= and backend=
    #[arg(value_name = "key=value")]
    parameters: Vec<String>,
}

impl Run for Vdispl {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let domid = session.domain(&self.domain)?;
        let vdispl = Parameters::new(self.parameters).read(1, |texts, diagnostics| {
            let mut vdispl = DeviceVdispl::default();
            texts.iter().all(|text| devices::vdispl_parameter(*text, &mut vdispl, diagnostics)).then_some(vdispl)
        })?;
        if vdispl.connectors.is_empty() {
            return Err(Failure::new(MINUS_THREE, "a virtual display needs connectors=ID:WIDTHxHEIGHT"));
        }
        let done = attach(session, domid, "vdispl", &vdispl, device::attach_vdispl);
        done.map_err(|failure| failure.with_status(MINUS_THREE))
    }
}

/// `xl vsnd-attach`.
#[derive(Args)]
pub(crate) struct Vsnd {
    /// Name or number of the domain
    domain: String,
    /// "card, ...", "pcm, ..." and "stream, ...", as in a configuration
    #[arg(required = true)]
    parts: Vec<String>,
}

impl Run for Vsnd {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let domid = session.domain(&self.domain)?;
        let vsnd = Parameters::new(self.parts).read(MINUS_ONE, |texts, diagnostics| {
            let mut vsnd = DeviceVsnd::default();
            texts.iter().all(|text| vsnd::part(*text, &mut vsnd, diagnostics)).then_some(vsnd)
        })?;
        let done = attach(session, domid, "vsnd", &vsnd, device::attach_vsnd);
        done.map_err(|failure| failure.with_status(MINUS_THREE))
    }
}
