//! `xl create`: a domain from a configuration file.

use crate::cli::Run;
use crate::cmd::console;
use crate::cmd::vncviewer::Viewer;
use crate::config::load::{self, Loaded, Options};
use crate::config::xlconf::XlConf;
use crate::failure::Failure;
use crate::monitor::{self, Watching};
use crate::session::Session;
use crate::{autoballoon, output};
use clap::Args;
use libxc::DomId;
use libxl::domain::control;
use libxl::types::DomainConfig;
use std::path::Path;

/// libxl's ERROR_INVAL as an exit status.
const INVALID: u8 = 6;

/// `xl create`.
#[derive(Args)]
pub(crate) struct Create {
    /// Connect to the console after the domain is created
    #[arg(short = 'c')]
    console: bool,
    /// Show the configuration on standard error
    #[arg(short = 'd')]
    debug: bool,
    /// Do not wait in the background for the death of the domain
    #[arg(short = 'e')]
    no_monitor: bool,
    /// Run in the foreground until the death of the domain
    #[arg(short = 'F')]
    foreground: bool,
    /// Take the configuration from this file
    #[arg(short = 'f', long = "defconfig", value_name = "FILE")]
    file: Option<String>,
    /// Show the configuration and do nothing (the same as xl -N)
    #[arg(short = 'n', long = "dryrun")]
    dry_run: bool,
    /// Leave the domain paused
    #[arg(short = 'p')]
    paused: bool,
    /// Say nothing
    #[arg(short = 'q', long)]
    quiet: bool,
    #[command(flatten)]
    viewer: Viewer,
    /// Do not apply the CPU masks of xl.conf
    #[arg(short = 'i', long)]
    ignore_global_affinity_masks: bool,
    /// Whatever has no effect in the configuration is an error
    #[arg(long)]
    strict: bool,
    /// The configuration file (- for standard input), and settings as NAME=VALUE
    #[arg(value_name = "ConfigFile")]
    arguments: Vec<String>,
}

impl Run for Create {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let dry_run = self.dry_run || session.globals.dry_run;
        let loaded = self.load(session, dry_run)?;
        if dry_run {
            return output::print(&loaded.shown()?);
        }
        if self.debug {
            eprint!("{}", loaded.shown()?);
        }
        self.create(session, loaded)
    }
}

impl Create {
    /// Creates the domain, lets it run, and sees to it that somebody watches it.
    fn create(&self, session: &Session, loaded: Loaded) -> Result<(), Failure> {
        let name = loaded.config.c_info.name.clone().unwrap_or_default();
        let domid = birth(session, &loaded.xl_conf, loaded.config)?;
        let watching = Watching::of(self.no_monitor, self.foreground);
        let_run(
            session,
            domid,
            &name,
            Life { paused: self.paused, console: self.console, viewer: self.viewer, watching },
        )
    }

    fn load(&self, session: &Session, dry_run: bool) -> Result<Loaded, Failure> {
        let (settings, files): (Vec<String>, Vec<String>) =
            self.arguments.iter().cloned().partition(|a| a.contains('='));
        let Some(file) = load::file_of(self.file.as_deref(), &files)? else {
            return Err(Failure::new(INVALID, "no configuration file is given: xl create FILE"));
        };
        let supposed = load::supposed_host(dry_run);
        let options = Options {
            quiet: self.quiet,
            strict: self.strict,
            ignore_masks: self.ignore_global_affinity_masks,
            host: supposed.as_deref(),
            without_xen: dry_run,
        };
        load::guest(&session.ctx, Path::new(file), &settings, options)
    }
}

/// How a new domain begins to live.
pub(crate) struct Life {
    /// It stays paused.
    pub(crate) paused: bool,
    /// This terminal becomes its console.
    pub(crate) console: bool,
    /// A viewer shows its VNC display.
    pub(crate) viewer: Viewer,
    /// Who stays with it.
    pub(crate) watching: Watching,
}

/// Lets a domain run that is complete. Whatever fails, the domain is there, and somebody has to watch it.
pub(crate) fn let_run(session: &Session, domid: DomId, name: &str, life: Life) -> Result<(), Failure> {
    let mut console = None;
    if life.console {
        match console::connect(session, domid) {
            Ok(connected) => console = Some(connected),
            Err(failure) => eprintln!("xl: warning: the domain goes on, but without this terminal: {failure}"),
        }
    }
    let runs = if life.paused { Ok(()) } else { control::unpause(&session.ctx, domid).map_err(Failure::from) };
    if let Err(failure) = &runs {
        output::complain(failure);
    }
    life.viewer.start(session, domid);
    monitor::watch(session, domid, name, life.watching)?;
    if let Some(mut console) = console {
        console.wait().map_err(libxl::Error::from)?;
    }
    runs.map_err(|failure| Failure::silent(failure.status()))
}

/// Creates the domain; until it is complete, ^C takes back what was done so far.
fn birth(session: &Session, xl_conf: &XlConf, config: DomainConfig) -> Result<DomId, Failure> {
    let session = session.cancellable()?;
    autoballoon::create(&session.ctx, xl_conf, config).map_err(|e| {
        let status = u8::try_from(-e.kind().code()).unwrap_or(1);
        Failure::from(e).with_status(status)
    })
}
