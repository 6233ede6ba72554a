//! `xl config-update`: a domain's configuration for the time after its next reboot.

use crate::cli::Run;
use crate::config::diagnostic::Diagnostics;
use crate::config::form::Form;
use crate::config::load::{self, Loaded, Options};
use crate::config::source::Source;
use crate::config::write;
use crate::failure::Failure;
use crate::output;
use crate::output::domains::Configured;
use crate::session::Session;
use clap::Args;
use libxl::domain::check_configuration;
use libxl::types::json;
use libxl::userdata::Userdata;
use std::path::Path;

/// Stock xl's exit status when it cannot read the file (libxl's ERROR_FAIL itself).
const UNREADABLE: u8 = 253;

/// `xl config-update`.
#[derive(Args)]
pub(crate) struct ConfigUpdate {
    /// Show the configuration
    #[arg(short = 'd')]
    debug: bool,
    /// Take the configuration from this file
    #[arg(short = 'f', long = "defconfig", value_name = "FILE")]
    file: Option<String>,
    /// Accepted and ignored
    #[arg(short = 'q')]
    quiet: bool,
    /// Name or number of the domain
    domain: Option<String>,
    /// The configuration file, and settings as NAME=VALUE
    #[arg(value_name = "ConfigFile")]
    arguments: Vec<String>,
}

impl Run for ConfigUpdate {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let dry_run = session.globals.dry_run;
        let domain = self.domain.as_deref().ok_or_else(|| Failure::new(1, "config-update needs a domain"))?;
        match dry_run {
            true => session.domain_of_dry_run(domain)?,
            false => session.domain(domain).map(drop)?,
        }
        let (settings, files): (Vec<String>, Vec<String>) =
            self.arguments.iter().cloned().partition(|a| a.contains('='));
        let Some(file) = load::file_of(self.file.as_deref(), &files)?.map(Path::new) else {
            return Err(Failure::new(1, "no configuration file is given: xl config-update DOMAIN FILE"));
        };
        let source = load::read_with_settings(file, &settings).map_err(|failure| failure.with_status(UNREADABLE))?;
        let supposed = load::supposed_host(dry_run);
        let options =
            Options { host: supposed.as_deref(), ignore_masks: true, without_xen: dry_run, ..Options::default() };
        let form = Form::of(file);
        let loaded = load::guest_of(&session.ctx, &source, form, options)?;
        if dry_run || self.debug {
            output::print(&shown(&loaded)?)?;
        }
        if dry_run {
            return Ok(());
        }
        // The domain's end would be too late to find out.
        check_configuration(&session.ctx, &session.ctx, &loaded.config)?;
        store(session, domain, &source, form)
    }
}

/// As stock xl shows it: within an object that has no number of a domain.
fn shown(loaded: &Loaded) -> Result<String, Failure> {
    if loaded.xl_conf.output_sxp {
        return loaded.shown();
    }
    Ok(json::to_string(&Configured { domid: None, config: &loaded.config }) + "\n")
}

/// Leaves the text for the domain's monitor, in the form that stock xl reads too.
fn store(session: &Session, domain: &str, source: &Source, form: Form) -> Result<(), Failure> {
    let text = match form {
        // To the byte what stock xl leaves, which ends the settings of the command line with an empty line.
        Form::Cfg if source.bytes().len() > source.first_part().len() => [source.bytes(), b"\n\n"].concat(),
        Form::Cfg => source.bytes().to_vec(),
        Form::Toml => write::xl_cfg(&form.parse(source, &mut Diagnostics::new(false))).into_bytes(),
    };
    let userdata = Userdata::of(&session.ctx, session.domain(domain)?)?;
    let _lock = userdata.lock(&session.ctx)?;
    Ok(userdata.store("xl", &text)?)
}
