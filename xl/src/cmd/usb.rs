//! USB of a running domain: `usbctrl-attach`, `usbctrl-detach`, `usbdev-attach`, `usbdev-detach` and `usb-list`.

use super::attach::Parameters;
use crate::cli::Run;
use crate::config::usb;
use crate::failure::Failure;
use crate::output::{self, Format, usb as tables};
use crate::session::Session;
use clap::Args;
use libxl::device;
use libxl::types::{DeviceUsbctrl, DeviceUsbdev};

/// `xl usbctrl-attach`.
#[derive(Args)]
pub(crate) struct CtrlAttach {
    /// Name or number of the domain
    #[arg(value_name = "Domain")]
    domain: String,
    /// type=, version= and ports=, as in a configuration
    #[arg(value_name = "key=value")]
    parameters: Vec<String>,
}

impl Run for CtrlAttach {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let domid = session.domain(&self.domain)?;
        let ctrl = Parameters::new(self.parameters).read(1, |texts, diagnostics| {
            let mut ctrl = DeviceUsbctrl::default();
            texts.iter().all(|text| usb::controller(*text, &mut ctrl, diagnostics)).then_some(ctrl)
        })?;
        device::attach_usbctrl(&session.cancellable()?.ctx, domid, &ctrl)?;
        Ok(())
    }
}

/// `xl usbctrl-detach`.
#[derive(Args)]
pub(crate) struct CtrlDetach {
    /// Name or number of the domain
    #[arg(value_name = "Domain")]
    domain: String,
    /// The controller's number
    #[arg(value_name = "DevId")]
    controller: String,
}

impl Run for CtrlDetach {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let domid = session.domain(&self.domain)?;
        let number = number(&self.controller, "controller")?;
        let removed = device::detach_usbctrl(&session.ctx, domid, number);
        Ok(removed.map_err(|e| e.context(format!("detaching from {domid}")))?)
    }
}

/// `xl usbdev-attach`.
#[derive(Args)]
pub(crate) struct DevAttach {
    /// Name or number of the domain
    #[arg(value_name = "Domain")]
    domain: String,
    /// hostbus=, hostaddr=, controller= and port=, as in a configuration
    #[arg(required = true, value_name = "key=value")]
    parameters: Vec<String>,
}

impl Run for DevAttach {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let domid = session.domain(&self.domain)?;
        let usbdev = Parameters::new(self.parameters).read(1, |texts, diagnostics| {
            let mut usbdev = DeviceUsbdev::default();
            texts.iter().all(|text| usb::device(*text, &mut usbdev, diagnostics)).then_some(usbdev)
        })?;
        Ok(device::attach_usbdev(&session.cancellable()?.ctx, domid, &usbdev)?)
    }
}

/// `xl usbdev-detach`.
#[derive(Args)]
pub(crate) struct DevDetach {
    /// Name or number of the domain
    #[arg(value_name = "Domain")]
    domain: String,
    /// The controller's number
    #[arg(value_name = "controller")]
    controller: String,
    /// Its port, from 1 on
    #[arg(value_name = "port")]
    port: String,
}

impl Run for DevDetach {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let domid = session.domain(&self.domain)?;
        let (controller, port) = (number(&self.controller, "controller")?, number(&self.port, "port")?);
        let removed = device::detach_usbdev(&session.ctx, domid, controller, i32::try_from(port).unwrap_or(i32::MAX));
        Ok(removed.map_err(|e| e.context(format!("detaching from {domid}")))?)
    }
}

fn number(text: &str, what: &str) -> Result<u32, Failure> {
    text.parse().map_err(|_| Failure::new(1, format!("\"{text}\" is no number of a {what}")))
}

/// `xl usb-list`.
#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    format: Format,
    /// Name or number of the domain
    #[arg(value_name = "Domain")]
    domain: String,
}

impl Run for List {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let ctrls = device::usbctrls(&session.ctx, session.domain(&self.domain)?)?;
        if self.format.is_json() {
            return output::print_json(&tables::json(&ctrls));
        }
        output::print(&tables::table(&ctrls))
    }
}
